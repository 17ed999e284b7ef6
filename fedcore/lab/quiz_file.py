"""The data file of a quiz: read and checked, each fault named with file, question and field.

    {"title": "FedAvg", "questions": [
      {"id": "who-averages", "kind": "choice", "question": "Who computes the mean?", "options": [
        {"text": "The server", "correct": true, "why": "It receives every update."},
        {"text": "Each client", "why": "A client only knows its own update."}]},
      {"id": "what-travels", "kind": "several", "question": "...", "options": [...]},
      {"id": "how-many", "kind": "number", "question": "...", "answer": 31.4, "tolerance": 0.1,
       "unit": "kB", "why": "7,850 numbers of 4 bytes.",
       "mistakes": [{"answer": 7.85, "tolerance": 0.1, "why": "Each number takes 4 bytes."}]},
      {"id": "the-round", "kind": "order", "question": "...", "steps": ["first", "second", "third"],
       "why": "..."},
      {"id": "the-bug", "kind": "line", "question": "Which is wrong?", "lines": ["a", "b", "c"],
       "wrong": 1, "why": "...", "others": {"0": "...", "2": "..."}}]}

The lines of a "line" are program text, counted from 0; one is wrong, and ``others`` says of every
other line why it is right.

Text may hold `code` and $maths$ as in ``lab.style.rich``. ``id`` is unique in the file; an optional
``skills`` lists the skills that a right answer shows. Every option says why it is right or wrong.
``quiz.schema.json`` says the same as a JSON Schema, for editors and other tools.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

KINDS = ("choice", "several", "number", "order", "line")
FOLDER = Path(__file__).parent / "quizzes"
_COMMON = {"id", "kind", "question", "skills"}
_FIELDS = {
    "choice": {"options"},
    "several": {"options"},
    "number": {"answer", "tolerance", "unit", "why", "mistakes"},
    "order": {"steps", "why"},
    "line": {"lines", "wrong", "why", "others"},
}


def load(name: str | Path) -> dict[str, Any]:
    """The checked quiz of a lesson, ``load("02_fedavg")``, or of a file with suffix .json.

    Raises FileNotFoundError that lists the quizzes there are, or ValueError that names file,
    question, field, what was expected and what was found.
    """
    path = Path(name) if str(name).endswith(".json") else FOLDER / f"{name}.json"
    if not path.is_file():
        there = ", ".join(sorted(p.stem for p in FOLDER.glob("*.json"))) or "none yet"
        raise FileNotFoundError(f"no quiz {str(name)!r}; there are: {there}")
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path.name}: expected JSON, found {error}") from None
    return check(data, path.name)


def check(data: Any, where: str = "quiz") -> dict[str, Any]:
    """``data`` if it is a quiz; ValueError with the place of the first fault otherwise."""
    _expect(isinstance(data, dict), where, "an object", data)
    _only(data, {"title", "questions"}, where)
    _text(data, "title", where)
    questions = data.get("questions")
    _expect(isinstance(questions, list) and questions, f"{where}: questions", "a list", questions)
    seen: set[str] = set()
    for i, question in enumerate(questions):
        place = f"{where}: question {i + 1}"
        _expect(isinstance(question, dict), place, "an object", question)
        name = question.get("id")
        good = isinstance(name, str) and re.fullmatch(r"[a-z0-9][a-z0-9-]*", name)
        _expect(good, f"{place}: id", "lower-case words joined by hyphens", name)
        _expect(name not in seen, f"{place}: id", "a name used once", name)
        seen.add(name)
        _check_question(question, f"{where}: question {name!r}")
    return data


def _check_question(question: dict[str, Any], place: str) -> None:
    kind = question.get("kind")
    _expect(kind in KINDS, f"{place}: kind", f"one of {', '.join(KINDS)}", kind)
    _only(question, _COMMON | _FIELDS[kind], place)
    _text(question, "question", place)
    skills = question.get("skills", [])
    good = isinstance(skills, list) and all(isinstance(s, str) and s for s in skills)
    _expect(good, f"{place}: skills", "a list of names", skills)
    checks: dict[str, Callable] = {"number": _check_number, "order": _check_order}
    checks["line"] = _check_line
    checks.get(kind, _check_options)(question, place)


def _check_options(question: dict[str, Any], place: str) -> None:
    options = question.get("options")
    good = isinstance(options, list) and len(options) >= 2
    _expect(good, f"{place}: options", "at least two options", options)
    for i, option in enumerate(options):
        at = f"{place}: option {i + 1}"
        _expect(isinstance(option, dict), at, "an object", option)
        _only(option, {"text", "correct", "why"}, at)
        _text(option, "text", at)
        _text(option, "why", at)
        right = option.get("correct", False)
        _expect(isinstance(right, bool), f"{at}: correct", "true or false", right)
    texts = [option["text"] for option in options]
    _expect(len(set(texts)) == len(texts), f"{place}: options", "different texts", texts)
    n_right = sum(option.get("correct", False) for option in options)
    if question["kind"] == "choice":
        _expect(n_right == 1, f"{place}: options", "exactly one correct option", n_right)
    else:
        _expect(n_right >= 1, f"{place}: options", "at least one correct option", n_right)


def _check_number(question: dict[str, Any], place: str) -> None:
    _text(question, "why", place)
    _expect(isinstance(question.get("unit", ""), str), f"{place}: unit", "a text", question)
    mistakes = question.get("mistakes", [])
    _expect(isinstance(mistakes, list), f"{place}: mistakes", "a list", mistakes)
    _check_target(question, place)
    for i, mistake in enumerate(mistakes):
        at = f"{place}: mistake {i + 1}"
        _expect(isinstance(mistake, dict), at, "an object", mistake)
        _only(mistake, {"answer", "tolerance", "why"}, at)
        _text(mistake, "why", at)
        _check_target(mistake, at)
        apart = abs(mistake["answer"] - question["answer"]) > question["tolerance"]
        _expect(apart, f"{at}: answer", "a number that is not right", mistake["answer"])


def _check_target(entry: dict[str, Any], place: str) -> None:
    for name, low in (("answer", -math.inf), ("tolerance", 0)):
        value = entry.get(name)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        good = number and math.isfinite(value) and value >= low
        _expect(good, f"{place}: {name}", "a number" + (" >= 0" if low == 0 else ""), value)


def _check_order(question: dict[str, Any], place: str) -> None:
    _text(question, "why", place)
    steps = question.get("steps")
    good = isinstance(steps, list) and len(steps) >= 3
    good = good and all(isinstance(step, str) and step.strip() for step in steps)
    good = good and len(set(steps)) == len(steps)
    _expect(good, f"{place}: steps", "at least three different texts in the right order", steps)


def _check_line(question: dict[str, Any], place: str) -> None:
    _text(question, "why", place)
    lines, wrong = question.get("lines"), question.get("wrong")
    good = isinstance(lines, list) and len(lines) >= 3
    good = good and all(isinstance(line, str) and line.strip() for line in lines)
    _expect(good, f"{place}: lines", "at least three lines of a program", lines)
    good = isinstance(wrong, int) and not isinstance(wrong, bool) and 0 <= wrong < len(lines)
    _expect(good, f"{place}: wrong", f"a number from 0 to {len(lines) - 1}", wrong)
    others = question.get("others")
    _expect(isinstance(others, dict), f"{place}: others", "an object", others)
    for i in range(len(lines)):
        if i != wrong:
            _text(others, str(i), f"{place}: others")
    _only(others, {str(i) for i in range(len(lines)) if i != wrong}, f"{place}: others")


def _text(entry: dict[str, Any], name: str, place: str) -> None:
    value = entry.get(name)
    _expect(isinstance(value, str) and value.strip(), f"{place}: {name}", "a text", value)


def _only(entry: dict[str, Any], known: set[str], place: str) -> None:
    extra = sorted(set(entry) - known)
    _expect(not extra, place, f"fields from {sorted(known)}", extra)


def _expect(condition: object, place: str, expected: str, found: Any) -> None:
    if not condition:
        shown = json.dumps(found, default=repr, ensure_ascii=False)
        shown = shown if len(shown) <= 80 else f"{shown[:77]}..."
        raise ValueError(f"{place}: expected {expected}, found {shown}")
