"""What an accessibility test asks of a page: findings of axe-core, the order of Tab, what is cut.

Ours are the widgets (.fc), the outputs that are plain HTML (.fc-out) and the prose. JupyterLab's
own shell, menus and editors are not ours, nor are ipywidgets' buttons: axe-core is given ours alone
to look at, and so never speaks of the rest.
"""

from contextlib import contextmanager

from axe_playwright_python.sync_playwright import Axe
from coloraide import Color

OURS = (".fc", ".fc-out", ".jp-RenderedMarkdown", ".jp-RenderedImage")
# MathJax's own, hundreds of elements for a formula; the mark that JupyterLab sets beside a heading
# while the mouse is over it.
NOT_OURS = ("mjx-container", ".jp-InternalAnchorLink")
GRAVE = ("serious", "critical")
COLORS = ("color-contrast",)  # the rules that another theme can break

# Without the paths to the elements, which take longer than the rules.
AXE = """async ([include, exclude, rules]) => {
  const options = { selectors: false, preload: false, resultTypes: ["violations", "passes"] };
  if (rules.length) options.runOnly = rules;
  const told = ({ html, any }) => `${html.slice(0, 160)} ${any.length ? any[0].message : ""}`;
  const { violations, passes } = await axe.run({ include, exclude }, options);
  return {
    broken: violations.map(({ id, impact, nodes }) => [id, impact, nodes.map(told)]),
    passed: Object.fromEntries(passes.map(({ id, nodes }) => [id, nodes.length])),
  };
}"""

# JupyterLab takes cells that are out of sight out of the page.
WINDOWING = """(mode) => {
  const content = window.jupyterapp.shell.currentWidget.content;
  const before = content.notebookConfig.windowingMode;
  content.notebookConfig = { ...content.notebookConfig, windowingMode: mode };
  return before;
}"""

# What Tab should reach in `root`, in the order of the page. Of radio buttons with one name Tab
# reaches the one that is on, or else the first.
STOPS = """(root) => {
  const kinds = "a[href], button, input, select, summary, textarea, [tabindex]";
  const all = [...root.querySelectorAll(kinds)].filter((node) => {
    if (node.matches(":disabled") || node.tabIndex < 0) return false;
    if (!node.getClientRects().length) return false;
    if (node.closest("details:not([open])") && !node.matches("summary")) return false;
    if (node.type !== "radio") return true;
    const group = [...root.querySelectorAll("input[type=radio]")].filter(
      (other) => other.name === node.name && !other.matches(":disabled"));
    return node === (group.find((other) => other.checked) ?? group[0]);
  });
  all.forEach((node, i) => { node.dataset.stop = i; });
  return all.length;
}"""

# The element with the focus: its number among the stops, and the ring that shows it.
FOCUSED = """() => {
  const node = document.activeElement;
  const covers = node.matches(".fc-segments input"); // it lies, unseen, over its label
  const drawn = covers ? node.nextElementSibling : node;
  const look = getComputedStyle(drawn);
  let ground = drawn.parentElement;
  const clear = (color) => color === "transparent" || color.endsWith(", 0)");
  while (ground.parentElement && clear(getComputedStyle(ground).backgroundColor)) {
    ground = ground.parentElement;
  }
  return {
    stop: node.dataset.stop === undefined ? null : Number(node.dataset.stop),
    what: node.outerHTML.slice(0, 120),
    style: look.outlineStyle, width: parseFloat(look.outlineWidth), color: look.outlineColor,
    ground: getComputedStyle(ground).backgroundColor,
  };
}"""

# Cells whose output or prose is wider than its box, unless a box inside that the keyboard reaches
# scrolls it; and the notebook itself, should it scroll sideways.
CUT = """() => {
  const panel = document.querySelector(".jp-NotebookPanel:not(.lm-mod-hidden)");
  const outer = panel.querySelector(".jp-WindowedPanel-outer");
  const found = outer.scrollWidth > outer.clientWidth ? ["the notebook itself"] : [];
  const widgets = ".jp-OutputArea-output:has(> .fc), .jp-RenderedHTML:has(.fc-out)";
  const free = ".fcd-scroll, .fc-scroll, .fc-figure, .fc-hidden, clipPath";
  for (const box of panel.querySelectorAll(`.jp-RenderedMarkdown, ${widgets}`)) {
    const cell = `cell ${box.closest(".jp-Cell").dataset.windowedListIndex}`;
    if (box.scrollWidth > box.clientWidth) {
      found.push(`${cell}: ${box.scrollWidth} px in a box of ${box.clientWidth}`);
    }
    const right = box.getBoundingClientRect().right + 1;
    for (const node of box.querySelectorAll(".fc *")) {
      if (node.closest(free) || !node.getClientRects().length) continue;
      if (node.getBoundingClientRect().right > right) {
        found.push(`${cell}: cut off: ${node.outerHTML.slice(0, 80)}`);
      }
    }
  }
  return found;
}"""

UNHIDE = """() => {
  const style = document.createElement("style");
  style.id = "fc-unhide";
  style.textContent = `body, .jp-ThemedContainer, .lm-Widget:has(.jp-Notebook), .jp-Notebook,
    .jp-WindowedPanel-outer { overflow: visible !important; contain: none !important;
    background: var(--jp-layout-color0) !important }`; // what flows over keeps its ground
  document.head.append(style);
}"""


@contextmanager
def whole(note):
    """Every cell of the notebook in the page, for the length of a ``with``."""
    before = note.page.evaluate(WINDOWING, "none")
    count = len(note.cells())
    cells = note.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Cell")
    note.until(lambda: cells.count() == count, f"all {count} cells in the page")
    try:
        yield
    finally:
        note.page.evaluate(WINDOWING, before)


def axe(page, ours=OURS, others=NOT_OURS, rules=()):
    """axe-core on our elements: (grave findings as text, {rule: number of elements that passed}).

    ours, others: CSS of what is looked at, and of what in it is not; rules: those alone, if any.
    JupyterLab's boxes hide what flows over, so that axe-core takes for invisible, and does not
    measure, every text that one would have to scroll to: meanwhile it may flow over.
    """
    there = [selector for selector in ours if page.locator(selector).count()]
    page.evaluate(UNHIDE)
    try:
        page.evaluate(Axe().axe_script)
        found = page.evaluate(AXE, [there, list(others), list(rules)])
    finally:
        page.evaluate("() => document.querySelector('#fc-unhide').remove()")
    grave = [
        f"{rule} ({impact}): {element}"
        for rule, impact, elements in found["broken"]
        if impact in GRAVE
        for element in elements
    ]
    return grave, found["passed"]


def axe_in_both_themes(note):
    """The same for a notebook, as text: every rule in light, and in dark those on colours."""
    with whole(note):
        found, passed = axe(note.page)
        with note.dark():
            dark, passed_dark = axe(note.page, rules=COLORS)
    for judged in (passed, passed_dark):  # prose in half of the cells, and much else
        assert judged.get("color-contrast", 0) > len(note.cells()), judged
    return found + [f"dark: {finding}" for finding in dark]


def tab_through(page, root):
    """Tab from before ``root`` (a locator) to behind it; returns what was focused, as FOCUSED."""
    root.evaluate("""(root) => {
      const start = document.createElement("button");
      start.id = "fc-start";
      root.before(start);
      start.focus();
    }""")
    count = root.evaluate(STOPS)
    seen = []
    try:
        for _ in range(count + 1):
            page.keyboard.press("Tab")
            seen.append(page.evaluate(FOCUSED))
    finally:
        root.evaluate("""(root) => {
          document.querySelector("#fc-start").remove();
          root.querySelectorAll("[data-stop]").forEach((node) => delete node.dataset.stop);
        }""")
    return count, seen


def ring_shows(focus):
    """Is there an outline of two pixels or more, 3 : 1 against what it stands on?"""
    if focus["style"] == "none" or focus["width"] < 2:
        return False
    return Color(focus["color"]).contrast(focus["ground"], method="wcag21") >= 3
