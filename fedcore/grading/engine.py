"""Grade the cells of one notebook against one exercise."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from fedcore.grading.compare import Wrong
from fedcore.grading.exercise import Check, Exercise
from fedcore.grading.process import LIMITS, Answer, AnswerFailed, Limits


@dataclass(frozen=True)
class Result:
    """What one graded cell earned.

    status: "right", "wrong", or why there was nothing to compare (see ``AnswerFailed``). message:
    the diagnosis in words; empty if right. code: the cell in which the answer was found.
    """

    check: Check
    points: int
    status: str
    message: str = ""
    code: str = ""


def grade(
    exercise: Exercise,
    cells: Sequence[str],
    only: Collection[str] | None = None,
    limits: Limits = LIMITS,
) -> list[Result]:
    """Results in the order of the exercise's graded cells; ``only``: of the checks in it.

    cells: sources of the code cells of a submission. Each answer gets a process of its own, which
    serves all checks of that answer. KeyError that lists the checks if ``only`` names another.
    """
    known = [check.id for check in exercise.checks]
    unknown = sorted(set(only or ()) - set(known))
    if unknown:
        raise KeyError(f"exercise {exercise.name!r} has no check {unknown[0]!r}; it has: {known}")
    chosen = [check for check in exercise.checks if only is None or check.id in only]
    with ExitStack() as stack:
        names = {name for check in chosen for name in check.answers}
        answers = {name: stack.enter_context(Answer(cells, name, limits)) for name in names}
        return [_one(check, answers) for check in chosen]


def _one(check: Check, answers: dict[str, Answer]) -> Result:
    mine = [answers[name] for name in check.answers]
    try:
        check.test(*mine)
    except AnswerFailed as failed:
        return Result(check, 0, failed.kind, str(failed), _code(mine))
    except Wrong as diagnosis:
        return Result(check, 0, "wrong", str(diagnosis), _code(mine))
    except Exception as error:  # the test stumbled over what came back: that earns nothing
        text = f"What came back has not the expected form ({type(error).__name__}: {error})."
        return Result(check, 0, "wrong", text[:400], _code(mine))
    return Result(check, check.points, "right", "", _code(mine))


def _code(answers: list[Answer]) -> str:
    found = [answer.cell for answer in answers]
    usable = (
        answer.cells[cell]
        for answer, cell in zip(answers, found, strict=True)
        if isinstance(cell, int) and 0 <= cell < len(answer.cells)
    )
    return "\n\n".join(dict.fromkeys(usable))
