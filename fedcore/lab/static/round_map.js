// The map of one round at any moment of its simulated time. `makeRoundMap(places, onChoose)` gives
// {root, setFrame, at, choose, stop}. Each state has a shape of its own, so that colour is a second
// sign only; packets are circles on the way down and squares on the way up.

const SHAPES = {
  ineligible: (r) => `M${-0.45 * r},0a${0.45 * r},${0.45 * r} 0 1,0 ${0.9 * r},0a${0.45 * r},${0.45 * r} 0 1,0 ${-0.9 * r},0`,
  eligible: (r) => ring(r * 0.85),
  download: (r) => ring(r),
  training: (r) => ring(r) + ring(r * 0.45),
  upload: (r) => ring(r),
  asked: (r) => ring(r),
  arrived: (r) => ring(r),
  used: (r) => ring(r * 1.15),
  unused: (r) => `M0,${-1.25 * r}L${1.25 * r},0L0,${1.25 * r}L${-1.25 * r},0Z`,
  late: (r) => `M${-r},${-1.1 * r}H${r}L${-r},${1.1 * r}H${r}Z`,
  died: (r) => `M${-r},${-r}L${r},${r}M${-r},${r}L${r},${-r}`,
};
const STATE_WORDS = [
  ["ineligible", "not eligible"],
  ["eligible", "eligible, not asked"],
  ["training", "trains"],
  ["arrived", "report arrived"],
  ["used", "in the mean"],
  ["unused", "not needed"],
  ["late", "cut"],
  ["died", "died (d: download, t: training, u: upload)"],
];

function ring(r) {
  return `M${-r},0a${r},${r} 0 1,0 ${2 * r},0a${r},${r} 0 1,0 ${-2 * r},0`;
}

// What a device does at time t of the round, and how far its packet has come, in [0, 1].
function stateAt(device, t) {
  const steps = device.steps || [];
  const first = steps[0];
  if (device.end === undefined) return { state: device.outcome };
  if (t >= device.end) return { state: device.outcome, stuck: device.reach, stage: device.stage };
  for (const [stage, begin, end] of steps) {
    if (t < begin) return { state: stage === first[0] ? "eligible" : "asked" };
    if (t < end) {
      const share = end > begin ? (t - begin) / (end - begin) : 1;
      const most = stage === device.stage && device.reach !== undefined ? device.reach : 1;
      return { state: stage, stage, progress: share * most };
    }
  }
  return { state: first ? "arrived" : "asked" };
}

function tickMark(r) {
  return `M${-0.55 * r},${0.05 * r}L${-0.12 * r},${0.5 * r}L${0.6 * r},${-0.45 * r}`;
}

// The shape of a state as a small picture, for legends, logs and tables.
function stateMark(state) {
  const shape = svg("path", { class: "fcd-dot", d: SHAPES[state](5) });
  const tick = state === "used" && svg("path", { class: "fcd-tick", d: tickMark(5) });
  const drawn = svg("g", { "data-state": state }, shape, tick);
  return svg("svg", { width: 16, height: 16, viewBox: "-8 -8 16 16", class: "fcd-state", "aria-hidden": "true" }, drawn);
}

function makeRoundMap(places, onChoose) {
  const links = svg("g");
  const dots = svg("g");
  const packets = svg("g");
  const focus = svg("circle", { class: "fc-chosen", visibility: "hidden" });
  const box = svg("rect", { width: 54, height: 30, rx: 5, class: "fc-server" });
  const word = svg("text", { "text-anchor": "middle", class: "fc-server-text", text: "server" });
  const name = { role: "application", "aria-label": "Map of the devices." }; // until there is a round
  const map = svg("svg", { class: "fc-map", tabindex: 0, ...name }, links, dots, packets, box, word, focus);
  const root = el("div", { class: "fcd-map" }, map, legendOfStates());
  const devices = places.map((_, id) => makeDevice(id));
  let size = 0;
  let radius = 6;
  let frame = null;
  let time = Infinity;
  let chosen = null;

  function makeDevice(id) {
    const link = svg("line", { class: "fcd-link", visibility: "hidden" });
    const shape = svg("path", { class: "fcd-dot" });
    const tick = svg("path", { class: "fcd-tick", visibility: "hidden" });
    const letter = svg("text", { class: "fcd-letter", visibility: "hidden" });
    const hit = svg("circle", { class: "fcd-hit" }, svg("title"));
    const node = svg("g", {}, shape, tick, letter, hit);
    const packet = svg("path", { class: "fcd-packet", visibility: "hidden" });
    links.append(link);
    dots.append(node);
    packets.append(packet);
    node.addEventListener("click", () => onChoose(id));
    return { id, link, shape, tick, letter, hit, node, packet, x: 0, y: 0, state: "" };
  }

  function layout() {
    const half = size / 2;
    const n = places.length;
    radius = Math.max(2.2, ((n <= 16 ? 10 : n <= 48 ? 8 : n <= 120 ? 6.6 : n <= 240 ? 4.5 : 2.8) * size) / 420);
    for (const [name, value] of [["width", size], ["height", size], ["viewBox", `0 0 ${size} ${size}`]]) map.setAttribute(name, value);
    box.setAttribute("x", half - 27);
    box.setAttribute("y", half - 15);
    word.setAttribute("x", half);
    word.setAttribute("y", half + 4.5);
    for (const device of devices) {
      device.x = half + places[device.id][0] * (half - 14);
      device.y = half + places[device.id][1] * (half - 14);
      device.node.setAttribute("transform", `translate(${device.x.toFixed(1)},${device.y.toFixed(1)})`);
      device.hit.setAttribute("r", radius * 1.7);
      device.tick.setAttribute("d", tickMark(radius));
      device.letter.setAttribute("x", radius * 1.3 + 7);
      device.letter.setAttribute("y", radius * 0.6);
      for (const [name, value] of [["x1", half], ["y1", half], ["x2", device.x], ["y2", device.y]]) device.link.setAttribute(name, value.toFixed(1));
      device.state = "";
    }
    placeFocus();
    at(time);
  }

  function placeFocus() {
    focus.setAttribute("visibility", chosen === null ? "hidden" : "visible");
    if (chosen === null) return;
    focus.setAttribute("cx", devices[chosen].x);
    focus.setAttribute("cy", devices[chosen].y);
    focus.setAttribute("r", radius * 1.3 + 4);
  }

  function setFrame(next) {
    frame = next;
    for (const device of devices) {
      const told = frame && frame.devices[device.id];
      device.hit.firstChild.textContent = told ? told.line : `Device ${device.id}`;
    }
  }

  // Only what differs from the moment before is touched: 100 devices cost a fraction of a millisecond.
  function at(t) {
    time = t;
    if (!size) return;
    for (const device of devices) {
      const told = frame ? stateAt(frame.devices[device.id], t) : { state: "eligible" };
      if (told.state !== device.state) become(device, told);
      movePacket(device, told);
    }
  }

  function become(device, { state }) {
    device.state = state;
    device.shape.setAttribute("d", SHAPES[state](radius));
    device.node.setAttribute("data-state", state);
    device.link.setAttribute("visibility", state === "ineligible" || state === "eligible" ? "hidden" : "visible");
    device.link.setAttribute("data-state", state);
    device.tick.setAttribute("visibility", state === "used" ? "visible" : "hidden");
    const stage = (state === "died" && frame.devices[device.id].stage) || "";
    device.letter.setAttribute("visibility", stage ? "visible" : "hidden");
    device.letter.textContent = stage ? stage[0] : "";
  }

  function movePacket(device, { state, stage, progress, stuck }) {
    const moving = progress !== undefined && stage !== "training";
    const lies = state === "died" && stuck > 0;
    if (!moving && !lies) {
      if (device.packet.getAttribute("visibility") !== "hidden") device.packet.setAttribute("visibility", "hidden");
      return;
    }
    const way = moving ? progress : stuck;
    const from = stage === "upload" ? 1 - way : way;
    const half = size / 2;
    const [x, y] = [half + (device.x - half) * from, half + (device.y - half) * from];
    device.packet.setAttribute("visibility", "visible");
    device.packet.setAttribute("data-way", stage);
    device.packet.setAttribute("d", stage === "upload" ? "M-3.5,-3.5h7v7h-7z" : ring(3.5));
    device.packet.setAttribute("transform", `translate(${x.toFixed(1)},${y.toFixed(1)})`);
  }

  function choose(id) {
    chosen = id;
    placeFocus();
  }

  function legendOfStates() {
    const packet = (way, d) => svg("svg", { width: 16, height: 16, viewBox: "-8 -8 16 16" }, svg("path", { class: "fcd-packet", "data-way": way, d }));
    const items = STATE_WORDS.map(([state, words]) => el("span", {}, stateMark(state), el("span", { text: words })));
    items.push(el("span", {}, packet("download", ring(3.5)), el("span", { text: "model, down" })));
    items.push(el("span", {}, packet("upload", "M-3.5,-3.5h7v7h-7z"), el("span", { text: "report, up" })));
    return el("div", { class: "fc-legend fc-note fcd-legend", "aria-hidden": "true" }, items);
  }

  // Arrow keys go to the nearest device in that direction; Home and End to the first and last.
  map.addEventListener("keydown", (event) => {
    const way = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[event.key];
    const jump = { Home: 0, End: places.length - 1 }[event.key];
    if (!way && jump === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    const next = way ? nearest(way) : jump;
    if (next !== null) onChoose(next);
  });

  function nearest(way) {
    const from = chosen === null ? [0, 0] : places[chosen];
    let best = null;
    places.forEach(([x, y], k) => {
      const [dx, dy] = [x - from[0], y - from[1]];
      const along = dx * way[0] + dy * way[1];
      const aside = Math.abs(dx * way[1]) + Math.abs(dy * way[0]);
      if (k === chosen || along < 0.02) return;
      const cost = along + 2 * aside;
      if (!best || cost < best[0]) best = [cost, k];
    });
    return best && best[1];
  }

  const stop = onWidth(root, (width) => {
    size = Math.min(width, 420);
    layout();
  });
  return { root, map, setFrame, at, choose, stop };
}
