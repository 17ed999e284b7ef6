// Parts of the drop-out panel that know nothing of its rounds.

// A slider over what there is now; `set(value, max, text)` moves it.
function makeRange(label) {
  const id = newId("range");
  const value = el("output", { class: "fc-value", for: id });
  const input = el("input", { type: "range", id, min: 0, max: 0, step: 1 });
  const row = el("div", { class: "fc-row" }, el("label", { for: id, text: label }), value);
  const set = (v, max, text) => {
    input.max = max;
    input.value = v;
    input.style.setProperty("--fc-filled", `${(100 * v) / Math.max(1, max)}%`);
    say(value, text);
    input.setAttribute("aria-valuetext", text);
  };
  return { root: el("div", { class: "fcd-range" }, row, input), input, set };
}

// The share code of where the sliders stand, to be copied, and a place to paste another.
function makeShare(model) {
  const id = newId("code");
  const input = el("input", { id, class: "fc-input fcd-code", spellcheck: "false", autocomplete: "off", value: model.get("code") });
  const note = el("span", { class: "fc-note", role: "status" });
  const use = () => model.send({ kind: "code", code: input.value });
  const copy = async () => {
    input.value = model.get("code");
    try {
      await navigator.clipboard.writeText(input.value);
      say(note, "Copied.");
    } catch {
      input.select();
      say(note, "Marked: copy it with Ctrl+C.");
    }
  };
  input.addEventListener("keydown", (event) => event.key === "Enter" && use());
  const buttons = [el("button", { type: "button", text: "Copy", onclick: copy }), el("button", { type: "button", text: "Use", onclick: use })];
  const node = el("div", { class: "fcd-share" }, el("label", { for: id, text: "Share code" }), input, buttons, note);
  const show = () => {
    input.value = model.get("code");
  };
  return { root: node, note, show };
}

// The devices asked in a round as a table, for those who can't see the map.
function makeTable() {
  const body = el("tbody");
  const heads = ["device", "outcome", "down", "up", "at work", "energy", "battery", "weight"];
  const head = el("tr", {}, heads.map((text) => el("th", { scope: "col", text })));
  const table = el("table", { class: "fcd-table" }, el("thead", {}, head), body);
  const box = el("div", { class: "fcd-scroll", tabindex: 0, role: "region", "aria-label": "This round as a table" }, table);
  const details = el("details", { class: "fcd-details" }, el("summary", { text: "This round as a table" }), box);
  let rows = [];
  const fill = () => {
    if (!details.open) return;
    body.replaceChildren(...rows.map(([first, ...rest]) => el("tr", {}, el("th", { scope: "row", text: first }), rest.map((text) => el("td", { text })))));
  };
  details.addEventListener("toggle", fill);
  const set = (frame) => {
    rows = frame ? frame.table : [];
    fill();
  };
  return { root: details, set };
}
