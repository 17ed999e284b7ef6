"""What a strategy is and what it is told: where ``strategies`` and ``federation`` meet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from fedcore._validate import describe


class Strategy(Protocol):
    """What ``run_federation`` expects of its ``strategy``."""

    def init(self, params: np.ndarray) -> Any:
        """The state before the first round; a tuple of arrays, so that a History can save it."""

    def aggregate(
        self, state: Any, params: np.ndarray, updates: np.ndarray, weights: np.ndarray
    ) -> tuple[np.ndarray, Any]:
        """(new parameters (P,), new state) after one round.

        params: (P,) float32, what the server sent out. updates: (m, P) float32, the parameters that
        each of m clients sent back. weights: (m,) int64, their numbers of examples. All arguments
        are left untouched.
        """


class LocalTerms(NamedTuple):
    """What a strategy adds to each gradient step of the clients' training."""

    prox_mu: float = 0.0  # adds prox_mu * (w_now - w_start)
    correction: np.ndarray | None = None  # (m, P) float32: row k is added at client k

    def arguments(self) -> dict[str, Any]:
        """Those that change anything, as keyword arguments of ``local_sgd_many``."""
        asked = {"prox_mu": self.prox_mu} if self.prox_mu else {}
        return asked if self.correction is None else {**asked, "correction": self.correction}


@dataclass(frozen=True, eq=False)
class LocalWork:
    """Who trained in a round, and how far: what the updates alone don't tell.

    clients: (m,) int64 ids. steps: (m,) int64, gradient steps that each took, at least 1. lr: of
    local SGD. n_clients: all that are registered. rate: the chance of each to be asked.
    """

    clients: np.ndarray
    steps: np.ndarray
    lr: float
    n_clients: int
    rate: float = 1.0

    def __post_init__(self):
        for name in ("clients", "steps"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype=np.int64))
        if self.clients.ndim != 1 or self.steps.shape != self.clients.shape:
            raise ValueError(
                f"steps must hold one number for each of the clients {self.clients.shape}, "
                f"got {describe(self.steps)}"
            )
        if self.steps.size and self.steps.min() < 1:
            raise ValueError(f"steps must be at least 1, got {self.steps.min()}")


class ClientStrategy(Protocol):
    """A strategy that changes local training, or must know how far it went.

    ``local_terms`` is what tells it from a plain ``Strategy``; ``init`` and ``aggregate`` then get
    one argument more. ``vectors`` (default 1): how many vectors as long as the model travel to each
    client, and back from it.
    """

    vectors: int

    def init(self, params: np.ndarray, n_clients: int) -> Any:
        """The state before the first round, for ``n_clients`` registered clients."""

    def local_terms(self, state: Any, clients: np.ndarray) -> LocalTerms:
        """What the ``clients`` (m,) int64 of the coming round add to their gradients."""

    def aggregate(
        self,
        state: Any,
        params: np.ndarray,
        updates: np.ndarray,
        weights: np.ndarray,
        work: LocalWork,
    ) -> tuple[np.ndarray, Any]:
        """(new parameters (P,), new state); ``work`` tells who sent the updates."""


def takes_part(strategy: Any) -> bool:
    """Whether ``strategy`` is a ``ClientStrategy``."""
    return callable(getattr(strategy, "local_terms", None))


def first_state(strategy: Any, params: np.ndarray, n_clients: int) -> Any:
    """The state of either kind of strategy before the first round."""
    return strategy.init(params, n_clients) if takes_part(strategy) else strategy.init(params)


def local_terms(strategy: Any, state: Any, clients: np.ndarray) -> LocalTerms:
    """What either kind of strategy adds to the training of ``clients`` (m,) int64."""
    return strategy.local_terms(state, clients) if takes_part(strategy) else LocalTerms()


def aggregate(
    strategy: Any,
    state: Any,
    params: np.ndarray,
    updates: np.ndarray,
    weights: np.ndarray,
    work: LocalWork,
) -> tuple[np.ndarray, Any]:
    """(new parameters (P,), new state) from either kind of strategy.

    Where nobody reported, both stay as they are, unless the strategy has ``acts_alone = True``.
    """
    if len(updates) == 0 and not getattr(strategy, "acts_alone", False):
        return params, state
    extra = (work,) if takes_part(strategy) else ()
    return strategy.aggregate(state, params, updates, weights, *extra)


def vectors_sent(strategy: Any) -> int:
    """Vectors as long as the model that travel each way for one client: 1, or 2 with SCAFFOLD."""
    return getattr(strategy, "vectors", 1)


SAMPLINGS = ("poisson", "fixed")


def check_sampling(sampling: str) -> str:
    """``sampling`` itself, if it is one of ``SAMPLINGS``; ValueError otherwise."""
    if sampling not in SAMPLINGS:
        raise ValueError(f"sampling must be 'poisson' or 'fixed', got {describe(sampling)}")
    return sampling


def agree_on_sampling(strategy: Any, sampling: str, fleet: Any = None) -> str:
    """``sampling``, or ValueError where ``strategy`` has one of its own and it is not that.

    A fleet's rounds take who is eligible and fast, not everybody with the same chance.
    """
    needed = getattr(strategy, "sampling", None)
    check_sampling(sampling)
    if fleet is not None and (needed is not None or sampling == "poisson"):
        raise ValueError(
            "fleet must be None where sampling matters: devices that are asked when they are "
            "eligible are not drawn with equal chances, and no accountant here knows with which, "
            f"got {describe(strategy)} with sampling={sampling!r}"
        )
    if needed not in (None, sampling):
        raise ValueError(
            f"sampling must be {needed!r} with {strategy!r}, got {sampling!r}: "
            "its epsilon would be that of another mechanism"
        )
    return sampling


class Payload(NamedTuple):
    """Bytes that one client receives and sends in a round."""

    down: int
    up: int


def payload(strategy: Any, n_params: int) -> Payload:
    """What ``strategy`` makes a client move: one that compresses has ``upload_bytes(n_params)``."""
    down = 4 * n_params * vectors_sent(strategy)
    own = getattr(strategy, "upload_bytes", None)
    return Payload(down, own(n_params) if callable(own) else down)
