"""Mark one answer to one question: plain functions, no widget and no state."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field
from typing import Any

from fedcore._validate import describe

FULL, SECOND, LATER = 10, 5, 2  # points for the first, second and any later attempt


@dataclass(frozen=True)
class Mark:
    """Whether an answer is right, and what is to be learnt from it.

    notes: for options by position, {position: (right, why)}; otherwise empty. text: one remark on
    the whole answer, may be empty.
    """

    right: bool
    text: str = ""
    notes: dict[int, tuple[bool, str]] = field(default_factory=dict)


def mark(question: dict[str, Any], answer: Any) -> Mark:
    """Mark ``answer`` to a checked question.

    answer: the position of an option (choice), a list of positions (several), a number or its text
    (number), the positions of the steps in the order chosen (order), the position of a line (line).
    Raises ValueError if it is none of these.
    """
    return _MARKERS[question["kind"]](question, answer)


def points(attempt: int) -> int:
    """Points for a right answer at the given attempt, counted from 1."""
    return {1: FULL, 2: SECOND}.get(attempt, LATER)


def shuffled(n: int, seed: str) -> list[int]:
    """The positions 0 to n-1 in an order that depends on ``seed`` alone, never the given one."""
    order = list(range(n))
    random.Random(seed).shuffle(order)
    return order if order != sorted(order) or n < 2 else order[1:] + order[:1]


def _mark_choice(question: dict[str, Any], answer: Any) -> Mark:
    (chosen,) = _positions([answer], len(question["options"]))
    option = question["options"][chosen]
    right = option.get("correct", False)
    return Mark(right, notes={chosen: (right, option["why"])})


def _mark_several(question: dict[str, Any], answer: Any) -> Mark:
    options = question["options"]
    chosen = set(_positions(answer, len(options)))
    wanted = {i for i, option in enumerate(options) if option.get("correct", False)}
    right = chosen == wanted
    shown = range(len(options)) if right else sorted(chosen)
    notes = {i: ((i in wanted), options[i]["why"]) for i in shown}
    missing = len(wanted - chosen)
    text = ""
    if missing:
        text = "One more belongs to it." if missing == 1 else f"{missing} more belong to it."
    return Mark(right, text, notes)


def _mark_number(question: dict[str, Any], answer: Any) -> Mark:
    value = _number(answer)
    if _near(value, question):
        return Mark(True, question["why"])
    for mistake in question.get("mistakes", []):
        if _near(value, mistake):
            return Mark(False, mistake["why"])
    return Mark(False, "Too small." if value < question["answer"] else "Too large.")


def _mark_order(question: dict[str, Any], answer: Any) -> Mark:
    steps = question["steps"]
    order = _positions(answer, len(steps))
    if sorted(order) != list(range(len(steps))):
        raise ValueError(f"answer must hold every step once, got {describe(answer)}")
    if order == sorted(order):
        return Mark(True, question["why"])
    n_right = next(i for i, step in enumerate(order) if step != i)
    if n_right == 0:
        return Mark(False, "Something else comes first.")
    first = "first step is" if n_right == 1 else f"first {n_right} steps are"
    return Mark(False, f"The {first} right. What must have happened before the next one?")


def _mark_line(question: dict[str, Any], answer: Any) -> Mark:
    (chosen,) = _positions([answer], len(question["lines"]))
    right = chosen == question["wrong"]
    why = question["why"] if right else question["others"][str(chosen)]
    return Mark(right, notes={chosen: (right, why)})


_MARKERS = {
    "choice": _mark_choice,
    "several": _mark_several,
    "number": _mark_number,
    "order": _mark_order,
    "line": _mark_line,
}


def _positions(answer: Any, n: int) -> list[int]:
    if not isinstance(answer, list | tuple):
        raise ValueError(f"answer must be a list of positions, got {describe(answer)}")
    for position in answer:
        if isinstance(position, bool) or not isinstance(position, int) or not 0 <= position < n:
            raise ValueError(f"answer must hold positions from 0 to {n - 1}, got {position!r}")
    return list(answer)


def _number(answer: Any) -> float:
    text = str(answer).strip().replace("\N{NO-BREAK SPACE}", "").replace(" ", "")
    text = text.replace("\N{MINUS SIGN}", "-")
    if text.count(",") == 1 and "." not in text:  # a decimal comma, unless it groups thousands
        whole, rest = text.split(",")
        text = (
            f"{whole}{rest}"
            if len(rest) == 3 and whole not in ("", "0", "-0")
            else f"{whole}.{rest}"
        )
    text = text.replace(",", "")
    try:
        value = float(text.rstrip("%"))
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"answer must be a number, got {answer!r}")
    return value


def _near(value: float, target: dict[str, Any]) -> bool:
    slack = 1e-9 * max(1.0, abs(target["answer"]))  # 0.3 +- 0.1 holds 0.4
    return abs(value - target["answer"]) <= target["tolerance"] + slack
