"""Every lesson, for those who can't see well, don't see at all, or have a narrow screen."""

import pytest

from browser.accessible import CUT, OURS, axe_in_both_themes, whole
from browser.notebook import all_lessons

# Pictures of widgets without a name, unless they are part of one that has one, or decoration.
UNNAMED = """(all) => all
  .filter((node) => !node.closest("[aria-hidden=true], [role=img][aria-label]"))
  .filter((node) => !node.matches("[role=application][aria-label]"))
  .map((node) => node.outerHTML.slice(0, 120))"""


# Has the notebook become as narrow as the page, and was every drawing in it drawn anew?
FITS = """() => {
  const panel = document.querySelector(".jp-NotebookPanel:not(.lm-mod-hidden)");
  const drawings = [...panel.querySelectorAll("svg.fc-plot, svg.fc-map")];
  const fits = (node) => node.clientWidth <= node.parentNode.clientWidth;
  return panel.getBoundingClientRect().right <= innerWidth && drawings.every(fits);
}"""


@pytest.fixture
def page(lesson):
    """The lesson's page, with all its cells in it."""
    with whole(lesson):
        yield lesson.page


@all_lessons
def test_axe_finds_nothing_grave_in_a_lesson(lesson):
    assert axe_in_both_themes(lesson) == []


@all_lessons
def test_every_picture_of_a_lesson_says_what_it_shows(lesson, page):
    outputs = [output for cell in lesson.cells() for output in cell["outputs"]]
    figures = [output for output in outputs if "image/png" in output.get("data", {})]
    alts = page.locator(".fc-figure img").evaluate_all("(all) => all.map((node) => node.alt)")
    assert alts == [figure["metadata"]["image/png"]["alt"] for figure in figures]
    assert page.locator(", ".join(f"{ours} img:not([alt])" for ours in OURS)).count() == 0
    assert page.locator(".fc canvas, .fc svg").evaluate_all(UNNAMED) == []


@all_lessons
def test_a_narrow_page_cuts_nothing_off(lesson, page):
    size = page.viewport_size
    lesson.width(360)
    try:
        lesson.until(lambda: page.evaluate(FITS), "drawings of the width of their boxes")
        assert page.evaluate(CUT) == []
    finally:
        lesson.width(size["width"])
