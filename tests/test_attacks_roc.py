"""ROC, AUC and exact intervals, against scikit-learn and scipy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics

from fedcore import attacks


@st.composite
def answers(draw):
    """Scores with ties, and a truth that holds both kinds."""
    n = draw(st.integers(2, 60))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    scores = rng.integers(0, draw(st.sampled_from([2, 5, 1000])), n) / 7
    positive = rng.random(n) < 0.4
    positive[:2] = True, False
    return scores, positive


@given(answers())
def test_roc_and_auc_agree_with_scikit_learn(case):
    scores, positive = case
    fpr, tpr = attacks.roc_curve(scores, positive)
    theirs = metrics.roc_curve(positive, scores, drop_intermediate=False)
    np.testing.assert_allclose(fpr, theirs[0])
    np.testing.assert_allclose(tpr, theirs[1])
    assert attacks.auc(scores, positive) == pytest.approx(metrics.roc_auc_score(positive, scores))


@given(answers(), st.floats(0, 1))
def test_tpr_at_fpr_by_brute_force(case, limit):
    scores, positive = case
    best = 0.0
    for threshold in np.unique(scores):
        alarms = scores >= threshold
        if (alarms & ~positive).sum() / (~positive).sum() <= limit:
            best = max(best, (alarms & positive).sum() / positive.sum())
    assert attacks.tpr_at_fpr(scores, positive, limit) == pytest.approx(best)


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
@pytest.mark.parametrize(
    ("hits", "n"), [(0, 10), (1, 10), (5, 10), (10, 10), (3, 1000), (64, 64000), (63990, 64000)]
)
def test_clopper_pearson_agrees_with_scipy(hits, n, confidence):
    low, high = attacks.clopper_pearson(hits, n, confidence)
    interval = stats.binomtest(hits, n).proportion_ci(confidence, method="exact")
    assert low == pytest.approx(interval.low, rel=1e-6, abs=1e-12)
    assert high == pytest.approx(interval.high, rel=1e-6)


def test_bootstrap_covers_a_known_mean():
    """The share of positives above a threshold is 0.5; 19 of 20 intervals should hold it."""
    covered = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        scores = rng.normal(size=(40, 6))
        interval = attacks.bootstrap_interval(
            lambda s, p: (s > 0).mean(), scores, scores > 9, n_resamples=200, seed=seed
        )
        covered += interval[0] <= 0.5 <= interval[1]
    assert covered >= 52


def test_bootstrap_draws_whole_models():
    """Rows that agree within themselves: resampling single answers would claim far too much."""
    scores = np.repeat([[0.0], [1.0]], [5, 5], axis=0) * np.ones((10, 500))
    low, high = attacks.bootstrap_interval(lambda s, p: s.mean(), scores, scores > 0)
    assert high - low > 0.4


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: attacks.auc([1, 2], np.array([True, True])), "both True and False"),
        (lambda: attacks.auc([1, 2, 3], np.array([True, False])), "same shape"),
        (lambda: attacks.auc([1, np.nan], np.array([True, False])), "scores must be finite"),
        (lambda: attacks.auc([1, 2], np.array([1, 0])), "positive must hold True and False"),
        (lambda: attacks.tpr_at_fpr([1, 2], np.array([True, False]), 1.5), "fpr must be"),
        (lambda: attacks.clopper_pearson(3, 2), "hits must be"),
        (lambda: attacks.clopper_pearson(1, 2, 1), "confidence must be"),
        (
            lambda: attacks.bootstrap_interval(max, np.zeros(3), np.zeros(3, bool)),
            "scores and positive must have the same shape",
        ),
    ],
)
def test_refuses(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()
