"""Experience points (XP): earned once per key, kept on this machine, and nowhere else.

The rules. Every question, guess and task has a key. What a key has earned never falls and never
adds up, so that repeating something is worth nothing:

- a quiz question is worth 10 at the first attempt, 5 at the second, 2 later; attempts are counted
  in the record, also across restarts;
- a prediction is worth up to 10, by a proper scoring rule; the first reveal is final;
- a challenge on a panel is worth up to 10, for the best run so far;
- a graded check is worth 10 for each of its points, however many attempts it took.

The record is the file ``location()``. ``save`` and ``load`` carry it to another machine.
"""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fedcore._validate import as_int, describe
from fedcore.lab.store import RecordWarning, Store, as_text, default_path, from_text


@dataclass(frozen=True)
class Earned:
    """What one key is worth so far: ``points`` of ``possible``, and the skills that it shows."""

    key: str
    points: int
    possible: int
    skills: tuple[str, ...] = ()


_lock = threading.Lock()
_stores: dict[Path, Store] = {}
_listeners: list[Callable[[int], object]] = []


def award(
    key: str, points: int, possible: int, skills: tuple[str, ...] = (), *, once: bool = False
) -> int:
    """Credit ``points`` of ``possible`` to ``key``; returns the points that this added (0 or more).

    once: the first credit is final. When the call returns, the credit is on the disk.

    Raises TypeError or ValueError that names the argument.
    """
    if not isinstance(key, str) or not key:
        raise TypeError(f"key must be a non-empty name, got {describe(key)}")
    possible = as_int("possible", possible, minimum=0)
    points = as_int("points", points, minimum=0, maximum=possible)
    added = _store().best(key, points, possible, tuple(skills), once)
    _tell()
    return added


def attempt(key: str) -> int:
    """Count one more attempt at ``key``; returns how many there were, this one included."""
    return _store().attempt(key)


def total() -> int:
    """All XP of the record."""
    return sum(entry.points for entry in earned())


def earned() -> list[Earned]:
    """What has been earned, in the order in which it was first tried."""
    return [Earned(*row) for row in _store().rows()]


def listen(callback: Callable[[int], object]) -> Callable[[], None]:
    """Call ``callback(total)`` after each award here; returns a function that ends that."""
    _listeners.append(callback)
    return lambda: _listeners.remove(callback) if callback in _listeners else None


def clear() -> None:
    """Forget everything, on the disk too. There is no way back but an exported record."""
    _store().clear()
    _tell()


def location() -> Path:
    """The file that holds the record."""
    return _store().path


def save(path: str | Path = "my-progress.json") -> Path:
    """Write the whole record to one file, to be taken along; returns where it lies."""
    path = Path(path)
    partial = path.with_name(f".{path.name}.part")
    partial.write_text(as_text(_store()), encoding="utf-8")
    os.replace(partial, path)
    return path.resolve()


def load(path: str | Path = "my-progress.json") -> int:
    """Merge a saved record into this one: of each key the better counts. Returns the total XP.

    Raises FileNotFoundError, or ValueError that says what is wrong; the record is then unchanged.
    """
    path = Path(path)
    try:
        rows, tries = from_text(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from None
    _store().merge(rows, tries)
    _tell()
    return total()


def _tell() -> None:
    if _listeners:
        now = total()
        for listener in list(_listeners):
            listener(now)


def _store() -> Store:
    """The record; where its folder can't be written, one that ends with this session."""
    path = default_path()
    with _lock:
        if path not in _stores:
            _stores[path] = _usable(path)
        return _stores[path]


def _usable(path: Path) -> Store:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if os.access(path.parent, os.W_OK) and (not path.exists() or os.access(path, os.W_OK)):
            return Store(path)
    except OSError:
        pass  # said below
    import tempfile

    warnings.warn(
        f"{path} can't be written: your points are kept for this session only. "
        "lab.progress.save() writes them where you like.",
        RecordWarning,
        stacklevel=4,
    )
    return Store(Path(tempfile.mkdtemp(prefix="fedcore-")) / "progress.sqlite3")
