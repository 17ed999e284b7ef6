// The network map. Python sends places and frames; this draws them and moves the packets. A client
// of a frame that sent nothing up was silent: it has a shape of its own, colour is a second sign.

const DURATION = 1900; // ms of one round when played: down, train, up

function render({ model, el: host }) {
  adopt(host);
  const places = model.get("places");
  const names = model.get("names");
  const map = svg("svg", { class: "fc-map", tabindex: 0, role: "application" });
  const title = el("div", { class: "fc-round" });
  const traffic = el("div", { class: "fc-traffic" });
  const text = el("p", { role: "status" });
  const who = el("div", { class: "fc-who", "aria-live": "polite" });
  const back = el("button", { type: "button", text: "\u2039", "aria-label": "Round before" });
  const next = el("button", { type: "button", text: "\u203a", "aria-label": "Next round" });
  const play = el("button", { type: "button", text: "Play" });
  const id = newId("round");
  const slider = el("input", { type: "range", id, min: 0, step: 1, "aria-label": "Round shown" });
  const tools = el("div", { class: "fc-buttons fc-tools" }, back, play, next, slider);
  const side = el("div", { class: "fc-map-text" }, title, traffic, text, who, legend());
  host.append(
    el(
      "section",
      { class: "fc-card", "aria-label": model.get("title") },
      el("div", { class: "fc-title", text: model.get("title") }),
      el("div", { class: "fc-map-columns" }, el("div", { class: "fc-map-box" }, map), side),
      tools,
    ),
  );
  let size = 0;
  let chosen = null;
  let timer = 0;
  let playing = false;

  const frame = () => model.get("frames")[model.get("index")];
  const active = () => new Map((frame()?.clients || []).map((client) => [client.id, client]));
  const point = (k) => [size / 2 + places[k][0] * (size / 2 - 16), size / 2 + places[k][1] * (size / 2 - 16)];
  const radius = () => {
    const n = places.length;
    const base = n <= 16 ? 10 : n <= 48 ? 7 : n <= 120 ? 5.5 : n <= 240 ? 4 : 2.5;
    return Math.max(1.8, (base * size) / 400);
  };

  function cross(x, y, r) {
    const d = `M${x - r},${y - r}L${x + r},${y + r}M${x - r},${y + r}L${x + r},${y - r}`;
    return svg("path", { class: "fc-silent-cross", d });
  }

  function legend() {
    const dot = (cls, more) =>
      svg("svg", { width: 14, height: 14 }, svg("circle", { cx: 7, cy: 7, r: 5, class: cls }), more);
    const packet = (shape) => svg("svg", { width: 14, height: 14 }, shape);
    const item = (mark, words) => el("span", {}, mark, el("span", { text: words }));
    return el(
      "div",
      { class: "fc-legend fc-note", "aria-hidden": "true" },
      item(dot("fc-client fc-active"), "takes part"),
      item(dot("fc-client"), "not asked"),
      el("span", { class: "fc-silent-item" }, dot("fc-client fc-silent", cross(7, 7, 3)), el("span", { text: "was silent" })),
      item(packet(svg("circle", { cx: 7, cy: 7, r: 4, class: "fc-down" })), "down"),
      item(packet(svg("rect", { x: 3, y: 3, width: 8, height: 8, class: "fc-up" })), "up"),
    );
  }

  function draw() {
    if (!size) return;
    const busy = active();
    const [r, c] = [radius(), size / 2];
    const links = svg("g");
    const dots = svg("g");
    places.forEach((_, k) => {
      const [x, y] = point(k);
      const on = busy.has(k);
      const silent = on && !busy.get(k).up;
      const look = silent ? " fc-silent" : on ? " fc-active" : "";
      if (on) links.append(svg("line", { x1: c, y1: c, x2: x, y2: y, class: `fc-link${silent ? look : ""}` }));
      const dot = svg("circle", { cx: x, cy: y, r: on ? r * 1.2 : r, class: `fc-client${look}` });
      dot.addEventListener("click", () => choose(k));
      dots.append(dot);
      if (silent) dots.append(cross(x, y, r * 0.55));
      if (k === chosen) dots.append(svg("circle", { cx: x, cy: y, r: r * 1.2 + 4, class: "fc-chosen" }));
    });
    const box = svg("rect", { x: c - 27, y: c - 15, width: 54, height: 30, rx: 5, class: "fc-server" });
    const word = svg("text", { x: c, y: c + 4, "text-anchor": "middle", class: "fc-server-text", text: "server" });
    const packets = svg("g", { class: "fc-packets" });
    map.setAttribute("width", size);
    map.setAttribute("height", size);
    map.setAttribute("viewBox", `0 0 ${size} ${size}`);
    map.replaceChildren(links, dots, packets, box, word);
    const shown = frame();
    const label = shown ? `${shown.title}: ${shown.traffic}.` : `${places.length} clients, no round yet.`;
    map.setAttribute("aria-label", `Map. ${label} Arrow keys choose a client.`);
  }

  function tell() {
    const frames = model.get("frames");
    const shown = frame();
    const anySilent = frames.some(({ clients }) => clients.some((client) => !client.up));
    side.querySelector(".fc-silent-item").hidden = !anySilent;
    const index = model.get("index");
    say(title, shown ? shown.title : "No round yet");
    say(traffic, shown ? shown.traffic : "\u00a0");
    say(text, shown ? shown.text : `${places.length} clients wait for the server.`);
    slider.max = Math.max(0, frames.length - 1);
    slider.value = index;
    slider.style.setProperty("--fc-filled", `${(100 * index) / Math.max(1, frames.length - 1)}%`);
    slider.setAttribute("aria-valuetext", shown ? shown.title : "none");
    setOff(back, index <= 0);
    setOff(next, index >= frames.length - 1);
    setOff(play, !frames.length);
    tools.hidden = frames.length === 0;
    for (const node of [back, next, slider]) node.hidden = frames.length < 2;
    tellClient();
  }

  function tellClient() {
    if (chosen === null) return say(who, "Choose a client on the map to see what it did.");
    const client = active().get(chosen);
    const facts = client
      ? [`${bytes(client.down)} down`, `${bytes(client.up)} up`, ...client.notes]
      : ["not asked in this round: it received and sent nothing"];
    say(who, `${names[chosen]}: ${facts.join("; ")}.`);
  }

  function bytes(n) {
    if (n < 1000) return `${n}\u00a0B`;
    const [value, unit] = n < 999500 ? [n / 1e3, "kB"] : [n / 1e6, "MB"];
    return `${Number(value.toPrecision(3))}\u00a0${unit}`;
  }

  function choose(k) {
    chosen = k;
    draw();
    tellClient();
  }

  // Arrow keys go to the nearest client in that direction.
  map.addEventListener("keydown", (event) => {
    const way = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[event.key];
    if (event.key === "Escape") choose(null);
    if (!way) return;
    event.preventDefault();
    event.stopPropagation();
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
    if (best) choose(best[1]);
  });

  // Circles travel down, clients glow, squares travel up.
  function animate(done) {
    cancelAnimationFrame(timer);
    const shown = frame();
    const layer = map.querySelector(".fc-packets");
    if (!shown || !layer || calm()) return done && done();
    const c = size / 2;
    const parts = shown.clients.map((client) => {
      const [x, y] = point(client.id);
      const down = svg("circle", { r: 4, class: "fc-down", visibility: "hidden" });
      const up = svg("rect", { width: 8, height: 8, class: "fc-up", visibility: "hidden" });
      layer.append(down, up);
      return { client, x, y, down, up };
    });
    const start = performance.now();
    function step(now) {
      const t = (now - start) / DURATION;
      for (const { client, x, y, down, up } of parts) {
        const way = client.down ? Math.min(1, t / 0.38) : 1;
        const home = client.down ? (t - 0.6) / 0.38 : t / 0.8;
        down.setAttribute("visibility", client.down && way < 1 ? "visible" : "hidden");
        down.setAttribute("transform", `translate(${c + (x - c) * way},${c + (y - c) * way})`);
        const back = Math.min(1, Math.max(0, home));
        up.setAttribute("visibility", client.up && home > 0 && home < 1 ? "visible" : "hidden");
        up.setAttribute("transform", `translate(${x + (c - x) * back - 4},${y + (c - y) * back - 4})`);
      }
      map.classList.toggle("fc-training", t > 0.38 && t < 0.6);
      if (t < 1) timer = requestAnimationFrame(step);
      else {
        layer.replaceChildren();
        if (done) done();
      }
    }
    timer = requestAnimationFrame(step);
  }

  function go(index) {
    model.set("index", Math.max(0, Math.min(model.get("frames").length - 1, index)));
    model.save_changes();
  }

  function setPlaying(on) {
    playing = on;
    play.textContent = on ? "Pause" : "Play";
    if (!on) {
      cancelAnimationFrame(timer);
      map.classList.remove("fc-training");
      draw();
    }
  }

  function playOn() {
    if (!playing) return;
    const last = model.get("index") >= model.get("frames").length - 1;
    const step = () => {
      if (!playing) return;
      if (last) return setPlaying(false);
      go(model.get("index") + 1);
      playOn();
    };
    if (calm()) setTimeout(step, 1200);
    else animate(step);
  }

  play.addEventListener("click", () => {
    if (playing) return setPlaying(false);
    const frames = model.get("frames");
    if (frames.length > 1 && model.get("index") >= frames.length - 1) go(0);
    setPlaying(true);
    playOn();
  });
  const manual = (change) => () => {
    setPlaying(false);
    go(change());
    animate();
  };
  back.addEventListener("click", manual(() => model.get("index") - 1));
  next.addEventListener("click", manual(() => model.get("index") + 1));
  slider.addEventListener("input", manual(() => Number(slider.value)));

  function update() {
    cancelAnimationFrame(timer);
    draw();
    tell();
  }
  const stop = onWidth(map.parentNode, (width) => {
    size = Math.min(width, 400);
    draw();
  });
  model.on("change:frames change:index", update);
  update();
  return () => {
    cancelAnimationFrame(timer);
    playing = false;
    stop();
    model.off("change:frames change:index", update);
  };
}

export default { render };
