"""Privacy measured from below: which epsilon an attack has shown to be too small."""

from __future__ import annotations

import math

import numpy as np

from fedcore._validate import as_int, as_real


def epsilon_lower_bound(
    *,
    true_positives: int,
    members: int,
    false_positives: int,
    nonmembers: int,
    delta: float,
    confidence: float = 0.95,
) -> float:
    """The epsilon that a membership attack has shown to be too small: a bound from below.

    The attack said "member" to ``true_positives`` of ``members`` and to ``false_positives`` of
    ``nonmembers``. Under (epsilon, delta)-DP no attack has TPR > exp(epsilon) FPR + delta, nor
    1 - FPR > exp(epsilon) (1 - TPR) + delta, so its rates, at the pessimistic ends of their
    Clopper-Pearson intervals, refute every smaller epsilon. Returns a float >= 0; 0 proves nothing.

    The ``confidence`` holds for a threshold chosen without looking at these outcomes, and for
    independent outcomes; where several come from one model, take it as a guide. Sources: Kairouz,
    Oh and Viswanath (2015), theorem 2.1; Jagielski, Ullman and Oprea (2020), section 3.
    """
    members = as_int("members", members, minimum=1)
    nonmembers = as_int("nonmembers", nonmembers, minimum=1)
    hits = as_int("true_positives", true_positives, 0, members)
    alarms = as_int("false_positives", false_positives, 0, nonmembers)
    delta = as_real("delta", delta, 0, 1, include_low=False, include_high=False)
    confidence = as_real("confidence", confidence, 0, 1, include_low=False, include_high=False)
    tail = (1 - confidence) / 2  # one for each of the two rates
    tpr, fpr = rate_low(hits, members, tail), rate_high(alarms, nonmembers, tail)
    ratios = ((tpr - delta) / fpr, (1 - fpr - delta) / (1 - tpr))
    return math.log(max(1.0, *ratios))


def best_threshold(scores: np.ndarray, member: np.ndarray, delta: float) -> float:
    """The score from which on "member" refutes the largest epsilon on these answers.

    scores: (n,), larger means "member"; member: (n,) bool. Of up to 60 thresholds, evenly spread in
    the logarithm of how many are accused. Use it on other answers than those it was chosen on.
    """
    order = np.argsort(-scores, kind="stable")
    hits, n = np.cumsum(member[order]), int(member.sum())
    candidates = np.unique(np.geomspace(1, len(scores) - 1, 60).astype(int))
    bounds = [
        epsilon_lower_bound(
            true_positives=int(hits[k - 1]),
            members=n,
            false_positives=int(k - hits[k - 1]),
            nonmembers=len(scores) - n,
            delta=delta,
        )
        for k in candidates
    ]
    return float(scores[order[candidates[int(np.argmax(bounds))] - 1]])


def rate_low(hits: int, n: int, tail: float) -> float:
    """Clopper-Pearson: the rate below which ``hits`` of ``n`` or more has probability ``tail``."""
    return float(_betaincinv(hits, n - hits + 1, tail)) if hits else 0.0


def rate_high(hits: int, n: int, tail: float) -> float:
    """Clopper-Pearson: the rate above which ``hits`` of ``n`` or fewer has probability ``tail``."""
    return float(_betaincinv(hits + 1, n - hits, 1 - tail)) if hits < n else 1.0


def _betaincinv(a: float, b: float, p: float) -> float:
    from scipy.special import betaincinv  # slow to import

    return betaincinv(a, b, p)
