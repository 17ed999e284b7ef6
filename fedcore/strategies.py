"""How the server turns what the clients sent into the next model: state in, state out.

A strategy is any object with the two methods of ``Strategy``; ``FedAvg`` is the plainest. It keeps
nothing inside: what it must remember from round to round is its state, which the federation holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from fedcore.aggregation import weighted_average


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
