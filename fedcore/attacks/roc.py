"""How good is a yes-no attack? ROC curve, AUC, TPR at a small FPR, and how sure that is."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fedcore._validate import as_int, as_real, describe
from fedcore.audit import rate_high, rate_low


def roc_curve(scores: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(FPR, TPR), both ascending from 0 to 1, one point for each threshold between scores.

    scores: (n,), larger means "positive"; positive: (n,) bool, the truth, both kinds present. Equal
    scores share a threshold, so that no order among them is invented.
    """
    scores, positive = check_scores(scores, positive)
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    hits = np.cumsum(positive[order])[ends]
    alarms = ends + 1 - hits
    tpr, fpr = hits / positive.sum(), alarms / (~positive).sum()
    return np.append(0.0, fpr), np.append(0.0, tpr)


def auc(scores: np.ndarray, positive: np.ndarray) -> float:
    """Area under the ROC curve: the chance that a positive scores above a negative, ties half."""
    fpr, tpr = roc_curve(scores, positive)
    return float((np.diff(fpr) * (tpr[1:] + tpr[:-1])).sum() / 2)


def tpr_at_fpr(scores: np.ndarray, positive: np.ndarray, fpr: float) -> float:
    """The largest TPR of any threshold whose false positive rate is at most ``fpr``.

    No interpolation: with fewer than 1/fpr negatives only a threshold without any false alarm
    counts. Carlini et al. (2022) argue for this figure, at 0.1 % and below.
    """
    fpr = as_real("fpr", fpr, 0, 1)
    rates, hits = roc_curve(scores, positive)
    return float(hits[rates <= fpr].max())


def clopper_pearson(hits: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Exact confidence interval (low, high) of a rate of which ``hits`` of ``n`` trials were seen.

    The trials must be independent. Needs scipy. Source: Clopper and Pearson (1934).
    """
    n = as_int("n", n, minimum=1)
    hits = as_int("hits", hits, 0, n)
    confidence = as_real("confidence", confidence, 0, 1, include_low=False, include_high=False)
    tail = (1 - confidence) / 2
    return rate_low(hits, n, tail), rate_high(hits, n, tail)


def bootstrap_interval(
    statistic: Callable[[np.ndarray, np.ndarray], float],
    scores: np.ndarray,
    positive: np.ndarray,
    *,
    n_resamples: int = 200,
    confidence: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile interval (low, high) of ``statistic(scores, positive)`` over resampled targets.

    scores, positive: (M, n): what M attacked models gave away about n examples. Whole models are
    drawn with replacement, since the answers about one model are not independent of each other.
    Source: Efron (1979); the percentile interval.
    """
    scores, positive = np.asarray(scores), np.asarray(positive)
    if scores.ndim != 2 or scores.shape != positive.shape or len(scores) < 2:
        raise ValueError(
            "scores and positive must have the same shape (M, n), M >= 2, "
            f"got {scores.shape} and {positive.shape}"
        )
    n_resamples = as_int("n_resamples", n_resamples, minimum=10)
    confidence = as_real("confidence", confidence, 0, 1, include_low=False, include_high=False)
    rng = np.random.default_rng(as_int("seed", seed, minimum=0))
    drawn = rng.integers(len(scores), size=(n_resamples, len(scores)))
    values = [statistic(scores[rows].ravel(), positive[rows].ravel()) for rows in drawn]
    alpha = (1 - confidence) / 2
    low, high = np.quantile(values, [alpha, 1 - alpha])
    return float(low), float(high)


def check_scores(scores: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(scores (n,) float64, positive (n,) bool), both kinds present, or an error that says so."""
    scores, positive = np.asarray(scores, dtype=np.float64), np.asarray(positive)
    if positive.dtype != bool:
        raise TypeError(f"positive must hold True and False, got {describe(positive)}")
    if scores.ndim != 1 or scores.shape != positive.shape:
        raise ValueError(
            f"scores and positive must have the same shape (n,), got {scores.shape} and "
            f"{positive.shape}"
        )
    if not np.isfinite(scores).all():
        raise ValueError("scores must be finite")
    if positive.all() or not positive.any():
        raise ValueError(
            f"positive must hold both True and False, got {positive.sum()} True of {len(positive)}"
        )
    return scores, positive
