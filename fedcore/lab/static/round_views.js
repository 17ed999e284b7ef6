// The three views of a round in words and numbers: the server's log, a device's log, the arithmetic
// of the mean. Each has {root, set, choose}; the logs also `at(t)`, which greys what is yet to come.

const KIND_MARKS = { uploaded: "arrived", died: "died", late: "late", used: "used", unused: "unused" };
const KIND_SIGNS = { round_begin: "\u25b6", aggregated: "\u03a3", round_abandoned: "!", evaluated: "=" };

function clockText(t) {
  if (t < 120) return `${t.toFixed(1)}\u00a0s`;
  if (t < 7200) return `${Math.floor(t / 60)}\u00a0min ${String(Math.floor(t % 60)).padStart(2, "0")}\u00a0s`;
  if (t < 172800) return `${Math.floor(t / 3600)}\u00a0h ${String(Math.floor((t % 3600) / 60)).padStart(2, "0")}\u00a0min`;
  return `${(t / 86400).toFixed(1)}\u00a0days`;
}

function view(title, ...children) {
  const id = newId("view");
  const heading = el("div", { class: "fcd-heading", id, text: title });
  const root = el("section", { class: "fcd-view", "aria-labelledby": id }, heading, ...children);
  return { root, heading };
}

function makeLog(label) {
  const list = el("ol", { class: "fcd-log" });
  const box = el("div", { class: "fcd-scroll", tabindex: 0, role: "region", "aria-label": label }, list);
  let rows = [];
  let shown = -1;
  let now = Infinity;

  function set(lines, onDevice) {
    rows = lines.map((line) => {
      const state = KIND_MARKS[line.kind];
      const mark = el("span", { class: "fcd-mark", "aria-hidden": "true", text: state ? null : KIND_SIGNS[line.kind] || "\u00b7" }, state && stateMark(state));
      const time = el("span", { class: "fcd-time", text: clockText(line.t) });
      const row = el("li", { "data-kind": line.kind }, time, mark, el("span", { text: line.text }));
      if (onDevice && line.device !== null) {
        row.classList.add("fcd-click");
        row.addEventListener("click", () => onDevice(line.device));
      }
      return { row, t: line.t, device: line.device };
    });
    list.replaceChildren(...rows.map(({ row }) => row));
    shown = -1;
    at(now);
  }

  function at(t) {
    now = t;
    let past = 0;
    while (past < rows.length && rows[past].t <= t + 1e-6) past += 1;
    if (past === shown) return;
    shown = past;
    rows.forEach(({ row }, i) => row.classList.toggle("fcd-future", i >= past));
    const last = rows[past - 1];
    const running = past < rows.length;
    box.scrollTop = running && last ? last.row.offsetTop - box.clientHeight + last.row.offsetHeight + 4 : running ? 0 : box.scrollTop;
  }

  function choose(id) {
    for (const { row, device } of rows) row.classList.toggle("fcd-chosen", device !== null && device === id);
  }
  return { box, set, at, choose };
}

function makeServerLog(onDevice) {
  const log = makeLog("Server log");
  const total = el("p", { class: "fcd-total" });
  const { root } = view("2  Server log", log.box, total);
  function set(server) {
    log.set(server ? server.lines : [], onDevice);
    say(total, server ? server.text : "\u00a0");
  }
  return { root, set, at: log.at, choose: log.choose };
}

function makeDeviceLog(n, onDevice) {
  const id = newId("device");
  const select = el("select", { id, class: "fc-input" });
  for (let k = 0; k < n; k += 1) select.append(el("option", { value: k, text: `${k}` }));
  select.addEventListener("change", () => onDevice(Number(select.value)));
  const log = makeLog("Device log");
  const about = el("p", { class: "fcd-about" });
  const total = el("p", { class: "fcd-total" });
  const picker = el("span", { class: "fcd-picker" }, el("label", { for: id, text: "device" }), select);
  const { root, heading } = view("3  Device log", about, log.box, total);
  heading.append(picker);
  let frame = null;
  let chosen = null;
  let kinds = [];
  let ended = true;

  function tell() {
    if (chosen === null || !frame) {
      log.set([]);
      say(about, frame ? "Choose a device on the map." : "\u00a0");
      return say(total, "\u00a0");
    }
    const { lines } = frame.logs[chosen];
    log.set(lines.map(([t, words]) => ({ t, text: words, device: null, kind: "" })));
    tellEnd();
  }

  // How it ends is told when it has ended.
  function tellEnd() {
    if (chosen === null || !frame) return;
    const device = frame.map.devices[chosen];
    const end = ended ? device.line : `Device ${chosen}`;
    say(about, `${end}. It is ${kinds[chosen]}.`);
    say(total, ended ? frame.logs[chosen].text || "This round cost it nothing." : "\u00a0");
  }

  function name() {
    for (let k = 0; k < n; k += 1) {
      const known = frame && ended;
      say(select.options[k], known ? frame.map.devices[k].line.replace("Device ", "") : `${k}`);
    }
  }

  function set(next) {
    frame = next;
    if (frame && frame.about) kinds = frame.about;
    name();
    tell();
  }

  function at(t) {
    log.at(t);
    if (ended === (t === Infinity)) return;
    ended = t === Infinity;
    name();
    tellEnd();
  }
  function choose(k) {
    chosen = k;
    select.value = k;
    tell();
  }
  return { root, set, at, choose };
}

function makeMean(onDevice) {
  const id = newId("parameter");
  const select = el("select", { id, class: "fc-input fcd-parameter" });
  const head = el("tr");
  const body = el("tbody");
  const foot = el("tfoot");
  const table = el("table", { class: "fcd-table" }, el("thead", {}, head), body, foot);
  const box = el("div", { class: "fcd-scroll fcd-mean", tabindex: 0, role: "region", "aria-label": "Arithmetic of the weighted mean" }, table);
  const text = el("p", { class: "fcd-about fcd-about-mean" });
  const result = el("p", { class: "fcd-total" });
  const picker = el("span", { class: "fcd-picker" }, el("label", { for: id, text: "parameter" }), select);
  const { root, heading } = view("4  The weighted mean", text, box, result);
  heading.append(picker);
  const heads = ["device", "n\u2096", "share of asked", "weight in mean", "value w\u2096", "weight \u00d7 value"];
  for (const name of heads) head.append(el("th", { scope: "col", text: name }));
  let mean = null;
  let rows = [];
  let now = Infinity;
  let over = true;
  let chosen = null;
  const exact = (v) => (v < 0 ? `\u2212${Math.abs(v).toFixed(6)}` : v.toFixed(6));
  const share = (v) => v.toFixed(4);
  select.addEventListener("change", draw);

  function draw() {
    const i = Math.max(0, select.selectedIndex);
    if (!mean) {
      rows = [];
      body.replaceChildren();
      foot.replaceChildren();
      say(text, "\u00a0");
      return say(result, "\u00a0");
    }
    rows = mean.rows.map((row) => drawRow(row, i));
    body.replaceChildren(...rows.map((row) => row.node));
    const total = (name) => share(mean.rows.reduce((sum, row) => sum + row[name], 0));
    const cells = [mean.n_used.toLocaleString("en"), total("before"), total("after"), "", mean.sums ? exact(mean.sums[i]) : "\u2013"];
    foot.replaceChildren(el("tr", {}, el("th", { scope: "row", text: "sum" }), cells.map((c) => el("td", { text: c }))));
    const was = `It was ${exact(mean.before[i])} before the round.`;
    say(result, mean.sums ? `The sum is the new value: the model now holds ${exact(mean.after[i])}. ${was}` : `The model still holds ${exact(mean.after[i])}.`);
    tell();
    mark();
  }

  function tell() {
    say(text, mean ? (over ? mean.text : "The mean is taken when the round closes.") : "\u00a0");
  }

  function at(t) {
    now = t;
    over = t === Infinity;
    for (const row of rows) row.become(t);
    tell();
  }

  function drawRow(row, i) {
    const gone = row.values === null;
    const words = { died: "died", late: "cut", unused: "not needed" }[row.outcome] || "";
    const name = el("th", { scope: "row" });
    const value = el("td");
    const node = el("tr", { "data-id": row.id }, name, el("td", { text: row.n.toLocaleString("en") }), el("td", { text: share(row.before) }));
    const after = el("td");
    const part = el("td");
    node.append(after, value, part);
    node.addEventListener("click", () => onDevice(row.id));
    // A row fills as its report arrives; its weight is known when the round closes.
    let state = "";
    const become = (t) => {
      const now = t >= row.end ? row.outcome : row.arrived !== null && t >= row.arrived ? "arrived" : "asked";
      if (now === state) return;
      state = now;
      const ended = now === row.outcome;
      name.replaceChildren(stateMark(now), el("span", { text: row.id }));
      node.classList.toggle("fcd-gone", gone && ended);
      say(after, ended ? (gone ? "0" : share(row.after)) : "");
      say(value, gone ? (ended ? words : "") : now === "asked" ? "" : exact(row.values[i]));
      say(part, ended ? (gone ? "\u2013" : exact(row.parts[i])) : "");
    };
    become(now);
    return { node, become };
  }

  function mark() {
    for (const row of body.children) row.classList.toggle("fcd-chosen", Number(row.dataset.id) === chosen);
  }
  function set(next) {
    mean = next;
    if (mean && select.options.length !== mean.names.length) {
      select.replaceChildren(...mean.names.map((name) => el("option", { text: name })));
    }
    draw();
  }
  function choose(k) {
    chosen = k;
    mark();
  }
  return { root, set, at, choose };
}
