"""A kernel that is restarted or busy under a live panel, and a page that is loaded anew."""

import re
from types import SimpleNamespace

import pytest
from playwright.sync_api import expect

from browser.looks import n_widgets, reload, widget_faults
from browser.panels import CELLS, ENDLESS, MORE, Panel

PANELS = CELLS | MORE

SHORT = "fedavg = lab.FederationPanel(train, test, show=('epochs', 'lr'), n_rounds=3)\nfedavg"
LONG = f"{ENDLESS}\n\nlong = endless(lab.FederationPanel(train, test, n_rounds=3000))\nlong"
START = """(index) => {
  window.jupyterapp.shell.currentWidget.content.activeCellIndex = index;
  window.jupyterapp.commands.execute("notebook:run-cell");
}"""
GONE = "This panel has lost its kernel, which was restarted or has ended. Run this cell again."


MOVED = {"privacy": "n_rounds", "dropout": "window", "attack": "seed", "challenge": "epochs"}


@pytest.fixture(scope="module")
def restarted(course):
    """Every panel of the lessons, moved; the kernel restarted while they run; Run All again."""
    note = course.open(course.write([*PANELS.values(), LONG]))
    note.run_all()
    panels = [Panel(note, name) for name in PANELS]
    for panel in panels:
        panel.settled()
    seen = SimpleNamespace(note=note, n_widgets=n_widgets(note), usable={})
    for panel in panels:
        panel.slider(MOVED.get(panel.name, "epochs")).press("End")
    two_rounds(panels[list(PANELS).index("dropout")])
    Panel(note, "long").wait("running")
    note.restart()
    for panel in panels:
        expect(panel.root.locator(".fc-status")).to_have_text(GONE)
        seen.usable[panel.name] = usable(panel)
    step_back_and_forth(Panel(note, "dropout").root)
    note.run_all()
    Panel(note, "long").wait("running")
    Panel(note, "long").press("Stop")
    yield seen
    course.close(note)


def step_back_and_forth(dropout):
    """What has come stays, and can be looked at without a kernel."""
    told = dropout.locator(".fcd-round-text")
    dropout.get_by_role("slider", name="Round shown").fill("0")
    expect(told).to_contain_text("Round 1: ")
    dropout.get_by_role("button", name="Step: next round").click()
    expect(told).to_contain_text("Round 2")


def two_rounds(panel):
    """Until the drop-out panel's new run has played two rounds or more."""
    panel.answered()
    played = panel.root.get_by_role("slider", name="Round shown")
    panel.note.until(lambda: int(played.get_attribute("max")) > 0, "a second round")


def usable(panel):
    """The controls of a panel that can be used."""
    buttons = ("Reset", "Use", "Run again", "Stop")
    on = [b for b in buttons if panel.button(b).count() and panel.button(b).is_enabled()]
    return [*panel.sliders(), *on]


def test_a_panel_whose_kernel_was_restarted_says_so_and_can_only_be_looked_at(restarted):
    assert restarted.usable == {name: [] for name in PANELS}


def test_after_a_restart_no_panel_is_stacked_on_another(restarted):
    assert n_widgets(restarted.note) == restarted.n_widgets
    assert widget_faults(restarted.note) == []


@pytest.mark.parametrize("name", PANELS)
def test_a_panel_works_again_after_a_restart(restarted, name):
    note = restarted.note
    panel = Panel(note, name)
    assert panel.root.count() == 1
    assert panel.settled() == "done"
    assert panel.positions() == panel.ask("p.defaults")
    shown, slider = panel.lasting(), panel.slider(MOVED.get(name, "epochs"))
    slider.press("Home" if int(slider.input_value()) else "End")
    assert panel.settled() == "done"
    assert panel.lasting() != shown
    assert panel.ask("p._result.settings == p.settings")
    assert note.errors() == []
    assert note.console == []


BUSY = """import pathlib
import time

while not pathlib.Path("go").exists():
    time.sleep(0.1)"""


def test_while_a_cell_runs_a_panel_answers_or_says_that_it_waits(open_cells):
    """Where Jupyter gives widgets a thread of their own (ipykernel 7) they need not wait."""
    note = open_cells([SHORT, BUSY], run=False)
    note.run_cell("import fedcore")
    note.run_cell("FederationPanel(")
    panel = Panel(note, "fedavg")
    assert panel.settled() == "done"
    start = panel.lasting()
    note.page.evaluate(START, note.index("pathlib"))
    panel.slider("epochs").press("ArrowRight")
    told = re.compile("^(Done|The kernel has not answered yet)")
    expect(panel.root.locator(".fc-status")).to_have_text(told)
    (note.server.root / "notebooks/go").touch()
    assert panel.settled() == "done"
    assert panel.lasting() != start
    assert panel.ask("p.settings.epochs") == 2
    assert note.console == []


@pytest.fixture
def reloaded(open_cells):
    """A notebook whose panels have run and been moved, loaded anew; and what they showed."""
    note = open_cells(list(CELLS.values()))
    shown = {}
    panels = [Panel(note, name) for name in CELLS]
    for panel in panels:
        panel.settled()
        panel.slider(MOVED.get(panel.name, "epochs")).press("ArrowRight")
    for name in CELLS:
        panel = Panel(note, name)  # scrolled to, or its texts can't be read
        panel.settled()
        shown[name] = (panel.lasting(), panel.positions(), panel.status())
    note.save()
    assert reload(note) == []
    return note, shown


def test_a_page_loaded_anew_shows_the_same_and_goes_on(reloaded):
    note, shown = reloaded
    for name, before in shown.items():
        panel = Panel(note, name)
        panel.settled()
        note.until(
            lambda p=panel, b=before: (p.lasting(), p.positions(), p.status()) == b,
            f"{name} to show what it showed: {before}",
        )
        panel.press("Reset")
        assert panel.settled() == "done"
        assert panel.ask("p.settings == p._defaults")
        assert panel.positions() == panel.ask("p.defaults") != before[1]
    assert note.console == []
