"""The lower bound on epsilon against SciPy, exact cases, and a mechanism with a known epsilon."""

import math

import numpy as np
import pytest
from scipy import stats

from fedcore import audit


def test_clopper_pearson_against_scipy():
    for hits, n in ((0, 20), (3, 20), (20, 20), (40, 1000)):
        interval = stats.binomtest(hits, n).proportion_ci(0.95, method="exact")
        assert audit.rate_low(hits, n, 0.025) == pytest.approx(interval.low)
        assert audit.rate_high(hits, n, 0.025) == pytest.approx(interval.high)


def attack(true_positives, false_positives, n=1000, delta=1e-5, **more):
    counts = {"true_positives": true_positives, "false_positives": false_positives}
    return audit.epsilon_lower_bound(**counts, members=n, nonmembers=n, delta=delta, **more)


def test_a_perfect_attack_proves_as_much_as_its_trials_allow():
    limit = stats.binomtest(0, 1000).proportion_ci(0.95, method="exact").high
    assert attack(1000, 0) == pytest.approx(math.log((1 - limit - 1e-5) / limit))
    assert attack(100_000, 0, n=100_000) > attack(1000, 0, n=1000)


def test_guessing_proves_nothing():
    assert attack(500, 500) == 0
    assert attack(10, 700) == 0


def test_either_side_can_prove():
    """An attack that never errs about members counts as much as one that never accuses."""
    assert attack(300, 0) == pytest.approx(attack(1000, 700))


def test_lower_bound_stays_below_the_truth():
    """Randomised response: the best attack on an exactly known epsilon, many repetitions."""
    rng = np.random.default_rng(0)
    for epsilon in (0.5, 2.0):
        p = math.exp(epsilon) / (1 + math.exp(epsilon))
        found = [
            attack(int(rng.binomial(1000, p)), int(rng.binomial(1000, 1 - p))) for _ in range(200)
        ]
        assert np.mean(np.array(found) > epsilon) <= 0.05
        assert np.mean(found) > 0.7 * epsilon


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ((1001, 0), "true_positives must be at most 1000, got 1001"),
        ((5, -1), "false_positives must be at least 0, got -1"),
    ],
)
def test_impossible_counts_are_named(counts, message):
    with pytest.raises(ValueError, match=message):
        attack(*counts)


def test_lower_bound_checks_delta_and_confidence():
    with pytest.raises(ValueError, match="delta must be a finite number"):
        attack(5, 5, delta=1.5)
    with pytest.raises(ValueError, match="confidence must be a finite number"):
        attack(5, 5, confidence=1)
