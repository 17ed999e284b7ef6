"""Points for a committed guess. Both rules are proper: saying what you believe earns most."""

from __future__ import annotations

from fedcore._validate import as_real

POINTS = 10  # for a perfect guess
COVERAGE = 0.8  # how sure a learner shall be of an interval


def brier_points(confidence: float, hit: bool) -> int:
    """Points, 0 to 10, for a choice held with ``confidence`` in [0, 1]: 10 (1 - (p - hit)^2).

    ``hit`` is whether it was right. Being sure and right earns 10, sure and wrong 0. Source: Brier
    (1950), turned around and scaled.
    """
    p = as_real("confidence", confidence, 0, 1)
    return round(POINTS * (1 - (p - bool(hit)) ** 2))


def interval_score(low: float, high: float, actual: float, coverage: float = COVERAGE) -> float:
    """Width of [low, high] plus 2 / (1 - coverage) times its distance from ``actual``.

    Smaller is better, in the unit of ``actual``. Source: Winkler (1972); Gneiting and Raftery
    (2007), section 6.2.
    """
    low, high = as_real("low", low), as_real("high", high, low)
    actual = as_real("actual", actual)
    missed = max(low - actual, actual - high, 0.0)
    return (high - low) + 2 / (1 - coverage) * missed


def interval_points(low: float, high: float, actual: float, scale: float) -> int:
    """Points, 0 to 10, for [low, high] on a scale of length ``scale``.

    Every tenth of the scale that the interval is wide costs a point; every tenth by which it misses
    costs ten (with 80 % coverage). A score below 0 counts as 0.
    """
    scale = as_real("scale", scale, 0, include_low=False)
    return max(0, round(POINTS * (1 - interval_score(low, high, actual) / scale)))
