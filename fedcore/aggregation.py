"""The server's side: the weighted average of what the clients sent."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fedcore._core import kernels
from fedcore._validate import as_float_array, as_int, as_real, describe, require_finite

DTYPES = (np.dtype(np.float32), np.dtype(np.float64))


def weighted_average(
    updates: np.ndarray | Sequence[np.ndarray],
    weights: np.ndarray | Sequence[float],
    out: np.ndarray | None = None,
) -> np.ndarray:
    """sum_k (weights[k] / sum(weights)) * updates[k]: the aggregation of FedAvg.

    updates: (K, P) array or a list of K arrays (P,), all float32 or all float64; read-only and
    memory-mapped arrays are fine, and contiguous ones are not copied. weights: (K,) non-negative
    numbers, not all zero, usually the clients' numbers of examples n_k. out: (P,) of the same
    dtype, to be written; it must not overlap the updates. Returns (P,), same dtype.

    Sums run in float64 in the order of the clients, whatever the dtype.

    Raises TypeError or ValueError that names the argument: no clients, differing lengths or
    dtypes, a negative or non-finite weight, weights that sum to zero, an update that is not finite.

    Source: McMahan et al. (2017), Algorithm 1: w <- sum_k (n_k / n) w_k.
    """
    rows = _check_updates(updates)
    coefficients = normalize_weights(weights, len(rows))
    out = _check_out(out, rows)
    if not kernels.weighted_average(rows, coefficients, out):
        _blame(rows)
    return out


class RunningAverage:
    """The weighted average of updates that come one at a time and are not kept: O(P) memory.

    For federations whose updates don't fit in memory together. ``add`` each update as it arrives;
    ``result`` equals ``weighted_average`` of all of them, up to rounding in float64.

    Attributes: n_updates, how many were added; total_weight, the sum of their weights.
    """

    def __init__(self, n_params: int):
        self._total = np.zeros(as_int("n_params", n_params, minimum=1), dtype=np.float64)
        self.n_updates = 0
        self.total_weight = 0.0

    def add(self, update: np.ndarray, weight: float) -> None:
        """Add one client's update (P,) float32 with its weight (>= 0, usually n_k).

        Raises TypeError or ValueError that names the argument; the average is then unchanged, so a
        client that sends nonsense can be left out and the next one added.
        """
        weight = as_real("weight", weight, 0)
        update = as_float_array("update", update, ndim=1, dtypes=(np.float32,))
        if len(update) != len(self._total):
            raise ValueError(f"update must hold {len(self._total)} numbers, got {len(update)}")
        require_finite("update", update)
        kernels.add_weighted(self._total, np.ascontiguousarray(update), weight)
        self.n_updates += 1
        self.total_weight += weight

    def result(self) -> np.ndarray:
        """The weighted average so far, (P,) float32. ValueError if there is nothing to average."""
        if self.total_weight == 0:
            raise ValueError(
                f"there is nothing to average: {self.n_updates} updates of total weight 0"
            )
        return (self._total / self.total_weight).astype(np.float32)


def normalize_weights(weights: np.ndarray | Sequence[float], n_clients: int) -> np.ndarray:
    """weights / sum(weights) as float64 (K,); ValueError if that is not possible."""
    array = np.asarray(weights)
    if array.ndim != 1 or array.dtype.kind not in "iuf":
        raise TypeError(
            f"weights must be a one-dimensional array of numbers, got {describe(array)}"
        )
    if len(array) != n_clients:
        raise ValueError(f"weights must hold {n_clients} numbers, one a client, got {len(array)}")
    array = array.astype(np.float64)
    bad = np.flatnonzero(~np.isfinite(array) | (array < 0))
    if bad.size:
        k = bad[0]
        raise ValueError(f"weights must be finite and not negative, got weights[{k}] = {array[k]}")
    if not array.any():
        raise ValueError("weights must not all be zero: there is nothing to average")
    scaled = array / array.max()  # so that the sum of huge or tiny weights stays in range
    return scaled / scaled.sum()


def _check_updates(updates: np.ndarray | Sequence[np.ndarray]) -> np.ndarray | list[np.ndarray]:
    """A contiguous (K, P) array or a list of contiguous (P,) arrays, of one dtype and length."""
    if isinstance(updates, np.ndarray):
        if updates.ndim != 2:
            raise ValueError(f"updates must have shape (K, P), got {updates.shape}")
        rows = updates if updates.dtype in DTYPES else list(updates)
    elif isinstance(updates, list | tuple):
        rows = list(updates)
    else:
        raise TypeError(
            f"updates must be an array (K, P) or a list of arrays, got {describe(updates)}"
        )
    if len(rows) == 0:
        raise ValueError("updates must hold at least one client's update, got none")
    for k, row in enumerate(rows if isinstance(rows, list) else ()):
        if not isinstance(row, np.ndarray) or row.dtype not in DTYPES or row.ndim != 1:
            raise TypeError(
                f"updates[{k}] must be a one-dimensional float32 or float64 array, "
                f"got {describe(row)}"
            )
        if row.shape != rows[0].shape or row.dtype != rows[0].dtype:
            raise ValueError(
                f"updates[{k}] must be like updates[0], {describe(rows[0])}, got {describe(row)}"
            )
    if len(rows[0]) == 0:
        raise ValueError("updates must hold at least one parameter each, got 0")
    if isinstance(rows, np.ndarray):
        return np.ascontiguousarray(rows)
    return [np.ascontiguousarray(row) for row in rows]


def _check_out(out: np.ndarray | None, rows: np.ndarray | list[np.ndarray]) -> np.ndarray:
    like = rows[0]
    if out is None:
        return np.empty(like.shape, dtype=like.dtype)
    if not isinstance(out, np.ndarray) or out.shape != like.shape or out.dtype != like.dtype:
        raise ValueError(
            f"out must be an array like an update, {describe(like)}, got {describe(out)}"
        )
    if not out.flags.c_contiguous or not out.flags.writeable:
        raise ValueError("out must be contiguous and writeable")
    if any(np.may_share_memory(out, row) for row in rows):
        raise ValueError("out must not overlap the updates: they would change while being summed")
    return out


def _blame(rows: np.ndarray | list[np.ndarray]) -> None:
    for k, row in enumerate(rows):
        if not np.isfinite(row).all():
            bad = int(np.flatnonzero(~np.isfinite(row))[0])
            raise ValueError(f"updates[{k}] must be finite, got {row[bad]} at parameter {bad}")
    raise ValueError("updates are finite, but their average is too large for their dtype")
