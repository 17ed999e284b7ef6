// Small tools for all widgets. Text goes in as textContent; HTML only where Python has escaped it.

function el(tag, props = {}, ...children) {
  const node = tag.startsWith("svg:")
    ? document.createElementNS("http://www.w3.org/2000/svg", tag.slice(4))
    : document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "text") node.textContent = value;
    else if (name === "html") node.innerHTML = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children.flat()) if (child) node.append(child);
  return node;
}

function svg(tag, props = {}, ...children) {
  return el(`svg:${tag}`, props, ...children);
}

// Change text only if it differs: screen readers then hear each sentence once, and nothing flickers.
function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// JupyterLab takes keys before any widget sees them (arrows, Enter and Space act on cells). Inside a
// widget they belong to the widget, except those that run cells or come with Ctrl, Alt or Cmd.
function keepKeys(event) {
  const node = event.target;
  if (!(node instanceof Element) || !node.closest(".fc, .fc-out")) return;
  const theirs = event.ctrlKey || event.metaKey || event.altKey;
  const runs = event.shiftKey && event.key === "Enter";
  node.toggleAttribute("data-lm-suppress-shortcuts", !theirs && !runs);
}

// A button that can't be pressed now. Not by `disabled`: the browser would take the focus away from
// whoever has just pressed it, and the next key would go to JupyterLab.
function setOff(button, off) {
  button.setAttribute("aria-disabled", off);
}

function dropClick(event) {
  const off = event.target instanceof Element && event.target.closest(".fc button[aria-disabled=true]");
  if (off) event.stopImmediatePropagation();
}

function adopt(host) {
  host.classList.add("fc");
  if (window.fedcoreKeys) return;
  window.fedcoreKeys = true;
  window.addEventListener("keydown", keepKeys, true);
  window.addEventListener("click", dropClick, true);
}

// By lot: each widget has this file for itself, and many are drawn in the same millisecond.
function newId(prefix) {
  return `fc-${prefix}-${Math.random().toString(36).slice(2)}`;
}

// Calls back with the width of a node, now and whenever it changes. Returns how to stop.
function onWidth(node, callback) {
  let width = 0;
  const observer = new ResizeObserver((entries) => {
    const now = Math.floor(entries[0].contentRect.width);
    if (now > 0 && now !== width) callback((width = now));
  });
  observer.observe(node);
  return () => observer.disconnect();
}

function calm() {
  return window.matchMedia("(prefers-reduced-motion: reduce)").matches;
}

// A row of buttons of which one is on: radio buttons, so arrow keys work as everywhere.
function segments(name, label, options, chosen, onchange) {
  const legend = el("legend", { text: label });
  const row = el("div", { class: "fc-segments" });
  options.forEach((text, i) => {
    const input = el("input", { type: "radio", name, value: i, checked: i === chosen });
    input.addEventListener("change", () => onchange(i));
    row.append(el("label", {}, input, el("span", { text })));
  });
  const root = el("fieldset", { class: "fc-fieldset" }, legend, row);
  const choose = (i) => {
    row.querySelectorAll("input")[i].checked = true;
  };
  return { root, choose };
}

// A labelled slider over given stops; the number beside it is what a screen reader says.
function stops({ label, symbol, texts, index }, onchange) {
  const id = newId("slider");
  const value = el("output", { class: "fc-value", for: id, text: texts[index] });
  const input = el("input", { type: "range", id, min: 0, max: texts.length - 1, step: 1 });
  const show = () => {
    value.textContent = texts[input.value];
    input.setAttribute("aria-valuetext", texts[input.value]);
    const share = texts.length > 1 ? (100 * input.value) / (texts.length - 1) : 0;
    input.style.setProperty("--fc-filled", `${share}%`);
  };
  const choose = (i) => {
    input.value = i;
    show();
  };
  input.addEventListener("input", () => {
    show();
    onchange(Number(input.value));
  });
  const name = el("label", { for: id }, label, symbol ? el("i", { text: ` ${symbol}` }) : "");
  choose(index);
  const root = el("div", { class: "fc-stops" }, el("div", { class: "fc-row" }, name, value), input);
  return { root, choose, input };
}
