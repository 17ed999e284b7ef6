// Who holds what: a bar for each client (column) and class (row), its height the number of examples.
// Below, a mark under each client of the round under way. `makeHoldings()` gives
// {root, words, set, stop}.

const ROW = 13;
const LEFT = 46;

function makeHoldings() {
  const plot = svg("svg", { role: "img", class: "fc-plot" });
  const words = el("p", { class: "fc-note" });
  const root = el("div", { class: "fc-holdings" }, plot, words);
  let spec = null;
  let drawn = null; // the counts on the screen: a new round only moves the marks
  let width = 0;
  const marks = svg("g", { class: "fc-map-marks" });

  function draw() {
    if (!width) return;
    const counts = spec ? spec.counts : [];
    const rows = counts.length ? counts[0].length : 10;
    const step = (width - LEFT - 4) / Math.max(1, counts.length);
    const bottom = 18 + rows * ROW;
    if (drawn !== counts) {
      drawn = counts;
      const most = Math.max(1, ...counts.flat());
      const text = (x, y, string, more = {}) => svg("text", { x, y, text: string, ...more });
      const title = width < 300 ? "class held, by client" : "class held, by client (height: examples)";
      const parts = [text(2, 12, title, { class: "fc-axis-label" })];
      for (let row = 0; row < rows; row += 1) {
        parts.push(text(LEFT - 8, 18 + (row + 0.5) * ROW + 4, String(row), { "text-anchor": "end", class: "fc-map-label" }));
      }
      counts.forEach((own, client) => {
        own.forEach((n, row) => {
          if (!n) return;
          const height = Math.max(0.8, ((ROW - 2) * n) / most);
          const bar = { x: LEFT + client * step, y: 18 + (row + 1) * ROW - 1 - height };
          const width = Math.max(1, Math.min(24, step - 1));
          parts.push(svg("rect", { ...bar, width, height, class: "fc-map-cell" }));
        });
      });
      parts.push(text(2, bottom + 14, "trains", { class: "fc-map-label" }), marks);
      plot.replaceChildren(...parts);
      plot.setAttribute("height", bottom + 20);
      plot.setAttribute("width", width);
      plot.setAttribute("viewBox", `0 0 ${width} ${bottom + 20}`);
    }
    const shown = spec ? spec.clients.filter((client) => client < counts.length) : [];
    const half = Math.max(1.5, Math.min(4, step / 2));
    marks.replaceChildren(
      ...shown.map((client) => {
        const x = LEFT + (client + 0.5) * step;
        return svg("path", { d: `M${x},${bottom + 4}l${half},8h${-2 * half}z`, class: "fc-map-mark" });
      }),
    );
    const now = spec ? `Who holds what. ${spec.text}` : "Who holds what. No run yet.";
    plot.setAttribute("aria-label", now);
    say(words, spec ? spec.text : "\u00a0");
  }

  const stop = onWidth(root, (now) => {
    width = now;
    drawn = null;
    draw();
  });
  const set = (next) => {
    spec = next;
    if (!next) drawn = null;
    draw();
  };
  return { root, words, set, stop };
}
