"""Differential privacy for training: clip what each unit contributes, then add noise to the sum.

User level (``DPFedAvg``): the unit is a user with all their data. Example level (``dp_sgd``): one
example. In both, the sum of what the units contribute changes by at most ``clip_norm`` in L2 norm
when one unit is added or removed: that is its sensitivity, and Gaussian noise of standard deviation
noise_multiplier * clip_norm on each coordinate of the sum is measured against it. The order is
fixed: each contribution is clipped, the clipped ones are summed, noise comes last.

What this costs in epsilon: ``accounting``. The noise comes from a seeded generator in floating
point, so that a lesson can be repeated. A system that protects people draws it from a secure source
and on a grid: floating-point noise can betray what it covers (Mironov 2012).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fedcore._validate import as_float_array, as_int, as_real, describe, require_finite
from fedcore.accounting import Release, epsilon_of
from fedcore.datasets import Dataset
from fedcore.history import History
from fedcore.models import MLP
from fedcore.strategy_api import LocalTerms, LocalWork, check_sampling
from fedcore.training import FLOAT32_MAX, DivergedError, clipped_gradient_sum

AT_ONCE = 64  # updates that are clipped together: memory, not arithmetic
FIXED = {"poisson": 0.0, "fixed": 1.0}  # in a ledger, which holds numbers only


def clip(updates: np.ndarray, clip_norm: float) -> np.ndarray:
    """Each row of ``updates``, shortened to L2 norm ``clip_norm`` if it is longer.

    updates: (P,) or (m, P) float32 or float64, finite; left untouched. Returns the same shape in
    float64: u * min(1, clip_norm / |u|). ValueError for a clip_norm that is not positive.
    Source: McMahan et al. (2018), FlatClip in Algorithm 1.
    """
    clip_norm = as_real("clip_norm", clip_norm, 0, include_low=False)
    ndim = 1 if isinstance(updates, np.ndarray) and updates.ndim == 1 else 2
    updates = as_float_array("updates", updates, ndim)
    require_finite("updates", updates)
    updates = updates.astype(np.float64)
    norms = np.linalg.norm(updates, axis=-1, keepdims=True)
    return updates * (clip_norm / np.maximum(norms, clip_norm))


@dataclass(frozen=True)
class DPFedAvg:
    """FedAvg that is differentially private for users: the server clips, sums and adds noise.

    w <- w + (sum over those asked of clip(w_k - w, S) + N(0, (z S)^2 I)) / (q K)

    with S = ``clip_norm``, z = ``noise_multiplier``, q the chance of a user to be asked in a round
    and K the users: the standard deviation of the average is z S / (q K), with the *expected*
    number of users below the line, whoever comes. A user counts once, however much they hold: a
    weight n_k would let a rich user move the sum by more than S. All q K is public.

    sampling: which ``sampling`` of ``run_federation`` it must be run with. "poisson" protects
    against adding or removing one user; the sensitivity of the sum is S. "fixed" protects against
    replacing one, with sensitivity 2 S, and needs more noise for the same epsilon. seed: of the
    noise, an int >= 0; the noise of a round follows from it and the rounds before.

    State: a ledger (n, 4) float64, one row for each stretch of rounds with the same settings:
    rounds, z, q, 1 for fixed-size sampling. ``spent`` makes epsilon of it. Trust: the server sees
    each update unprotected before it adds the noise; only what it publishes is private.

    Source: McMahan et al. (2018), Algorithm 1, with all weights 1 and the fixed-denominator
    estimator.
    """

    clip_norm: float = 1.0
    noise_multiplier: float = 1.0
    sampling: str = "poisson"
    seed: int = 0

    acts_alone: ClassVar[bool] = True  # a round in which nobody came adds noise like any other

    def __post_init__(self):
        as_real("clip_norm", self.clip_norm, 0, FLOAT32_MAX, include_low=False)
        as_real("noise_multiplier", self.noise_multiplier, 0)
        check_sampling(self.sampling)
        as_int("seed", self.seed, minimum=0)

    def init(self, params: np.ndarray, n_clients: int) -> tuple[np.ndarray]:
        """An empty ledger."""
        return (np.zeros((0, 4)),)

    def local_terms(self, state: tuple[np.ndarray], clients: np.ndarray) -> LocalTerms:
        """Nothing: users train as in FedAvg."""
        return LocalTerms()

    def aggregate(self, state, params, updates, weights, work: LocalWork):
        """(noisy new parameters (P,), (the ledger with this round,)); see ``ClientStrategy``."""
        ledger = state[0]
        total = np.zeros(len(params))
        for i in range(0, len(updates), AT_ONCE):
            deltas = updates[i : i + AT_ONCE].astype(np.float64) - params
            total += clip(deltas, self.clip_norm).sum(axis=0)
        noise = self._noise(len(params), round=int(ledger[:, 0].sum()))
        mean = (total + noise) / (work.rate * work.n_clients)
        row = [1, self.noise_multiplier, work.rate, FIXED[self.sampling]]
        return (params + mean).astype(np.float32), (_entered(ledger, row),)

    def _noise(self, n_params: int, round: int) -> np.ndarray:
        rng = np.random.default_rng([self.seed, round, 0xD9])
        return rng.normal(0, self.noise_multiplier * self.clip_norm, n_params)


def spent(history: History, delta: float, method: str | None = None) -> float:
    """The epsilon of all rounds of ``history``, which a ``DPFedAvg`` has run, at this ``delta``.

    method: as in ``accounting.epsilon``; default "pld", and "rdp" where users were drawn in fixed
    numbers. Raises ValueError for a history of another strategy.
    """
    releases = _releases(history)
    if method is None:
        fixed = any(release.sampling == "fixed" for release in releases)
        method = "rdp" if fixed else "pld"
    return epsilon_of(releases, delta, method)


def dp_sgd(
    model: MLP,
    params: np.ndarray,
    data: Dataset,
    *,
    steps: int,
    sampling_rate: float,
    clip_norm: float,
    noise_multiplier: float,
    lr: float,
    seed: int = 0,
) -> np.ndarray:
    """Train on ``data`` so that the result is differentially private for each single example.

    In each of ``steps`` steps every example is drawn on its own with probability q =
    ``sampling_rate`` (Poisson sampling: a batch can be empty), then

    w <- w - lr (sum over the batch of clip(g_i, S) + N(0, (z S)^2 I)) / (q n)

    with g_i the gradient of example i, S = ``clip_norm``, z = ``noise_multiplier`` >= 0, n the
    examples; q n is public. Adding or removing one example changes the sum by at most S. Its
    epsilon: ``accounting.epsilon`` with the same noise_multiplier, sampling_rate and steps.

    params: (P,), left untouched. Returns new parameters (P,) float32; everything random follows
    from ``seed``. Raises TypeError or ValueError that names the argument, DivergedError where a
    parameter stops being finite. Source: Abadi et al. (2016), Algorithm 1.
    """
    if not isinstance(data, Dataset):
        raise TypeError(f"data must be a Dataset, got {describe(data)}")
    steps = as_int("steps", steps, minimum=1)
    rate = as_real("sampling_rate", sampling_rate, 0, 1, include_low=False)
    noise = as_real("noise_multiplier", noise_multiplier, 0)
    lr = as_real("lr", lr, 0, FLOAT32_MAX, include_low=False)
    rng = np.random.default_rng(as_int("seed", seed, minimum=0))
    params = np.array(params, dtype=np.float32)
    for step in range(1, steps + 1):
        batch = np.flatnonzero(rng.random(len(data)) < rate)
        total, _ = clipped_gradient_sum(model, params, data.x, data.y, batch, clip_norm)
        noisy = total + rng.normal(0, noise * clip_norm, len(total))
        with np.errstate(over="ignore"):
            params -= (lr / (rate * len(data)) * noisy).astype(np.float32)
        if not np.isfinite(params).all():
            error = DivergedError(0, step, lr)
            error.args = (
                f"dp_sgd diverged in step {step}: a parameter is not finite. The learning rate "
                f"lr={lr:g} is probably too large; try a smaller one.",
            )
            raise error
    return params


def _entered(ledger: np.ndarray, row: Sequence[float]) -> np.ndarray:
    """``ledger`` with one more round: in the last row if nothing has changed, or in a new one."""
    if len(ledger) and (ledger[-1, 1:] == row[1:]).all():
        ledger = ledger.copy()
        ledger[-1, 0] += row[0]
        return ledger
    return np.vstack([ledger, row])


def _releases(history: History) -> list[Release]:
    state = history.strategy_state
    ledger = state[0] if isinstance(state, tuple) and len(state) == 1 else None
    if not isinstance(ledger, np.ndarray) or ledger.ndim != 2 or ledger.shape[1] != 4:
        raise ValueError(
            "history must come from a federation with strategy=DPFedAvg(...): "
            f"only that keeps a ledger of the privacy it spends, got {describe(history)}"
        )
    return [
        Release(float(noise), float(rate), int(rounds), "fixed" if fixed else "poisson")
        for rounds, noise, rate, fixed in ledger
    ]
