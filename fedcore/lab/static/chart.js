// A line chart in SVG at the size it has on the screen. `makeChart(height)` gives {root, set, stop},
// and its legend and readout, whose words come and go.
//
// set({label, x: {label, min, max, whole}, y: {label, min, max, unit}, lines: [{name, y, x, look, end}],
//      marks: [{y, text}], now: x of an upright line}): `look` is 1 to 6 (colour, dash and marker) or "ghost".

const DASHES = { 1: "", 2: "7 4", 3: "2 4", 4: "9 3 2 3", 5: "12 4", 6: "4 2", ghost: "4 4" };
const NARROWEST = 120; // px; a page that is being laid out can be narrower for a moment
const MARKERS = {
  1: "M-3,0a3,3 0 1,0 6,0a3,3 0 1,0 -6,0",
  2: "M-3,-3h6v6h-6z",
  3: "M0,-4l4,7h-8z",
  4: "M0,-4l4,4l-4,4l-4,-4z",
  5: "M-3,-3l6,6M-3,3l6,-6",
  6: "M0,4l4,-7h-8z",
};

function ticks(min, max, most, whole) {
  const raw = (max - min) / Math.max(1, most);
  const power = 10 ** Math.floor(Math.log10(raw || 1));
  let step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw * 0.999) || 1;
  if (whole) step = Math.max(1, Math.round(step));
  const found = [];
  for (let i = Math.ceil(min / step - 1e-9); i * step <= max + step * 1e-6; i += 1) {
    found.push(Number((i * step).toPrecision(12)));
  }
  return found;
}

// As Python writes it: a tie goes to the even digit, so that chart and figures say the same.
function fixedNumber(v, digits) {
  const text = v.toFixed(digits);
  const tie = v.toFixed(digits + 30).endsWith(`5${"0".repeat(29)}`);
  if (!tie || Number(text.at(-1)) % 2 === 0) return text;
  return (Number(text) - Math.sign(v) * 10 ** -digits).toFixed(digits);
}

const plainNumber = (v) => Number(v.toPrecision(6)).toLocaleString("en", { maximumSignificantDigits: 6 });

function makeChart(height) {
  const legend = el("div", { class: "fc-legend", "aria-hidden": "true" });
  const plot = svg("svg", { role: "img", height, class: "fc-plot" });
  const readout = el("p", { class: "fc-readout", "aria-live": "polite" });
  const root = el("div", { class: "fc-chart", tabindex: 0, role: "group" }, legend, plot, readout);
  let spec = null;
  let width = 0;
  let cursor = null;
  let pointed = false; // was it the mouse that set the cursor?
  let scales = null;
  const clip = newId("clip");

  function draw() {
    if (!spec || width < NARROWEST) return;
    const { x, y, lines } = spec;
    const left = 46;
    const right = 58;
    const top = 26;
    const bottom = 40;
    const px = (v) => left + ((v - x.min) / (x.max - x.min || 1)) * (width - left - right);
    const py = (v) => height - bottom - ((v - y.min) / (y.max - y.min || 1)) * (height - top - bottom);
    scales = { px, left, right };
    const text = (tx, ty, string, more = {}) => svg("text", { x: tx, y: ty, text: string, ...more });
    const parts = [text(2, 12, y.label, { class: "fc-axis-label" })];
    for (const v of ticks(y.min, y.max, 5)) {
      parts.push(svg("line", { x1: left, x2: width - right, y1: py(v), y2: py(v), class: "fc-grid" }));
      parts.push(text(left - 8, py(v) + 4, plainNumber(v), { "text-anchor": "end" }));
    }
    for (const v of ticks(x.min, x.max, Math.min(10, width / 60), x.whole)) {
      parts.push(svg("line", { x1: px(v), x2: px(v), y1: height - bottom, y2: height - bottom + 4, class: "fc-axis" }));
      parts.push(text(px(v), height - bottom + 17, plainNumber(v), { "text-anchor": "middle" }));
    }
    parts.push(svg("line", { x1: left, x2: width - right, y1: height - bottom, y2: height - bottom, class: "fc-axis" }));
    const under = x.label + (x.note || "");
    const middle = Math.max((left + width - right) / 2, 3.2 * under.length); // never cut at the left
    parts.push(text(middle, height - 5, under, { "text-anchor": "middle", class: "fc-axis-label" }));
    for (const mark of spec.marks || []) {
      parts.push(svg("line", { x1: left, x2: width - right, y1: py(mark.y), y2: py(mark.y), class: "fc-mark" }));
    }
    const frame = { x: left - 5, y: top - 6, width: width - left - right + 10 };
    const opening = svg("rect", { ...frame, height: height - top - bottom + 6 });
    parts.push(svg("clipPath", { id: clip }, opening));
    const curves = [...lines].reverse().flatMap((line) => drawLine(line, px, py));
    parts.push(svg("g", { "clip-path": `url(#${clip})` }, curves));
    for (const mark of spec.marks || []) {
      parts.push(text(left + 4, py(mark.y) - 5, mark.text, { class: "fc-mark-text" }));
    }
    parts.push(...endLabels(lines, px, py, text));
    if (Number.isFinite(spec.now)) {
      const now = px(spec.now);
      parts.push(svg("line", { x1: now, x2: now, y1: top, y2: height - bottom, class: "fc-now" }));
    }
    if (cursor !== null) {
      parts.push(svg("line", { x1: px(cursor), x2: px(cursor), y1: top, y2: height - bottom, class: "fc-cursor" }));
    }
    plot.setAttribute("width", width);
    plot.setAttribute("viewBox", `0 0 ${width} ${height}`);
    plot.setAttribute("aria-label", spec.label);
    plot.replaceChildren(...parts);
  }

  function drawLine(line, px, py) {
    const points = line.y.map((v, i) => [px(line.x[i]), py(v), v]).filter((p) => Number.isFinite(p[2]));
    if (!points.length) return [];
    const path = `M${points.map((p) => `${p[0].toFixed(1)},${p[1].toFixed(1)}`).join("L")}`;
    const drawn = [svg("path", { d: path, class: `fc-line fc-look-${line.look}`, "stroke-dasharray": DASHES[line.look] })];
    const dense = points.length > 1 && Math.abs(points.at(-1)[0] - points[0][0]) / points.length < 9;
    if (line.look !== "ghost") {
      for (const p of (dense ? [points.at(-1)] : points).filter((q) => q[2] >= spec.y.min)) {
        drawn.push(svg("path", { d: MARKERS[line.look], transform: `translate(${p[0]},${p[1]})`, class: `fc-dot fc-look-${line.look}` }));
      }
    }
    return drawn;
  }

  // The last value stands at the end of its line; labels that would touch move apart.
  function endLabels(lines, px, py, text) {
    const labels = lines
      .filter((line) => line.y.length && Number.isFinite(line.y.at(-1)) && line.y.at(-1) >= spec.y.min)
      .map((line) => ({ line, x: px(line.x.at(-1)) + 8, y: py(line.y.at(-1)) + 4 }))
      .sort((a, b) => a.y - b.y);
    for (let i = 1; i < labels.length; i += 1) {
      if (Math.abs(labels[i].x - labels[i - 1].x) < 54) labels[i].y = Math.max(labels[i].y, labels[i - 1].y + 14);
    }
    const over = labels.length ? labels.at(-1).y - (height - 44) : 0;
    if (over > 0) labels.forEach((l) => { l.y -= over; });
    return labels.map(({ line, x, y }) => text(x, y, value(line, line.y.length - 1), { class: `fc-end fc-look-${line.look}` }));
  }

  function value(line, i) {
    const v = line.y[i];
    const digits = spec.y.digits ?? 3;
    const shown = spec.y.fixed ? fixedNumber(v, digits) : plainNumber(Number(v.toPrecision(digits)));
    return spec.y.unit ? `${shown}\u00a0${spec.y.unit}` : shown;
  }

  function read() {
    if (!spec) return;
    const hint = "Point at the chart, or focus it and use the arrow keys, to read values.";
    if (cursor === null) return say(readout, spec.lines.length ? hint : "");
    const found = spec.lines
      .map((line) => [line, line.x.indexOf(cursor)])
      .filter(([, i]) => i >= 0)
      .map(([line, i]) => `${line.name} ${value(line, i)}`);
    say(readout, `${spec.x.label} ${plainNumber(cursor)}: ${found.join("; ") || "nothing yet"}`);
  }

  function moveTo(v) {
    cursor = v;
    draw();
    read();
  }

  const positions = () => [...new Set(spec.lines.flatMap((line) => line.x))].sort((a, b) => a - b);

  plot.addEventListener("pointermove", (event) => {
    if (!spec || !scales) return;
    const at = event.clientX - plot.getBoundingClientRect().left;
    const all = positions();
    if (!all.length) return;
    const near = all.reduce((a, b) => (Math.abs(scales.px(b) - at) < Math.abs(scales.px(a) - at) ? b : a));
    pointed = true;
    if (near !== cursor) moveTo(near);
  });
  // A page that scrolls away under a resting mouse takes nothing from whoever reads with the keys.
  plot.addEventListener("pointerleave", () => pointed && moveTo(null));
  root.addEventListener("keydown", (event) => {
    const all = spec ? positions() : [];
    const step = { ArrowRight: 1, ArrowLeft: -1, Home: -1e9, End: 1e9 }[event.key];
    if (event.key === "Escape") moveTo(null);
    if (!step || !all.length) return;
    event.preventDefault();
    event.stopPropagation();
    pointed = false;
    const from = cursor === null ? (step > 0 ? -1 : all.length) : all.indexOf(cursor);
    moveTo(all[Math.max(0, Math.min(all.length - 1, from + step))]);
  });
  root.addEventListener("blur", () => moveTo(null));

  const stop = onWidth(root, (now) => {
    width = now;
    draw();
  });

  function set(next) {
    spec = next;
    root.setAttribute("aria-label", `Chart. ${next.label} Arrow keys read its values.`);
    legend.classList.toggle("fc-pair", next.lines.length === 2);
    legend.replaceChildren(
      ...next.lines.map((line) =>
        el("span", { title: line.name }, svg("svg", { width: 30, height: 12, viewBox: "0 0 30 12" }, sample(line)), el("span", { text: line.name })),
      ),
    );
    draw();
    read();
  }

  function sample(line) {
    const stroke = svg("line", { x1: 0, x2: 30, y1: 6, y2: 6, class: `fc-line fc-look-${line.look}`, "stroke-dasharray": DASHES[line.look] });
    const dot = svg("path", { d: MARKERS[line.look] || "", transform: "translate(15,6)", class: `fc-dot fc-look-${line.look}` });
    return svg("g", {}, stroke, dot);
  }

  return { root, legend, readout, set, stop };
}
