"""What a hidden test says: an answer is right, or wrong in a way that can be named."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


class Wrong(Exception):
    """An answer that does not earn its points; the text is what the learner reads."""


def wrong(message: str) -> None:
    """End the test with this diagnosis."""
    raise Wrong(message)


def require(condition: Any, message: str) -> None:
    """``wrong(message)`` unless ``condition``."""
    if not condition:
        raise Wrong(message)


def expect(
    got: Any,
    right: Any,
    mistakes: dict[str, Any] | Sequence[tuple[str, Any]] = (),
    *,
    rtol: float = 1e-4,
    atol: float = 1e-6,
    what: str = "the result",
) -> None:
    """Raise ``Wrong`` unless ``got`` equals ``right`` within ``rtol * |right| + atol``.

    got: numbers, lists or arrays of any dtype. mistakes: {diagnosis: what that mistake gives}, or
    pairs of the two; the first that fits is the message. Otherwise it says what is
    wrong with the shape or the size.
    """
    target, found = np.asarray(right, dtype=float), numbers(got, what)
    if target.size == found.size == 1:
        found = found.reshape(target.shape)
    if found.shape == target.shape and near(found, target, rtol, atol):
        return
    pairs = mistakes.items() if isinstance(mistakes, dict) else mistakes
    for diagnosis, value in pairs:
        value = np.asarray(value, dtype=float)
        if found.size == value.size == 1:
            value = value.reshape(found.shape)
        if value.shape == found.shape and near(found, value, rtol, atol):
            raise Wrong(diagnosis)
    if found.shape != target.shape:
        raise Wrong(f"{cap(what)} has shape {found.shape}, expected {target.shape}.")
    if not np.isfinite(found).all():
        raise Wrong(f"{cap(what)} holds infinite values or NaN.")
    raise Wrong(f"{cap(what)} is off by up to {np.abs(found - target).max():.3g}.")


def numbers(got: Any, what: str = "the result") -> np.ndarray:
    """``got`` as a float array; Wrong if it holds something else."""
    if got is None:
        raise Wrong(f"{cap(what)} is None: is a `return` missing?")
    try:
        return np.asarray(got, dtype=float)
    except (TypeError, ValueError):
        raise Wrong(f"{cap(what)} must hold numbers, got {short(got)}.") from None


def near(a: np.ndarray, b: np.ndarray, rtol: float, atol: float) -> bool:
    """Whether all finite entries agree and the others are the same."""
    return bool(np.isclose(a, b, rtol=rtol, atol=atol, equal_nan=True).all())


def short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def cap(text: str) -> str:
    return text[:1].upper() + text[1:]
