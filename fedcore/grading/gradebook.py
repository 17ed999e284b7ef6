"""Grades in nbgrader's gradebook, a SQLite file: its formgrader and exports read what we write."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from nbgrader.api import Gradebook, MissingEntry

from fedcore.grading.engine import Result
from fedcore.grading.exercise import Exercise


@contextmanager
def opened(path: Path) -> Iterator[Gradebook]:
    """The gradebook at ``path``; if it is not there it is made elsewhere first, so never half."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f".{path.name}.new")
        fresh.unlink(missing_ok=True)
        with _tools_on_path(), Gradebook(f"sqlite:///{fresh.resolve()}"):
            pass
        os.replace(fresh, path)
    with Gradebook(f"sqlite:///{path.resolve()}") as book:
        yield book


@contextmanager
def _tools_on_path() -> Iterator[None]:
    """nbgrader calls the command ``alembic``, which lies beside the interpreter."""
    before = os.environ.get("PATH", "")
    os.environ["PATH"] = os.pathsep.join([os.path.dirname(sys.executable), before])
    try:
        yield
    finally:
        os.environ["PATH"] = before


def define(book: Gradebook, exercise: Exercise) -> None:
    """Make the book's entry for ``exercise`` what its source says.

    Where an earlier release had other graded cells, the entry is made anew: its grades follow from
    grading again.
    """
    name, wanted = exercise.name, {check.id: check.points for check in exercise.checks}
    try:
        cells = book.find_notebook(name, name).grade_cells
        if {cell.name: cell.max_score for cell in cells} == wanted:
            return
        book.remove_assignment(name)
    except MissingEntry:
        pass
    book.update_or_create_assignment(name)
    book.update_or_create_notebook(name, name)
    for check in exercise.checks:
        book.update_or_create_grade_cell(
            check.id, name, name, max_score=check.points, cell_type="code"
        )
    for cell in exercise.cells:
        if cell["nbgrader"].get("solution"):
            book.update_or_create_solution_cell(cell["nbgrader"]["grade_id"], name, name)


def record(book: Gradebook, student: str, exercise: str, results: Sequence[Result]) -> None:
    """Enter the grades of one hand-in, in one transaction; grading again replaces them."""
    book.update_or_create_student(student)
    with book.db.no_autoflush:
        book.update_or_create_submission(exercise, student)
    for result in results:
        grade = book.find_grade(result.check.id, exercise, exercise, student)
        grade.auto_score, grade.needs_manual_grade = result.points, False
    book.db.commit()


def table(path: Path) -> list[tuple[str, str, float, float]]:
    """[(student, exercise, points, possible), ...] in order; points include a teacher's changes."""
    with opened(path) as book:
        rows = [
            (s.student.id, s.assignment.name, s.score, s.max_score)
            for assignment in book.assignments
            for s in assignment.submissions
        ]
    return sorted(rows)
