"""Each rule against its paper's, calculated in another way; nothing kept, nothing touched."""

import math
from fractions import Fraction

import numpy as np
import pytest

import fedcore as fc
from fedcore.strategies import (
    SCAFFOLD,
    FedAdagrad,
    FedAdam,
    FedAvg,
    FedAvgM,
    FedNova,
    FedProx,
    FedYogi,
    LocalWork,
)
from fedcore.strategy_api import aggregate, first_state, local_terms, vectors_sent

ALL = [FedAvg(), FedProx(), FedAvgM(), FedAdagrad(), FedAdam(), FedYogi(), SCAFFOLD(), FedNova()]
named = pytest.mark.parametrize("strategy", ALL, ids=lambda s: type(s).__name__)


def one_round(strategy, params, updates, weights, state=None, **work):
    """(new parameters, state) after one round; by default clients 0, 1, ... took one step each."""
    m = len(updates)
    usual = {"clients": np.arange(m), "steps": np.ones(m), "lr": 0.1, "n_clients": m}
    work = LocalWork(**(usual | work))
    if state is None:
        state = first_state(strategy, params, work.n_clients)
    return aggregate(strategy, state, params, updates, np.asarray(weights), work)


def float32(*values):
    return np.array(values, np.float32)


# ------------------------------------------------------------------------------------- all of them


@named
def test_pure(rng, strategy):
    params = rng.random(50, dtype=np.float32)
    updates, weights = rng.random((4, 50), dtype=np.float32), np.array([5, 1, 70, 9])
    work = LocalWork(np.array([2, 3, 5, 6]), np.array([3, 1, 9, 2]), 0.1, 8)
    state = first_state(strategy, params, 8)
    arrays = [params, updates, weights, *state]
    before = [array.copy() for array in arrays]
    for array in arrays:
        array.flags.writeable = False
    first, after = aggregate(strategy, state, params, updates, weights, work)
    second, again = aggregate(strategy, state, params, updates, weights, work)
    np.testing.assert_array_equal(first, second)
    for a, b in zip(after, again, strict=True):
        np.testing.assert_array_equal(a, b)
    for array, copy in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, copy)
    assert first.dtype == np.float32
    assert not any(np.shares_memory(first, array) for array in arrays)
    assert isinstance(after, tuple)
    assert all(isinstance(array, np.ndarray) for array in after)
    assert strategy == type(strategy)()


@named
def test_clients_that_learned_nothing_change_nothing(rng, strategy):
    params = rng.random(6, dtype=np.float32)
    new, state = one_round(strategy, params, np.stack([params] * 3), [1, 2, 3])
    np.testing.assert_array_equal(new, params)
    again, _ = one_round(strategy, params, np.stack([params] * 3), [1, 2, 3], state)
    np.testing.assert_array_equal(again, params)


@pytest.mark.parametrize("strategy", [FedProx(), FedProx(0), FedNova(), FedAvgM(0), FedAvgM(0.9)])
def test_like_fedavg_where_they_must_be(rng, strategy):
    """FedProx on the server; FedNova with equal steps; momentum in its first round."""
    params, updates = rng.random(9, dtype=np.float32), rng.random((3, 9), dtype=np.float32)
    expected, _ = FedAvg().aggregate((), params, updates, np.array([4, 1, 7]))
    new, _ = one_round(strategy, params, updates, [4, 1, 7], steps=[5, 5, 5])
    np.testing.assert_allclose(new, expected, rtol=1e-6)


@named
def test_what_travels(strategy):
    assert vectors_sent(strategy) == (2 if isinstance(strategy, SCAFFOLD) else 1)
    state = first_state(strategy, np.zeros(3, np.float32), 4)
    terms = local_terms(strategy, state, np.array([1, 3]))
    if isinstance(strategy, SCAFFOLD):
        assert terms.arguments()["correction"].shape == (2, 3)
        assert terms.arguments()["correction"].dtype == np.float32
    else:
        expected = {"prox_mu": 0.1} if isinstance(strategy, FedProx) else {}
        assert terms.arguments() == expected


BAD_SETTINGS = [
    (lambda: FedProx(-0.1), r"prox_mu must be .*\[0, inf\), got -0.1"),
    (lambda: FedAvgM(1), r"momentum must be .*\[0, 1\), got 1"),
    (lambda: FedAvgM(0.9, 0), r"server_lr must be .*\(0, inf\), got 0"),
    (lambda: FedAdam(0), r"server_lr must be .*\(0, inf\), got 0"),
    (lambda: FedAdam(beta1=1), r"beta1 must be .*\[0, 1\), got 1"),
    (lambda: FedAdam(beta2=-1), r"beta2 must be .*\[0, 1\), got -1"),
    (lambda: FedYogi(tau=0), r"tau must be .*\(0, inf\), got 0"),
    (lambda: SCAFFOLD(0), r"server_lr must be .*\(0, inf\), got 0"),
    (lambda: LocalWork([0, 1], [1], 0.1, 2), r"steps must hold one number for each .* \(2,\)"),
    (lambda: LocalWork([0, 1], [1, 0], 0.1, 2), "steps must be at least 1, got 0"),
]


@pytest.mark.parametrize(("make", "message"), BAD_SETTINGS)
def test_bad_settings(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("strategy", [s for s in ALL if not isinstance(s, SCAFFOLD)], ids=repr)
@pytest.mark.parametrize(
    ("weights", "message"),
    [([1], "weights must hold 2 numbers"), ([0, 0], "not all be zero"), ([1, -1], "not negative")],
)
def test_refuses_bad_weights(strategy, weights, message):
    updates = np.ones((2, 3), np.float32)
    with pytest.raises(ValueError, match=message):
        one_round(strategy, updates[0], updates, weights)


@pytest.mark.parametrize(
    ("strategy", "other"),
    [
        (FedAvgM(), FedAvg()),
        (SCAFFOLD(), FedAdam()),
        (FedAdam(), SCAFFOLD()),
        (FedYogi(), FedAvgM()),
    ],
)
def test_another_strategy_s_state_is_refused(strategy, other):
    params = np.zeros(3, np.float32)
    state = first_state(other, params, 2)
    with pytest.raises(ValueError, match="resume a run with the kind of strategy"):
        one_round(strategy, params, np.ones((2, 3), np.float32), [1, 1], state)


# ------------------------------------------------------------------------------------------ FedAvg


def test_fedavg_weighs_by_examples():
    """(1 * (1, 10) + 3 * (5, 2)) / 4 = (4, 4); the unweighted mean would be (3, 6)."""
    updates = np.array([[1, 10], [5, 2]], np.float32)
    new, state = FedAvg().aggregate((), np.zeros(2, np.float32), updates, np.array([1, 3]))
    assert new.tolist() == [4, 4]
    assert new.dtype == np.float32
    assert state == ()


def test_fedavg_does_not_look_at_the_old_parameters(rng):
    updates, weights = rng.random((3, 6), dtype=np.float32), np.array([1, 2, 3])
    old = rng.random((2, 6), dtype=np.float32)
    results = [FedAvg().aggregate((), params, updates, weights)[0] for params in old]
    np.testing.assert_array_equal(*results)


# --------------------------------------------------------------------------------- servers' steps


def run_with_deltas(strategy, deltas, start=0.0):
    """Parameters after each round in which the clients' mean delta is the given number.

    Two clients, with 1 and 3 examples, are off by +3 and -1 times the same: they cancel out.
    """
    params, state = float32(start), None
    for delta in deltas:
        updates = params + np.array([[delta + 3], [delta - 1]], np.float32)
        params, state = one_round(strategy, params, updates, [1, 3], state)
        yield float(params[0])


DELTAS = [0.5, -1.0, 2.0, 0.25, 0.0, 0.0, -3.0]


def test_fedavgm_is_the_unrolled_sum():
    """After T rounds: sum over s <= t <= T of lr * beta^(t - s) * delta_s, a geometric series."""
    beta, lr = 0.8, 0.5
    found = list(run_with_deltas(FedAvgM(beta, lr), DELTAS, start=7))
    for T in range(1, len(DELTAS) + 1):
        pushes = [d * (1 - beta ** (T - s)) / (1 - beta) for s, d in enumerate(DELTAS[:T])]
        assert found[T - 1] == pytest.approx(7 + lr * sum(pushes), rel=1e-5)


def second_moments(rule, beta2, tau):
    """v after each round, unrolled from v_0 = tau^2."""
    v = Fraction(tau) ** 2
    for delta in DELTAS:
        squared, beta = Fraction(delta) ** 2, Fraction(beta2)
        if rule is FedAdagrad:
            v = v + squared
        elif rule is FedAdam:
            v = beta * v + (1 - beta) * squared
        elif squared > v:  # Yogi moves by the same amount, up or down
            v = v + (1 - beta) * squared
        elif squared < v:
            v = v - (1 - beta) * squared
        yield v


@pytest.mark.parametrize("rule", [FedAdagrad, FedAdam, FedYogi])
def test_adaptive_servers_by_hand(rule):
    lr, beta1, beta2, tau = 0.1, 0.75, 0.5, 0.125
    settings = {"server_lr": lr, "beta1": beta1, "tau": tau}
    strategy = rule(**settings) if rule is FedAdagrad else rule(**settings, beta2=beta2)
    expected, position = [], 2.0
    for t, v in enumerate(second_moments(rule, beta2, tau)):
        m = sum((1 - beta1) * beta1 ** (t - s) * d for s, d in enumerate(DELTAS[: t + 1]))
        position += lr * m / (math.sqrt(v) + tau)
        expected.append(position)
    np.testing.assert_allclose(list(run_with_deltas(strategy, DELTAS, 2)), expected, rtol=1e-5)


def test_fedadam_has_no_bias_correction():
    """With bias correction the first step would be lr; as published it is ten times shorter here.

    m = 0.1 * delta; v = 0.99 * tau^2 + 0.01 * delta^2, with delta = 1 and tau = 0.001: 0.1 * lr /
    (0.1 + tau), nearly lr. With beta1 = 0.9 and beta2 = 0: 0.1 * lr.
    """
    (first,) = run_with_deltas(FedAdam(server_lr=1, beta1=0.9, beta2=0.99, tau=1e-3), [1])
    assert first == pytest.approx(0.1 / (math.sqrt(0.99e-6 + 0.01) + 1e-3), rel=1e-5)
    (first,) = run_with_deltas(FedAdam(server_lr=1, beta1=0.9, beta2=0, tau=1e-9), [1])
    assert first == pytest.approx(0.1, rel=1e-5)


# ----------------------------------------------------------------------------------------- FedNova


def test_fednova_by_hand():
    """p = 1/4, 3/4; steps 10 and 2: sum p s = 4. Client deltas 20 and 4 are 2 and 2 a step.

    4 * (1/4 * 2 + 3/4 * 2) = 8 from 100, where FedAvg would go 1/4 * 20 + 3/4 * 4 = 8 as well; with
    deltas 20 and -4: 4 * (1/2 - 3/2) = -4, where FedAvg would go 5 - 3 = +2.
    """
    for deltas, expected in (((20, 4), 108), ((20, -4), 96)):
        updates = np.array([[100 + d] for d in deltas], np.float32)
        new, state = one_round(FedNova(), float32(100), updates, [1, 3], steps=[10, 2])
        assert new.tolist() == [expected]
        assert state == ()


def descend(params, minimum, steps, lr, add=0.0):
    """``steps`` gradient steps down (x - minimum)^2 / 2, each with ``add`` in the gradient."""
    for _ in range(steps):
        params = params - lr * ((params - minimum) + add)
    return params


def test_fednova_finds_the_weighted_optimum_and_fedavg_does_not():
    """Two clients pull to 0 and 10, one example each; the second takes 30 times as many steps."""
    lr, steps, minima = 0.001, [1, 30], [0.0, 10.0]
    found = {}
    for strategy in (FedAvg(), FedNova()):
        params, state = np.zeros(1, np.float32), None
        for _ in range(800):
            updates = np.array(
                [[descend(float(params[0]), b, s, lr)] for b, s in zip(minima, steps, strict=True)],
                np.float32,
            )
            params, state = one_round(strategy, params, updates, [1, 1], state, steps=steps, lr=lr)
        found[type(strategy)] = float(params[0])
    assert found[FedNova] == pytest.approx(5, abs=0.1)
    assert found[FedAvg] > 9.5


# ---------------------------------------------------------------------------------------- SCAFFOLD


def scaffold_on_paper(minima, rounds, steps, lr, server_lr):
    """Algorithm 1 with dicts and floats: f_i = (x - minima[i])^2 / 2; yields (x, c, c_i)."""
    x, c, c_i = 0.0, 0.0, dict.fromkeys(range(len(minima)), 0.0)
    for S in rounds:
        dy, dc = {}, {}
        for i in S:
            y = x
            for _ in range(steps[i]):
                y = y - lr * ((y - minima[i]) - c_i[i] + c)
            c_plus = c_i[i] - c + (x - y) / (steps[i] * lr)
            dy[i], dc[i], c_i[i] = y - x, c_plus - c_i[i], c_plus
        x = x + server_lr / len(S) * sum(dy.values())
        c = c + len(S) / len(minima) * (sum(dc.values()) / len(S))
        yield x, c, list(c_i.values())


def test_scaffold_is_algorithm_1_with_partial_participation(rng):
    minima, steps, lr = np.array([-4.0, 1.0, 9.0, 30.0, 2.0]), [1, 3, 5, 10, 2], 0.1
    rounds = [sorted(rng.choice(5, size=2, replace=False).tolist()) for _ in range(30)]
    strategy, params = SCAFFOLD(server_lr=0.7), np.zeros(1, np.float32)
    state = strategy.init(params, 5)
    for S, (x, c, c_i) in zip(
        rounds, scaffold_on_paper(minima, rounds, steps, lr, 0.7), strict=True
    ):
        correction = strategy.local_terms(state, np.array(S)).correction
        updates = np.array(
            [[descend(float(params[0]), minima[k], steps[k], lr, float(correction[i, 0]))]
             for i, k in enumerate(S)], np.float32,
        )  # fmt: skip
        work = LocalWork(S, [steps[k] for k in S], lr, 5)
        params, state = strategy.aggregate(state, params, updates, np.array([1, 999]), work)
        assert params[0] == pytest.approx(x, rel=1e-4, abs=1e-4)
        assert state[0][0] == pytest.approx(c, rel=1e-4, abs=1e-4)
        np.testing.assert_allclose(state[1][:, 0], c_i, rtol=1e-4, atol=1e-4)
        assert state[0][0] == pytest.approx(state[1].mean(), abs=1e-5)


def test_scaffold_goes_where_fedavg_drifts():
    """f_1 = 10 (x - 0)^2 / 2 and f_2 = (x - 10)^2 / 2: the optimum of the sum is 10 / 11."""
    curvature, minima, lr, steps = np.array([10.0, 1.0]), np.array([0.0, 10.0]), 0.02, 30
    found = {}
    for strategy in (FedAvg(), SCAFFOLD()):
        params, clients = np.zeros(1, np.float32), np.array([0, 1])
        state = first_state(strategy, params, 2)
        for _ in range(300):
            add = local_terms(strategy, state, clients).arguments().get("correction", np.zeros(2))
            v = np.full(2, params[0], np.float64)
            for _ in range(steps):
                v -= lr * (curvature * (v - minima) + np.ravel(add))
            work = LocalWork(clients, [steps, steps], lr, 2)
            params, state = aggregate(
                strategy, state, params, v[:, None].astype(np.float32), np.array([1, 1]), work
            )
        found[type(strategy)] = float(params[0])
    assert found[SCAFFOLD] == pytest.approx(10 / 11, rel=1e-3)
    assert found[FedAvg] > 2


def test_scaffold_remembers_absent_clients():
    strategy, params = SCAFFOLD(), np.zeros(2, np.float32)
    state = strategy.init(params, 3)
    updates = np.array([[-1, 2]], np.float32)
    _, state = one_round(
        strategy, params, updates, [1], state, clients=[1], steps=[4], lr=0.5, n_clients=3
    )
    # mean gradient of client 1's four steps: (1, -2) / (4 * 0.5); a third of it on the server
    np.testing.assert_allclose(state[1], [[0, 0], [0.5, -1], [0, 0]])
    np.testing.assert_allclose(state[0], [0.5 / 3, -1 / 3], rtol=1e-6)
    terms = strategy.local_terms(state, np.array([0, 1]))
    np.testing.assert_allclose(
        terms.correction, [[1 / 6, -1 / 3], [1 / 6 - 0.5, -1 / 3 + 1]], rtol=1e-6
    )


def test_public_names():
    assert fc.strategies.SCAFFOLD is SCAFFOLD
    assert set(fc.strategies.__all__) >= {type(s).__name__ for s in ALL}
