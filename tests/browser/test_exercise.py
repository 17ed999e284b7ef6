"""Graded exercises in the browser: failed, diagnosed, corrected, validated; XP once."""

import json
import re

import pytest
from planted import planted
from playwright.sync_api import expect

from browser.notebook import ROOT, RUN_LIMIT


def answer_cells(folder, name):
    """{grade_id: source} of the cells of an exercise that a learner fills in."""
    text = (ROOT / folder / name / f"{name}.ipynb").read_text(encoding="utf-8")
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
    answer = dialog.get_by_text(re.compile("Validation Results|Validation failed", re.I))
    answer.first.wait_for(timeout=1000 * RUN_LIMIT)  # it runs the whole notebook, in a new kernel
    said = dialog.inner_text()
    dialog.locator(".jp-mod-accept").click()
    expect(dialog).to_have_count(0)
    return said


@pytest.mark.parametrize(
    ("name", "answer", "check", "points"),
    [
        ("01_model_to_data", "ledger", "ledger-bytes", 2),
        ("02_fedavg", "weighted_mean", "mean-weights", 2),  # it trains as well, for its last task
        ("03_non_iid", "prox_gradient", "prox", 2),
        ("04_dropouts", "debiased_mean", "ipw", 3),
        ("05_inference_attacks", "reconstruct", "reconstruct-image", 3),
        ("06_privacy", "private_mean", "private-mean", 3),
        ("07_real_federation", "wire_bytes", "wire", 2),
        ("final_project", "aggregate", "final-target", 4),  # this check itself trains
    ],
)
def test_an_exercise_is_failed_corrected_and_validated(open_notebook, name, answer, check, points):
    note = open_notebook(f"exercises/{name}/{name}.ipynb")
    note.run_cell("import numpy as np")
    xp = note.kernel("lab.progress.total()")
    blank, reference = (answer_cells(folder, name) for folder in ("exercises", "solutions"))
    wrong, told = next(
        (code, told)
        for kind, task, loses, told, code in planted(name)
        if (kind, task) == ("wrong", answer) and check in loses
    )
    call = f'"{check}")'

    note.write(blank[answer], wrong)
    note.run_cell(wrong)
    note.run_cell(call)
    expect(note.cell(call)).to_contain_text(f"0 of {points} points")
    expect(note.cell(call)).to_contain_text(told)  # the mistake is recognised
    assert note.kernel("lab.progress.total()") == xp

    for task, source in reference.items():
        if task != answer:
            note.write(blank[task], source)
    said = validate(note)
    assert "success" not in said.lower()
    assert told in said

    note.write(wrong, reference[answer])
    note.run_cell(reference[answer])
    for gained in (True, False):  # 10 XP a point, once
        note.run_cell(call)
        expect(note.cell(call)).to_contain_text(f"{points} of {points} points")
        assert (f"+{10 * points} XP" in note.cell(call).inner_text()) == gained
        assert note.kernel("lab.progress.total()") == xp + 10 * points
    assert "success" in validate(note).lower()
    assert note.console == []
