"""Whether what a notebook should show is on the page: figures, widgets, quizzes."""

import re
from contextlib import suppress
from functools import partial

WIDGET = "application/vnd.jupyter.widget-view+json"

# The same figure twice, as HTML with its alternative text and as PNG, counts once.
FIGURES = """(output) => [...output.querySelectorAll("img")].map((image) => ({
  loaded: image.complete && image.naturalWidth > 0,
  shown: image.getBoundingClientRect().width > 20 && image.getBoundingClientRect().height > 20,
  alt: image.alt,
}))"""

# What is wrong with a widget, in words; "" where it is drawn.
FAULT = r"""(output) => {
  const text = output.innerText.trim();
  const failed = text.match(/Loading widget|Error (displaying|creating|loading) widget.*/i);
  if (failed) return failed[0];
  const size = (node) => node.getBoundingClientRect();
  const box = size(output);
  if (box.height < 20 || box.width < 100) return `it takes ${box.width} by ${box.height} pixels`;
  const seen = (node) => size(node).width > 1 && size(node).height > 1;
  const marks = "path, rect, circle, ellipse, line, polyline, polygon, text, image";
  const drawn = (node) => [...node.querySelectorAll(marks)].some(
    (mark) => size(mark).width > 0 || size(mark).height > 0);
  const drawings = [...output.querySelectorAll("svg")].filter(seen);
  if (drawings.some((drawing) => !drawn(drawing))) return "a drawing is empty";
  const filled = (canvas) => {
    const pen = canvas.getContext("2d");
    return pen && pen.getImageData(0, 0, canvas.width, canvas.height).data.some((v) => v > 0);
  };
  const canvases = [...output.querySelectorAll("canvas")].filter(seen);
  if (canvases.some((canvas) => !filled(canvas))) return "a canvas is empty";
  return text || drawings.length || canvases.length ? "" : "nothing is drawn";
}"""


def outputs(note, index):
    """Locators of the outputs of a cell, each as the page shows it."""
    return note.cell(index).locator(
        ".jp-Cell-outputArea > .jp-OutputArea-child > .jp-OutputArea-output"
    )


def widget_faults(note, limit=60):
    """What is wrong with the widgets, one text each; each gets ``limit`` seconds to be drawn."""
    faults = []
    for i, cell in enumerate(note.cells()):
        for j, output in enumerate(cell["outputs"]):
            if WIDGET in output.get("data", {}):
                look = partial(outputs(note, i).nth(j).evaluate, FAULT)
                fault = _lasting(note, look, limit)
                if fault:
                    faults.append(f"cell {i}, output {j}: {fault}")
    return faults


def reload(note, tries=8):
    """Reload the page until its widgets are back; the last try's faults, [] if all is well.

    ipywidgets waits 4 s for the kernel's list of widgets and 2 s for each: too little where the
    machine is busy. The learner then reloads once more, and so does this.
    """
    for _ in range(tries):
        note.console.clear()
        note.reload()
        faults = widget_faults(note, limit=10)
        if not faults:
            break
    return faults


def n_widgets(note):
    """How many widgets the outputs hold."""
    return sum(WIDGET in o.get("data", {}) for cell in note.cells() for o in cell["outputs"])


def _lasting(note, look, limit):
    """What ``look`` finds wrong, if it finds something wrong for ``limit`` seconds."""
    found = None

    def fine():
        nonlocal found
        found = look()
        return not found

    with suppress(TimeoutError):
        note.until(fine, "everything to be drawn", limit)
    return found


def figure_faults(note, limit=60):
    """What is wrong with the figures of the outputs and the pictures of the text.

    Each cell gets ``limit`` seconds to show its own: pictures are loaded after they are placed.
    """
    faults = []
    for i, cell in enumerate(note.cells()):
        wanted = sum("image/png" in output.get("data", {}) for output in cell["outputs"])
        if cell["kind"] == "markdown":
            wanted = len(re.findall(r"!\[|<img", cell["source"]))
        if not wanted:
            continue
        look = partial(_picture_faults, note.cell(i), wanted)
        faults += [f"cell {i}: {fault}" for fault in _lasting(note, look, limit)]
    return faults


def _picture_faults(cell, wanted):
    shown = cell.evaluate(FIGURES)
    missing = [f"{len(shown)} of {wanted} figures are on the page"] if len(shown) < wanted else []
    good = lambda figure: figure["loaded"] and figure["shown"] and figure["alt"].strip()  # noqa: E731
    return missing + [str(figure) for figure in shown if not good(figure)]
