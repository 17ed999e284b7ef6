// A quiz: one card a question. Answers go to Python, which knows what is right, and come back marked.

function render({ model, el: host }) {
  adopt(host);
  const score = el("div", { class: "fc-note", role: "status" });
  const cards = model.get("questions").map(makeCard);
  host.append(
    el(
      "section",
      { class: "fc-card", "aria-label": `Quiz: ${model.get("title")}` },
      el(
        "div",
        { class: "fc-row fc-wrap" },
        el("div", { class: "fc-title", text: `Quick quiz: ${model.get("title")}` }),
        score,
      ),
      el("div", {}, cards.map((card) => card.root)),
    ),
  );

  function makeCard(question, index) {
    const makers = { choice: options, several: options, number: numberField, order: steps, line: options };
    const parts = makers[question.kind](question);
    const check = el("button", { type: "button", class: "fc-primary", text: "Check" });
    const feedback = el("div", { class: "fc-feedback", role: "status" });
    const several = question.kind === "several" ? el("p", { class: "fc-note", text: "Tick all that apply." }) : null;
    const form = el(
      "fieldset",
      { class: "fc-fieldset" },
      el("legend", { class: "fc-question" }, el("span", { text: `${index + 1}. ` }), el("span", { html: question.html })),
      el("div", {}, several, parts.root),
    );
    const root = el("div", { class: "fc-quiz-item" }, form, el("div", { class: "fc-buttons fc-end-row" }, check, feedback));
    check.addEventListener("click", submit);
    parts.root.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && event.target.matches("input")) submit();
      if (event.target.matches("input[type=text]")) event.stopPropagation();
    });

    function submit() {
      const answer = parts.answer();
      if (answer === null) return say(feedback, parts.hint);
      say(feedback, "Checking ...");
      model.send({ question: question.id, answer });
    }

    let tries = 0;
    function show(result) {
      if (!result || result.tries === tries) return; // nothing new: leave what is being edited
      tries = result.tries;
      parts.show(result);
      if (result.right && form.contains(document.activeElement)) check.focus(); // before it is lost
      form.disabled = result.right;
      setOff(check, result.right);
      root.dataset.mark = result.right ? "right" : "wrong";
      const verdict = result.right ? "\u2713 Right." : "\u2717 Not yet.";
      const gained = result.gained ? ` +${result.gained} XP.` : "";
      feedback.replaceChildren(
        el("b", { text: verdict }),
        el("span", { html: result.text ? ` ${result.text}` : "" }),
        el("span", { class: "fc-gained", text: gained }),
      );
    }

    return { root, show, id: question.id, complain: (text) => say(feedback, text) };
  }

  function options(question) {
    const one = question.kind !== "several"; // a line of a program is chosen like an option
    const name = newId("quiz");
    const rows = question.order.map((i) => {
      const input = el("input", { type: one ? "radio" : "checkbox", name, value: i });
      const note = el("div", { class: "fc-why" });
      const label = el("label", { class: "fc-option" }, input, el("span", { html: question.items[i] }));
      return { i, input, note, root: el("div", {}, label, note) };
    });
    const root = el("div", {}, rows.map((row) => row.root));
    const chosen = () => rows.filter((row) => row.input.checked).map((row) => row.i);
    function answer() {
      if (!chosen().length) return null;
      return one ? chosen()[0] : chosen().sort((a, b) => a - b);
    }
    function show(result) {
      const picked = [].concat(result.answer);
      for (const { i, input, note } of rows) {
        input.checked = picked.includes(i);
        const [right, html] = result.notes[i] || [null, ""];
        note.className = `fc-why ${right === null ? "" : right ? "fc-yes" : "fc-no"}`;
        note.replaceChildren();
        if (right !== null) {
          note.append(el("span", { class: "fc-tick", text: right ? "\u2713 " : "\u2717 " }), el("span", { html }));
        }
      }
    }
    return { root, answer, show, hint: "Choose an answer first." };
  }

  function numberField(question) {
    const input = el("input", {
      type: "text",
      inputmode: "decimal",
      class: "fc-input",
      autocomplete: "off",
      "aria-label": question.label + (question.unit ? `, in ${question.unit}` : ""),
    });
    const root = el("div", { class: "fc-number" }, input, el("span", { text: question.unit }));
    const answer = () => input.value.trim() || null;
    const show = (result) => { input.value = result.answer; };
    return { root, answer, show, hint: "Type a number first." };
  }

  function steps(question) {
    let order = [...question.order];
    const list = el("ol", { class: "fc-steps" });
    const heard = el("div", { class: "fc-hidden", "aria-live": "polite" });
    function draw(focus) {
      list.replaceChildren(...order.map((i, place) => {
        const move = (by, arrow, word) => el("button", {
          type: "button",
          text: arrow,
          disabled: place + by < 0 || place + by >= order.length,
          "aria-label": `Move ${word}: ${question.names[i]}`,
          "data-key": `${i}${arrow}`,
          onclick: () => swap(place, by, i, arrow),
        });
        const buttons = el("span", { class: "fc-moves" }, move(-1, "\u2191", "up"), move(1, "\u2193", "down"));
        return el("li", {}, buttons, el("span", { html: question.items[i] }));
      }));
      if (!focus) return;
      const wanted = list.querySelector(`[data-key="${focus}"]`);
      (wanted.disabled ? wanted.parentNode.querySelector("button:not(:disabled)") : wanted).focus();
    }
    function swap(place, by, i, arrow) {
      [order[place], order[place + by]] = [order[place + by], order[place]];
      draw(`${i}${arrow}`);
      say(heard, `${question.names[i]}: now number ${place + by + 1} of ${order.length}`);
    }
    draw();
    const show = (result) => {
      order = [...result.answer];
      draw();
    };
    return { root: el("div", {}, list, heard), answer: () => order, show, hint: "" };
  }

  function update() {
    const results = model.get("results");
    for (const card of cards) card.show(results[card.id]);
    const right = Object.values(results).filter((result) => result.right).length;
    const xp = model.get("xp"); // null on a page that keeps no record
    say(score, `${right} of ${cards.length} right${xp === null ? "" : ` \u00b7 ${xp} XP in all`}`);
  }

  function message(content) {
    const card = cards.find((other) => other.id === content.question);
    if (card && content.problem) card.complain(`That could not be marked: ${content.problem}`);
  }

  model.on("change:results change:xp", update);
  model.on("msg:custom", message);
  update();
  return () => {
    model.off("change:results change:xp", update);
    model.off("msg:custom", message);
  };
}

export default { render };
