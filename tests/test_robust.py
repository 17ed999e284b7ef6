"""Robust rules: numbers worked out by hand, brute force, and every setting they must refuse."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lab_data import toy
from scipy import stats

import fedcore as fc
from fedcore import robust


@st.composite
def rounds(draw, plus=3):
    """(updates (m, P), f) with m >= 2 f + plus."""
    f = draw(st.integers(0, 3))
    m = draw(st.integers(max(2 * f + plus, 1), 12))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    return rng.normal(size=(m, draw(st.integers(1, 6)))).astype(dtype), f


def test_median_by_hand():
    updates = np.array([[1, 9], [2, 8], [300, -7]], np.float32)
    np.testing.assert_array_equal(robust.coordinate_median(updates), [2, 8])
    np.testing.assert_array_equal(robust.coordinate_median(list(updates[:2])), [1.5, 8.5])


@given(rounds(plus=1))
def test_trimmed_mean_agrees_with_scipy(case):
    updates, f = case
    expected = [
        stats.trim_mean(column.astype(float), (f + 1e-9) / len(updates)) for column in updates.T
    ]
    np.testing.assert_allclose(robust.trimmed_mean(updates, f), expected, rtol=1e-5, atol=1e-6)
    assert robust.trimmed_mean(updates, f).dtype == updates.dtype


@given(rounds())
def test_krum_by_brute_force(case):
    """The smallest sum of squares over every choice of m - f - 2 others is that of the nearest."""
    updates, f = case
    m = len(updates)
    scores = []
    for i in range(m):
        others = [
            float(np.square(updates[i].astype(float) - u).sum())
            for j, u in enumerate(updates)
            if j != i
        ]
        scores.append(min(sum(group) for group in combinations(others, m - f - 2)))
    np.testing.assert_allclose(robust.krum_scores(updates, f), scores, rtol=1e-4)
    np.testing.assert_array_equal(robust.krum(updates, f), updates[int(np.argmin(scores))])
    for k in range(1, m - f - 1):
        best = np.argsort(scores)[:k]
        expected = updates[best].astype(float).mean(axis=0)
        np.testing.assert_allclose(robust.multi_krum(updates, f, k), expected, atol=1e-5)
    np.testing.assert_array_equal(
        robust.multi_krum(updates, f), robust.multi_krum(updates, f, m - f - 2)
    )


@given(rounds(plus=1), st.floats(0, 1e6))
def test_median_and_trimmed_mean_stay_within_the_honest(case, size):
    updates, f = case
    honest = updates[f:]
    attacked = updates.copy()
    attacked[:f] = size
    for result in (robust.coordinate_median(attacked), robust.trimmed_mean(attacked, f)):
        assert np.all(result >= honest.min(axis=0) - 1e-6)
        assert np.all(result <= honest.max(axis=0) + 1e-6)


def test_krum_picks_an_honest_client_among_colluders(rng):
    honest = rng.normal(0, 1, (8, 20)).astype(np.float32)
    colluders = np.full((3, 20), 50, np.float32) + rng.normal(0, 0.01, (3, 20)).astype(np.float32)
    updates = np.concatenate([colluders, honest])
    assert int(robust.krum_scores(updates, 3).argmin()) >= 3
    assert np.abs(robust.multi_krum(updates, 3)).max() < 5


def test_clipping_by_hand_and_by_norm(rng):
    params = np.array([1, 1], np.float32)
    updates = np.array([[4, 5], [1, 1.5], [1, 1]], np.float32)  # deltas of norm 5, 0.5 and 0
    np.testing.assert_allclose(
        robust.clip_updates(params, updates, 1), [[1.6, 1.8], [1, 1.5], [1, 1]], rtol=1e-6
    )
    np.testing.assert_array_equal(robust.clip_updates(params, updates, 1)[1:], updates[1:])
    many = rng.normal(0, 3, (20, 50)).astype(np.float32)
    norms = np.linalg.norm(robust.clip_updates(np.zeros(50, np.float32), many, 2.0), axis=1)
    np.testing.assert_allclose(norms, np.minimum(np.linalg.norm(many, axis=1), 2), rtol=1e-5)


STRATEGIES = {
    "median": (robust.Median(1), lambda w, u, n: robust.coordinate_median(u)),
    "trimmed": (robust.TrimmedMean(1), lambda w, u, n: robust.trimmed_mean(u, 1)),
    "krum": (robust.Krum(1), lambda w, u, n: robust.krum(u, 1)),
    "multi-krum": (robust.MultiKrum(1, 2), lambda w, u, n: robust.multi_krum(u, 1, 2)),
    "clip": (
        robust.NormClipping(0.3),
        lambda w, u, n: fc.weighted_average(robust.clip_updates(w, u, 0.3), n),
    ),
}


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_federation_runs_each_rule(name):
    """One round by run_federation is the rule applied to what local_sgd_many returns."""
    from fedcore.federation import round_seed

    strategy, rule = STRATEGIES[name]
    train, test = toy()
    parts = fc.partition.iid(train.y, 6)
    model = fc.models.Softmax(12, 4)
    history = fc.run_federation(
        model, train, parts, test, n_rounds=1, fraction=1.0, strategy=strategy, progress=False
    )
    updates = fc.local_sgd_many(model, model.init(), train.x, train.y, parts, seed=round_seed(0, 1))
    sizes = [len(part) for part in parts]
    np.testing.assert_array_equal(history.params, rule(model.init(), updates, sizes))


def test_strategies_are_where_the_others_are():
    for name in ("Krum", "Median", "MultiKrum", "NormClipping", "TrimmedMean"):
        assert getattr(fc.strategies, name) is getattr(robust, name)


U = np.arange(12, dtype=np.float32).reshape(6, 2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: robust.krum(U, 2), r"Krum needs at least 2 \* n_malicious \+ 3 = 7 updates"),
        (lambda: robust.krum(U[:4], 1), "against 1 malicious clients, got 4"),
        (lambda: robust.multi_krum(U, 1, 4), "n_selected must be at most 3, got 4"),
        (lambda: robust.multi_krum(U, 1, 0), "n_selected must be at least 1"),
        (lambda: robust.trimmed_mean(U, 3), "trimmed mean needs at least 2"),
        (lambda: robust.trimmed_mean(U, -1), "n_malicious must be at least 0"),
        (lambda: robust.krum(U, 1.0), "n_malicious must be an integer"),
        (lambda: robust.clip_updates(U[0], U, 0), "clip_norm must be"),
        (lambda: robust.coordinate_median(U * np.nan), "updates must be finite"),
        (lambda: robust.coordinate_median(np.zeros((0, 3), np.float32)), "at least one client"),
        (lambda: robust.Median(3).aggregate((), U[0], U, [1] * 6), "the median needs at least"),
        (lambda: robust.Krum(-1), "n_malicious must be at least 0"),
        (lambda: robust.MultiKrum(1, 0), "n_selected must be at least 1"),
        (lambda: robust.NormClipping(-1), "clip_norm must be"),
        (lambda: robust.TrimmedMean(0.2), "n_malicious must be an integer"),
    ],
)
def test_refuses(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()


@pytest.mark.parametrize("m", range(3, 12))
def test_krum_refuses_exactly_where_its_guarantee_ends(m):
    updates = np.random.default_rng(0).normal(size=(m, 4)).astype(np.float32)
    for f in range(6):
        if m >= 2 * f + 3:
            robust.krum(updates, f)
        else:
            with pytest.raises(ValueError, match="Krum needs"):
                robust.krum(updates, f)
