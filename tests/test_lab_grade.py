"""lab.grade: what a learner sees, in a notebook's kernel and under Validate."""

import pytest
from conftest import ROOT
from IPython.core.interactiveshell import InteractiveShell

from fedcore import lab
from fedcore.lab import progress
from fedcore.lab.grade import NoChecks, NotRight

GOOD = "import numpy as np\ndef weighted_mean(u, n):\n    return np.average(u, axis=0, weights=n)\n"
WRONG = "def weighted_mean(u, n):\n    return u.mean(axis=0)\n"
CHECK = ("02_fedavg", "mean-weights")


@pytest.fixture
def shell(monkeypatch):
    """A kernel without a process; ``run`` keeps the cell as a notebook does."""
    for name in ("NBGRADER_VALIDATING", "NBGRADER_EXECUTION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(ROOT)
    made = InteractiveShell.instance()
    made.reset(new_session=True)
    progress.clear()
    yield lambda code: made.run_cell(code, store_history=True)
    made.reset(new_session=True)
    InteractiveShell.clear_instance()
    progress.clear()


def test_points_and_xp_come_once(shell):
    shell(GOOD)
    first, again = lab.grade(*CHECK), lab.grade(*CHECK)
    assert (first.result.points, first.gained, again.gained) == (2, 20, 0)
    assert "2 of 2 points" in repr(first)
    assert "fc-right" in first._repr_html_()
    assert progress.total() == 20


def test_a_wrong_answer_is_told_why_and_a_later_cell_counts(shell):
    shell(GOOD)
    shell(WRONG)
    seen = lab.grade(*CHECK)
    assert seen.result.points == 0
    assert "plain mean" in seen._repr_html_()
    shell(GOOD)
    assert lab.grade(*CHECK).result.points == 2


def test_what_is_left_over_in_the_kernel_does_not_help(shell):
    shell(GOOD)
    shell("mean = weighted_mean")
    shell("def weighted_mean(u, n):\n    return mean(u, n)")
    assert "other cells' variables" in lab.grade(*CHECK).result.message


def test_validate_gets_an_exception_and_no_xp(shell, monkeypatch):
    monkeypatch.setenv("NBGRADER_VALIDATING", "1")
    shell(WRONG)
    with pytest.raises(NotRight, match="plain mean"):
        lab.grade(*CHECK)
    shell(GOOD)
    assert lab.grade(*CHECK).result.points == 2
    assert progress.total() == 0


def test_without_the_sources_it_says_who_has_them(shell, monkeypatch, tmp_path):
    monkeypatch.setattr("fedcore.grading.exercise.fedcore.__file__", str(tmp_path / "a" / "b.py"))
    monkeypatch.chdir(tmp_path)
    seen = lab.grade(*CHECK)
    assert isinstance(seen, NoChecks)
    assert "your teacher" in repr(seen)


def test_outside_a_notebook_it_says_so(monkeypatch):
    monkeypatch.chdir(ROOT)
    InteractiveShell.clear_instance()
    with pytest.raises(RuntimeError, match="cells of a notebook"):
        lab.grade(*CHECK)


@pytest.mark.slow(seconds=6)
@pytest.mark.parametrize(("student", "n_failed"), [("solutions", 0), ("exercises", 1)])
def test_the_validate_button(student, n_failed, tmp_path, monkeypatch):
    """nbgrader's Validator, which is what JupyterLab's button calls."""
    import shutil

    from nbgrader.validator import Validator

    name = "02_fedavg"
    monkeypatch.setenv("FEDCORE_SOLUTIONS", str(ROOT / "solutions"))
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "1")
    path = shutil.copy(ROOT / student / name / f"{name}.ipynb", tmp_path)
    result = Validator().validate(path)
    assert "error" not in result, result
    assert min(len(result.get("failed", [])), 1) == n_failed, result
