"""Clipping, noise and their order, against independent arithmetic; what is refused."""

import math

import numpy as np
import pytest
from lab_data import toy
from scipy import stats

import fedcore as fc
from fedcore.federation import sample_clients
from fedcore.privacy import DPFedAvg, clip, dp_sgd, spent
from fedcore.strategy_api import LocalWork

TRAIN, TEST = toy()
MODEL = fc.models.Softmax(12, 4)


def work(m, n_clients=20, rate=0.5):
    return LocalWork(np.arange(m), np.ones(m), 0.1, n_clients, rate)


def aggregate(strategy, updates, params=None, **where):
    params = np.zeros(updates.shape[1], np.float32) if params is None else params
    state = strategy.init(params, 20)
    weights = np.arange(1, len(updates) + 1)
    return strategy.aggregate(state, params, updates, weights, work(len(updates), **where))[0]


def federation(n_clients=20, **changes):
    parts = fc.partition.iid(TRAIN.y, n_clients, seed=0)
    settings = {
        "n_rounds": 6,
        "fraction": 0.3,
        "strategy": DPFedAvg(clip_norm=0.5, noise_multiplier=0.4),
        "sampling": "poisson",
        "progress": False,
    }
    return fc.run_federation(MODEL, TRAIN, parts, TEST, **settings | changes)


# ---------------------------------------------------------------------------------- clipping


def test_clip_shortens_what_is_too_long_and_nothing_else():
    rows = np.array([[3, 4], [0.3, 0.4], [0, 0], [-6, 8]], np.float32)
    expected = [[0.6, 0.8], [0.3, 0.4], [0, 0], [-0.6, 0.8]]
    assert clip(rows, 1.0) == pytest.approx(np.array(expected))
    assert clip(rows[0], 2.5) == pytest.approx(np.array([1.5, 2.0]))
    assert rows[0].tolist() == [3, 4]


@pytest.mark.parametrize("bad", [0, -1, math.inf, math.nan])
def test_a_clip_norm_that_is_not_positive_is_refused(bad):
    for use in (
        lambda: clip(np.ones(3), bad),
        lambda: DPFedAvg(clip_norm=bad),
        lambda: dp_sgd(MODEL, MODEL.init(0), TRAIN, **SGD | {"clip_norm": bad}),
    ):
        with pytest.raises(ValueError, match="clip_norm must be a finite number in"):
            use()


def test_clip_refuses_what_is_not_finite():
    with pytest.raises(ValueError, match=r"updates must be finite, got nan at index \(1, 0\)"):
        clip(np.array([[1.0], [np.nan]]), 1)
    with pytest.raises(TypeError, match="updates must be a NumPy array"):
        clip([1.0], 1)


# -------------------------------------------------------------------------------- user level


def test_without_noise_it_is_the_mean_of_clipped_changes_over_the_expected_number(rng):
    """Three of an expected ten came: the sum is divided by ten; sizes play no role."""
    params = rng.normal(size=5).astype(np.float32)
    updates = params + rng.normal(size=(3, 5)).astype(np.float32)
    found = aggregate(DPFedAvg(clip_norm=1, noise_multiplier=0), updates, params)
    total = np.zeros(5)
    for update in updates:
        change = update.astype(float) - params
        total += change / max(1, math.sqrt(sum(change**2)) / 1)
    assert found == pytest.approx(params + total / 10, abs=1e-6)


def test_noise_has_the_standard_deviation_that_was_promised():
    strategy = DPFedAvg(clip_norm=2.0, noise_multiplier=1.5, seed=7)
    noise = aggregate(strategy, np.zeros((4, 20_000), np.float32))
    std = 2.0 * 1.5 / 10
    assert stats.kstest(noise / std, "norm").pvalue > 0.01
    assert noise.std() == pytest.approx(std, rel=0.02)


def test_noise_comes_after_clipping():
    """A huge update moves the result by S; noise that was clipped with it would nearly vanish."""
    size = 10_000
    strategy = DPFedAvg(clip_norm=1.0, noise_multiplier=3.0)
    huge = np.zeros((1, size), np.float32)
    huge[0, 0] = 1e6
    found, noise = (aggregate(strategy, u) for u in (huge, np.zeros_like(huge)))
    assert np.linalg.norm(noise) == pytest.approx(3 * math.sqrt(size) / 10, rel=0.05)
    assert np.linalg.norm(found - noise) == pytest.approx(1 / 10, rel=1e-3)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_sensitivity_one_user_added_or_removed_moves_the_sum_by_at_most_the_clip_norm(scale, rng):
    """For the same noise; a user who holds everything moves it no further than any other."""
    strategy = DPFedAvg(clip_norm=0.7, noise_multiplier=1.0)
    updates = (scale * rng.normal(size=(8, 30))).astype(np.float32)
    everybody = aggregate(strategy, updates)
    moved = [
        10 * np.linalg.norm(aggregate(strategy, np.delete(updates, k, axis=0)) - everybody)
        for k in range(8)
    ]
    assert max(moved) <= 0.7 * (1 + 1e-4)
    if scale >= 1:
        assert min(moved) == pytest.approx(0.7, rel=1e-3)


def test_a_round_without_users_still_adds_noise():
    empty = aggregate(DPFedAvg(), np.empty((0, 50), np.float32))
    assert np.linalg.norm(empty) > 0


def test_each_round_has_noise_of_its_own():
    strategy, params = DPFedAvg(), np.zeros(9, np.float32)
    one, state = strategy.aggregate(
        strategy.init(params, 20), params, np.zeros((2, 9), np.float32), [1, 1], work(2)
    )
    two, _ = strategy.aggregate(state, params, np.zeros((2, 9), np.float32), [1, 1], work(2))
    assert np.abs(one - two).min() > 0


@pytest.mark.parametrize(
    ("field", "bad", "message"),
    [
        ("noise_multiplier", -0.5, r"noise_multiplier must be a finite number in \[0, inf\)"),
        ("sampling", "random", "sampling must be 'poisson' or 'fixed', got 'random'"),
        ("seed", -1, "seed must be at least 0, got -1"),
    ],
)
def test_bad_settings_are_named(field, bad, message):
    with pytest.raises(ValueError, match=message):
        DPFedAvg(**{field: bad})


# ------------------------------------------------------------------------- in a federation


def test_poisson_sampling_asks_each_client_on_its_own():
    counts, together = np.zeros(40), 0
    sizes = []
    for t in range(1, 1001):
        clients = sample_clients(40, 0.2, seed=3, t=t, sampling="poisson")
        counts[clients] += 1
        sizes.append(len(clients))
        together += {0, 1} <= set(clients.tolist())
    assert counts.min() > 140
    assert counts.max() < 260
    assert together == pytest.approx(40, abs=20)  # 1000 * 0.2^2: independent
    assert stats.kstest(sizes, stats.binom(40, 0.2).cdf).statistic < 0.2
    assert np.var(sizes) == pytest.approx(40 * 0.2 * 0.8, rel=0.2)
    assert len(sample_clients(40, 1.0, 0, 1, "poisson")) == 40


def test_fixed_sampling_is_unchanged():
    assert sample_clients(50, 0.1, 5, 2).tolist() == sample_clients(50, 0.1, 5, 2, "fixed").tolist()


def test_nobody_comes_and_an_ordinary_strategy_keeps_its_model():
    history = federation(strategy=fc.strategies.FedAvg(), fraction=1e-9, n_rounds=2)
    assert [len(record.clients) for record in history.rounds] == [0, 0]
    assert history.params.tolist() == MODEL.init(0).tolist()
    assert history.bytes_up.sum() == 0


def test_nobody_comes_and_a_private_strategy_adds_its_noise():
    history = federation(fraction=1e-9, n_rounds=2)
    assert np.abs(history.params - MODEL.init(0)).min() > 0
    assert history.strategy_state[0].tolist() == [[2, 0.4, 1e-9, 0]]


def test_sampling_must_be_what_the_accountant_assumes():
    with pytest.raises(ValueError, match=r"sampling must be 'poisson' with DPFedAvg\("):
        federation(sampling="fixed")
    with pytest.raises(ValueError, match=r"sampling must be 'fixed' with DPFedAvg\("):
        federation(strategy=DPFedAvg(sampling="fixed"))
    with pytest.raises(ValueError, match="sampling must be 'poisson' or 'fixed', got 'all'"):
        federation(sampling="all")
    with pytest.raises(ValueError, match="sampling must be 'poisson' or 'fixed'"):
        federation(strategy=fc.strategies.FedAvg(), sampling=None)


def test_spent_is_what_the_accountant_says():
    history = federation()
    setting = {"noise_multiplier": 0.4, "sampling_rate": 0.3, "steps": 6, "delta": 1e-3}
    assert spent(history, 1e-3) == fc.accounting.epsilon(**setting)
    assert spent(history, 1e-3, "rdp") == fc.accounting.epsilon(**setting, method="rdp")


def test_spent_by_users_drawn_in_fixed_numbers():
    strategy = DPFedAvg(noise_multiplier=2, sampling="fixed")
    history = federation(strategy=strategy, sampling="fixed", fraction=0.32)
    setting = {"noise_multiplier": 2, "sampling_rate": 6 / 20, "steps": 6, "delta": 1e-3}
    expected = fc.accounting.epsilon(**setting, sampling="fixed", method="rdp")
    assert spent(history, 1e-3) == expected


def test_resumed_saved_and_changed_rounds_are_all_on_the_ledger(tmp_path):
    whole, half = federation(), federation(n_rounds=3)
    half.save(tmp_path / "half.npz")
    again = federation(n_rounds=3, resume=fc.History.load(tmp_path / "half.npz"))
    assert again.params.tolist() == whole.params.tolist()
    assert again.strategy_state[0].tolist() == [[6, 0.4, 0.3, 0]]
    louder = DPFedAvg(clip_norm=0.5, noise_multiplier=0.8)
    changed = federation(n_rounds=2, fraction=0.1, strategy=louder, resume=whole)
    assert changed.strategy_state[0].tolist() == [[6, 0.4, 0.3, 0], [2, 0.8, 0.1, 0]]
    assert spent(changed, 1e-3) > spent(whole, 1e-3)


def test_spent_wants_a_ledger():
    history = federation(strategy=fc.strategies.FedAvg())
    with pytest.raises(ValueError, match="history must come from a federation with strategy=DPFed"):
        spent(history, 1e-3)


def test_results_do_not_depend_on_threads():
    one, two = federation(threads=1), federation(threads=2)
    assert one.params.tolist() == two.params.tolist()


def test_it_learns_and_noise_costs_accuracy():
    settings = {"n_clients": 40, "n_rounds": 15, "fraction": 0.5}
    quiet, loud = (
        federation(strategy=DPFedAvg(clip_norm=1, noise_multiplier=z), **settings).accuracy[-1]
        for z in (0.1, 30)
    )
    assert quiet > 0.9
    assert loud < quiet - 0.2


# ----------------------------------------------------------------------------- example level

SGD = {"steps": 3, "sampling_rate": 0.2, "clip_norm": 0.5, "noise_multiplier": 0.3, "lr": 0.4}


def test_dp_sgd_is_the_algorithm_written_out(rng):
    """Example by example, with the model's own gradient, the same draws in the same order."""
    found = dp_sgd(MODEL, MODEL.init(0), TRAIN, **SGD, seed=5)
    draws = np.random.default_rng(5)
    params = MODEL.init(0).astype(np.float64)
    for _ in range(3):
        total = np.zeros(MODEL.n_params)
        for i in np.flatnonzero(draws.random(len(TRAIN)) < 0.2):
            gradient = MODEL.gradient(params, TRAIN.x[i : i + 1], TRAIN.y[i : i + 1])
            total += gradient / max(1, np.linalg.norm(gradient) / 0.5)
        total += draws.normal(0, 0.3 * 0.5, MODEL.n_params)
        params -= 0.4 * total / (0.2 * len(TRAIN))
    assert found == pytest.approx(params, abs=2e-5)


def test_dp_sgd_leaves_its_arguments_alone_and_repeats():
    params = MODEL.init(0)
    before = params.copy()
    one, two = (dp_sgd(MODEL, params, TRAIN, **SGD, seed=1) for _ in range(2))
    other = dp_sgd(MODEL, params, TRAIN, **SGD, seed=2)
    assert params.tolist() == before.tolist()
    assert one.dtype == np.float32
    assert one.tolist() == two.tolist() != other.tolist()


def test_dp_sgd_learns():
    settings = SGD | {"steps": 120, "noise_multiplier": 1.0, "clip_norm": 1.0}
    params = dp_sgd(MODEL, MODEL.init(0), TRAIN, **settings)
    assert MODEL.accuracy(params, TEST.x, TEST.y) > 0.9


def test_dp_sgd_with_empty_batches():
    params = dp_sgd(MODEL, MODEL.init(0), TRAIN, **SGD | {"sampling_rate": 1e-9, "lr": 1e-9})
    assert np.isfinite(params).all()


def test_dp_sgd_says_when_it_diverges():
    settings = SGD | {"noise_multiplier": 1e3, "lr": 1e38}
    with pytest.raises(fc.DivergedError, match="diverged in step 1: a parameter is not finite"):
        dp_sgd(MODEL, MODEL.init(0), TRAIN, **settings)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"noise_multiplier": -1}, r"noise_multiplier must be a finite number in \[0, inf\)"),
        ({"sampling_rate": 1.5}, r"sampling_rate must be a finite number in \(0, 1\], got 1\.5"),
        ({"sampling_rate": 0}, r"sampling_rate must be a finite number in \(0, 1\], got 0"),
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"lr": 0}, "lr must be a finite number"),
    ],
)
def test_dp_sgd_names_bad_settings(change, message):
    with pytest.raises(ValueError, match=message):
        dp_sgd(MODEL, MODEL.init(0), TRAIN, **SGD | change)


def test_dp_sgd_wants_a_dataset():
    with pytest.raises(TypeError, match="data must be a Dataset, got"):
        dp_sgd(MODEL, MODEL.init(0), TRAIN.x, **SGD)


def test_a_fleet_does_not_draw_users_as_the_accountant_assumes():
    fleet = object()
    for changes in ({}, {"strategy": fc.strategies.FedAvg()}):
        with pytest.raises(ValueError, match="fleet must be None where sampling matters"):
            federation(fleet=fleet, **changes)
