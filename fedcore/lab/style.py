"""What everything on the screen shares: files of ``static/``, safe text, numbers in words."""

from __future__ import annotations

import re
from functools import cache
from html import escape
from pathlib import Path

STATIC = Path(__file__).parent / "static"
NBSP = "\N{NO-BREAK SPACE}"


@cache
def esm(*names: str) -> str:
    """One ECMAScript module made of files in static/: the last one exports, the others help."""
    return "\n".join((STATIC / name).read_text(encoding="utf-8") for name in names)


@cache
def css(*more: str) -> str:
    """The style sheet of all widgets, and those of ``more`` files in static/ behind it."""
    return "\n".join((STATIC / name).read_text(encoding="utf-8") for name in ("lab.css", *more))


@cache
def _output_css() -> str:
    text = (STATIC / "output.css").read_text(encoding="utf-8")
    return re.sub(r"/\*.*?\*/", "", text, flags=re.S).replace("\n", "")


def html_block(body: str) -> str:
    """``body`` (already safe HTML) with its small style sheet: an output that needs no widget."""
    return f'<style>{_output_css()}</style><div class="fc-out">{body}</div>'


def rich(text: str) -> str:
    """``text`` as safe HTML. Everything is escaped, then two marks are honoured:

    `` `code` `` and ``$maths$``. In maths, Latin letters are set in italics, ``_`` and ``^`` begin
    a subscript or superscript of one character or of ``{several}``.
    """
    pieces = re.split(r"(`[^`]+`|\$[^$]+\$)", text)
    return "".join(_marked(piece) for piece in pieces)


def _marked(piece: str) -> str:
    if len(piece) > 2 and piece[0] == piece[-1] == "`":
        return f"<code>{escape(piece[1:-1])}</code>"
    if len(piece) > 2 and piece[0] == piece[-1] == "$":
        return f'<span class="fc-math">{_maths(piece[1:-1])}</span>'
    return escape(piece)


def _maths(text: str) -> str:
    parts = re.split(r"([_^])(\{[^}]*\}|.)", text)
    html = _italics(parts[0])
    for mark, body, rest in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        tag = "sub" if mark == "_" else "sup"
        html += f"<{tag}>{_italics(body.strip('{}'))}</{tag}>{_italics(rest)}"
    return html


def _italics(text: str) -> str:
    """Single letters in italics, words (log, max) upright."""
    pieces = re.split(r"([A-Za-z]+)", text)
    return "".join(f"<i>{p}</i>" if len(p) == 1 and p.isalpha() else escape(p) for p in pieces)


def plain(text: str) -> str:
    """``text`` without the marks that ``rich`` honours: for consoles and aria labels."""
    return re.sub(r"`([^`]+)`|\$([^$]+)\$", lambda m: m[1] or re.sub(r"[{}]", "", m[2]), text)


def percent(share: float, digits: int = 1) -> str:
    """0.9123 -> '91.2 %'."""
    return f"{100 * share:.{digits}f}{NBSP}%"


def size(n_bytes: float) -> str:
    """1 kB = 1000 bytes: 31400 -> '31.4 kB', 6280000 -> '6.28 MB'; three figures."""
    if n_bytes < 1000:
        return f"{n_bytes:.0f}{NBSP}B"
    for unit in ("kB", "MB", "GB"):
        n_bytes /= 1000
        if n_bytes < 999.5 or unit == "GB":
            break
    digits = max(0, 2 - len(str(int(n_bytes))) + 1)
    return f"{n_bytes:.{digits}f}{NBSP}{unit}"


def seconds(duration: float) -> str:
    """Under ten seconds two figures, then whole seconds, then minutes."""
    if duration < 60:
        return f"{duration:.2g}{NBSP}s" if duration < 9.95 else f"{duration:.0f}{NBSP}s"
    return f"{duration / 60:.1f}{NBSP}min"


def number(value: float) -> str:
    """At most four figures, no exponent for what a person reads: 0.1, 2.5, 1000."""
    return f"{value:.4g}" if abs(value) < 1e5 else f"{value:,.0f}"


def count(n: int, noun: str) -> str:
    """'1 client', '2 clients'."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"
