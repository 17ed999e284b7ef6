"""A table of results that stays readable on a narrow screen: it scrolls instead of wrapping."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from numbers import Real

from fedcore._validate import describe
from fedcore.lab.style import html_block


class Table:
    """Named rows under named columns: HTML in a notebook, aligned text elsewhere. See table."""

    def __init__(self, title: str, columns: list[str], rows: dict[str, list[str]]):
        self.title, self.columns, self.rows = title, columns, rows

    def __repr__(self) -> str:
        lines = [["", *self.columns], *([name, *cells] for name, cells in self.rows.items())]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join(_aligned(line, widths) for line in lines)

    def _repr_html_(self) -> str:
        head = "".join(f'<th scope="col">{escape(name)}</th>' for name in self.columns)
        body = "".join(
            f'<tr><th scope="row">{escape(name)}</th>'
            + "".join(f"<td>{escape(cell)}</td>" for cell in cells)
            + "</tr>"
            for name, cells in self.rows.items()
        )
        title = escape(self.title, quote=True)
        return html_block(
            f'<div class="fc-scroll" tabindex="0" role="region" aria-label="{title}">'
            f'<table class="fc-table fc-named"><thead><tr><td></td>{head}</tr></thead>'
            f"<tbody>{body}</tbody></table></div>"
        )


def table(
    rows: Mapping[str, Mapping[str, float | str]],
    title: str,
    digits: int | Mapping[str, int] = 0,
) -> Table:
    """``rows`` as something to be shown last in a cell.

    rows: {name of the row: {name of the column: number or text}}, the same columns in each row.
    title: what the table shows, for those who can't see it.
    digits: decimals of the numbers, for all columns or {column: decimals} (0 where not named).

    Raises ValueError if there is no row or the rows differ in their columns, if ``digits`` names
    a column that is not there, or without a title; TypeError for a cell that is neither.
    """
    if not isinstance(title, str) or not title.strip():
        raise ValueError(f"title must say what the table shows, got {title!r}")
    if not rows:
        raise ValueError("rows must hold at least one row, got none")
    columns = list(next(iter(rows.values())))
    for name, row in rows.items():
        if list(row) != columns:
            raise ValueError(f"rows[{name!r}] must have the columns {columns}, got {list(row)}")
    if isinstance(digits, int):
        digits = dict.fromkeys(columns, digits)
    if unknown := set(digits) - set(columns):
        raise ValueError(f"digits must name columns of {columns}, got {sorted(unknown)}")
    cells = {
        name: [_cell(row[column], digits.get(column, 0), name, column) for column in columns]
        for name, row in rows.items()
    }
    return Table(title, columns, cells)


def _cell(value: float | str, digits: int, row: str, column: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, Real):
        what = describe(value)
        raise TypeError(f"rows[{row!r}][{column!r}] must be a number or a text, got {what}")
    return f"{value:.{digits}f}"


def _aligned(line: list[str], widths: list[int]) -> str:
    name, *cells = line
    right = (f"{cell:>{width}}" for cell, width in zip(cells, widths[1:], strict=True))
    return "   ".join([f"{name:<{widths[0]}}", *right]).rstrip()
