"""An exercise as its source notebook in ``solutions/`` states it: the cells that carry points.

A graded cell ends in a part that the release strips:

    # 3 points: the larger client counts for more
    lab.grade("02_fedavg", "mean-weights")
    ### BEGIN HIDDEN TESTS
    def test(weighted_mean):                     # the parameters name the answers that are tested
        expect(weighted_mean(updates, weights), right, {"You forgot the weights.": plain_mean})
    ### END HIDDEN TESTS

A parameter is a ``fedcore.grading.process.Answer``. At hand are ``np``, ``fc``, ``expect``,
``require``, ``wrong``, ``Helper``, and ``ref``: the reference answers' own definitions.
"""

from __future__ import annotations

import inspect
import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

import fedcore
from fedcore.grading import compare, plain

MAX_NOTEBOOK = 20_000_000  # bytes
_HIDDEN = re.compile(r"### BEGIN HIDDEN TESTS\n(.*?)### END HIDDEN TESTS", re.S)


class Unreadable(ValueError):
    """A file that is no notebook."""


@dataclass(frozen=True)
class Check:
    """One graded cell. id: its grade_id. points: what it is worth. title: its first line."""

    id: str
    points: int
    title: str
    test: Callable[..., None] = field(repr=False)

    @property
    def answers(self) -> list[str]:
        """The names of the answers that it tests."""
        return list(inspect.signature(self.test).parameters)


class Exercise:
    """The source notebook at ``path``. Raises ValueError that names a graded cell with a fault."""

    def __init__(self, path: str | Path):
        self.path, self.name = Path(path), Path(path).stem
        self.cells = read_cells(self.path)
        graded = [cell for cell in self.cells if cell["nbgrader"].get("grade")]
        self.checks = [self._check(cell) for cell in graded]
        ids = [check.id for check in self.checks]
        if len(set(ids)) < len(ids):
            raise ValueError(f"{self.name}: a grade_id is used twice in {ids}")

    @property
    def points(self) -> int:
        """What the whole exercise is worth."""
        return sum(check.points for check in self.checks)

    @cached_property
    def reference(self) -> SimpleNamespace:
        """What the solution cells define."""
        space: dict[str, Any] = {"np": np, "fc": fedcore}
        for cell in self.cells:
            if cell["nbgrader"].get("solution"):
                exec(compile(cell["source"], f"<{self.name}>", "exec"), space)
        return SimpleNamespace(**{k: v for k, v in space.items() if not k.startswith("__")})

    def _check(self, cell: dict[str, Any]) -> Check:
        place = f"{self.name}: {cell['nbgrader'].get('grade_id')}"
        found = _HIDDEN.search(cell["source"] + "\n")
        if found is None:
            raise ValueError(f"{place}: expected a part between BEGIN and END HIDDEN TESTS")
        space = {"np": np, "fc": fedcore, "Helper": plain.Helper, "ref": _Later(self)}
        space |= {"expect": compare.expect, "require": compare.require, "wrong": compare.wrong}
        exec(compile(found[1], f"<{place}>", "exec"), space)
        title = re.sub(r"^#\s*\d+ points?:\s*", "", cell["source"].splitlines()[0])
        points = int(cell["nbgrader"]["points"])
        return Check(cell["nbgrader"]["grade_id"], points, title, space["test"])


class _Later:
    """``exercise.reference``, made when it is first used."""

    def __init__(self, exercise: Exercise):
        self._exercise = exercise

    def __getattr__(self, name: str) -> Any:
        return getattr(self._exercise.reference, name)


def read_cells(path: str | Path) -> list[dict[str, Any]]:
    """The code cells of a notebook: [{"source": text, "nbgrader": metadata}, ...].

    Raises Unreadable in words: no file, too large, no JSON, no notebook of format 4.
    """
    path = Path(path)
    if not path.is_file():
        raise Unreadable(f"there is no file {path.name}")
    if path.stat().st_size > MAX_NOTEBOOK:
        size = path.stat().st_size / 1e6
        limit = MAX_NOTEBOOK // 10**6
        raise Unreadable(f"{path.name} has {size:.0f} MB; more than {limit} MB are not read")
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        cells = [_code_cell(cell) for cell in data["cells"] if cell["cell_type"] == "code"]
    except RecursionError:
        raise Unreadable(f"{path.name} is no notebook: nested too deeply") from None
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        text = f"{type(error).__name__}: {error}"
        raise Unreadable(f"{path.name} is no notebook: {text[:200]}") from None
    return cells


def _code_cell(cell: dict[str, Any]) -> dict[str, Any]:
    source = cell["source"]
    source = source if isinstance(source, str) else "".join(source)
    metadata = cell.get("metadata", {}).get("nbgrader", {})
    return {"source": source, "nbgrader": metadata if isinstance(metadata, dict) else {}}


def find(name: str) -> Exercise:
    """The exercise ``name``: in ``$FEDCORE_SOLUTIONS``, in a folder above this one, or beside the
    package. FileNotFoundError where there is none, as on a machine that is not the teacher's.
    """
    here = Path.cwd()
    roots = [*(folder / "solutions" for folder in (here, *here.parents))]
    roots.append(Path(fedcore.__file__).resolve().parents[1] / "solutions")
    if "FEDCORE_SOLUTIONS" in os.environ:
        roots.insert(0, Path(os.environ["FEDCORE_SOLUTIONS"]))
    for root in roots:
        if (root / name / f"{name}.ipynb").is_file():
            return Exercise(root / name / f"{name}.ipynb")
    raise FileNotFoundError(f"the checks of exercise {name!r} are not on this machine")
