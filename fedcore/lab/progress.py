"""Experience points (XP) of this session: earned once per key, kept until the kernel ends.

Every question, guess and task has a key. What a key has earned never falls and never adds up:
answering the same question again is worth nothing more.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from fedcore._validate import as_int, describe


@dataclass(frozen=True)
class Earned:
    """What one key is worth so far: ``points`` of ``possible``, and the skills that it shows."""

    key: str
    points: int
    possible: int
    skills: tuple[str, ...] = ()


_lock = threading.Lock()
_earned: dict[str, Earned] = {}
_listeners: list[Callable[[int], object]] = []


def award(key: str, points: int, possible: int, skills: tuple[str, ...] = ()) -> int:
    """Credit ``points`` of ``possible`` to ``key``; returns the points that this added (0 or more).

    Raises TypeError or ValueError that names the argument.
    """
    if not isinstance(key, str) or not key:
        raise TypeError(f"key must be a non-empty name, got {describe(key)}")
    possible = as_int("possible", possible, minimum=0)
    points = as_int("points", points, minimum=0, maximum=possible)
    with _lock:
        before = _earned[key].points if key in _earned else 0
        if points > before or key not in _earned:
            _earned[key] = Earned(key, points, possible, tuple(skills))
        total = _total()
    for listener in list(_listeners):
        listener(total)
    return max(0, points - before)


def total() -> int:
    """XP earned in this session."""
    with _lock:
        return _total()


def earned() -> list[Earned]:
    """What has been earned, in the order in which it was first tried."""
    with _lock:
        return list(_earned.values())


def listen(callback: Callable[[int], object]) -> Callable[[], None]:
    """Call ``callback(total)`` after each award; returns a function that ends that."""
    _listeners.append(callback)
    return lambda: _listeners.remove(callback) if callback in _listeners else None


def clear() -> None:
    """Forget everything: as a restart of the kernel does."""
    with _lock:
        _earned.clear()


def _total() -> int:
    return sum(entry.points for entry in _earned.values())
