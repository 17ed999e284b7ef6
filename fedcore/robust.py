"""Rules that put up with a few malicious clients, and what each demands in return.

Each comes twice: as a function of the updates, and as a strategy for ``run_federation``. All but
``NormClipping`` ignore the clients' numbers of examples: a client could lie about its own. f is the
number of malicious clients in a round, m the number of updates; a rule refuses an f for which its
guarantee does not hold. The guarantees are about honest clients that resemble each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fedcore._validate import as_int, as_real, require_finite
from fedcore.aggregation import _check_updates, weighted_average


def coordinate_median(updates: np.ndarray | Sequence[np.ndarray]) -> np.ndarray:
    """The median of each parameter on its own: (P,), dtype of the updates.

    updates: (m, P) or a list of (P,). With an even m the mean of the two in the middle. Stays
    within the range of the honest as long as f < m / 2. Source: Yin et al. (2018).
    """
    rows = _rows(updates)
    return np.median(rows, axis=0).astype(rows.dtype)


def trimmed_mean(updates: np.ndarray | Sequence[np.ndarray], n_malicious: int) -> np.ndarray:
    """The mean of each parameter without its f smallest and its f largest values: (P,).

    n_malicious: f, with 2 f < m, or nothing would be left. f = 0 is the plain mean.
    Source: Yin et al. (2018), there with the share beta = f / m.
    """
    rows = _rows(updates)
    f = _as_f(n_malicious, len(rows), 2, 1, "trimmed mean")
    if f == 0:
        return rows.mean(axis=0, dtype=np.float64).astype(rows.dtype)
    ordered = np.partition(rows, (f - 1, len(rows) - f), axis=0)
    return ordered[f : len(rows) - f].mean(axis=0, dtype=np.float64).astype(rows.dtype)


def krum_scores(updates: np.ndarray | Sequence[np.ndarray], n_malicious: int) -> np.ndarray:
    """How far each update is from its m - f - 2 nearest others, summed squares: (m,) float64.

    n_malicious: f, with m >= 2 f + 3. Source: Blanchard et al. (2017).
    """
    rows = _rows(updates)
    f = _as_f(n_malicious, len(rows), 2, 3, "Krum")
    distances = np.stack([_squared_distances(rows, row) for row in rows])
    np.fill_diagonal(distances, np.inf)
    nearest = len(rows) - f - 2
    return np.partition(distances, nearest - 1, axis=1)[:, :nearest].sum(axis=1)


def krum(updates: np.ndarray | Sequence[np.ndarray], n_malicious: int) -> np.ndarray:
    """The one update with the smallest ``krum_scores``, (P,), a copy; the first if several."""
    scores = krum_scores(updates, n_malicious)
    return np.array(updates[int(scores.argmin())])


def multi_krum(
    updates: np.ndarray | Sequence[np.ndarray], n_malicious: int, n_selected: int | None = None
) -> np.ndarray:
    """The plain mean of the ``n_selected`` updates with the smallest ``krum_scores``: (P,).

    n_malicious: f, with m >= 2 f + 3. n_selected: from 1, which is Krum, to m - f - 2, the default.
    Source: Blanchard et al. (2017). More than m - f - 2 would take in updates that no score looks
    at.
    """
    rows = _rows(updates)
    scores = krum_scores(rows, n_malicious)
    most = len(rows) - n_malicious - 2
    selected = most if n_selected is None else as_int("n_selected", n_selected, 1, most)
    chosen = np.sort(np.argsort(scores, kind="stable")[:selected])
    return rows[chosen].mean(axis=0, dtype=np.float64).astype(rows.dtype)


def clip_updates(
    params: np.ndarray, updates: np.ndarray | Sequence[np.ndarray], clip_norm: float
) -> np.ndarray:
    """Shorten each delta, w_k - w, to at most ``clip_norm`` (L2): new updates (m, P).

    params: w (P,). w + (w_k - w) min(1, clip_norm / ||w_k - w||): the direction stays. It bounds
    what one client can do in a round, whoever it is. Source: Sun et al. (2019).
    """
    rows = _rows(updates)
    clip_norm = as_real("clip_norm", clip_norm, 0, include_low=False)
    deltas = rows.astype(np.float64) - params
    norms = np.sqrt(np.square(deltas).sum(axis=1, keepdims=True))
    factors = np.minimum(1, clip_norm / np.maximum(norms, np.finfo(np.float64).tiny))
    return np.where(factors < 1, params + deltas * factors, rows).astype(rows.dtype)


class _Stateless:
    """A strategy that remembers nothing and looks at the updates alone."""

    def init(self, params: np.ndarray) -> tuple[()]:
        """No state: an empty tuple."""
        return ()

    def aggregate(self, state, params, updates, weights):
        """(new parameters (P,), the unchanged state); see ``strategy_api.Strategy``."""
        return self._combine(params, updates, weights), state


@dataclass(frozen=True)
class Median(_Stateless):
    """``coordinate_median``; refuses a round with 2 f >= m, f = ``n_malicious``."""

    n_malicious: int = 0

    def __post_init__(self):
        as_int("n_malicious", self.n_malicious, minimum=0)

    def _combine(self, params, updates, weights):
        _as_f(self.n_malicious, len(updates), 2, 1, "the median")
        return coordinate_median(updates)


@dataclass(frozen=True)
class TrimmedMean(_Stateless):
    """``trimmed_mean``; refuses a round with 2 f >= m, f = ``n_malicious``."""

    n_malicious: int = 1

    def __post_init__(self):
        as_int("n_malicious", self.n_malicious, minimum=0)

    def _combine(self, params, updates, weights):
        return trimmed_mean(updates, self.n_malicious)


@dataclass(frozen=True)
class Krum(_Stateless):
    """``krum``: the next model is one client's model. Refuses a round with m < 2 f + 3."""

    n_malicious: int = 1

    def __post_init__(self):
        as_int("n_malicious", self.n_malicious, minimum=0)

    def _combine(self, params, updates, weights):
        return krum(updates, self.n_malicious)


@dataclass(frozen=True)
class MultiKrum(_Stateless):
    """``multi_krum``. Refuses a round with m < 2 f + 3, or n_selected > m - f - 2."""

    n_malicious: int = 1
    n_selected: int | None = None

    def __post_init__(self):
        as_int("n_malicious", self.n_malicious, minimum=0)
        if self.n_selected is not None:
            as_int("n_selected", self.n_selected, minimum=1)

    def _combine(self, params, updates, weights):
        return multi_krum(updates, self.n_malicious, self.n_selected)


@dataclass(frozen=True)
class NormClipping(_Stateless):
    """FedAvg of ``clip_updates``: one client can move the model by at most its weight times
    ``clip_norm`` in a round. No number of malicious clients is assumed."""

    clip_norm: float = 1.0

    def __post_init__(self):
        as_real("clip_norm", self.clip_norm, 0, include_low=False)

    def _combine(self, params, updates, weights):
        return weighted_average(clip_updates(params, updates, self.clip_norm), weights)


def _rows(updates: np.ndarray | Sequence[np.ndarray]) -> np.ndarray:
    rows = np.asarray(_check_updates(updates))
    require_finite("updates", rows)
    return rows


def _as_f(n_malicious: int, m: int, factor: int, plus: int, rule: str) -> int:
    """``n_malicious`` if m >= factor * f + plus, which is what ``rule`` needs."""
    f = as_int("n_malicious", n_malicious, minimum=0)
    if m < factor * f + plus:
        raise ValueError(
            f"{rule} needs at least {factor} * n_malicious + {plus} = {factor * f + plus} updates "
            f"against {f} malicious clients, got {m}"
        )
    return f


def _squared_distances(rows: np.ndarray, row: np.ndarray) -> np.ndarray:
    """||rows - row||^2 of each row, (m,) float64, without the cancellation of a Gram matrix."""
    return np.square(rows - row).sum(axis=1, dtype=np.float64)
