"""A challenge on a live panel: points for what a finished run reached, within a budget."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fedcore._validate import as_int, as_real, describe
from fedcore.lab import progress
from fedcore.lab.runs import Curve
from fedcore.lab.scoring import POINTS
from fedcore.lab.style import percent, size


@dataclass(frozen=True)
class Challenge:
    """Points for the mean test accuracy of the last rounds of a run that stays within a budget.

    key: names it in this session. accuracy: (none, all): up to the first there are no points, from
    the second on all ten, between them in proportion, rounded down. max_mb: megabytes that all
    clients together may send up; beyond it there are none. window: how many last rounds count, so
    that one lucky round does not. Only the best run counts.
    """

    key: str
    accuracy: tuple[float, float]
    max_mb: float
    window: int = 10

    def __post_init__(self):
        if not isinstance(self.key, str) or not self.key:
            raise TypeError(f"key must be a non-empty name, got {describe(self.key)}")
        if not isinstance(self.accuracy, tuple | list) or len(self.accuracy) != 2:
            raise TypeError(f"accuracy must be (none, all), got {describe(self.accuracy)}")
        low = as_real("accuracy[0]", self.accuracy[0], 0, 1)
        as_real("accuracy[1]", self.accuracy[1], low, 1, include_low=False)
        as_real("max_mb", self.max_mb, 0, include_low=False)
        as_int("window", self.window, minimum=1)

    def mean(self, curve: Curve) -> float:
        """Mean test accuracy of the last ``window`` rounds, in [0, 1]."""
        return float(np.mean(curve.accuracy[1:][-self.window :]))

    def points(self, curve: Curve) -> int:
        """What a finished run earns, 0 to 10."""
        if curve.bytes_up > 1e6 * self.max_mb:
            return 0
        low, high = self.accuracy
        share = (self.mean(curve) - low) / (high - low)
        return int(POINTS * min(1.0, max(0.0, share)) + 1e-9)

    def settle(self, curve: Curve) -> str:
        """Credit a finished run; returns what happened, in words."""
        points = self.points(curve)
        progress.award(f"challenge/{self.key}", points, POINTS, ("beat the skew",))
        best = next(e.points for e in progress.earned() if e.key == f"challenge/{self.key}")
        cost = f"{size(curve.bytes_up)} of {size(1e6 * self.max_mb)} sent up"
        if curve.bytes_up > 1e6 * self.max_mb:
            cost += ", over the budget"
        return (
            f" Challenge: mean of the last {self.window} rounds {percent(self.mean(curve))}, "
            f"{cost}: {points} of {POINTS} points. Your best: {best}."
        )
