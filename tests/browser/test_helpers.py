"""The helpers can fail: faults that are planted here are found, each by the check meant for it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import expect

from browser import chromium
from browser.looks import figure_faults, widget_faults
from browser.notebook import ROOT

WIDGET = """import anywidget

def widget(render):
    return anywidget.AnyWidget(_esm=f"export default {{ render({{ el }}) {{ {render} }} }}")

"""
COMPLAINS = WIDGET + "widget(\"console.error('planted 1'); el.textContent = 'it works';\")"
DRAWS_NOTHING = "widget('')"
EMPTY_DRAWING = "widget(\"el.innerHTML = '<svg width=300 height=200><path></path></svg>';\")"
THROWS = "widget(\"throw new Error('planted 2');\")"
LOST = """view = {"model_id": "planted", "version_major": 2, "version_minor": 0}
display({"application/vnd.jupyter.widget-view+json": view}, raw=True)"""
BROKEN = """page = '<img alt="planted" src="data:image/png;base64,AAAA">'
display({"text/html": page, "image/png": "AAAA"}, raw=True)"""
NO_ALT = """import io
import matplotlib.pyplot as plt
plt.plot([1, 2])
plt.show()"""
OUTSIDE = "display({'text/html': '<img alt=x src=http://192.0.2.1/planted.png>'}, raw=True)"
STDERR = "import sys\nprint('planted 3', file=sys.stderr)"
RAISES = "raise ValueError('planted 4')"
CELLS = [
    *(COMPLAINS, DRAWS_NOTHING, EMPTY_DRAWING, THROWS, LOST),
    *(BROKEN, NO_ALT, OUTSIDE, STDERR, RAISES, "print('never')"),
]


def test_planted_faults_are_found(open_cells, tmp_path):
    note = open_cells(CELLS, imports="", run=False)
    with pytest.raises(AssertionError, match="cells raised") as raised:
        note.run_all()
    assert note.errors() == ["cell 8: stderr: planted 3\n", "cell 9: ValueError: planted 4"]
    assert "planted 4" in str(raised.value)
    assert note.cells()[10]["outputs"] == []

    expect(note.cell(0)).to_contain_text("it works")
    faults = {fault.split(",")[0]: fault for fault in widget_faults(note, limit=3)}
    assert set(faults) == {"cell 1", "cell 2", "cell 3", "cell 4"}
    assert "a drawing is empty" in faults["cell 2"]
    assert "widget" in faults["cell 4"]

    figures = figure_faults(note, limit=3)
    assert [fault.split(":")[0] for fault in figures] == ["cell 5", "cell 6"]
    note.until(lambda: note.requests_outside, "the request to another host")
    assert set(note.requests_outside) == {"http://192.0.2.1/planted.png"}
    for planted in ("planted 1", "planted 2"):
        note.until(lambda planted=planted: planted in "\n".join(note.console), planted)

    with pytest.raises(TimeoutError, match="waited 1 s for pigs to fly"):
        note.until(lambda: False, "pigs to fly", 1)
    note.keep(tmp_path)
    kept = sorted(path.suffix for path in tmp_path.iterdir())
    assert kept == [".png", ".txt"]
    assert "planted 1" in next(tmp_path.glob("*.txt")).read_text()


def test_a_cell_that_is_not_there_is_named(open_cells):
    note = open_cells(["x = 1"], imports="")
    with pytest.raises(AssertionError, match=r"0 code cells hold 'nowhere'"):
        note.cell("nowhere")
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        note.kernel("x / 0")
    assert note.kernel("{'x': [x]}") == {"x": [1]}


@pytest.mark.parametrize(("ci", "outcome"), [("true", "failed"), ("", "skipped")])
def test_without_a_browser(ci, outcome):
    """The real thing: these tests in a process of their own, where no browser is to be found."""
    env = {**os.environ, "PATH": str(Path(sys.executable).parent), "CI": ci}
    env.pop(chromium.VARIABLE, None)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-k", "not_there_is_named"]
    run = subprocess.run(
        [*command, "tests/browser/test_helpers.py"],
        env=env,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert "apt install chromium" in run.stdout
    assert run.returncode == (1 if outcome == "failed" else 0), run.stdout
    assert f"1 {'error' if outcome == 'failed' else 'skipped'}" in run.stdout


def test_a_browser_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setenv(chromium.VARIABLE, "/nowhere/chromium")
    with pytest.raises(FileNotFoundError, match="FEDCORE_BROWSER=/nowhere/chromium"):
        chromium.find()
