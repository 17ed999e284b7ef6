"""What a panel does to the page, frame by frame: heights, layout shifts, figures, blank frames."""

# Notes in every animation frame what a learner would see jump or flicker, until `stop`.
WATCH = """(root) => {
  const seen = { heights: {}, figures: {}, blank: 0, replaced: 0, shift: 0, frames: 0, ended: [] };
  const count = (css) => document.querySelectorAll(css).length;
  const figures = () => `${count(".fc-panel")} panels, ${count(".fc-panel .fc-plot")} charts, `
    + `${count(".fc-panel .fc-map")} maps, ${count(".jp-OutputArea-output")} outputs`;
  const plots = [...root.querySelectorAll(".fc-plot, .fc-map")];
  let last = root.dataset.phase;
  const tick = () => {
    const height = Math.round(root.getBoundingClientRect().height);
    seen.heights[height] = (seen.heights[height] ?? 0) + 1;
    seen.figures[figures()] = (seen.figures[figures()] ?? 0) + 1;
    seen.blank += plots.some((plot) => !plot.firstChild);
    seen.replaced += plots.some((plot) => !plot.isConnected);
    seen.frames += 1;
    seen.timer = requestAnimationFrame(tick);
  };
  const observer = new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      const moved = entry.sources.some(({ node, previousRect: a, currentRect: b }) =>
        node && root.contains(node) && a.height && b.height && a.top !== b.top);
      if (moved) seen.shift += entry.value;
    }
  });
  const phases = new MutationObserver(() => {
    if (root.dataset.phase !== last) seen.ended.push((last = root.dataset.phase));
  });
  phases.observe(root, { attributes: true, attributeFilter: ["data-phase"] });
  observer.observe({ type: "layout-shift" });
  tick();
  root.watched = () => {
    cancelAnimationFrame(seen.timer);
    observer.disconnect();
    phases.disconnect();
    return seen;
  };
}"""


def watch(panel):
    """Begin to note what the page does with this panel."""
    panel.root.evaluate(WATCH)


def watched(panel):
    """{heights, figures: {value: frames}, blank, replaced, frames, shift, ended}, and stop.

    blank, replaced: frames in which a chart or map had nothing in it, or was another node. shift:
    the scores of the layout shifts (as in web-vitals' CLS, but with those after an input too) in
    which something inside the panel moved up or down. ended: the phases, in the order shown.
    """
    return panel.root.evaluate("(root) => root.watched()")


# Ten moves of one slider in 300 ms, as a drag makes them: {position, ms since the first} of each.
DRAG = """(slider, positions) => new Promise((ok) => {
  const begin = performance.now();
  const moves = [];
  positions.forEach((position, i) => setTimeout(() => {
    slider.value = position;
    slider.dispatchEvent(new Event("input", { bubbles: true }));
    moves.push([position, performance.now() - begin]);
    if (moves.length === positions.length) ok(moves);
  }, 30 * i));
})"""


def drag(slider, positions):
    """Move a slider through ``positions``, 30 ms apart."""
    return slider.evaluate(DRAG, list(positions))
