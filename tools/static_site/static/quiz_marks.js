// Marks an answer as fedcore/lab/marking.py does; a test compares the two on many answers.

const fedcoreMarks = (() => {
  function choice({ notes }, answer) {
    return { right: notes[answer][0], text: "", notes: { [answer]: notes[answer] } };
  }

  function several({ notes }, answer) {
    const wanted = notes.map(([right], i) => (right ? i : -1)).filter((i) => i >= 0);
    const missing = wanted.filter((i) => !answer.includes(i)).length;
    const right = !missing && answer.length === wanted.length;
    const shown = right ? notes.map((_, i) => i) : answer;
    const text = !missing ? "" : missing === 1 ? "One more belongs to it." : `${missing} more belong to it.`;
    return { right, text, notes: Object.fromEntries(shown.map((i) => [i, notes[i]])) };
  }

  function number({ targets }, answer) {
    const value = read(answer);
    if (!Number.isFinite(value)) return { problem: `answer must be a number, got '${answer}'` };
    const near = (t) => Math.abs(value - t.answer) <= t.tolerance + 1e-9 * Math.max(1, Math.abs(t.answer));
    const hit = targets.findIndex(near);
    const off = value < targets[0].answer ? "Too small." : "Too large.";
    return { right: hit === 0, text: hit < 0 ? off : targets[hit].why, notes: {} };
  }

  // A decimal comma counts, unless it groups thousands.
  function read(answer) {
    let text = String(answer).trim().replaceAll(/[\u00a0 ]/g, "").replaceAll("\u2212", "-");
    if (text.split(",").length === 2 && !text.includes(".")) {
      const [whole, rest] = text.split(",");
      const groups = rest.length === 3 && !["", "0", "-0"].includes(whole);
      text = groups ? whole + rest : `${whole}.${rest}`;
    }
    text = text.replaceAll(",", "").replace(/%+$/, "");
    return /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(text) ? Number(text) : NaN;
  }

  function order({ why }, answer) {
    const wrong = answer.findIndex((step, i) => step !== i);
    if (wrong < 0) return { right: true, text: why, notes: {} };
    if (wrong === 0) return { right: false, text: "Something else comes first.", notes: {} };
    const first = wrong === 1 ? "first step is" : `first ${wrong} steps are`;
    return { right: false, text: `The ${first} right. What must have happened before the next one?`, notes: {} };
  }

  const markers = { choice, several, number, order, line: choice };
  return { mark: (key, answer) => markers[key.kind](key, answer) };
})();
