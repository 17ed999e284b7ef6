// The live panel. The rule that keeps it honest: each change of a slider gets a number (`seq`), every
// view that Python sends carries the number it answers, and a view with another number is not drawn.

function render({ model, el: host }) {
  adopt(host);
  const chart = makeChart(model.get("height"));
  const status = el("div", { class: "fc-status", role: "status", "aria-atomic": "true" });
  const bar = el("div", { class: "fc-bar" }, el("span"));
  const tiles = el("div", { class: "fc-tiles" });
  const stopButton = el("button", { type: "button", text: "Stop", onclick: () => ask(model, "stop") });
  const again = el("button", { type: "button", text: "Run again", onclick: () => ask(model, "run") });
  const reset = el("button", { type: "button", text: "Reset", onclick: () => ask(model, "reset", model.get("defaults")) });
  const controls = model.get("controls").map(makeControl);
  const fixed = el("p", { class: "fc-note", text: model.get("fixed") });
  const side = el(
    "div",
    { class: "fc-side", role: "group", "aria-label": "Settings of the federation" },
    controls.map((control) => control.root),
    el("div", { class: "fc-buttons" }, again, stopButton, reset),
    fixed,
  );
  const pictures = el("div", { class: "fc-pictures", hidden: !model.get("view").pictures });
  const map = model.get("holdings") ? makeHoldings() : null;
  const main = el("div", { class: "fc-main" }, chart.root, map && map.root, tiles, pictures);
  const root = el("section", { class: "fc-panel", "aria-label": model.get("title") });
  root.append(
    el("div", { class: "fc-title", text: model.get("title") }),
    el("div", { class: "fc-columns" }, side, main),
    bar,
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
    made.root.dataset.name = control.name;
    return { ...made, name: control.name, needs: control.needs };
  }

  // A knob of a split that is not chosen does nothing: it is switched off.
  function adapt(values) {
    const split = model.get("controls").find((control) => control.name === "split");
    if (!split) return;
    for (const { needs, input, root: line } of controls) {
      if (!needs || !input) continue;
      input.disabled = split.texts[values.split] !== needs;
      line.classList.toggle("fc-off", input.disabled);
    }
  }

  // Drawn at once, before Python has answered: what was current no longer is.
  function onRequest() {
    const { seq, action, values } = model.get("request");
    for (const control of controls) control.choose(values[control.name]);
    adapt(values);
    if (model.get("view").seq === seq) return draw();
    if (action === "stop") return;
    const view = model.get("view");
    const before = view.phase === "done" ? { ...view.current, name: "previous run" } : view.before;
    show({ ...view, phase: "waiting", current: null, map: null, before, round: 0 });
    live(false, "Starting with the new settings ...");
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      if (model.get("view").seq === seq) return;
      const hint = "It may be busy with another cell; if it was restarted, run this cell again.";
      live(true, `The kernel has not answered yet. ${hint}`);
    }, 4000);
  }

  function draw() {
    const view = model.get("view");
    if ("gone" in root.dataset) return; // the last words of a kernel
    if (view.seq !== model.get("request").seq) return; // obsolete: never drawn
    clearTimeout(waiting);
    show(view);
    live(view.phase !== "running", view.status);
  }

  function onGone() {
    clearTimeout(waiting);
    root.setAttribute("aria-busy", false);
    live(true, GONE);
  }

  // A screen reader hears how a run ends, not each of its rounds.
  function live(aloud, text) {
    status.setAttribute("aria-live", aloud ? "polite" : "off");
    say(status, text);
  }

  function show(view) {
    const lines = [];
    if (view.current) lines.push({ ...line(view.current), look: 1 });
    if (view.before) lines.push({ ...line(view.before), look: "ghost" });
    const target = model.get("target");
    const text = `target ${Math.round(100 * target)}\u00a0%`;
    chart.set({
      label: view.alternative,
      x: { label: "round", note: below(view), min: 0, max: view.n_rounds, whole: true },
      y: { label: "test accuracy (%)", min: view.floor, max: 100, unit: "%", digits: 1, fixed: true },
      lines,
      marks: target ? [{ y: 100 * target, text }] : [],
    });
    if (map) {
      const held = model.get("held");
      map.set(view.map && view.map.run === held.run ? { ...held, clients: view.map.clients } : null);
    }
    const busy = view.phase === "running" || view.phase === "waiting";
    root.setAttribute("aria-busy", busy);
    root.dataset.phase = view.phase;
    setOff(stopButton, !busy);
    setOff(again, busy);
    const progress = view.phase === "waiting" ? 0 : (view.progress ?? view.round / view.n_rounds);
    bar.firstChild.style.width = `${100 * progress}%`;
    pictures.replaceChildren(...(view.phase === "waiting" ? [] : view.pictures || []).map(picture));
    tiles.replaceChildren(...view.tiles.map((tile) => makeTile(tile, view.phase)));
  }

  function line({ name, accuracy }) {
    return { name, x: accuracy.map((_, i) => i), y: accuracy.map((a) => 100 * a) };
  }

  // The untrained model may lie below the axis: then it is told.
  function below({ current, floor }) {
    const start = current ? 100 * current.accuracy[0] : 100;
    return start < floor ? ` (round 0: ${start.toFixed(1)}\u00a0%, below)` : "";
  }

  function makeTile(tile, phase) {
    const waits = phase === "waiting";
    const value = waits ? "\u2013" : tile.value;
    const last = waits && model.get("view").phase === "done" ? tile.value : tile.before;
    const before = last ? `before: ${last}` : "\u00a0";
    return el(
      "div",
      {},
      el("div", { class: "fc-tile-name", text: tile.name }),
      el("div", { class: "fc-big", text: value }),
      el("div", { class: "fc-before", text: before }),
    );
  }

  // A square grey picture with its name: {name, pixels: [0 to 255]}.
  function picture({ name, pixels }) {
    const side = Math.round(Math.sqrt(pixels.length));
    const canvas = el("canvas", { width: side, height: side, role: "img", "aria-label": name });
    const image = new ImageData(side, side);
    pixels.forEach((v, i) => image.data.set([v, v, v, 255], 4 * i));
    canvas.getContext("2d").putImageData(image, 0, 0);
    return el("figure", {}, canvas, el("figcaption", { text: name }));
  }

  const texts = [status, chart.legend, chart.readout, pictures, ...(map ? [map.words] : [])];
  const ends = [runWhenSeen(model, root), keepRoom(...texts), watchKernel(model, root, [side], onGone), chart.stop];
  if (map) ends.push(map.stop);

  model.on("change:request", onRequest);
  model.on("change:view", draw);
  adapt(model.get("request").values);
  draw();
  return () => {
    model.off("change:request", onRequest);
    model.off("change:view", draw);
    for (const end of ends) end();
    clearTimeout(waiting);
  };
}

export default { render };
