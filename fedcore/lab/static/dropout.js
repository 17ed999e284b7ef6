// The drop-out panel: one clock, four views. Python trains and sends each round once, as a message
// that carries the number of the run it belongs to; rounds of another run are not kept. What is on the
// screen is the pair (index, time): a round, and a moment of its simulated time.

const PACES = { slow: 7000, normal: 3500, fast: 1200 }; // ms of one round when played
const STILL = 1400; // ms of one round where motion is not wanted

function render({ model, el: host }) {
  adopt(host);
  const places = model.get("places");
  const root = el("section", { class: "fc-panel fcd", "aria-label": model.get("title") });
  const map = makeRoundMap(places, choose);
  const server = makeServerLog(choose);
  const device = makeDeviceLog(places.length, choose);
  const mean = makeMean(choose);
  const chart = makeChart(model.get("height"));
  const tiles = el("div", { class: "fc-tiles" });
  const status = el("div", { class: "fc-status", role: "status", "aria-atomic": "true" });
  const told = el("p", { class: "fcd-round-text", role: "status", "aria-atomic": "true" });
  const heard = el("div", { class: "fc-hidden", role: "status" }); // the device just chosen
  const bar = el("div", { class: "fc-bar" }, el("span"));
  const controls = model.get("controls").map(makeControl);
  const play = el("button", { type: "button", class: "fc-primary fcd-play", text: "\u25b6 Play" });
  const back = el("button", { type: "button", text: "\u2039", "aria-label": "Round before" });
  const next = el("button", { type: "button", text: "\u203a", "aria-label": "Step: next round" });
  const reset = el("button", { type: "button", text: "Reset", onclick: () => ask(model, "reset", model.get("defaults")) });
  const rounds = makeRange("Round shown");
  const moment = makeRange("Moment in it");
  const pace = el("select", { class: "fc-input", "aria-label": "Pace" }, Object.keys(PACES).map((name) => el("option", { text: name, selected: name === "normal" })));
  const share = makeShare(model);
  let tabulate = () => {};
  let frames = [];
  let runSeq = model.get("request").seq;
  let index = 0;
  let time = Infinity;
  let chosen = null;
  let ended = null; // is the round on the screen over?
  let playing = false;
  let stepping = false;
  let timer = 0;
  let before = 0;
  let waiting = null;
  const settings = el("div", { class: "fcd-controls", role: "group", "aria-label": "Conditions and plan of the round" }, controls.map((c) => c.root), share.root);
  assemble();

  function assemble() {
    const transport = el("div", { class: "fcd-transport", role: "group", "aria-label": "Play" }, el("div", { class: "fc-buttons" }, play, back, next, reset, pace), rounds.root, moment.root);
    const mapView = view("1  Network map", map.root);
    const chartView = view("Accuracy on the test set", chart.root, tiles);
    const table = makeTable();
    root.append(
      el("div", { class: "fc-title", text: model.get("title") }),
      settings,
      transport,
      bar,
      status,
      told,
      heard,
      el("div", { class: "fcd-grid" }, mapView.root, el("div", { class: "fcd-logs" }, server.root, device.root), mean.root, chartView.root),
      table.root,
      el("p", { class: "fc-note fcd-fixed", text: model.get("fixed") }),
    );
    host.append(root);
    tabulate = table.set;
  }

  function makeControl(control) {
    const at = model.get("request").values[control.name];
    const changed = (i) => ask(model, "run", { [control.name]: i });
    const made = control.kind === "choice" ? segments(newId(control.name), control.label, control.texts, at, changed) : stops({ ...control, index: at }, changed);
    made.root.title = control.help;
    made.root.dataset.name = control.name;
    return { ...made, name: control.name };
  }

  // --------------------------------------------------------------------- requests and answers

  // At once, before Python has answered: what was current no longer is.
  function onRequest() {
    const { seq, action, values } = model.get("request");
    for (const control of controls) control.choose(values[control.name]);
    if (action === "stop" || seq === runSeq) return;
    runSeq = seq;
    frames = [];
    index = 0;
    stepping = false;
    say(share.note, "");
    begin();
    draw();
    live(false, "Starting with the new settings ...");
    root.setAttribute("aria-busy", "true");
    root.dataset.phase = "waiting";
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      if (runSeq !== seq || frames.length) return;
      live(true, "The kernel has not answered yet. It may be busy with another cell; if it was restarted, run this cell again.");
    }, 4000);
  }

  function onMessage(message) {
    if (message.kind === "code") return useCode(message);
    if (message.kind !== "round" || message.seq !== runSeq) return; // of an obsolete run
    if (message.index > frames.length) return model.send({ kind: "replay", seq: runSeq, from: frames.length });
    if (message.index < frames.length) return;
    frames.push(message.frame);
    if (message.index === 0) {
      if (chosen === null) chosen = interesting(message.frame);
      begin();
      draw();
    } else drawRange();
    drawChart();
  }

  // Python has read a share code: its sliders are moved as a hand would.
  function useCode({ text, values }) {
    if (values) ask(model, "run", values);
    say(share.note, text);
  }

  function onView() {
    const now = model.get("view");
    if ("gone" in root.dataset) return; // the last words of a kernel
    if (now.seq !== model.get("request").seq) return; // obsolete: never drawn
    root.dataset.phase = now.phase;
    const busy = now.phase === "running";
    root.setAttribute("aria-busy", busy);
    live(!busy, now.status);
    bar.firstChild.style.width = `${(100 * now.round) / now.n_rounds}%`;
    if (now.round > frames.length) model.send({ kind: "replay", seq: runSeq, from: frames.length });
    drawChart();
  }

  // A screen reader hears how a run ends, not each of its rounds.
  function live(aloud, text) {
    status.setAttribute("aria-live", aloud ? "polite" : "off");
    say(status, text);
  }

  function interesting(frame) {
    const found = ["died", "late", "used", "unused"].map((o) => frame.map.devices.find((d) => d.outcome === o)).find(Boolean);
    return found ? found.id : 0;
  }

  // A new first round: played from its beginning, or shown as it ended.
  function begin() {
    time = playing && !calm() ? 0 : Infinity;
    rest = 0;
    drawn = false;
  }

  // ------------------------------------------------------------------------------- drawing

  const shown = () => frames[index] || null;

  function draw() {
    const frame = shown();
    map.setFrame(frame && frame.map);
    server.set(frame && frame.server);
    device.set(frame);
    mean.set(frame && frame.mean);
    tabulate(frame);
    ended = null;
    mark();
    drawRange();
    drawMoment();
    drawChart();
  }

  function drawRange() {
    const n = model.get("view").n_rounds;
    rounds.set(Math.min(index, frames.length), Math.max(0, frames.length - 1), frames.length ? `${index + 1} of ${frames.length === n ? n : `${frames.length} so far`}` : "\u2013");
    setOff(back, index <= 0);
    setOff(next, index >= frames.length - 1);
    setOff(play, !frames.length && model.get("view").phase === "failed");
  }

  function drawMoment() {
    const frame = shown();
    const end = frame ? frame.map.seconds : 0;
    const now = Math.min(time, end);
    const share = end > 0 ? Math.round((1000 * now) / end) : 1000;
    moment.set(frame ? share : 0, 1000, frame ? `${clockText(now)} of ${clockText(end)}` : "\u2013");
    for (const part of [map, server, device, mean]) part.at(now >= end ? Infinity : now);
    if (ended !== now >= end) finish(now >= end);
  }

  // What came of a round is told when its time is over.
  function finish(over) {
    ended = over;
    const frame = shown();
    root.classList.toggle("fcd-under-way", !over);
    told.setAttribute("aria-live", playing ? "off" : "polite");
    say(told, frame ? `Round ${frame.round}: ${over ? frame.map.text : "under way ..."}` : "\u00a0");
    drawTiles(over ? frame : frames[index - 1] || null);
    mark();
  }

  function drawTiles(frame) {
    const rest = model.get("blank_tiles").map((name) => ({ name, value: "\u2013", note: "" }));
    tiles.replaceChildren(
      ...(frame ? frame.tiles : rest).map((tile) =>
        el("div", {}, el("div", { class: "fc-tile-name", text: tile.name }), el("div", { class: "fc-big", text: tile.value }), el("div", { class: "fc-before", text: tile.note || "\u00a0" })),
      ),
    );
  }

  function drawChart() {
    const { n_rounds: n, before: last, start } = model.get("view");
    const column = (name) => [start[name], ...frames.map((f) => f.point[name])].map((v) => 100 * v);
    const x = (ys) => ys.map((_, i) => i);
    const lines = [];
    const add = (name, ys, look) => lines.push({ name, y: ys, x: x(ys), look });
    if (frames.length) {
      add("all test digits", column("accuracy"), 1);
      add("worst digit", column("worst_class"), 2);
      add("worst client", column("worst_client"), 3);
    }
    if (last) add(`all, ${last.name}`, last.accuracy.map((v) => 100 * v), "ghost");
    const latest = frames.at(-1);
    chart.set({
      label: latest ? latest.chart_text : "Test accuracy against rounds. No round yet.",
      x: { label: "round", min: 0, max: n, whole: true },
      y: { label: "accuracy (%)", min: 0, max: 100, unit: "%", digits: 1, fixed: true },
      lines,
      now: frames.length ? index + 1 : NaN,
    });
  }

  function choose(id) {
    chosen = id;
    mark();
    const frame = shown();
    say(heard, frame && ended ? frame.map.devices[id].line : `Device ${id}`);
  }

  function mark() {
    if (chosen === null) return;
    map.choose(chosen);
    server.choose(chosen);
    device.choose(chosen);
    mean.choose(chosen);
    const frame = shown();
    const line = frame && ended ? frame.map.devices[chosen].line : `Device ${chosen}`;
    map.map.setAttribute("aria-label", `Map of ${places.length} devices. ${line}. Arrow keys choose a device.`);
  }

  // -------------------------------------------------------------------------------- playing

  function go(to, from = Infinity) {
    index = Math.max(0, Math.min(frames.length - 1, to));
    time = from;
    draw();
  }

  function setPlaying(on) {
    playing = on;
    play.textContent = on ? "\u2016 Pause" : "\u25b6 Play";
    cancelAnimationFrame(timer);
    if (!on) {
      told.setAttribute("aria-live", "polite");
      return;
    }
    const frame = shown();
    const ended = !frame || time >= frame.map.seconds;
    const from = calm() ? Infinity : 0;
    if (frame && ended && index >= frames.length - 1 && !busy()) go(0, from);
    else if (frame && ended && index < frames.length - 1 && index > 0) go(index + 1, from);
    else if (ended) go(index, from);
    before = performance.now();
    timer = requestAnimationFrame(tick);
  }

  const busy = () => model.get("view").seq !== model.get("request").seq || model.get("view").phase === "running";

  function tick(now) {
    if (!playing && !stepping) return;
    const passed = Math.min(250, now - before);
    before = now;
    const frame = shown();
    if (frame) advance(frame, passed);
    if (playing || stepping) timer = requestAnimationFrame(tick);
  }

  function advance(frame, passed) {
    const still = calm();
    const whole = still ? STILL : PACES[pace.value];
    const end = Math.max(frame.map.seconds, 1e-9);
    rest = rest + passed;
    if (still) time = Infinity;
    else time = Math.min(end, time === Infinity ? 0 : time + (end * passed) / (0.8 * whole));
    if (time >= end && rest < whole) return drawOnce();
    if (time < end) return drawMoment();
    rest = 0;
    drawn = false;
    drawMoment();
    if (stepping) return endStep();
    if (index < frames.length - 1) go(index + 1, still ? Infinity : 0);
    else if (!busy()) setPlaying(false);
  }
  let rest = 0; // ms since the round on the screen began to play
  let drawn = false;

  function drawOnce() {
    if (!drawn) drawMoment();
    drawn = true;
  }

  function endStep() {
    stepping = false;
    time = Infinity;
    drawMoment();
  }

  play.addEventListener("click", () => {
    stepping = false;
    rest = 0;
    drawn = false;
    setPlaying(!playing);
    drawRange();
  });
  back.addEventListener("click", () => manual(index - 1));
  next.addEventListener("click", () => {
    setPlaying(false);
    if (index >= frames.length - 1) return;
    go(index + 1, calm() ? Infinity : 0);
    stepping = !calm();
    rest = 0;
    drawn = false;
    before = performance.now();
    timer = requestAnimationFrame(tick);
  });
  rounds.input.addEventListener("input", () => manual(Number(rounds.input.value)));
  moment.input.addEventListener("input", () => {
    const frame = shown();
    setPlaying(false);
    stepping = false;
    if (!frame) return;
    time = (frame.map.seconds * Number(moment.input.value)) / 1000;
    drawMoment();
  });

  function manual(to) {
    setPlaying(false);
    stepping = false;
    go(to);
  }

  // The rounds that have come stay, and can be played.
  function onGone() {
    clearTimeout(waiting);
    root.setAttribute("aria-busy", false);
    live(true, GONE);
  }

  const texts = [status, told, chart.legend, chart.readout, tiles, ...root.querySelectorAll(".fcd-about, .fcd-total")];
  const ends = [runWhenSeen(model, root), keepRoom(...texts), watchKernel(model, root, [settings, reset], onGone), map.stop, chart.stop];

  model.on("change:request", onRequest);
  model.on("change:view", onView);
  model.on("change:code", share.show);
  model.on("msg:custom", onMessage);
  draw();
  onView();
  return () => {
    cancelAnimationFrame(timer);
    playing = false;
    stepping = false;
    clearTimeout(waiting);
    for (const end of ends) end();
    model.off("change:request", onRequest);
    model.off("change:view", onView);
    model.off("change:code", share.show);
    model.off("msg:custom", onMessage);
  };
}

export default { render };
