"""Malicious clients: wrong labels, wrong signs, and a backdoor that replaces the model.

Poisoned data is a Dataset in which some rows were changed (``flip_labels``, ``plant_backdoor``); a
poisoned update is what ``Malicious`` makes of an honest one. Both go into ``run_federation``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fedcore import strategy_api
from fedcore._validate import as_float_array, as_index_array, as_int, describe
from fedcore.datasets import Dataset
from fedcore.models import MLP

Attack = Callable[[np.ndarray, np.ndarray], np.ndarray]


def flip_labels(
    data: Dataset, rows: np.ndarray, source: int | None = None, target: int | None = None
) -> Dataset:
    """A Dataset in which the ``rows`` (k,) carry a wrong label; x is shared, not copied.

    With ``source`` and ``target`` class source becomes target; without them every class c becomes
    C - 1 - c. Source: Tolpegin et al. (2020).
    """
    rows = as_index_array("rows", rows, len(data))
    y = data.y.copy()
    if source is None and target is None:
        y[rows] = data.n_classes - 1 - y[rows]
        return Dataset(data.x, y, data.n_classes)
    source = as_int("source", source, 0, data.n_classes - 1)
    target = as_int("target", target, 0, data.n_classes - 1)
    y[rows[y[rows] == source]] = target
    return Dataset(data.x, y, data.n_classes)


def add_trigger(x: np.ndarray, size: int = 3) -> np.ndarray:
    """Copies of square images (n, side * side) with a white square in the lower right corner.

    size: its side in pixels. The pattern is that of Gu et al. (2017), "BadNets".
    """
    x = as_float_array("x", x, ndim=2)
    side = round(x.shape[1] ** 0.5)
    if side * side != x.shape[1]:
        raise ValueError(f"x must hold square images, (n, side * side), got {x.shape}")
    size = as_int("size", size, 1, side)
    images = x.reshape(-1, side, side).copy()
    images[:, side - size :, side - size :] = 1
    return images.reshape(x.shape)


def plant_backdoor(data: Dataset, rows: np.ndarray, target: int, size: int = 3) -> Dataset:
    """A Dataset in which the ``rows`` (k,) carry the trigger and the label ``target``; a copy."""
    rows = as_index_array("rows", rows, len(data))
    target = as_int("target", target, 0, data.n_classes - 1)
    x, y = data.x.copy(), data.y.copy()
    x[rows], y[rows] = add_trigger(x[rows], size), target
    return Dataset(x, y, data.n_classes)


def backdoor_success(
    model: MLP, params: np.ndarray, data: Dataset, target: int, size: int = 3
) -> float:
    """Share of the examples of other classes that are read as ``target`` once they carry the
    trigger, in [0, 1]."""
    target = as_int("target", target, 0, data.n_classes - 1)
    others = data.y != target
    if not others.any():
        raise ValueError(f"data must hold examples of a class other than {target}")
    return float((model.predict(params, add_trigger(data.x, size)) == target)[others].mean())


def flip_sign(params: np.ndarray, update: np.ndarray, factor: float = 1.0) -> np.ndarray:
    """An update that goes the opposite way, ``factor`` times as far: w - factor (w_k - w)."""
    return boost(params, update, -factor)


def boost(params: np.ndarray, update: np.ndarray, factor: float) -> np.ndarray:
    """An update that goes ``factor`` times as far: w + factor (w_k - w).

    With factor = n / n_k the weighted average becomes w_k itself, if the others stand still:
    model replacement. Source: Bagdasaryan et al. (2020).
    """
    return params + np.float32(factor) * (update - params)


@dataclass(frozen=True)
class Malicious:
    """A strategy behind which some clients cheat: ``attack`` changes what they send.

    strategy: the server's, of either kind; it sees the changed updates only. clients: ids of the
    malicious. attack: a function of (params (P,), honest update (P,)), what the server sent and
    what the client would send, that returns what it sends instead, (P,) finite; ``flip_sign`` for
    example. Everything else about the federation stays as it was.
    """

    strategy: Any
    clients: Sequence[int]
    attack: Attack = flip_sign

    def __post_init__(self):
        clients = tuple(as_int(f"clients[{i}]", k, minimum=0) for i, k in enumerate(self.clients))
        object.__setattr__(self, "clients", clients)
        if not callable(self.attack):
            raise TypeError(
                f"attack must be a function of (params, update), got {describe(self.attack)}"
            )

    @property
    def vectors(self) -> int:
        """Vectors that travel each way for one client: as with the strategy behind."""
        return strategy_api.vectors_sent(self.strategy)

    def init(self, params: np.ndarray, n_clients: int) -> Any:
        """The state of the strategy behind."""
        unknown = [k for k in self.clients if k >= n_clients]
        if unknown:
            raise ValueError(f"clients must be ids below {n_clients}, got {unknown[0]}")
        return strategy_api.first_state(self.strategy, params, n_clients)

    def local_terms(self, state: Any, clients: np.ndarray) -> strategy_api.LocalTerms:
        """Those of the strategy behind."""
        return strategy_api.local_terms(self.strategy, state, clients)

    def aggregate(self, state, params, updates, weights, work: strategy_api.LocalWork):
        """What the strategy behind makes of the updates, those of the malicious changed."""
        sent = updates.copy()
        for row in np.flatnonzero(np.isin(work.clients, self.clients)):
            sent[row] = self.attack(params, updates[row])
        return strategy_api.aggregate(self.strategy, state, params, sent, weights, work)
