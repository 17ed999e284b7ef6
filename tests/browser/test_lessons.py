"""Every lesson and every other notebook, as a learner runs it: Run All in the browser."""

import re

import pytest
from playwright.sync_api import expect

from browser.looks import figure_faults, n_widgets, reload, widget_faults
from browser.notebook import LESSONS, ROOT, all_lessons
from browser.quizzes import QuizOnPage, answers
from fedcore.lab import quiz_file

OTHERS = [p.stem for p in sorted((ROOT / "notebooks").glob("*.ipynb")) if p.stem not in LESSONS]
QUIZ = "lab.quiz("
HEADER = "lab.progress_header("


def is_clean(note):
    assert note.errors() == []
    assert note.console == []
    assert note.requests_outside == []


@all_lessons
def test_run_all_is_clean(lesson):
    is_clean(lesson)


@all_lessons
def test_every_figure_is_shown_with_its_text(lesson):
    assert figure_faults(lesson) == []


@all_lessons
def test_every_widget_is_drawn(lesson):
    assert n_widgets(lesson) >= 3  # progress, a panel, the quiz
    assert widget_faults(lesson) == []
    is_clean(lesson)


@all_lessons
def test_every_guess_ends_with_a_measurement(lesson):
    """Run All leaves no time for a guess: it must say so, and show the result all the same."""
    cells = lesson.cells()
    asked = [i for i, cell in enumerate(cells) if "lab.predict(" in cell["source"]]
    for i in asked:
        card = lesson.cell(i).get_by_label("Your prediction")
        expect(card.locator("p[role=status]")).to_have_text("Revealed below.")
        expect(card.get_by_role("button", name="Lock")).to_be_disabled()
    shown = [o["data"].get("text/html", "") for c in cells for o in c["outputs"] if "data" in o]
    assert sum("Measured" in "".join(html) for html in shown) == len(asked) > 0


@all_lessons
def test_the_quiz_explains_and_counts_once(lesson):
    name = lesson.path.removeprefix("notebooks/").removesuffix(".ipynb")
    questions = quiz_file.load(name)["questions"]
    quiz = QuizOnPage(lesson.cell(QUIZ), questions)
    lesson.kernel("lab.progress.clear()")  # other tests of this worker have tried quizzes too
    xp = lesson.kernel("lab.progress.total()")
    for i, question in enumerate(questions):
        wrong, right = answers(question)
        quiz.submit(i, wrong)
        quiz.is_marked(i, right=False)
        quiz.explains(i, wrong, right=False)
        quiz.submit(i, right)
        assert "+5 XP" in quiz.is_marked(i, right=True)  # 5 of 10 at the second attempt
        quiz.explains(i, right, right=True)
        expect(quiz.card(i).get_by_role("button", name="Check")).to_be_disabled()
    xp += 5 * len(questions)
    assert lesson.kernel("lab.progress.total()") == xp
    n = len(questions)
    expect(quiz.root).to_contain_text(f"{n} of {n} right \N{MIDDLE DOT} {xp} XP in all")
    expect(lesson.cell(HEADER).locator(".fc-header")).to_contain_text(f"{xp} XP")

    lesson.run_cell(QUIZ)  # the quiz anew: what it has earned stays, and no more comes
    quiz = QuizOnPage(lesson.cell(QUIZ), questions)
    expect(quiz.root).to_contain_text(f"0 of {n} right")
    quiz.submit(0, answers(questions[0])[1])
    assert "XP" not in quiz.is_marked(0, right=True)
    expect(quiz.root).to_contain_text(f"1 of {n} right \N{MIDDLE DOT} {xp} XP in all")
    assert lesson.kernel("lab.progress.total()") == xp
    is_clean(lesson)


@all_lessons
def test_a_reloaded_page_shows_the_same_and_earns_nothing(lesson):
    xp, widgets = lesson.kernel("lab.progress.total()"), n_widgets(lesson)
    lesson.save()
    assert reload(lesson) == []
    assert n_widgets(lesson) == widgets
    assert figure_faults(lesson) == []
    expect(lesson.cell(HEADER).locator(".fc-header")).to_contain_text(f"{xp} XP")
    assert lesson.kernel("lab.progress.total()") == xp
    for i, cell in enumerate(lesson.cells()):
        if re.search(r"lab\.(Federation|Attack|Dropout|Privacy)Panel\(", cell["source"]):
            panel = lesson.cell(i).locator(".fc-panel")
            panel.get_by_role("button", name="Reset").click()  # it still trains
            expect(panel).to_have_attribute("data-phase", "done")
    is_clean(lesson)


@pytest.mark.parametrize("name", OTHERS)
def test_run_all_of_the_other_notebooks_is_clean(open_notebook, name):
    note = open_notebook(f"notebooks/{name}.ipynb")
    note.run_all()
    assert figure_faults(note) == []
    assert widget_faults(note) == []
    is_clean(note)
