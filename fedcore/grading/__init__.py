"""Grade exercises so that the grade can be trusted: answers run apart, results are compared here.

``solutions/`` is the source of every exercise (see ``exercise``), ``exercises/`` its release. The
same graded cells serve a learner alone (``fedcore.lab.grade``) and a class (``python -m
fedcore.grading``, which is ``make grade``).

What an answer can't do, and on which systems, is stated in ``sandbox`` and measured by
``isolation()``. What stays open: code that computes the right result is right, wherever it was
copied from; and a learner alone grades in a kernel that is theirs, so that only a teacher's run is
evidence for anybody else.
"""

from fedcore.grading.engine import Result, grade
from fedcore.grading.exercise import Check, Exercise, Unreadable, find, read_cells
from fedcore.grading.process import Answer, AnswerFailed, Limits, isolation

__all__ = [
    "Answer",
    "AnswerFailed",
    "Check",
    "Exercise",
    "Limits",
    "Result",
    "Unreadable",
    "find",
    "grade",
    "isolation",
    "read_cells",
]
