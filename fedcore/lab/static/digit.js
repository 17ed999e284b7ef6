// A pad to draw on. It sends 112 x 112 grey values; Python centres them, asks the model and answers.

const GRID = 112;
const PEN = 9; // diameter of the pen on that grid

function render({ model, el: host }) {
  adopt(host);
  const ink = document.createElement("canvas"); // what was drawn, at the size that is sent
  ink.width = ink.height = GRID;
  const pad = el("canvas", { class: "fc-pad", width: 280, height: 280, tabindex: 0, role: "application" });
  const keys = "Drawing pad. Arrow keys move the pen, with Shift they draw. Delete clears.";
  pad.setAttribute("aria-label", keys);
  const seen = el("canvas", { class: "fc-seen", width: 28, height: 28, role: "img" });
  seen.setAttribute("aria-label", "The drawing as the model sees it: 28 by 28 pixels, centred");
  const bars = el("div", { class: "fc-digits", "aria-hidden": "true" });
  const rows = Array.from({ length: 10 }, (_, digit) => {
    const [fill, share] = [el("span"), el("span", { class: "fc-share" })];
    const row = el("div", {}, el("b", { text: digit }), el("span", { class: "fc-track" }, fill), share);
    bars.append(row);
    return { row, fill, share };
  });
  const text = el("div", { class: "fc-status fc-reading", role: "status" });
  const clear = el("button", { type: "button", text: "Clear", onclick: wipe });
  const count = model.get("n_samples");
  const example = count ? el("button", { type: "button", text: "Try a test digit", onclick: nextSample }) : null;
  const whose = model.get("names").length > 1 ? el("div") : null;
  host.append(
    el(
      "section",
      { class: "fc-card", "aria-label": model.get("title") },
      el("div", { class: "fc-title", text: model.get("title") }),
      whose,
      el(
        "div",
        { class: "fc-pad-columns" },
        el("div", {}, pad, el("div", { class: "fc-buttons fc-end-row" }, clear, example)),
        el("div", { class: "fc-pad-side" }, text, bars, el("div", { class: "fc-seen-box" }, seen, el("span", { class: "fc-note", text: "what the model sees: scaled and centred like MNIST" }))),
      ),
    ),
  );
  const pen = ink.getContext("2d", { willReadFrequently: true });
  pen.lineWidth = PEN;
  pen.lineCap = pen.lineJoin = "round";
  pen.strokeStyle = "#fff";
  let last = null; // where the pointer was
  let cursor = null; // where the keyboard's pen is
  let queued = 0;

  function paint() {
    const c = pad.getContext("2d");
    c.fillStyle = "#000";
    c.fillRect(0, 0, 280, 280);
    c.imageSmoothingEnabled = true;
    if (model.get("sample") >= 0) c.drawImage(sampleImage(), 0, 0, 280, 280);
    else c.drawImage(ink, 0, 0, 280, 280);
    if (!cursor) return;
    c.strokeStyle = "#f0883e";
    c.lineWidth = 2;
    c.beginPath();
    c.arc(cursor[0] * 2.5, cursor[1] * 2.5, (PEN / 2) * 2.5, 0, 7);
    c.stroke();
  }

  function sampleImage() {
    const image = document.createElement("canvas");
    image.width = image.height = 28;
    grey(image, model.get("seen"));
    return image;
  }

  function grey(canvas, view) {
    const c = canvas.getContext("2d");
    const data = c.createImageData(28, 28);
    for (let i = 0; i < 784; i += 1) {
      const v = view.byteLength === 784 ? view.getUint8(i) : 0;
      data.data.set([v, v, v, 255], 4 * i);
    }
    c.putImageData(data, 0, 0);
  }

  function send() {
    queued = 0;
    const data = pen.getImageData(0, 0, GRID, GRID).data;
    const bytes = new Uint8Array(GRID * GRID);
    for (let i = 0; i < bytes.length; i += 1) bytes[i] = data[4 * i + 3];
    model.set("pixels", new DataView(bytes.buffer));
    model.save_changes();
  }

  function later() {
    if (!queued) queued = setTimeout(send, 60); // at most sixteen readings a second
  }

  function stroke(from, to) {
    drawing();
    pen.beginPath();
    pen.moveTo(...from);
    pen.lineTo(to[0] + 0.01, to[1]);
    pen.stroke();
    paint();
    later();
  }

  function drawing() {
    if (model.get("sample") < 0) return;
    pen.clearRect(0, 0, GRID, GRID);
    model.set("sample", -1);
  }

  function wipe() {
    model.set("sample", -1);
    pen.clearRect(0, 0, GRID, GRID);
    cursor = null;
    paint();
    send();
  }

  function nextSample() {
    pen.clearRect(0, 0, GRID, GRID);
    model.set("sample", Math.floor(Math.random() * count));
    model.save_changes();
  }

  function at(event) {
    const box = pad.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * GRID, ((event.clientY - box.top) / box.height) * GRID];
  }

  pad.addEventListener("pointerdown", (event) => {
    pad.setPointerCapture(event.pointerId);
    cursor = null;
    last = at(event);
    stroke(last, last);
  });
  pad.addEventListener("pointermove", (event) => {
    if (!last) return;
    const now = at(event);
    stroke(last, now);
    last = now;
  });
  for (const name of ["pointerup", "pointercancel"]) pad.addEventListener(name, () => { last = null; });
  pad.addEventListener("keydown", (event) => {
    const way = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[event.key];
    if (event.key === "Delete" || event.key === "Backspace") wipe();
    else if (!way) return;
    event.preventDefault();
    event.stopPropagation();
    if (!way) return;
    const from = cursor || [GRID / 2, GRID / 2];
    cursor = from.map((v, i) => Math.max(4, Math.min(GRID - 4, v + 5 * way[i])));
    if (event.shiftKey) stroke(from, cursor);
    else paint();
  });
  pad.addEventListener("blur", () => {
    cursor = null;
    paint();
  });

  function update() {
    grey(seen, model.get("seen"));
    if (model.get("sample") >= 0) paint();
    const answer = model.get("answer");
    say(text, answer.text);
    const best = Math.max(...answer.bars.map((bar) => bar[1]));
    rows.forEach(({ row, fill, share }, digit) => {
      const [words, p] = answer.bars[digit] || ["", 0];
      fill.style.width = `${100 * p}%`;
      say(share, words);
      row.className = p > 0 && p === best ? "fc-best" : "";
    });
  }

  function chooseModel() {
    if (!whose) return;
    const made = segments(newId("model"), "Who reads it?", model.get("names"), model.get("chosen"), (i) => {
      model.set("chosen", i);
      model.save_changes();
    });
    whose.replaceChildren(made.root);
  }

  model.on("change:answer change:seen", update);
  model.on("change:names", chooseModel);
  chooseModel();
  paint();
  update();
  return () => {
    clearTimeout(queued);
    model.off("change:answer change:seen", update);
    model.off("change:names", chooseModel);
  };
}

export default { render };
