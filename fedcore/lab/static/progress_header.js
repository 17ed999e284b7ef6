// The header of a lesson: its skills, all XP, and what to do next.

function render({ model, el: host }) {
  adopt(host);
  const row = el("div", { class: "fc-row fc-wrap fc-header" });
  const next = el("div", { class: "fc-note" });
  host.append(el("section", { class: "fc-card", "aria-label": "Your progress" }, row, next));
  function update() {
    const state = model.get("state");
    const skills = state.skills.map((skill) =>
      el("span", {
        class: "fc-skill",
        "data-status": skill.status,
        text: `${{ open: "\u2713", ready: "\u25cb", later: "\u00b7" }[skill.status]} ${skill.id} ${skill.points}/${skill.possible}`,
        title: `${skill.label}; ${skill.what}`,
      }),
    );
    row.replaceChildren(el("div", { class: "fc-buttons" }, skills), el("b", { text: `${state.xp} XP` }));
    say(next, state.next);
  }
  model.on("change:state", update);
  update();
  return () => model.off("change:state", update);
}

export default { render };
