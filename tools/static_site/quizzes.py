"""What a page needs to mark a quiz without Python, and the same quiz as text without JavaScript."""

from __future__ import annotations

from html import escape
from typing import Any

from fedcore.lab.style import rich


def marking_key(quiz: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """{question id: what ``static/quiz_marks.js`` marks it by}; remarks as safe HTML."""
    return {question["id"]: _key(question) for question in quiz["questions"]}


def _key(question: dict[str, Any]) -> dict[str, Any]:
    kind = question["kind"]
    if kind in ("choice", "several"):
        notes = [[o.get("correct", False), rich(o["why"])] for o in question["options"]]
        return {"kind": kind, "notes": notes}
    if kind == "line":
        whys = {**question["others"], str(question["wrong"]): question["why"]}
        n = len(question["lines"])
        notes = [[i == question["wrong"], rich(whys[str(i)])] for i in range(n)]
        return {"kind": kind, "notes": notes}
    if kind == "number":
        targets = [
            {"answer": t["answer"], "tolerance": t["tolerance"], "why": rich(t["why"])}
            for t in (question, *question.get("mistakes", []))
        ]
        return {"kind": kind, "targets": targets}
    return {"kind": kind, "why": rich(question["why"])}


def as_text(quiz: dict[str, Any]) -> str:
    """Every question with its answer folded away: HTML that needs no script."""
    return "".join(
        f"<div><p><b>{rich(q['question'])}</b></p>{_choices(q)}"
        f"<details><summary>Answer</summary>{_answer(q)}</details></div>"
        for q in quiz["questions"]
    )


def _choices(question: dict[str, Any]) -> str:
    if question["kind"] in ("choice", "several"):
        items = [rich(o["text"]) for o in question["options"]]
    elif question["kind"] == "line":
        items = [f"<code>{escape(line)}</code>" for line in question["lines"]]
    else:
        items = sorted(map(rich, question.get("steps", [])))
    return f"<ul>{''.join(f'<li>{item}</li>' for item in items)}</ul>" if items else ""


def _answer(question: dict[str, Any]) -> str:
    kind = question["kind"]
    if kind in ("choice", "several"):
        marks = {True: "Right", False: "Wrong"}
        rows = [
            f"<li>{rich(o['text'])} <b>{marks[o.get('correct', False)]}.</b> {rich(o['why'])}</li>"
            for o in question["options"]
        ]
        return f"<ul>{''.join(rows)}</ul>"
    if kind == "line":
        right = f"<code>{escape(question['lines'][question['wrong']])}</code>"
    elif kind == "number":
        right = f"{question['answer']:g} {escape(question.get('unit', ''))}".strip()
    else:
        right = "; ".join(rich(step) for step in question["steps"])
    return f"<p>{right}. {rich(question['why'])}</p>"
