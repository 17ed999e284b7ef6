"""What a student gets back: one HTML page that needs nothing else, also no network."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from fedcore.grading.engine import Result

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem;
  color: #212121; background: #fff }
h1 { font-size: 1.5rem; margin-bottom: 0 }
section { border-left: 4px solid #00704f; padding: .1rem 1rem; margin: 1.2rem 0 }
section.lost { border-color: #b03a00 }
h2 { font-size: 1.05rem; margin: .3rem 0 }
p { margin: .3rem 0 }
pre { background: #f4f4f4; padding: .6rem; overflow: auto; font-size: .85rem }
summary { cursor: pointer; color: #5f5f5f }
@media (prefers-color-scheme: dark) { body { color: #e6e6e6; background: #181818 }
  pre { background: #262626 } section { border-color: #41cda5 }
  section.lost { border-color: #ff9a5c }
  summary { color: #b9b9b9 } }
"""


def page(student: str, exercise: str, results: Sequence[Result], problem: str = "") -> str:
    """The page: total, then each check with its points, the diagnosis and the code that was run.

    problem: why the hand-in could not be read; empty if it could.
    """
    earned, possible = sum(r.points for r in results), sum(r.check.points for r in results)
    title = f"{exercise}: {earned} of {possible} points"
    note = f"<p><b>Not graded:</b> {escape(problem)}.</p>" if problem else ""
    body = "".join(_section(result) for result in results)
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>"
        f"<h1>{escape(title)}</h1><p>{escape(student)}</p>{note}{body}</body></html>\n"
    )


def _section(result: Result) -> str:
    right = result.points == result.check.points
    mark = "\N{CHECK MARK}" if right else "\N{MULTIPLICATION X}"
    code = ""
    if result.code:
        code = f"<details><summary>Your code</summary><pre>{escape(result.code)}</pre></details>"
    return (
        f'<section{"" if right else " class=lost"}><h2><span aria-hidden="true">{mark}</span> '
        f"{result.points} of {result.check.points}: {escape(result.check.title)}</h2>"
        f"<p>{escape(result.message)}</p>{code}</section>"
    )
