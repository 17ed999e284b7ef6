"""Checks shared by every public function: each names the argument, what was expected, what came."""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np


def describe(value: Any) -> str:
    """A short description of ``value`` for an error message: arrays by shape and dtype."""
    if isinstance(value, np.ndarray):
        return f"array of shape {value.shape} and dtype {value.dtype}"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def as_int(name: str, value: Any, minimum: int | None = None, maximum: int | None = None) -> int:
    """``value`` as a Python int within [minimum, maximum]; bool and float are refused."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Integral):
        raise TypeError(
            f"{name} must be an integer, got {describe(value)} ({type(value).__name__})"
        )
    value = int(value)
    if minimum is not None and value < minimum:
        raise ValueError(f"{name} must be at least {minimum}, got {value}")
    if maximum is not None and value > maximum:
        raise ValueError(f"{name} must be at most {maximum}, got {value}")
    return value


def as_real(
    name: str,
    value: Any,
    low: float = -math.inf,
    high: float = math.inf,
    *,
    include_low: bool = True,
    include_high: bool = True,
) -> float:
    """``value`` as a finite float in the stated interval; bool and text are refused."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a number, got {describe(value)} ({type(value).__name__})")
    value = float(value)
    too_low = value < low or (value == low and not include_low)
    too_high = value > high or (value == high and not include_high)
    if not math.isfinite(value) or too_low or too_high:
        left = "[" if include_low and math.isfinite(low) else "("
        right = "]" if include_high and math.isfinite(high) else ")"
        raise ValueError(
            f"{name} must be a finite number in {left}{low:g}, {high:g}{right}, got {value:g}"
        )
    return value


def as_float_array(
    name: str, value: Any, ndim: int, dtypes: tuple[type, ...] = (np.float32, np.float64)
) -> np.ndarray:
    """``value`` as an ndarray with ``ndim`` dimensions and one of ``dtypes``; nothing is copied."""
    if not isinstance(value, np.ndarray):
        raise TypeError(
            f"{name} must be a NumPy array, got {describe(value)} ({type(value).__name__})"
        )
    if value.dtype not in [np.dtype(d) for d in dtypes]:
        expected = " or ".join(np.dtype(d).name for d in dtypes)
        raise TypeError(f"{name} must have dtype {expected}, got {describe(value)}")
    if value.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} dimension(s), got {describe(value)}")
    return value


def as_index_array(name: str, value: Any, n: int) -> np.ndarray:
    """``value`` as a contiguous int64 array of indices into ``n`` items; empty arrays pass."""
    array = np.asarray(value)
    if array.ndim != 1 or (array.size and not np.issubdtype(array.dtype, np.integer)):
        raise TypeError(
            f"{name} must be a one-dimensional array of integers, got {describe(value)}"
        )
    array = np.ascontiguousarray(array, dtype=np.int64)
    if array.size and (array.min() < 0 or array.max() >= n):
        bad = array[(array < 0) | (array >= n)][0]
        raise ValueError(f"{name} must hold indices from 0 to {n - 1}, got {bad}")
    return array


def as_parts(parts: Any, n: int) -> list[np.ndarray]:
    """``parts`` as a list of contiguous int64 arrays of rows of ``n`` examples, none empty."""
    if isinstance(parts, np.ndarray | str) or not isinstance(parts, Sequence):
        raise TypeError(f"parts must be a list of index arrays, got {describe(parts)}")
    if not parts:
        raise ValueError("parts must hold at least one client, got none")
    checked = [as_index_array(f"parts[{k}]", part, n) for k, part in enumerate(parts)]
    for k, part in enumerate(checked):
        if part.size == 0:
            raise ValueError(f"parts[{k}] must hold at least one example, got none")
    return checked


def require_finite(name: str, array: np.ndarray) -> None:
    """Raise if ``array`` holds NaN or infinity; the message names the first place."""
    if not np.isfinite(array).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise ValueError(f"{name} must be finite, got {array[where]} at index {where}")
