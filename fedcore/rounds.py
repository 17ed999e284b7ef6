"""What every round shares: the clients' work, who is asked, seeds, and the error of a bad one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fedcore import strategy_api
from fedcore._validate import as_int, as_real
from fedcore.history import History
from fedcore.training import FLOAT32_MAX, DivergedError


@dataclass(frozen=True)
class LocalSGD:
    """What a client does in a round: ``epochs`` passes (E) of SGD in batches of ``batch_size`` (B).

    ``batch_size=None`` is one batch of all its examples; with ``epochs=1`` that is FedSGD.
    """

    epochs: int = 1
    batch_size: int | None = 10
    lr: float = 0.1

    def __post_init__(self):
        as_int("epochs", self.epochs, minimum=1)
        if self.batch_size is not None:
            as_int("batch_size", self.batch_size, minimum=1)
        as_real("lr", self.lr, 0, FLOAT32_MAX, include_low=False)


class FederationDiverged(DivergedError):
    """A federation left the finite numbers. The rounds before that are not lost.

    Attributes: round (1-based), client (id), epoch (1-based local epoch), lr; client and epoch are
    None where it only showed in the server's model. history: the History up to the round before
    (None if the rounds came from ``federated_rounds``, whose caller has them).
    """

    def __init__(self, where: str, round: int, client: int | None, epoch: int | None, lr: float):
        super().__init__(client, epoch, lr)
        self.args = (
            f"the federation diverged in round {round}: {where}. The learning rate lr={lr:g} is "
            "probably too large; try a smaller one. The rounds before are in this error's "
            "`history`.",
        )
        self.round = round
        self.history: History | None = None


def sample_clients(
    n_clients: int, fraction: float, seed: int, t: int, sampling: str = "fixed"
) -> np.ndarray:
    """The ids (m,) int64, ascending, of those asked in round ``t`` (from 1), from (seed, t).

    sampling: "fixed", m = max(round(fraction * n_clients), 1), uniformly without replacement; or
    "poisson", each client on its own with probability ``fraction``, so m varies and can be 0.
    """
    n_clients = as_int("n_clients", n_clients, minimum=1)
    fraction = as_fraction(fraction)
    rng = np.random.default_rng(_round_seeds(seed, t)[0])
    if strategy_api.check_sampling(sampling) == "poisson":
        return np.flatnonzero(rng.random(n_clients) < fraction).astype(np.int64)
    m = max(round(fraction * n_clients), 1)
    return np.sort(rng.choice(n_clients, size=m, replace=False, shuffle=False)).astype(np.int64)


def round_seed(seed: int, t: int) -> int:
    """The ``seed`` that local training gets in round ``t`` (from 1), from (seed, t)."""
    return _round_seeds(seed, t)[1]


def _round_seeds(seed: int, t: int) -> tuple[int, int]:
    """Two independent seeds, for the selection and for the epoch orders of round ``t``."""
    entropy = [as_int("seed", seed, minimum=0), as_int("t", t, minimum=1)]
    selection, training = np.random.SeedSequence(entropy).generate_state(2, np.uint64)
    return int(selection), int(training)


def as_fraction(fraction: float) -> float:
    """``fraction`` (C) as a float in (0, 1]."""
    return as_real("fraction", fraction, 0, 1, include_low=False)
