"""`make new-lesson`, `make new-exercise`: what they make is whole, and runs; words are missing.

In a copy of the checkout: there the course's own tests are run on what was made.
"""

import json
import os
import re
import sys

import pytest
from checkout import copy, run
from conftest import ROOT

LESSONS = json.loads((ROOT / "fedcore" / "lab" / "skills.json").read_text())["lessons"]
NAME = next(  # a lesson that is planned, or else one more
    (one["name"] for one in LESSONS if not (ROOT / "notebooks" / f"{one['name']}.ipynb").exists()),
    f"{len(LESSONS):02}_topic",
)
TITLE = "A topic of its own"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A copy of the course with one more lesson and its exercise."""
    folder = tmp_path_factory.mktemp("course")
    copy(folder)
    lesson = tool(folder, "new_lesson.py", NAME, TITLE)
    assert lesson.returncode == 0, lesson.stdout
    exercise = tool(folder, "new_exercise.py", NAME)
    assert exercise.returncode == 0, exercise.stdout
    released = tool(folder, "make_exercises.py")
    assert released.returncode == 0, released.stdout
    assert NAME in released.stdout.split()
    return folder, lesson.stdout, exercise.stdout


def tool(folder, name, *arguments):
    """In the copy, with the copy's own package."""
    command = (sys.executable, f"tools/{name}", *arguments)
    return run(folder, *command, PYTHONPATH=str(folder))


def run_tests(folder, *arguments):
    options = ("-q", "-rfE", "-p", "no:cacheprovider", "-n", "0")
    return run(folder, sys.executable, "-m", "pytest", *options, *arguments, PYTHONPATH=str(folder))


@pytest.mark.slow(seconds=40)
def test_a_new_lesson_and_its_exercise_fail_only_where_words_are_missing(made):
    folder = made[0]
    files = ("notebooks", "exercises", "lab_answers", "lab_progress", "lab_widgets", "glossary")
    chosen = f"{NAME} or skill or map or feeds or exercises_are or lessons or teachers or to_write"
    done = run_tests(folder, *(f"tests/test_{name}.py" for name in files), "-k", chosen)
    failed = set(re.findall(r"^FAILED \S+::(\w+)", done.stdout, re.M))
    assert failed == {"test_nothing_is_left_to_write"}, done.stdout[-6000:]
    for test in ("runs_offline", "reference_earns_everything", "blank_earns", "planted"):
        assert not re.search(rf"^(FAILED|ERROR) .*{test}", done.stdout, re.M)
    left = re.findall(r"^FAILED \S+left_to_write\[(.+?)\]", done.stdout, re.M)
    mine = {f"notebooks/{NAME}.ipynb", f"solutions/{NAME}/{NAME}.ipynb", "README.md"}
    assert mine | {f"fedcore/lab/quizzes/{NAME}.json", "notebooks/00_start_here.ipynb"} <= {*left}


@pytest.mark.slow(seconds=15)
def test_what_was_made_obeys_the_rules_of_a_commit(made):
    folder = made[0]
    for name, *arguments in (
        ("tidy_notebooks.py", "--check"),
        ("check_quizzes.py",),
        ("check_spelling.py",),
    ):
        done = tool(folder, name, *arguments)
        assert done.returncode == 0, done.stdout
    for command in ("check", "format --check"):
        done = run(folder, sys.executable, "-m", "ruff", *command.split(), ".")
        assert done.returncode == 0, done.stdout


@pytest.mark.slow(seconds=15)
def test_it_stands_in_every_list_and_the_rest_is_said(made):
    folder, lesson, exercise = made
    for name in ("README.md", "notebooks/00_start_here.ipynb"):
        assert (folder / name).read_text().count(f"{NAME}.ipynb) |") == 1, name
    glossary = json.loads((folder / "fedcore" / "lab" / "glossary.json").read_text())
    assert glossary["lessons"][NAME] == TITLE
    assert f"| {NAME} | 2 |" in (folder / "solutions" / "README.md").read_text()
    for said in ("grep -rn TODO", "make glossary", "run_notebooks.py", f"make lesson NAME={NAME}"):
        assert said in lesson
    assert "make exercises" in exercise
    assert "the points" in exercise


@pytest.mark.slow(seconds=15)
@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("new_lesson.py", [NAME, TITLE], f"notebooks/{NAME}.ipynb exists already"),
        ("new_lesson.py", ["My lesson", TITLE], "NAME must be like"),
        ("new_lesson.py", ["99_far_away", TITLE], "NAME must be the next lesson"),
        ("new_lesson.py", [f"{int(NAME[:2]) + 1:02}_x", 'A "title"'], "TITLE must be a text"),
        ("new_lesson.py", [], "NAME must be like"),
        ("new_exercise.py", [NAME], f"{NAME}.ipynb exists already"),
        ("new_exercise.py", ["../x"], "NAME must be like"),
        ("new_exercise.py", [], "NAME must be like"),
    ],
)
def test_a_wrong_name_is_refused_and_nothing_is_overwritten(made, name, arguments, said):
    folder = made[0]
    before = contents(folder)
    done = tool(folder, name, *arguments)
    assert done.returncode == 1
    assert said in done.stdout
    assert "Traceback" not in done.stdout
    assert contents(folder) == before


def contents(folder):
    return {
        path: path.read_bytes()
        for path in folder.rglob("*")
        if path.suffix in (".ipynb", ".json", ".md", ".py") and f".venv{os.sep}" not in str(path)
    }
