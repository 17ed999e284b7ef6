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


def _drawing(now: list[skills.State]) -> str:
    """The skill map as a picture (SVG): a row a lesson, lines to what a skill builds on.

    It says nothing that the table of the page does not say, so screen readers skip it.
    """
    width, row, label = 900, 48, 150
    place = {}
    for lesson in skills.lessons():
        here = sorted((s.skill for s in now if s.skill.lesson == lesson), key=lambda s: s.x)
        share = (width - label) / max(len(here), 1)
        for i, skill in enumerate(here):
            place[skill.id] = (label + share * (i + 0.5), row * (lesson.number + 0.5))
    lines = "".join(
        '<line x1="{:.0f}" y1="{:.0f}" x2="{:.0f}" y2="{:.0f}" stroke="#999"/>'.format(
            *place[need], *place[s.skill.id]
        )
        for s in now
        for need in s.skill.needs
    )
    nodes = "".join(_node(s, *place[s.skill.id]) for s in now)
    names = "".join(
        f'<text x="0" y="{row * (lesson.number + 0.5) + 4:.0f}">{lesson.number} '
        f"{escape(lesson.title)}</text>"
        for lesson in skills.lessons()
    )
    height = row * len(skills.lessons())
    return (
        f'<svg viewBox="0 0 {width} {height}" width="100%" aria-hidden="true" '
        f'font-size="11" font-family="system-ui,sans-serif">{lines}{names}{nodes}</svg>'
    )


def _node(state: skills.State, x: float, y: float) -> str:
    """A skill as a box: thick and ticked if it is open, dashed if not."""
    done = state.status == "open"
    look = 'stroke="#0072b2" stroke-width="2"' if done else 'stroke="#777" stroke-dasharray="3 2"'
    text = ("\N{CHECK MARK} " if done else "") + state.skill.id
    half = 2.9 * len(text) + 6
    return (
        f'<rect x="{x - half:.0f}" y="{y - 11:.0f}" width="{2 * half:.0f}" height="22" rx="5" '
        f'fill="white" {look}/><text x="{x:.0f}" y="{y + 4:.0f}" text-anchor="middle">'
        f"{escape(text)}</text>"
    )


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
        f"Every skill that this version of the course tests is open.</p>{_drawing(now)}"
        "<table><thead><tr><th>Lesson</th><th></th><th>Skill</th><th>XP</th></tr></thead>"
        f"<tbody>{rows}</tbody></table><p>This is a self-study record. It was computed from the "
        "learner's own file; nobody has confirmed it, and no one was examined.</p></body></html>\n"
    )
