"""A kernel that is restarted or busy under a live panel, and a page that is loaded anew."""

import re

import pytest
from playwright.sync_api import expect

from browser.panels import CELLS, Panel

LONG = "fedavg = lab.FederationPanel(train, test, show=('epochs', 'lr'), n_rounds=3000)\nfedavg"
START = """(index) => {
  window.jupyterapp.shell.currentWidget.content.activeCellIndex = index;
  window.jupyterapp.commands.execute("notebook:run-cell");
}"""
GONE = "This panel has lost its kernel, which was restarted or has ended. Run this cell again."


def test_after_a_restart_a_panel_says_so_and_its_cell_revives_it(open_cells):
    short = "dropout = lab.DropoutPanel(train, test, n_rounds=4)\ndropout"
    note = open_cells([LONG, short, CELLS["attack"]])
    dropout, attack, running = (Panel(note, name) for name in ("dropout", "attack", "fedavg"))
    dropout.settled()
    running.wait("running")
    note.restart()
    for panel in (running, dropout, attack):
        expect(panel.root.locator(".fc-status")).to_have_text(GONE)
        assert panel.sliders() == {}
        expect(panel.button("Reset")).to_be_disabled()
    expect(dropout.button("Use")).to_be_disabled()
    step = dropout.root.get_by_role("button", name="Step: next round")
    step.click()  # what has come stays, and can be looked at
    expect(dropout.root.locator(".fcd-round-text")).to_contain_text("Round 2")
    assert note.console == []
    note.run_all()
    for name in ("fedavg", "dropout", "attack"):
        panel = Panel(note, name)
        assert panel.root.count() == 1
        assert panel.answered() != "failed"
        assert panel.sliders() != {}
    assert dropout.settled() == "done"
    dropout.put("window", 1)
    assert dropout.settled() == "done"
    assert note.console == []


BUSY = """import pathlib
import time

while not pathlib.Path("go").exists():
    time.sleep(0.1)"""


def test_while_a_cell_runs_a_panel_answers_or_says_that_it_waits(open_cells):
    """Where Jupyter gives widgets a thread of their own (ipykernel 7) they need not wait."""
    note = open_cells([LONG.replace("3000", "3"), BUSY], run=False)
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
    note = open_cells(
        [
            CELLS["fedavg"],
            CELLS["attack"],
            "dropout = lab.DropoutPanel(train, test, n_rounds=4)\ndropout",
        ]
    )
    shown = {}
    for name, moved in (("fedavg", "epochs"), ("attack", "batch_size"), ("dropout", "window")):
        panel = Panel(note, name)
        panel.settled()
        panel.slider(moved).press("ArrowRight")
        panel.settled()
        shown[name] = (panel.lasting(), panel.positions(), panel.status())
    note.save()
    note.reload()
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
