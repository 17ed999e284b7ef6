// The skill map: a graph of buttons on wide pages, a list of them on narrow ones. Lessons go down.

function render({ model, el: host }) {
  adopt(host);
  const MARKS = { open: "\u2713", ready: "\u25cb", later: "\u00b7" };
  const total = el("div", { class: "fc-note", role: "status" });
  const lines = svg("svg", { class: "fc-skill-lines", "aria-hidden": "true", preserveAspectRatio: "none" });
  const board = el("div", { class: "fc-skill-board", role: "group", "aria-label": "Skills by lesson" }, lines);
  const detail = el("div", { class: "fc-skill-detail", role: "status" });
  const next = el("p", { class: "fc-skill-next" });
  host.append(
    el(
      "section",
      { class: "fc-card", "aria-label": "Skill map" },
      el("div", { class: "fc-row fc-wrap" }, el("div", { class: "fc-title", text: "Skill map" }), total),
      next,
      board,
      el("p", { class: "fc-note", text: "\u2713 open \u00a0 \u25cb ready to learn \u00a0 \u00b7 needs others first. Choose a skill." }),
      detail,
    ),
  );
  const buttons = new Map();
  let chosen = null;

  function build(state) {
    state.lessons.forEach((title, row) => {
      const mine = state.skills.filter((skill) => skill.lesson === row).sort((a, b) => a.x - b.x);
      const group = el("div", { class: "fc-skill-row" }, el("div", { class: "fc-note fc-skill-lesson", text: title }));
      for (const skill of mine) {
        const button = el("button", { type: "button", class: "fc-skill", onclick: () => choose(skill.id) });
        buttons.set(skill.id, button);
        group.append(button);
      }
      board.append(group);
    });
  }

  function draw() {
    const state = model.get("state");
    const frame = board.getBoundingClientRect();
    lines.replaceChildren();
    if (!frame.width) return;
    lines.setAttribute("viewBox", `0 0 ${frame.width} ${frame.height}`);
    for (const skill of state.skills) {
      const head = buttons.get(skill.id).getBoundingClientRect();
      for (const need of skill.needs) {
        const tail = buttons.get(need).getBoundingClientRect();
        const same = Math.abs(tail.top - head.top) < 4;
        const right = head.left > tail.left;
        const x1 = same ? (right ? tail.right : tail.left) : tail.left + tail.width / 2;
        const x2 = same ? (right ? head.left : head.right) : head.left + head.width / 2;
        const y1 = same ? tail.top + tail.height / 2 : tail.bottom;
        const y2 = same ? head.top + head.height / 2 : head.top;
        const lit = chosen === skill.id || chosen === need;
        lines.append(
          svg("line", {
            x1: x1 - frame.left,
            x2: x2 - frame.left,
            y1: y1 - frame.top,
            y2: y2 - frame.top,
            class: lit ? "fc-skill-line fc-lit" : "fc-skill-line",
          }),
        );
      }
    }
  }

  function choose(id) {
    chosen = id;
    update();
  }

  function update() {
    const state = model.get("state");
    if (!buttons.size) build(state);
    say(total, `${state.xp} XP \u00b7 ${state.skills.filter((s) => s.status === "open").length} of ${state.skills.length} skills open`);
    say(next, state.next);
    for (const skill of state.skills) {
      const button = buttons.get(skill.id);
      say(button, `${MARKS[skill.status]} ${skill.id}`);
      button.dataset.status = skill.status;
      button.setAttribute("aria-label", `${skill.id}: ${skill.label}, ${skill.points} of ${skill.possible} XP`);
      button.setAttribute("aria-pressed", String(chosen === skill.id));
    }
    const skill = state.skills.find((other) => other.id === chosen);
    if (skill) {
      const needs = skill.needs.length ? `Builds on: ${skill.needs.join(", ")}.` : "Builds on nothing else.";
      detail.replaceChildren(
        el("b", { text: `${skill.id}: ${skill.label}` }),
        el("p", { text: skill.what }),
        el("p", { text: `${needs} ${skill.points} of ${skill.possible} XP; it opens at 60 %. From: ${skill.from}.` }),
        el("p", { text: `Lesson ${skill.lesson}, ${skill.title} (${skill.file}).` }),
      );
    }
    draw();
  }

  const observer = new ResizeObserver(draw);
  observer.observe(board);
  model.on("change:state", update);
  update();
  return () => {
    observer.disconnect();
    model.off("change:state", update);
  };
}

export default { render };
