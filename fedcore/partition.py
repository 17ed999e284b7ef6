"""Who holds what: split the rows of a data set over clients.

Every function returns a list with one int64 array of row numbers per client, sorted, disjoint and
never empty. The same seed gives the same partition.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import numpy as np

from fedcore._validate import as_index_array, as_int, as_parts, as_real, describe


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


def dirichlet(y: np.ndarray, n_clients: int, alpha: float, seed: int = 0) -> list[np.ndarray]:
    """Share out each class by proportions drawn from a symmetric Dirichlet(alpha) over the clients.

    y: labels (n,). Small ``alpha`` (0.1) means strong skew: a class goes to few clients; large
    (100) comes near IID. Sizes differ too, the more so the smaller alpha is. Every example is
    dealt once. A client left with nothing takes one example from the client that then holds most;
    no draw is thrown away. Raises ValueError if there are more clients than examples.

    Source: Yurochkin et al. (2019), section 4; Li et al. (2022), "distribution-
    based label imbalance". (Hsu et al. 2019 draw the classes of each client instead,
    with equal sizes: their alpha is not comparable.)
    """
    y = _as_labels(y)
    n_clients = _as_n_clients(n_clients, len(y))
    alpha = as_real("alpha", alpha, 0, include_low=False)
    rng = _rng(seed)
    hands: list[list[np.ndarray]] = [[] for _ in range(n_clients)]
    for label in np.unique(y):
        rows = rng.permutation(np.flatnonzero(y == label))
        for hand, piece in zip(hands, _share_out(rows, n_clients, alpha, rng), strict=True):
            hand.append(piece)
    return _feed_the_empty([np.concatenate(hand) for hand in hands])


def quantity_skew(
    y: np.ndarray | int, n_clients: int, alpha: float, seed: int = 0
) -> list[np.ndarray]:
    """Every client sees the same distribution, but some see far more of it.

    y: labels (n,), or just their number n. The clients' shares of all examples are drawn from a
    symmetric Dirichlet(alpha): small ``alpha`` means very unequal sizes, large nearly equal ones.
    Every example is dealt once; a client left with nothing takes one from the largest.
    Raises ValueError if there are more clients than examples.

    Source: Li et al. (2022), "quantity skew".
    """
    n = _n_examples(y)
    n_clients = _as_n_clients(n_clients, n)
    alpha = as_real("alpha", alpha, 0, include_low=False)
    rng = _rng(seed)
    return _feed_the_empty(_share_out(rng.permutation(n), n_clients, alpha, rng))


def by_group(groups: np.ndarray, n_clients: int, seed: int = 0) -> list[np.ndarray]:
    """A natural split: each client belongs to one group, a language, a hospital, and holds only it.

    groups: the group of each example, integers (n,). Client k belongs to the group in place
    k mod G of the G sorted groups, whose examples are shuffled and dealt evenly among its clients:
    within a group all are alike. Every example is dealt once. Raises ValueError if there are fewer
    clients than groups, or more clients in a group than it has examples.
    """
    groups = _as_labels(groups)
    names = np.unique(groups)
    n_clients = as_int("n_clients", n_clients, minimum=len(names))
    rng, parts = _rng(seed), [np.empty(0, np.int64)] * n_clients
    for g, name in enumerate(names):
        members = range(g, n_clients, len(names))
        rows = np.flatnonzero(groups == name)
        if len(rows) < len(members):
            raise ValueError(
                f"n_clients must give group {name} at most {len(rows)} clients, its number of "
                f"examples, got {n_clients}: {len(members)} in that group"
            )
        for k, part in zip(
            members, np.array_split(rng.permutation(rows), len(members)), strict=True
        ):
            parts[k] = np.sort(part)
    return parts


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


def with_shared(
    parts: Sequence[np.ndarray], shared: np.ndarray, n_examples: int
) -> list[np.ndarray]:
    """Each client's rows and then the ``shared`` ones, which everybody holds: public data.

    Only in this way may a row be at several clients. Raises ValueError if a shared row is named
    twice, is at a client already or is none of the ``n_examples``, or if there is none.
    """
    parts = check(parts, n_examples)
    shared = as_index_array("shared", shared, n_examples)
    if len(shared) == 0:
        raise ValueError("shared must name at least one row, got none (leave it out instead)")
    times = np.bincount(np.concatenate([*parts, shared]), minlength=n_examples)
    if times.max() > 1:
        raise ValueError(
            "shared must name rows that no client holds, each once, "
            f"got row {int(times.argmax())} a second time"
        )
    return [np.concatenate([part, shared]) for part in parts]


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


def _share_out(
    rows: np.ndarray, n_clients: int, alpha: float, rng: np.random.Generator
) -> list[np.ndarray]:
    """``rows`` cut into n_clients consecutive pieces, their shares drawn from Dirichlet(alpha)."""
    shares = rng.dirichlet(np.full(n_clients, alpha))
    cuts = np.rint(np.cumsum(shares)[:-1] * len(rows)).astype(np.int64)
    return np.split(rows, np.minimum(cuts, len(rows)))


def _feed_the_empty(parts: list[np.ndarray]) -> list[np.ndarray]:
    """Sorted parts, none empty: an empty one takes the last row of the largest at that moment."""
    sizes = np.array([len(part) for part in parts])
    for k in np.flatnonzero(sizes == 0):
        giver = int(sizes.argmax())
        parts[k], parts[giver] = parts[giver][-1:], parts[giver][:-1]
        sizes[k], sizes[giver] = 1, sizes[giver] - 1
    return [np.sort(part) for part in parts]


def _rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(as_int("seed", seed, minimum=0))
