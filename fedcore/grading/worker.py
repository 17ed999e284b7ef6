"""The process that runs one answer: reads cells, calls the function, sends plain data back.

Started by ``fedcore.grading.process`` as a script of its own. It never holds an expected result.
"""

from __future__ import annotations

import ast
import ctypes
import io
import json
import linecache
import os
import re
import sys
from typing import Any

MAX_TEXT = 400  # characters of an error message


def main() -> None:
    setup = json.loads(sys.argv[1])
    sys.path[:] = setup["path"]
    requests = os.fdopen(os.dup(0), "rb")
    replies = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):  # what an answer prints goes nowhere, however much it is
        os.dup2(nowhere, number)
    sys.stdin = io.StringIO("")
    os.chdir(setup["scratch"])
    if hasattr(os, "sched_setaffinity"):  # one core: libraries then start no threads
        os.sched_setaffinity(0, {_present_core()})

    from fedcore.grading import plain, sandbox

    read, limits = setup["read"], setup["limits"]
    in_force = {
        "limits": sandbox.limit(limits["cpu_seconds"], limits["memory"], limits["file"]),
        "files": sandbox.restrict_files(read, setup["scratch"]),
    }
    sandbox.watch(read, setup["scratch"])
    serve(plain, requests, replies, in_force)


def _present_core() -> int:
    """The core that the system has put this process on, which is one that had little to do."""
    core = ctypes.CDLL(None).sched_getcpu() if sys.platform == "linux" else -1
    return core if core >= 0 else min(os.sched_getaffinity(0))


def serve(plain: Any, requests: Any, replies: Any, in_force: dict[str, bool]) -> None:
    """Answer requests until the other side closes: first the cells, then calls."""
    plain.write(replies, in_force)
    try:
        job = plain.read(requests)
    except EOFError:
        return
    space: dict[str, Any] = {"__name__": "answer"}
    name = job["name"]
    send(plain, replies, lambda: load(job["cells"], name, space))
    while True:
        try:
            request = plain.read(requests)
        except EOFError:
            return
        if request["do"] == "value":
            send(plain, replies, lambda: space[name])
        else:
            arguments = [revive(plain, value) for value in request["arguments"]]
            named = {key: revive(plain, value) for key, value in request["named"].items()}
            send(plain, replies, lambda: space[name](*arguments, **named))  # noqa: B023


def send(plain: Any, replies: Any, compute: Any) -> None:
    """Send what ``compute`` returns, or the error that it ends in."""
    try:
        try:
            value = compute()
        except BaseException as error:  # sys.exit and KeyboardInterrupt too
            plain.write(replies, {"error": describe(error)})
            return
        try:
            plain.write(replies, {"value": value})
        except (TypeError, ValueError, RecursionError) as error:
            text = f"returned what is not plain data: {error}"
            plain.write(replies, {"error": {"kind": "type", "message": text[:MAX_TEXT]}})
    except MemoryError:
        plain.write(replies, {"error": {"kind": "MemoryError", "message": "", "where": ""}})


def describe(error: BaseException) -> dict[str, str]:
    """Kind, message and place of an error, in few and plain words."""
    try:
        message = str(error)[:MAX_TEXT]
    except BaseException:
        message = ""
    where, trace = "", error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if file.startswith("<your cell"):
            line = linecache.getline(file, trace.tb_lineno).strip()[:120]
            where = f"line {trace.tb_lineno}: {line}"
        trace = trace.tb_next
    if isinstance(error, SyntaxError):
        where = f"line {error.lineno}: {(error.text or '').strip()[:120]}"
        message = str(error.msg)[:MAX_TEXT]
    return {"kind": type(error).__name__[:80], "message": message, "where": where}


def revive(plain: Any, value: Any) -> Any:
    """Helpers become functions, layer sizes become models, wherever they stand."""
    if isinstance(value, plain.Helper):
        space: dict[str, Any] = {}
        exec("import numpy as np\nimport fedcore as fc\n" + value, space)
        return list(space.values())[-1]
    if isinstance(value, plain.Model):
        from fedcore.models import MLP, Softmax

        return Softmax(*value) if len(value) == 2 else MLP(*value)
    if isinstance(value, list):
        return [revive(plain, item) for item in value]
    if isinstance(value, dict):
        return {key: revive(plain, item) for key, item in value.items()}
    return value


# ------------------------------------------------------------------------------- reading cells


class NoAnswer(Exception):
    """No cell defines the name."""


def load(cells: list[str], name: str, space: dict[str, Any]) -> int:
    """Run the last cell that defines ``name``; of all others only imports and definitions.

    Returns the position of that cell. A value that some other cell computed is not there: an
    answer has its parameters, not what happens to be left over in a notebook.
    """
    trees, faults = [], {}
    for i, cell in enumerate(cells):
        cell = re.sub(r"^(\s*)[%!].*$", r"\1pass", cell, flags=re.M)
        file = f"<your cell {i}>"
        linecache.cache[file] = (len(cell), None, cell.splitlines(True), file)
        try:
            trees.append(ast.parse(cell, file))
        except (SyntaxError, ValueError, RecursionError, MemoryError) as fault:
            trees.append(ast.Module([], []))
            if re.search(rf"^(def\s+)?{name}\b", cell, re.M):
                faults[i] = fault
    binding = [i for i, tree in enumerate(trees) if any(name in bound(node) for node in tree.body)]
    last = max([*binding, *faults], default=None)
    if last is None:
        raise NoAnswer(name)
    if last in faults:
        raise faults[last]
    for i, tree in enumerate(trees):
        if i != last:
            run_definitions(tree, f"<your cell {i}>", space)
    try:
        exec(compile(trees[last], f"<your cell {last}>", "exec"), space)
    except Exception:
        if not callable(space.get(name)):  # a trial below a finished function may fail
            raise
    return last


def run_definitions(tree: ast.Module, file: str, space: dict[str, Any]) -> None:
    """Imports, functions and classes of a cell, each on its own; what fails is left out."""
    for node in tree.body:
        if not isinstance(node, ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef):
            continue
        if isinstance(node, ast.ImportFrom) and node.module in ("fedcore", "fedcore.lab"):
            node.names = [a for a in node.names if a.name not in ("lab", "plots")]
            if not node.names or node.module == "fedcore.lab":
                continue  # what draws is slow to load and of no use here
        try:
            exec(compile(ast.Module([node], []), file, "exec"), space)
        except Exception:
            continue  # the answer will say so if it needed that


def bound(node: ast.stmt) -> set[str]:
    """The names that a statement at the top of a cell defines."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
        return {node.name}
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {(alias.asname or alias.name).split(".")[0] for alias in node.names}
    return {
        inner.id
        for inner in ast.walk(node)
        if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store)
    }


if __name__ == "__main__":
    main()
