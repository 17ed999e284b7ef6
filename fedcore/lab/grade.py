"""A graded cell, seen by the learner: points, and in words what is wrong."""

from __future__ import annotations

import os
from html import escape
from typing import Any

from fedcore import grading
from fedcore.lab import progress
from fedcore.lab.style import html_block

XP_PER_POINT = 10


class NotRight(AssertionError):
    """An answer that does not earn its points, where a program asks: Validate, nbgrader."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]  # IPython shows this instead of a traceback through the grader


class Graded:
    """The outcome of one check: HTML in a notebook, a sentence elsewhere."""

    def __init__(self, result: grading.Result, gained: int = 0):
        self.result, self.gained = result, gained

    def __repr__(self) -> str:
        check, result = self.result.check, self.result
        points = f"{result.points} of {check.points} points"
        xp = f" +{self.gained} XP." if self.gained else ""
        return f"{points}: {check.title}.{' ' + result.message if result.message else ''}{xp}"

    def _repr_html_(self) -> str:
        check, result = self.result.check, self.result
        right = result.status == "right"
        mark = "\N{CHECK MARK}" if right else "\N{MULTIPLICATION X}"
        kind = "fc-right" if right else "" if result.status == "blank" else "fc-wrong"
        gained = f" +{self.gained} XP." if self.gained else ""
        return html_block(
            f'<div class="fc-box {kind}" role="status"><b><span aria-hidden="true">{mark}</span> '
            f"{result.points} of {check.points} points</b> for: {escape(check.title)}."
            f"{escape(gained)}<p>{escape(result.message)}</p></div>"
        )


class NoChecks:
    """Shown where the checks are not on this machine."""

    TEXT = (
        "The checks of this exercise are not on this machine: your teacher has them, and grades "
        "what you hand in. Save the notebook when you are done."
    )

    def __repr__(self) -> str:
        return self.TEXT


def grade(exercise: str, check: str) -> Graded | NoChecks:
    """Grade what this notebook has defined so far: ``lab.grade("02_fedavg", "mean-weights")``.

    The answer is the last cell you ran that defines it; it is run again, apart, in a process that
    sees only imports and functions of the notebook. Points are worth XP, once.

    Raises KeyError for an unknown check, RuntimeError outside a notebook, and, under nbgrader and
    its Validate button, ``NotRight`` with the diagnosis if the answer is not right.
    """
    try:
        source = grading.find(exercise)
    except FileNotFoundError:
        return NoChecks()
    (result,) = grading.grade(source, _cells_run_so_far(), only=[check])
    if any(name in os.environ for name in ("NBGRADER_VALIDATING", "NBGRADER_EXECUTION")):
        if result.status != "right":
            raise NotRight(f"{result.check.title}: {result.message}")
        return Graded(result)
    possible = result.check.points * XP_PER_POINT
    earned = result.points * XP_PER_POINT
    return Graded(result, progress.award(f"exercise/{exercise}/{check}", earned, possible))


def _cells_run_so_far() -> list[Any]:
    from IPython import get_ipython

    shell = get_ipython()
    if shell is None:
        raise RuntimeError("lab.grade reads the cells of a notebook: call it in one")
    return list(shell.user_ns.get("In", []))
