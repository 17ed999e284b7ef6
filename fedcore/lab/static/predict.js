// A guess before the result: a choice with a confidence, or a range on a scale.

function render({ model, el: host }) {
  adopt(host);
  const isChoice = model.get("options").length > 0;
  const note = el("p", { class: "fc-note", role: "status" });
  const lock = el("button", { type: "button", class: "fc-primary", text: "Lock in my guess" });
  const parts = isChoice ? choice() : range();
  const form = el(
    "fieldset",
    { class: "fc-fieldset" },
    el("legend", { class: "fc-question", html: model.get("question") }),
    parts.root,
  );
  host.append(
    el(
      "div", // not a landmark: a lesson has many
      { class: "fc-card", role: "group", "aria-label": "Your prediction" },
      el("div", { class: "fc-kicker", text: "Predict first" }),
      form,
      el("div", { class: "fc-buttons fc-end-row" }, lock, note),
    ),
  );
  lock.addEventListener("click", () => {
    model.set("locked", true);
    model.save_changes();
  });

  function guess(value) {
    model.set("guess", value);
    model.save_changes();
  }

  function choice() {
    const name = newId("guess");
    const inputs = model.get("options").map((_, i) => el("input", { type: "radio", name, value: i }));
    const options = model.get("options").map((html, i) =>
      el("label", { class: "fc-option" }, inputs[i], el("span", { html })),
    );
    const least = model.get("least");
    const texts = [];
    for (let p = least; p <= 100; p += 5) texts.push(`${p}\u00a0%`);
    const middle = Math.floor(texts.length / 2);
    const sure = stops({ label: "How sure are you?", texts, index: middle }, send);
    const ends = el(
      "div",
      { class: "fc-row fc-note", "aria-hidden": "true" },
      el("span", { text: "a blind guess" }),
      el("span", { text: "certain" }),
    );
    inputs.forEach((input) => input.addEventListener("change", send));
    function send() {
      const chosen = inputs.findIndex((input) => input.checked);
      if (chosen < 0) return;
      guess({ choice: chosen, confidence: (least + 5 * Number(sure.input.value)) / 100 });
    }
    function show(value) {
      if (!value) return;
      inputs[value.choice].checked = true;
      sure.choose(Math.round((100 * value.confidence - least) / 5));
    }
    const root = el("div", {}, options, el("div", { class: "fc-sure" }, sure.root, ends));
    return { root, show, hint: "Choose an answer, then say how sure you are." };
  }

  function range() {
    const { low, high, step, unit, coverage } = model.get("scale");
    const span = high - low;
    const digits = Math.max(0, Math.min(6, 2 - Math.floor(Math.log10(span))));
    const write = (v) => {
      const text = Number(v.toFixed(digits)).toLocaleString("en", { maximumFractionDigits: digits });
      return unit ? `${text}\u00a0${unit}` : text;
    };
    const band = el("span", { class: "fc-range" });
    const least = slider("At least", low + 0.25 * span);
    const most = slider("At most", low + 0.75 * span);
    function slider(label, start) {
      const id = newId("range");
      const out = el("output", { class: "fc-value", for: id });
      const input = el("input", { type: "range", id, min: low, max: high, step });
      input.value = start;
      input.addEventListener("input", () => move(input));
      const row = el("div", { class: "fc-row" }, el("label", { for: id, text: label }), out);
      return { root: el("div", { class: "fc-stops" }, row, input), input, out };
    }
    function move(input) {
      const [a, b] = [least.input, most.input];
      if (Number(a.value) > Number(b.value)) (input === a ? b : a).value = input.value;
      paint();
      guess({ low: Number(a.value), high: Number(b.value) });
    }
    function paint() {
      const [a, b] = [Number(least.input.value), Number(most.input.value)];
      for (const { input, out } of [least, most]) {
        out.textContent = write(Number(input.value));
        input.setAttribute("aria-valuetext", out.textContent);
      }
      band.style.left = `${(100 * (a - low)) / span}%`;
      band.style.width = `${(100 * (b - a)) / span}%`;
    }
    function show(value) {
      if (value) {
        least.input.value = value.low;
        most.input.value = value.high;
      }
      paint();
    }
    const said = `Give a range that holds the result, so that you are ${100 * coverage}\u00a0% sure.`;
    const root = el(
      "div",
      {},
      el("p", { class: "fc-note", text: `${said} Narrow ranges earn more, misses cost more.` }),
      el("div", { class: "fc-scale", "aria-hidden": "true" }, band),
      el("div", { class: "fc-two" }, least.root, most.root),
    );
    return { root, show, hint: "Move the two sliders, then lock in your range." };
  }

  function update() {
    const value = model.get("guess");
    const locked = model.get("locked");
    parts.show(value);
    form.disabled = locked;
    setOff(lock, locked || !value);
    lock.textContent = locked && value ? "Locked in" : "Lock in my guess";
    const committed = "Now run the next cell to see the result.";
    const ready = "Lock it in, or change your mind.";
    const none = locked && !value ? "Revealed without a guess." : "";
    say(note, model.get("note") || none || (locked ? committed : value ? ready : parts.hint));
  }

  model.on("change:guess change:locked change:note", update);
  update();
  return () => model.off("change:guess change:locked change:note", update);
}

export default { render };
