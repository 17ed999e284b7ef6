"""A graded exercise in the browser: failed, diagnosed, corrected, validated."""

import json
import re

from playwright.sync_api import expect

from browser.notebook import ROOT

NAME = "02_fedavg"
PLAIN_MEAN = "def weighted_mean(updates, weights):\n    return np.mean(updates, axis=0)"
CHECK = '"mean-weights")'


def reference(name):
    """{grade_id: the teacher's answer} of an exercise."""
    text = (ROOT / "solutions" / name / f"{name}.ipynb").read_text(encoding="utf-8")
    return {
        cell["metadata"]["nbgrader"]["grade_id"]: re.sub(
            r"^ *### (BEGIN|END) SOLUTION\n?", "", "".join(cell["source"]), flags=re.M
        )
        for cell in json.loads(text)["cells"]
        if cell["metadata"].get("nbgrader", {}).get("solution")
    }


def validate(note):
    """Press Validate and close its answer; returns what it says."""
    note.page.get_by_role("button", name="Validate", exact=True).click()
    dialog = note.page.locator(".jp-Dialog")
    dialog.get_by_text(re.compile("Validation Results|Validation failed", re.I)).first.wait_for()
    said = dialog.inner_text()
    dialog.locator(".jp-mod-accept").click()
    expect(dialog).to_have_count(0)
    return said


def test_an_exercise_is_failed_corrected_and_validated(open_notebook):
    note = open_notebook(f"exercises/{NAME}/{NAME}.ipynb")
    note.run_cell("import numpy as np")
    xp = note.kernel("lab.progress.total()")
    answers = reference(NAME)
    empty = {name: f"def {name}(" for name in answers}
    empty |= {"new_parameter": "new_parameter = None", "settings": "settings = {"}

    note.write(empty["weighted_mean"], PLAIN_MEAN)
    note.run_cell(PLAIN_MEAN)
    note.run_cell(CHECK)
    expect(note.cell(CHECK)).to_contain_text("0 of 2 points")
    expect(note.cell(CHECK)).to_contain_text("plain mean")  # the mistake is recognised
    assert note.kernel("lab.progress.total()") == xp

    for name, answer in answers.items():
        if name != "weighted_mean":
            note.write(empty[name], answer)
    said = validate(note)
    assert "success" not in said.lower()
    assert "plain mean" in said

    right = answers["weighted_mean"]
    note.write(PLAIN_MEAN, right)
    note.run_cell("def weighted_mean(")
    for gained in (20, 0):  # 10 XP a point, once
        note.run_cell(CHECK)
        expect(note.cell(CHECK)).to_contain_text("2 of 2 points")
        assert ("+20 XP" in note.cell(CHECK).inner_text()) == bool(gained)
        assert note.kernel("lab.progress.total()") == xp + 20
    assert "success" in validate(note).lower()
    assert note.console == []
