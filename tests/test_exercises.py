"""Every exercise: reference full marks, blank zero, planted wrong answers lose exactly their points
and are told why, other ways of being right keep them. The answers stand in ``tests/answers``.
"""

import json
import re
from collections import Counter

import make_exercises
import pytest
from conftest import ROOT
from planted import planted

from fedcore import grading

SOURCES = sorted((ROOT / "solutions").glob("*/*.ipynb"))
NAMES = [path.stem for path in SOURCES]
EXERCISES = {path.stem: grading.Exercise(path) for path in SOURCES}

ANSWERS = [(name, *answer) for name in NAMES for answer in planted(name)]


def with_answer(exercise, answer, code):
    """The cells of the reference with one answer cell exchanged."""
    cells = []
    for cell in exercise.cells:
        is_it = cell["nbgrader"].get("grade_id") == answer
        cells.append(code if is_it else cell["source"])
    return cells


def released(name):
    cells = grading.read_cells(ROOT / "exercises" / name / f"{name}.ipynb")
    return [cell["source"] for cell in cells]


def test_the_teachers_table_has_every_exercise_and_the_sum():
    table = (ROOT / "solutions" / "README.md").read_text()
    rows = {name: int(points) for name, points in re.findall(r"^\| (\w+) \| (\d+) \|", table, re.M)}
    assert rows == {name: exercise.points for name, exercise in EXERCISES.items()}
    assert f"| **all** | **{sum(rows.values())}** |" in table


@pytest.mark.parametrize("name", NAMES)
def test_the_reference_earns_everything(name):
    results = grading.grade(EXERCISES[name], [cell["source"] for cell in EXERCISES[name].cells])
    assert [(r.check.id, r.message) for r in results if r.status != "right"] == []
    assert sum(r.points for r in results) == EXERCISES[name].points


@pytest.mark.parametrize("name", NAMES)
def test_the_blank_earns_nothing(name):
    results = grading.grade(EXERCISES[name], released(name))
    assert sum(r.points for r in results) == 0
    assert {r.status for r in results} == {"blank"}


@pytest.mark.parametrize("name", NAMES)
def test_every_answer_has_three_wrong_and_three_other_right_ones(name):
    counts = Counter((kind, answer) for kind, answer, *_ in planted(name))
    asked = {answer for check in EXERCISES[name].checks for answer in check.answers}
    assert {(kind, answer) for kind, answer in counts} == {
        (kind, answer) for kind in ("wrong", "right") for answer in asked
    }
    assert min(counts.values()) >= 3
    lost = set().union(*(loses for kind, _, loses, *_ in planted(name) if kind == "wrong"))
    assert lost == {check.id for check in EXERCISES[name].checks}, "a check that nothing fails"


@pytest.mark.parametrize(
    ("name", "kind", "answer", "loses", "says", "code"),
    [pytest.param(*a, marks=pytest.mark.xdist_group(f"exercise {a[0]}")) for a in ANSWERS],
    ids=[f"{a[0]}-{a[2]}-{a[1]}-{i}" for i, a in enumerate(ANSWERS)],
)
@pytest.mark.slow(seconds=0.4)  # each; but there are hundreds, and each starts a process
def test_planted_answers(name, kind, answer, loses, says, code):
    exercise = EXERCISES[name]
    cells = with_answer(exercise, answer, code)
    assert (kind == "wrong") == bool(loses)
    mine = [check for check in exercise.checks if answer in check.answers]
    results = grading.grade(exercise, cells, only={check.id for check in mine})
    assert {r.check.id for r in results if r.points < r.check.points} == loses, results
    if loses:
        assert says
        assert any(says in r.message for r in results), [r.message for r in results]


@pytest.mark.parametrize("name", NAMES)
def test_points_stand_beside_each_task(name):
    notebook = json.loads((ROOT / "exercises" / name / f"{name}.ipynb").read_text())
    prose = "".join(
        "".join(cell["source"]) + "\n"
        for cell in notebook["cells"]
        if cell["cell_type"] == "markdown"
    )
    tasks = [int(n) for n in re.findall(r"^## Task \d+ \((\d+) points?\)", prose, re.M)]
    assert sum(tasks) == EXERCISES[name].points
    assert re.search(rf"\*{EXERCISES[name].points} points ", prose)


# --------------------------------------------------------------------------------- the release


def test_exercises_are_what_the_sources_give(tmp_path):
    """Byte for byte, and no file more or less; ``make exercises`` repairs it."""
    make_exercises.release(tmp_path)
    fresh = {p.relative_to(tmp_path): p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    folder = ROOT / "exercises"
    kept = {
        p.relative_to(folder): p.read_bytes()
        for p in folder.rglob("*")
        if p.is_file() and ".ipynb_checkpoints" not in p.parts
    }
    assert kept == fresh, "run `make exercises`"


@pytest.mark.parametrize("name", NAMES)
def test_nothing_leaks_into_the_release(name):
    """No line of a solution, a hidden test or a planted answer, in cells, outputs or metadata."""
    text = (ROOT / "exercises" / name / f"{name}.ipynb").read_text()
    notebook = json.loads(text)
    assert "HIDDEN TESTS" not in text
    assert "BEGIN SOLUTION" not in text
    assert all(not cell.get("outputs") for cell in notebook["cells"])
    known = {"nbgrader", "editable", "deletable"}
    assert all(set(cell["metadata"]) <= known for cell in notebook["cells"])
    shown = {line.strip() for line in json_lines(notebook)}
    source = json.loads((ROOT / "solutions" / name / f"{name}.ipynb").read_text())
    prose = "\n".join("".join(c["source"]) for c in source["cells"] if c["cell_type"] == "markdown")
    blocks = re.findall(r"```python\n(.*?)```", prose, re.S)  # programs with a bug, to be mended
    given = {line.strip() for block in blocks for line in block.splitlines()}
    for cell in EXERCISES[name].cells:
        for begin, end in (("BEGIN SOLUTION", "END SOLUTION"), ("BEGIN HIDDEN", "END HIDDEN")):
            for secret in re.findall(rf"### {begin}.*?\n(.*?)### {end}", cell["source"], re.S):
                lines = {line.strip() for line in secret.splitlines()}
                leaked = {line for line in lines & shown if len(line) > 12} - given
                assert leaked == set(), cell["nbgrader"]


def json_lines(value):
    """Every line of every text in a JSON value."""
    if isinstance(value, str):
        yield from value.splitlines()
    elif isinstance(value, list | dict):
        for item in value if isinstance(value, list) else value.values():
            yield from json_lines(item)


def test_a_check_is_named_by_what_it_checks():
    titles = [check.title for exercise in EXERCISES.values() for check in exercise.checks]
    assert len(set(titles)) == len(titles)
    assert min(map(len, titles)) > 10
