"""Grade a class: every hand-in on its own, so that none can end or change the others' grades.

Results follow from the hand-ins and the sources alone; the grades of one are entered together.
Whenever the grader was stopped, running it again gives the same gradebook.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fedcore.grading import feedback, files, gradebook
from fedcore.grading.engine import Result, grade
from fedcore.grading.exercise import Exercise, Unreadable
from fedcore.grading.process import LIMITS, Limits


@dataclass(frozen=True)
class Graded:
    """One hand-in, graded. problem: why it could not be read, or empty."""

    submission: files.Submission
    results: list[Result]
    problem: str = ""

    @property
    def points(self) -> int:
        """What it earned."""
        return sum(result.points for result in self.results)


def run(
    root: Path,
    limits: Limits = LIMITS,
    students: set[str] | None = None,
    say: Callable[[str], object] = print,
) -> list[Graded]:
    """Grade ``root/submitted`` against ``root/solutions``; write gradebook, feedback, CSV.

    students: only these. Raises ValueError if there are no exercises or no hand-ins.
    """
    known = files.exercises(root / "solutions")
    todo = files.submissions(root / "submitted", known)
    todo = [one for one in todo if students is None or one.student in students]
    if not todo:
        raise ValueError(
            "nothing to grade: hand-ins belong in submitted/STUDENT/EXERCISE/EXERCISE.ipynb, "
            "or give a folder of files to collect"
        )
    done = []
    with gradebook.opened(root / "gradebook.db") as book:
        for exercise in known.values():
            gradebook.define(book, exercise)
        for submission in todo:
            graded = grade_one(submission, known[submission.exercise], limits)
            gradebook.record(book, submission.student, submission.exercise, graded.results)
            write_feedback(root, graded)
            possible, note = known[submission.exercise].points, graded.problem
            where = f"{submission.student}, {submission.exercise}"
            say(f"{where}: {graded.points} of {possible}{f' ({note})' if note else ''}")
            done.append(graded)
    write_csv(root)
    return done


def grade_one(submission: files.Submission, exercise: Exercise, limits: Limits) -> Graded:
    """Grade one hand-in; one that can't be read earns nothing and is told why."""
    try:
        cells = submission.cells()
    except Unreadable as fault:
        nothing = [Result(check, 0, "unreadable") for check in exercise.checks]
        return Graded(submission, nothing, str(fault))
    return Graded(submission, grade(exercise, cells, limits=limits))


def write_feedback(root: Path, graded: Graded) -> None:
    """``feedback/STUDENT/EXERCISE/EXERCISE.html``, where nbgrader looks for it."""
    student, name = graded.submission.student, graded.submission.exercise
    text = feedback.page(student, name, graded.results, graded.problem)
    files.write(root / "feedback" / student / name / f"{name}.html", text)


def write_csv(root: Path) -> None:
    """``grades.csv`` from the gradebook: a row a student, a column an exercise, and the total."""
    rows = gradebook.table(root / "gradebook.db")
    names = sorted({name for _, name, _, _ in rows})
    scores = {(student, name): score for student, name, score, _ in rows}
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["student", *names, "total"])
    for student in sorted({student for student, *_ in rows}):
        mine = [scores.get((student, name)) for name in names]
        total = sum(score for score in mine if score is not None)
        writer.writerow([student, *("" if s is None else f"{s:g}" for s in mine), f"{total:g}"])
    files.write(root / "grades.csv", out.getvalue())
