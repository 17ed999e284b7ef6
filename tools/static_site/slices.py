"""Which cells of a notebook a cell stands on: so that a widget can be made without all the rest."""

from __future__ import annotations

import ast
import builtins
from dataclasses import dataclass, field

MUTATORS = {"add", "append", "clear", "extend", "insert", "pop", "set", "setdefault", "update"}


@dataclass
class Names:
    """The names that a cell reads, the ones it binds, and the ones whose object it changes."""

    reads: set[str] = field(default_factory=set)
    binds: set[str] = field(default_factory=set)
    changes: set[str] = field(default_factory=set)


def names(code: str) -> Names:
    """What a cell of plain Python does to names. Names inside functions count as the cell's."""
    found = Names()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Name):
            (found.reads if isinstance(node.ctx, ast.Load) else found.binds).add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.binds.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found.binds |= {(a.asname or a.name).split(".")[0] for a in node.names}
        elif isinstance(node, ast.AugAssign):
            found.changes |= _root(node.target)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr in MUTATORS:
                found.changes |= _root(node.func.value)
        elif isinstance(node, ast.Attribute | ast.Subscript) and not isinstance(node.ctx, ast.Load):
            found.changes |= _root(node)
    found.reads -= set(vars(builtins))
    return found


def needed(cells: list[str], last: int) -> list[int]:
    """Positions of the cells that cell ``last`` stands on, in order, itself at the end.

    A cell is taken if it binds or changes a name that is needed further down.
    """
    wanted, taken = names(cells[last]).reads, [last]
    for i in range(last - 1, -1, -1):
        own = names(cells[i])
        if wanted & (own.binds | own.changes):
            taken.append(i)
            wanted = (wanted - (own.binds - own.changes)) | own.reads
    return taken[::-1]


def _root(node: ast.AST) -> set[str]:
    """The name that a chain of attributes and subscripts begins with."""
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return {node.id} if isinstance(node, ast.Name) else set()
