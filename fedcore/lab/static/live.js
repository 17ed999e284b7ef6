// What every live panel shares on the page; lab/live.py is its other end.

// The page numbers its requests. Whatever is moved or pressed is one, so that no two have a number.
function ask(model, action, changes = {}) {
  const { seq, values } = model.get("request");
  model.set("request", { seq: seq + 1, action, values: { ...values, ...changes } });
  model.save_changes();
}

// The first run begins when the learner sees the panel, so that it grows before their eyes. Of a
// panel taller than the page a third may never be seen at once.
function runWhenSeen(model, root) {
  const enough = (entry) => entry.intersectionRatio >= 0.3 || entry.intersectionRect.height >= 200;
  const threshold = [0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3];
  const observer = new IntersectionObserver((entries) => {
    if (!entries.some((entry) => entry.isIntersecting && enough(entry))) return;
    observer.disconnect();
    if (model.get("request").seq === 0) ask(model, "run");
  }, { threshold });
  observer.observe(root);
  return () => observer.disconnect();
}

const GONE = "This panel has lost its kernel, which was restarted or has ended. Run this cell again.";

// A panel whose kernel is gone says so, and its controls can't be moved: nobody would answer. A kernel
// that was restarted knows nothing of the panel either. `tell` is called once. Returns how to stop.
function watchKernel(model, root, controls, tell) {
  const inside = (node) => [node, ...node.querySelectorAll("input, button")];
  const kernel = model.widget_manager?.kernel;
  const changed = (_, status) => {
    const gone = ["restarting", "autorestarting", "terminating", "dead"].includes(status);
    if (!gone || "gone" in root.dataset) return;
    root.dataset.gone = status;
    for (const node of controls.flatMap(inside)) node.disabled = true;
    tell();
  };
  kernel?.statusChanged.connect(changed);
  return () => kernel?.statusChanged.disconnect(changed);
}

// Words that change keep the room that they once took, until the page's width changes: what stands
// below them doesn't move up and down. Returns how to stop.
function keepRoom(...nodes) {
  const widths = new Map();
  const observer = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      const { width, height } = target.getBoundingClientRect();
      if (width === 0) continue;
      const resized = widths.has(target) && widths.get(target) !== width;
      if (resized) requestAnimationFrame(() => target.style.removeProperty("min-height"));
      else target.style.minHeight = `${height}px`;
      widths.set(target, width);
    }
  });
  for (const node of nodes) observer.observe(node);
  return () => observer.disconnect();
}
