"""Who holds what: split the rows of a data set over clients.

Every function returns a list with one int64 array of row numbers per client, sorted, disjoint and
never empty. The same seed gives the same partition.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import numpy as np

from fedcore._validate import as_int, as_parts, describe


def iid(y: np.ndarray | int, n_clients: int, seed: int = 0) -> list[np.ndarray]:
    """Shuffle all examples and deal them evenly: every client sees the same distribution.

    y: labels (n,), or just their number n. Every example is dealt; where n is no multiple of
    ``n_clients``, sizes differ by one. Raises ValueError if there are more clients than examples.

    Source: McMahan et al. (2017), section 3, "IID".
    """
    n = _n_examples(y)
    n_clients = _as_n_clients(n_clients, n)
    order = _rng(seed).permutation(n)
    return [np.sort(part) for part in np.array_split(order, n_clients)]


def shards(
    y: np.ndarray, n_clients: int, shards_per_client: int = 2, seed: int = 0
) -> list[np.ndarray]:
    """Sort by label, cut into n_clients * shards_per_client shards, deal them at random.

    y: labels (n,). With 2 shards most clients hold two classes only, with 1 shard mostly one: a
    pathological label skew. Every example is dealt; where n is no multiple of the number of
    shards, shards differ by one example. Raises ValueError if there are more shards than examples.

    Source: McMahan et al. (2017), section 3, "Non-IID": 60,000 examples sorted by digit, 200
    shards of 300, two for each of 100 clients.
    """
    y = _as_labels(y)
    n_clients = _as_n_clients(n_clients, len(y))
    per_client = as_int("shards_per_client", shards_per_client, minimum=1)
    n_shards = n_clients * per_client
    if n_shards > len(y):
        raise ValueError(
            f"n_clients * shards_per_client must be at most the number of examples, {len(y)}, "
            f"got {n_clients} * {per_client} = {n_shards}"
        )
    pieces = np.array_split(np.argsort(y, kind="stable"), n_shards)
    dealt = _rng(seed).permutation(n_shards).reshape(n_clients, per_client)
    return [np.sort(np.concatenate([pieces[s] for s in hand])) for hand in dealt]


def by_sizes(y: np.ndarray | int, sizes: Sequence[int], seed: int = 0) -> list[np.ndarray]:
    """Shuffle all examples and give client k the next ``sizes[k]`` of them.

    y: labels (n,), or just their number n. sizes: at least one integer, each at least 1. Examples
    left over when the sizes add up to less than n belong to nobody. Raises ValueError if they add
    up to more.
    """
    n = _n_examples(y)
    if isinstance(sizes, str) or not isinstance(sizes, Sequence | np.ndarray):
        raise TypeError(f"sizes must be a sequence of integers, got {describe(sizes)}")
    sizes = [as_int(f"sizes[{k}]", size, minimum=1) for k, size in enumerate(sizes)]
    if not sizes:
        raise ValueError("sizes must name at least one client, got none")
    if sum(sizes) > n:
        raise ValueError(f"sizes must add up to at most {n} examples, got {sum(sizes)}")
    order = _rng(seed).permutation(n)
    ends = list(accumulate(sizes))
    return [np.sort(order[end - size : end]) for end, size in zip(ends, sizes, strict=True)]


def check(parts: Sequence[np.ndarray], n_examples: int) -> list[np.ndarray]:
    """``parts`` as int64 arrays, if it is a partition of (some of) ``n_examples`` rows.

    Raises TypeError or ValueError that names the client: no clients, more clients than examples, a
    part that is empty or no integer array, a row out of range, a row held twice.
    """
    n = as_int("n_examples", n_examples, minimum=1)
    checked = as_parts(parts, n)
    rows = np.concatenate(checked)
    held = np.bincount(rows, minlength=n)
    if held.max() > 1:
        row = int(held.argmax())
        owners = [k for k, part in enumerate(checked) for _ in range(int((part == row).sum()))]
        raise ValueError(
            f"parts must be disjoint: row {row} is in parts[{owners[0]}] and parts[{owners[1]}]"
        )
    return checked


def _n_examples(y: np.ndarray | int) -> int:
    if np.ndim(y) == 0:
        return as_int("y", y, minimum=1)
    return len(_as_labels(y))


def _as_labels(y: np.ndarray) -> np.ndarray:
    array = np.asarray(y)
    if array.ndim != 1 or (array.size and not np.issubdtype(array.dtype, np.integer)):
        raise TypeError(f"y must be a one-dimensional array of integer labels, got {describe(y)}")
    if array.size == 0:
        raise ValueError("y must hold at least one label, got none")
    return array


def _as_n_clients(n_clients: int, n_examples: int) -> int:
    n_clients = as_int("n_clients", n_clients, minimum=1)
    if n_clients > n_examples:
        raise ValueError(
            f"n_clients must be at most the number of examples, {n_examples}, got {n_clients}"
        )
    return n_clients


def _rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(as_int("seed", seed, minimum=0))
