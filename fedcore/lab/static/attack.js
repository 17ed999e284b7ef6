// The attack panel. As in the live panel: a view whose number is not that of the newest request is
// obsolete and never drawn; what was current is dimmed as soon as a control moves.

function render({ model, el: host }) {
  adopt(host);
  const server = el("div", { class: "fc-note" });
  const grid = el("div", { class: "fc-attack-grid", role: "img" });
  const tiles = el("div", { class: "fc-tiles" });
  const status = el("div", { class: "fc-status", role: "status", "aria-atomic": "true" });
  const reset = el("button", { type: "button", text: "Reset", onclick: () => ask(model, "reset", model.get("defaults")) });
  const controls = model.get("controls").map(makeControl);
  const side = el(
    "div",
    { class: "fc-side", role: "group", "aria-label": "Conditions of the attack" },
    controls.map((control) => control.root),
    el("div", { class: "fc-buttons" }, reset),
  );
  const key = el(
    "div",
    { class: "fc-attack-key fc-note" },
    el("span", { text: "top: what the client holds" }),
    el("span", { text: "below: what the server sees" }),
    el("span", { text: "last line: the digit's label and the PSNR" }),
  );
  const main = el("div", { class: "fc-main" }, server, key, grid, tiles);
  const root = el("section", { class: "fc-panel", "aria-label": model.get("title") });
  root.append(
    el("div", { class: "fc-title", text: model.get("title") }),
    el("div", { class: "fc-columns" }, side, main),
    status,
  );
  host.append(root);
  let waiting = null;

  function makeControl(control) {
    const index = model.get("request").values[control.name];
    const changed = (i) => ask(model, "run", { [control.name]: i });
    const made =
      control.kind === "choice"
        ? segments(newId(control.name), control.label, control.texts, index, changed)
        : stops({ ...control, index }, changed);
    if (control.kind === "choice") made.root.classList.add("fc-attack-choice");
    made.root.dataset.name = control.name;
    return { ...made, name: control.name };
  }

  function onRequest() {
    const { seq, values } = model.get("request");
    for (const control of controls) control.choose(values[control.name]);
    if (model.get("view").seq === seq) return draw();
    root.dataset.phase = "waiting";
    root.setAttribute("aria-busy", true);
    tiles.replaceChildren(...model.get("view").tiles.map((t) => makeTile({ ...t, value: "\u2013" })));
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      if (model.get("view").seq === seq) return;
      const hint = "It may be busy with another cell; if it was restarted, run this cell again.";
      say(status, `The kernel has not answered yet. ${hint}`);
    }, 4000);
  }

  function draw() {
    const view = model.get("view");
    if ("gone" in root.dataset) return; // the last words of a kernel
    if (view.seq !== model.get("request").seq) return; // obsolete: never drawn
    clearTimeout(waiting);
    root.dataset.phase = view.phase;
    root.setAttribute("aria-busy", view.phase === "running");
    say(server, view.server);
    say(status, view.status);
    status.setAttribute("aria-live", "polite");
    grid.setAttribute("aria-label", view.alternative);
    grid.classList.toggle("fc-many", view.pictures.length > 6);
    grid.replaceChildren(...view.pictures.map(makePair));
    tiles.replaceChildren(...view.tiles.map(makeTile));
  }

  function makePair({ original, guess, label, score }) {
    return el(
      "div",
      { class: "fc-attack-pair" },
      picture(original),
      picture(guess),
      el("div", { class: "fc-note", text: `${label}: ${score}` }),
    );
  }

  function picture(text) {
    const side = model.get("side");
    const canvas = el("canvas", { width: side, height: side });
    const context = canvas.getContext("2d");
    const image = context.createImageData(side, side);
    const bytes = atob(text);
    for (let i = 0; i < bytes.length; i += 1) {
      const ink = bytes.charCodeAt(i);
      image.data.set([ink, ink, ink, 255], 4 * i);
    }
    context.putImageData(image, 0, 0);
    return canvas;
  }

  function makeTile({ name, value }) {
    return el(
      "div",
      {},
      el("div", { class: "fc-tile-name", text: name }),
      el("div", { class: "fc-big", text: value }),
    );
  }

  function onGone() {
    clearTimeout(waiting);
    root.setAttribute("aria-busy", false);
    say(status, GONE);
  }

  const ends = [runWhenSeen(model, root), keepRoom(status, server, grid), watchKernel(model, root, [side], onGone)];

  model.on("change:request", onRequest);
  model.on("change:view", draw);
  draw();
  return () => {
    model.off("change:request", onRequest);
    model.off("change:view", draw);
    for (const end of ends) end();
    clearTimeout(waiting);
  };
}

export default { render };
