"""The skill map and the header of a lesson, on the screen; the certificate, as a page."""

from __future__ import annotations

import datetime
import os
from html import escape
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from fedcore.lab import progress, skills
from fedcore.lab.style import css, esm

LABELS = {"open": "open", "ready": "ready to learn", "later": "needs others first"}


class _Live(anywidget.AnyWidget):
    """A widget that follows the record."""

    _css = css()
    state = traitlets.Dict().tag(sync=True)

    def __init__(self):
        super().__init__(state=self._current())
        self._forget = progress.listen(lambda _total: setattr(self, "state", self._current()))

    def close(self) -> None:
        """Take it from the page."""
        self._forget()
        super().close()

    def _current(self) -> dict[str, Any]:
        raise NotImplementedError


class SkillMap(_Live):
    """All skills as a graph of buttons: choose one to read what it is and what opens it."""

    _esm = esm("common.js", "skill_map.js")

    def _current(self) -> dict[str, Any]:
        now = skills.states()
        return {
            "xp": progress.total(),
            "next": skills.next_step(now),
            "lessons": [f"{one.number}  {one.title}" for one in skills.lessons()],
            "skills": [_shown(state) for state in now],
        }


class ProgressHeader(_Live):
    """One line: this lesson's skills, all XP, what to do next."""

    _esm = esm("common.js", "progress_header.js")

    def __init__(self, name: str):
        self.name = name
        super().__init__()

    def _current(self) -> dict[str, Any]:
        now = skills.states()
        mine = [_shown(state) for state in now if state.skill.lesson.name == self.name]
        return {"xp": progress.total(), "next": skills.next_step(now), "skills": mine}


def skill_map() -> SkillMap:
    """The map of the course; put it last in a cell."""
    return SkillMap()


def progress_header(name: str) -> ProgressHeader:
    """The header of a lesson, ``lab.progress_header("02_fedavg")``; put it last in a cell.

    Raises ValueError that lists the lessons.
    """
    known = {lesson.name for lesson in skills.lessons()}
    if name not in known:
        raise ValueError(f"name must be a lesson, one of {sorted(known)}, got {name!r}")
    return ProgressHeader(name)


def _shown(state: skills.State) -> dict[str, Any]:
    skill = state.skill
    kinds = {"quiz": "quiz questions", "predict": "predictions"}
    kinds |= {"challenge": "challenge on a panel", "exercise": "graded checks"}
    counts = [
        f"{sum(key.startswith(kind) for key in skill.keys)} {word}"
        for kind, word in kinds.items()
        if any(key.startswith(kind) for key in skill.keys)
    ]
    return {
        "id": skill.id,
        "lesson": skill.lesson.number,
        "title": skill.lesson.title,
        "file": f"{skill.lesson.name}.ipynb",
        "x": skill.x,
        "needs": list(skill.needs),
        "what": skill.what,
        "points": state.points,
        "possible": state.possible,
        "status": state.status,
        "label": LABELS[state.status],
        "from": ", ".join(counts) or "nothing yet: its lesson is in preparation",
    }


def missing() -> list[str]:
    """What is still missing for the certificate, in words; empty if all is passed."""
    return [
        f"{s.skill.id} ({s.points} of {s.possible} XP; {round(100 * skills.SHARE)} % are needed)"
        for s in skills.states()
        if s.possible and s.status != "open"
    ]


def certificate(name: str = "", path: str | Path = "certificate.html") -> Path:
    """Write the learner's record as a page that prints well; returns where it lies.

    Raises RuntimeError that names what is missing until all is passed. It is a self-study record:
    computed from this machine's file, confirmed by nobody.
    """
    left = missing()
    if left:
        more = f" and {len(left) - 3} more" if len(left) > 3 else ""
        raise RuntimeError(f"not all is passed yet; missing: {'; '.join(left[:3])}{more}")
    path = Path(path)
    partial = path.with_name(f".{path.name}.part")
    partial.write_text(_page(name, skills.states()), encoding="utf-8")
    os.replace(partial, path)
    return path.resolve()


def _page(name: str, now: list[skills.State]) -> str:
    rows = "".join(
        f"<tr><td>{s.skill.lesson.number}</td><td>{escape(s.skill.lesson.title)}</td>"
        f"<td>{escape(s.skill.id)}</td><td>{s.points} of {s.possible}</td></tr>"
        for s in now
        if s.possible
    )
    style = (
        "body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem}"
        "table{border-collapse:collapse;width:100%}td,th{border-bottom:1px solid #ccc;"
        "padding:.25rem .5rem;text-align:left}"
    )
    today = datetime.date.today().isoformat()
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Record</title>'
        f"<style>{style}</style></head><body><h1>Federated learning, by doing it</h1>"
        f"<p>{escape(name)}</p><p>{progress.total()} XP, {today}. "
        "Every skill that this version of the course tests is open.</p>"
        "<table><thead><tr><th>Lesson</th><th></th><th>Skill</th><th>XP</th></tr></thead>"
        f"<tbody>{rows}</tbody></table><p>This is a self-study record. It was computed from the "
        "learner's own file; nobody has confirmed it, and no one was examined.</p></body></html>\n"
    )
