"""Every lesson and every other notebook, as a learner runs it: Run All in the browser."""

from browser.notebook import all_lessons


@all_lessons
def test_run_all_is_clean(lesson):
    assert lesson.errors() == []
    assert lesson.console == []
    assert lesson.requests_outside == []


def test_small(open_cells):
    note = open_cells(["panel = lab.FederationPanel(train, test)\npanel"])
    assert note.kernel("panel.settings.fraction") == 0.1
    assert note.cell("FederationPanel(").locator("svg").count() > 0
