"""The widgets of one notebook as data: ``python -m tools.static_site.capture NOTEBOOK OUT [MOST]``.

Only the cells that a widget stands on are run (see ``slices``), in a process of its own. MOST: at
most so many states of each live panel.
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
import sys
import typing
from pathlib import Path
from typing import Any

import anywidget
from ipywidgets import Widget

from fedcore import lab
from fedcore.lab.live import LivePanel

from .slices import needed
from .states import precomputed, synced

ANSWERS = {"DigitPad"}  # each stroke asks a model: nothing of it can be computed before


def widget_class(name: str) -> type[Widget] | None:
    """What ``lab.name(...)`` puts on the page, if it is a widget."""
    made = getattr(lab, name, None)
    if not isinstance(made, type) and callable(made):
        made = typing.get_type_hints(made).get("return")
    return made if isinstance(made, type) and issubclass(made, Widget) else None


def needs_kernel(kind: type[Widget]) -> bool:
    """Whether a page can't draw it alone: it has no script of ours, or Python answers each move."""
    return kind.__name__ in ANSWERS or not issubclass(kind, anywidget.AnyWidget)


def widget_calls(code: str) -> list[type[Widget]]:
    """The classes of the widgets that a cell makes."""
    found = []
    for node in ast.walk(ast.parse(code)):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="lab"), attr=name)):
                kind = widget_class(name)
                found += [kind] if kind else []
    return found


def show(cells: list[str], last: int) -> list[anywidget.AnyWidget]:
    """Run what cell ``last`` stands on, and it; the widgets that it shows."""
    shown: list[Any] = []
    names = {"__name__": "__main__", "display": lambda *values, **_: shown.extend(values)}
    with contextlib.redirect_stdout(io.StringIO()):
        for i in needed(cells, last):
            shown.clear()
            tree = ast.parse(cells[i])
            final = tree.body[-1] if i == last else None
            if isinstance(final, ast.Expr):
                tree.body.pop()
            exec(compile(tree, "<cell>", "exec"), names)
            if isinstance(final, ast.Expr):
                shown.append(eval(compile(ast.Expression(final.value), "<cell>", "eval"), names))
    return [value for value in shown if isinstance(value, anywidget.AnyWidget)]


def capture(notebook: dict, stem: str, most: int | None = None) -> dict[str, list[dict[str, Any]]]:
    """{cell id: [{"kind", "state", maybe "states"}]}: what each cell with widgets shows."""
    code = [c for c in notebook["cells"] if c["cell_type"] == "code"]
    sources = ["".join(c["source"]) for c in code]
    found = {}
    for i, source in enumerate(sources):
        kinds = [kind.__name__ for kind in widget_calls(source) if not needs_kernel(kind)]
        if not kinds:
            continue
        made = [_data(w, f"{stem}/{code[i]['id']}", most) for w in show(sources, i)]
        if not made:
            raise ValueError(f"{stem}: cell {code[i]['id']} makes {kinds}, but shows no widget")
        found[code[i]["id"]] = made
    return found


def _data(widget: anywidget.AnyWidget, key: str, most: int | None) -> dict[str, Any]:
    kind = {"kind": type(widget).__name__}
    if isinstance(widget, LivePanel):
        return kind | precomputed(widget, key, most)
    return kind | {"state": {name: getattr(widget, name) for name in synced(widget)}}


if __name__ == "__main__":
    path, out = Path(sys.argv[1]), Path(sys.argv[2])
    limit = int(sys.argv[3]) if len(sys.argv) > 3 else None
    data = capture(json.loads(path.read_text(encoding="utf-8")), path.stem, limit)
    out.write_text(json.dumps(data, sort_keys=True, allow_nan=False), encoding="utf-8")
