"""How the server turns what the clients sent into the next model: state in, state out.

A strategy is any object with the two methods of ``Strategy``; ``FedAvg`` is the plainest. It keeps
nothing inside: what it must remember from round to round is its state, which the federation holds.
One that also reaches into the clients' training has the methods of ``ClientStrategy``. Both are
described in ``strategy_api``.

Below, w is what the server sent out, w_k what client k sent back, n_k its number of examples, n the
sum of n_k over those that reported, and delta = sum_k (n_k / n) (w_k - w).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from fedcore._validate import as_real
from fedcore.aggregation import normalize_weights, weighted_average
from fedcore.robust import Krum, Median, MultiKrum, NormClipping, TrimmedMean
from fedcore.strategy_api import ClientStrategy, LocalTerms, LocalWork, Strategy

__all__ = [
    "SCAFFOLD",
    "ClientStrategy",
    "FedAdagrad",
    "FedAdam",
    "FedAvg",
    "FedAvgM",
    "FedNova",
    "FedProx",
    "FedYogi",
    "Krum",
    "LocalTerms",
    "LocalWork",
    "Median",
    "MultiKrum",
    "NormClipping",
    "Strategy",
    "TrimmedMean",
]


@dataclass(frozen=True)
class FedAvg:
    """The mean of the clients' parameters, weighted by their numbers of examples.

    w_{t+1} = sum_k (n_k / n) w_k, with n the examples of those that reported. No state.
    Source: McMahan et al. (2017), Algorithm 1.
    """

    def init(self, params: np.ndarray) -> tuple[()]:
        """No state: an empty tuple."""
        return ()

    def aggregate(
        self, state: tuple[()], params: np.ndarray, updates: np.ndarray, weights: np.ndarray
    ) -> tuple[np.ndarray, tuple[()]]:
        """(weighted mean of ``updates`` (P,), the unchanged state); see ``Strategy``."""
        return weighted_average(updates, weights), state


@dataclass(frozen=True)
class FedProx:
    """FedAvg whose clients are held back: each minimises F_k(v) + (prox_mu / 2) ||v - w||^2.

    Every gradient step of client k at v gets prox_mu * (v - w) added; the server averages as FedAvg
    does. prox_mu = 0 is FedAvg. No state. Source: Li et al. (2020), Algorithm 2.
    """

    prox_mu: float = 0.1

    def __post_init__(self):
        as_real("prox_mu", self.prox_mu, 0)

    def init(self, params: np.ndarray, n_clients: int) -> tuple[()]:
        """No state: an empty tuple."""
        return ()

    def local_terms(self, state: tuple[()], clients: np.ndarray) -> LocalTerms:
        """The same pull to w for every client."""
        return LocalTerms(prox_mu=self.prox_mu)

    def aggregate(self, state, params, updates, weights, work: LocalWork):
        """(weighted mean of ``updates`` (P,), the unchanged state); see ``ClientStrategy``."""
        return weighted_average(updates, weights), state


@dataclass(frozen=True)
class FedAvgM:
    """FedAvg with momentum on the server: v <- momentum v + delta, w <- w + server_lr v.

    momentum = 0 with server_lr = 1 is FedAvg. State: (v (P,) float64,).
    Source: Hsu et al. (2019), where v has the opposite sign; their server_lr is 1.
    """

    momentum: float = 0.9
    server_lr: float = 1.0

    def __post_init__(self):
        as_real("momentum", self.momentum, 0, 1, include_high=False)
        as_real("server_lr", self.server_lr, 0, include_low=False)

    def init(self, params: np.ndarray) -> tuple[np.ndarray]:
        """v = 0."""
        return (np.zeros(len(params)),)

    def aggregate(self, state, params, updates, weights):
        """(w + server_lr * v (P,), (v,)); see ``Strategy``."""
        (v,) = _checked(self, state, 1)
        velocity = self.momentum * v + _delta(params, updates, weights)
        return _step(params, self.server_lr * velocity), (velocity,)


@dataclass(frozen=True)
class FedAdagrad:
    """An adaptive server: v <- v + delta^2, w <- w + server_lr m / (sqrt(v) + tau).

    m <- beta1 m + (1 - beta1) delta; all of it for each parameter on its own. As published there is
    no bias correction: v begins at tau^2, m at 0, so early steps are short with beta1 > 0. tau: how
    adaptive (smaller is more so). State: (m, v), both (P,) float64.

    The paper writes delta as the plain mean; here it is weighted by n_k, as in ``FedAvg``: the same
    when all clients hold equally many examples. Source: Reddi et al. (2021), Algorithm 2.
    """

    server_lr: float = 0.03
    beta1: float = 0.0
    tau: float = 1e-3

    def __post_init__(self):
        as_real("server_lr", self.server_lr, 0, include_low=False)
        as_real("beta1", self.beta1, 0, 1, include_high=False)
        as_real("tau", self.tau, 0, include_low=False)

    def init(self, params: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """m = 0, v = tau^2."""
        return np.zeros(len(params)), np.full(len(params), self.tau**2)

    def aggregate(self, state, params, updates, weights):
        """(new parameters (P,), (m, v)); see ``Strategy``."""
        m, v = _checked(self, state, 1, 1)
        delta = _delta(params, updates, weights)
        m = self.beta1 * m + (1 - self.beta1) * delta
        v = self._second_moment(v, np.square(delta))
        return _step(params, self.server_lr * m / (np.sqrt(v) + self.tau)), (m, v)

    def _second_moment(self, v: np.ndarray, squared: np.ndarray) -> np.ndarray:
        return v + squared


@dataclass(frozen=True)
class FedAdam(FedAdagrad):
    """``FedAdagrad`` that forgets: v <- beta2 v + (1 - beta2) delta^2.

    Not Adam with its bias correction (Kingma and Ba 2015): as published, there is none.
    Source: Reddi et al. (2021), Algorithm 2.
    """

    beta1: float = 0.9
    beta2: float = 0.99

    def __post_init__(self):
        super().__post_init__()
        as_real("beta2", self.beta2, 0, 1, include_high=False)

    def _second_moment(self, v: np.ndarray, squared: np.ndarray) -> np.ndarray:
        return self.beta2 * v + (1 - self.beta2) * squared


@dataclass(frozen=True)
class FedYogi(FedAdam):
    """``FedAdam`` whose v shrinks slowly: v <- v - (1 - beta2) delta^2 sign(v - delta^2).

    Source: Reddi et al. (2021), Algorithm 2.
    """

    def _second_moment(self, v: np.ndarray, squared: np.ndarray) -> np.ndarray:
        return v - (1 - self.beta2) * squared * np.sign(v - squared)


@dataclass(frozen=True)
class SCAFFOLD:
    """Stochastic controlled averaging: every local step is corrected by what the others know.

    Client k keeps c_k, the mean gradient of its last local steps, the server c, the mean of all
    c_k; both begin at 0. Each gradient step of client k gets c - c_k added. After s_k steps it
    sends w_k - w and the change of its c_k (option II: c_k <- c_k - c + (w - w_k) / (s_k lr)). Of N
    clients, with the means over those in the round:
    w <- w + server_lr mean_k(w_k - w), c <- c + (1 / N) sum_k change_k.

    As published, means are plain: each client counts the same, whatever n_k. Clients must remember
    c_k between rounds, and twice the bytes travel. State: (c (P,) float64, all c_k (N, P) float32).
    Source: Karimireddy et al. (2020), Algorithm 1 (SCAFFOLD), option II.
    """

    server_lr: float = 1.0
    vectors: ClassVar[int] = 2  # the model and c down; both changes up

    def __post_init__(self):
        as_real("server_lr", self.server_lr, 0, include_low=False)

    def init(self, params: np.ndarray, n_clients: int) -> tuple[np.ndarray, np.ndarray]:
        """c = 0 and c_k = 0."""
        return np.zeros(len(params)), np.zeros((n_clients, len(params)), dtype=np.float32)

    def local_terms(self, state, clients: np.ndarray) -> LocalTerms:
        """c - c_k for each of ``clients``."""
        c, c_clients = _checked(self, state, 1, 2)
        return LocalTerms(correction=(c - c_clients[clients]).astype(np.float32))

    def aggregate(self, state, params, updates, weights, work: LocalWork):
        """(new parameters (P,), (c, all c_k)); ``weights`` are not used. See ``ClientStrategy``."""
        old, old_clients = _checked(self, state, 1, 2)
        c, c_clients = old.copy(), old_clients.copy()
        for k, steps, update in zip(work.clients, work.steps, updates, strict=True):
            gradient = np.subtract(params, update, dtype=np.float64) / (steps * work.lr)
            c_clients[k] += gradient - old
            c += np.subtract(c_clients[k], old_clients[k], dtype=np.float64) / work.n_clients
        equal = np.ones(len(updates))
        return _step(params, self.server_lr * _delta(params, updates, equal)), (c, c_clients)


@dataclass(frozen=True)
class FedNova:
    """Normalised averaging: how far a client went must not decide how much it counts.

    With s_k gradient steps at client k and p_k = n_k / n:
    w <- w + (sum_k p_k s_k) * sum_k p_k (w_k - w) / s_k. Equal s_k make it FedAvg. No state.
    Source: Wang et al. (2020), for plain SGD on the clients, where ||a_k||_1 = s_k.
    """

    def init(self, params: np.ndarray, n_clients: int) -> tuple[()]:
        """No state: an empty tuple."""
        return ()

    def local_terms(self, state: tuple[()], clients: np.ndarray) -> LocalTerms:
        """Nothing: the clients train as in FedAvg."""
        return LocalTerms()

    def aggregate(self, state, params, updates, weights, work: LocalWork):
        """(new parameters (P,), the unchanged state); see ``ClientStrategy``."""
        p = normalize_weights(weights, len(updates))
        return _step(params, (p @ work.steps) * _total(params, updates, p / work.steps)), state


def _checked(strategy: Any, state: Any, *dimensions: int) -> tuple[np.ndarray, ...]:
    """``state``, if it is a tuple of arrays with so many dimensions, as ``strategy.init`` makes."""
    found = [np.ndim(array) for array in state] if isinstance(state, tuple) else None
    if found != list(dimensions):
        raise ValueError(
            f"state must hold arrays of {dimensions} dimensions for {strategy!r}, got {found}: "
            "resume a run with the kind of strategy that it began with"
        )
    return state


def _delta(params: np.ndarray, updates: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """sum_k (n_k / n) (w_k - w), (P,) float64."""
    return _total(params, updates, normalize_weights(weights, len(updates)))


def _total(params: np.ndarray, updates: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
    """sum_k coefficients[k] * (updates[k] - params), (P,) float64, in the order of k."""
    total = np.zeros(len(params))
    for update, coefficient in zip(updates, coefficients, strict=True):
        total += coefficient * np.subtract(update, params, dtype=np.float64)
    return total


def _step(params: np.ndarray, step: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):  # the federation reports what is not finite
        return (params + step).astype(np.float32)
