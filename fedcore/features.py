"""Feature skew: the same classes look different from client to client.

A transform is a function from images x (n, side * side) to new ones of the same shape and dtype.
``for_clients`` gives every client its own, ``apply`` carries them out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from fedcore import partition
from fedcore._validate import as_float_array, as_int, as_real, describe
from fedcore.datasets import Dataset

Transform = Callable[[np.ndarray], np.ndarray]
CHUNK = 2048  # images turned at a time: memory stays near that of the result


def rotate(x: np.ndarray, degrees: float) -> np.ndarray:
    """Turn images anticlockwise about their centre; bilinear, 0 comes in from outside.

    x: (n, side * side) float32 or float64. Returns the same shape and dtype.
    """
    x, side = _as_images(x)
    angle = np.deg2rad(as_real("degrees", degrees))
    middle = (side - 1) / 2
    row, column = np.mgrid[:side, :side] - middle
    source_row = np.cos(angle) * row + np.sin(angle) * column + middle
    source_column = -np.sin(angle) * row + np.cos(angle) * column + middle
    turned = np.empty_like(x)
    corners = list(_corners(source_row.ravel(), source_column.ravel(), side))
    for start in range(0, len(x), CHUNK):
        images = x[start : start + CHUNK]
        turned[start : start + CHUNK] = sum(
            images[:, pixels] * weights.astype(x.dtype) for pixels, weights in corners
        )
    return turned


def add_noise(x: np.ndarray, std: float, seed: int = 0) -> np.ndarray:
    """x plus independent Gaussian noise of standard deviation ``std``, cut off at [0, 1].

    Li et al. (2022), "noise-based feature imbalance", but for the cut.
    """
    x = as_float_array("x", x, ndim=2)
    std = as_real("std", std, 0)
    noise = np.random.default_rng(as_int("seed", seed, minimum=0)).standard_normal(x.shape, x.dtype)
    return np.clip(x + x.dtype.type(std) * noise, 0, 1)


def change_contrast(x: np.ndarray, factor: float) -> np.ndarray:
    """Grey values pushed from 1/2 (factor > 1) or drawn to it (< 1): 1/2 + factor (x - 1/2).

    Cut off at [0, 1]; factor -1 turns black into white.
    """
    x = as_float_array("x", x, ndim=2)
    half = x.dtype.type(0.5)
    return np.clip(half + x.dtype.type(as_real("factor", factor)) * (x - half), 0, 1)


def for_clients(kind: str, values: Sequence[float]) -> list[Transform]:
    """One transform for each client: ``kind`` with values[k] at client k.

    kind: "rotation" (degrees), "noise" (standard deviation), "contrast" (factor).
    """
    known = {"rotation": rotate, "contrast": change_contrast}
    if kind == "noise":
        return [partial(add_noise, std=value, seed=k) for k, value in enumerate(values)]
    if kind not in known:
        raise ValueError(f"kind must be rotation, noise or contrast, got {describe(kind)}")
    name = {"rotation": "degrees", "contrast": "factor"}[kind]
    return [partial(known[kind], **{name: value}) for value in values]


def apply(data: Dataset, parts: Sequence[np.ndarray], transforms: Sequence[Transform]) -> Dataset:
    """A new Dataset in which the rows of client k went through transforms[k].

    parts: as from ``partition``; rows that nobody holds stay as they are. ``data`` is untouched.
    """
    parts = partition.check(parts, len(data))
    if len(transforms) != len(parts):
        raise ValueError(f"transforms must hold {len(parts)}, one a client, got {len(transforms)}")
    x = data.x.copy()
    for part, transform in zip(parts, transforms, strict=True):
        x[part] = transform(data.x[part])
    return Dataset(x, data.y, data.n_classes)


def _corners(row: np.ndarray, column: np.ndarray, side: int):
    """The four pixels around each point and their bilinear weights, 0 outside the image."""
    top, left = np.floor(row).astype(np.int64), np.floor(column).astype(np.int64)
    for r, c in ((top, left), (top, left + 1), (top + 1, left), (top + 1, left + 1)):
        weights = (1 - np.abs(row - r)) * (1 - np.abs(column - c))
        inside = (r >= 0) & (r < side) & (c >= 0) & (c < side)
        yield np.where(inside, r * side + c, 0), np.where(inside, weights, 0)


def _as_images(x: np.ndarray) -> tuple[np.ndarray, int]:
    x = as_float_array("x", x, ndim=2)
    side = round(x.shape[1] ** 0.5)
    if side * side != x.shape[1]:
        raise ValueError(f"x must hold square images, (n, side * side), got {x.shape}")
    return x, side
