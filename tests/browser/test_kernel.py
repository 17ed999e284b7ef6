"""What learners do to a page: guess, click twice, restart in the middle, reload."""

import pytest
from playwright.sync_api import expect

from browser.looks import n_widgets, reload, widget_faults
from browser.notebook import LESSONS

CHOICE = 'best = lab.predict("browser/choice", "Which?", ["red", "green", "blue"])\nbest'
RANGE = 'much = lab.predict("browser/range", "How much?", low=0, high=100, unit="%")\nmuch'


def guess(cell):
    return cell.get_by_label("Your prediction")


def said(card):
    return card.locator("p[role=status]")


def test_a_guess_is_locked_in_then_revealed_and_counts_once(open_cells):
    note = open_cells([CHOICE, RANGE, 'best.reveal("green")', "much.reveal(30)"], run=False)
    for cell in ("import fedcore", CHOICE, RANGE):
        note.run_cell(cell)
    xp = note.kernel("lab.progress.total()")

    card = guess(note.cell(CHOICE))
    lock = card.get_by_role("button", name="Lock in my guess")
    expect(lock).to_be_disabled()  # nothing is chosen yet
    card.get_by_label("green").check()
    card.get_by_role("slider").press("End")  # certain
    lock.click()
    expect(card.get_by_role("button", name="Locked in")).to_be_disabled()

    card = guess(note.cell(RANGE))
    card.get_by_label("At least").press("Home")
    for _ in range(3):
        card.get_by_label("At most").press("PageDown")
    card.get_by_role("button", name="Lock in my guess").click()
    expect(said(card)).to_have_text("Now run the next cell to see the result.")
    note.until(lambda: note.kernel("best.locked and much.locked"), "the kernel to hear of both")
    low, high = note.kernel("[much.guess['low'], much.guess['high']]")
    assert low == 0 < high < 75

    points = 10 + round(10 - (high - low) / 10)  # sure and right; a tenth of the scale costs one
    for _ in range(2):
        note.run_cell("best.reveal")
        note.run_cell("much.reveal")
        expect(note.cell("best.reveal")).to_contain_text("10 of 10 points")
        expect(note.cell("much.reveal")).to_contain_text("Your range holds the result")
        assert note.kernel("lab.progress.total()") == xp + points
        expect(said(guess(note.cell(CHOICE)))).to_contain_text("evealed")
        note.run_cell(CHOICE)  # a second chance is no chance
        expect(guess(note.cell(CHOICE)).get_by_role("button")).to_be_disabled()
    assert note.console == []


def test_run_all_clicked_again_while_it_runs(open_cells):
    note = open_cells(
        [
            "panel = lab.FederationPanel(train, test)\npanel",
            "runs = globals().get('runs', 0) + 1\nparts = fc.partition.iid(train.y, n_clients=100)",
            "softmax = fc.models.Softmax(784, 10)\nfor _ in range(3):\n"
            "    fc.run_federation(softmax, train, parts, test, n_rounds=20, progress=False)",
            "print('runs', runs)",
        ],
        run=False,
    )
    note.start_all()
    note.until(lambda: note.cells()[1]["count"], "the panel's cell to have run")
    note.menu("Run", "runmenu:run-all")
    last = "print('runs'"
    note.until(
        lambda: "runs 2" in str(note.cells()[note.index(last)]["outputs"]), "the second run to end"
    )
    note.wait_done()
    assert n_widgets(note) == 1  # the second panel stands in place of the first
    assert widget_faults(note) == []
    assert note.console == []


@pytest.mark.parametrize("name", LESSONS[1:2])
def test_kernel_restarted_in_the_middle_of_a_lesson(open_notebook, name):
    note = open_notebook(f"notebooks/{name}.ipynb")
    note.start_all()
    half = len(note.cells()) // 2
    note.until(
        lambda: any(cell["count"] for cell in note.cells()[half:]), "half of the lesson to have run"
    )
    note.restart()
    assert note.errors() == []
    note.run_all()
    assert widget_faults(note) == []
    assert note.console == []


def test_points_survive_the_kernel_and_the_page(open_cells):
    note = open_cells(["header = lab.progress_header('02_fedavg')\nheader"])
    before = note.kernel("lab.progress.total()")
    assert note.kernel("lab.progress.award('browser/survives', 7, 10)") == 7
    header = "lab.progress_header("
    expect(note.cell(header).locator(".fc-header")).to_contain_text(f"{before + 7} XP")
    note.save()
    assert reload(note) == []
    expect(note.cell(header).locator(".fc-header")).to_contain_text(f"{before + 7} XP")
    note.restart()
    note.run_all()
    expect(note.cell(header).locator(".fc-header")).to_contain_text(f"{before + 7} XP")
    assert note.kernel("lab.progress.award('browser/survives', 7, 10)") == 0
    assert note.console == []
