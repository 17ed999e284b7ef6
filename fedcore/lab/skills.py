"""The skill map: the terms of the course, what each builds on, and how much of each was shown.

A skill is fed by quiz questions (by the skill that a question names; what names none goes to the
lesson's first), by predictions, by challenges and by graded checks. It is *open* once ``SHARE`` of
the points that these can give are earned. Reading and computing only: plain data in, plain data
out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from fedcore.lab import progress, quiz_file
from fedcore.lab.marking import FULL
from fedcore.lab.scoring import POINTS

SHARE = 0.6
TASK = 10  # XP of a point of an exercise
FILE = Path(__file__).with_name("skills.json")


@dataclass(frozen=True)
class Lesson:
    """A lesson as the map knows it. name: of its notebook. exercise: of its exercise, or None."""

    number: int
    name: str
    title: str
    exercise: str | None


@dataclass(frozen=True)
class Skill:
    """A term. needs: skills it builds on. keys: {key of the record: what it can give}."""

    id: str
    lesson: Lesson
    x: float
    needs: tuple[str, ...]
    what: str
    keys: dict[str, int]


@dataclass(frozen=True)
class State:
    """How far a skill is. status: "open", "ready" (all it needs is open) or "later"."""

    skill: Skill
    points: int
    possible: int
    status: str


@cache
def lessons() -> tuple[Lesson, ...]:
    """All lessons in order."""
    return tuple(Lesson(i, **entry) for i, entry in enumerate(_data()["lessons"]))


@cache
def skills() -> tuple[Skill, ...]:
    """All skills, each after those that it needs."""
    fed = _questions()
    made = []
    for entry in _data()["skills"]:
        keys = dict.fromkeys(fed.get(entry["id"], ()), FULL)
        keys |= {f"predict/{key}": POINTS for key in entry["predict"]}
        keys |= {f"challenge/{key}": POINTS for key in entry.get("challenges", ())}
        keys |= {f"exercise/{task}": TASK * points for task, points in entry["tasks"].items()}
        lesson, needs = lessons()[entry["lesson"]], tuple(entry["needs"])
        made.append(Skill(entry["id"], lesson, entry["x"], needs, entry["what"], keys))
    return tuple(made)


def states(earned: Iterable[progress.Earned] | None = None) -> list[State]:
    """How far every skill is, from ``earned`` (default: the learner's record)."""
    record = {e.key: e.points for e in (progress.earned() if earned is None else earned)}
    found: dict[str, State] = {}
    for skill in skills():
        points = sum(min(record.get(key, 0), most) for key, most in skill.keys.items())
        possible = sum(skill.keys.values())
        done = possible > 0 and points >= SHARE * possible
        ready = all(found[need].status == "open" for need in skill.needs)
        status = "open" if done else "ready" if ready else "later"
        found[skill.id] = State(skill, points, possible, status)
    return list(found.values())


def next_step(now: list[State] | None = None) -> str:
    """What to do next, in one sentence."""
    now = states() if now is None else now
    for wanted in ("ready", "later"):
        for state in now:
            if state.status == wanted and state.possible:
                lesson = state.skill.lesson
                return (
                    f"Continue with \N{LEFT DOUBLE QUOTATION MARK}{state.skill.id}"
                    f"\N{RIGHT DOUBLE QUOTATION MARK}: lesson {lesson.number}, {lesson.title} "
                    f"({state.points} of {state.possible} XP)."
                )
    return "Every skill is open. lab.certificate() writes your record as a page."


@cache
def _data() -> dict:
    return json.loads(FILE.read_text(encoding="utf-8"))


def _questions() -> dict[str, list[str]]:
    """{skill: keys of the quiz questions that feed it}."""
    homes: dict[tuple[int, str], str] = {}
    first: dict[int, str] = {}
    for entry in _data()["skills"]:
        first.setdefault(entry["lesson"], entry["id"])
        for term in entry["terms"]:
            homes[entry["lesson"], term] = entry["id"]
    fed: dict[str, list[str]] = {}
    for lesson in lessons():
        if not (quiz_file.FOLDER / f"{lesson.name}.json").is_file():
            continue
        for question in quiz_file.load(lesson.name)["questions"]:
            named = [homes.get((lesson.number, term)) for term in question.get("skills", ())]
            for home in {name for name in named if name} or {first[lesson.number]}:
                fed.setdefault(home, []).append(f"quiz/{lesson.name}/{question['id']}")
    return fed
