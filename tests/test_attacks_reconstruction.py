"""Closed-form reconstruction: exact where theory says so, a blend where it says so."""

import numpy as np
import pytest

import fedcore as fc
from fedcore import attacks

MODELS = [fc.models.Softmax(784, 10), fc.models.MLP(784, 30, 20, 10)]


def both_models(function):
    return pytest.mark.parametrize("model", MODELS, ids=repr)(function)


def batch(mnist, n, seed=0, distinct=False):
    """(x, y) of n random training digits; with ``distinct``, of n different classes."""
    train = mnist[0]
    order = np.random.default_rng(seed).permutation(len(train))
    if distinct:
        _, first = np.unique(train.y[order], return_index=True)
        order = order[np.random.default_rng(seed).permutation(first)]
    return train.x[order[:n]], train.y[order[:n]]


# ------------------------------------------------------------------------------ one example


@both_models
def test_one_example_is_exact_after_one_step(mnist, model):
    x, y = batch(mnist, 1)
    params = model.init(0)
    update = fc.local_sgd(model, params, x, y, batch_size=None, lr=0.1)
    guess = attacks.invert_one(model, attacks.mean_gradient(params, update, lr=0.1))
    np.testing.assert_allclose(guess, x[0], atol=2e-5)


@both_models
@pytest.mark.parametrize("epochs", [5, 50])
def test_one_example_survives_local_epochs_whatever_the_server_takes_for_lr(mnist, model, epochs):
    x, y = batch(mnist, 1, seed=3)
    params = model.init(1)
    update = fc.local_sgd(model, params, x, y, epochs=epochs, lr=0.1)
    for lr, steps in ((0.1, epochs), (7.0, 1)):
        guess = attacks.invert_one(model, attacks.mean_gradient(params, update, lr, steps))
        np.testing.assert_allclose(guess, x[0], atol=2e-5)


@both_models
def test_clipping_changes_nothing_and_noise_does(mnist, model, rng):
    x, y = batch(mnist, 1, seed=5)
    gradient = model.gradient(model.init(0), x, y).astype(np.float64)
    clipped = gradient / np.linalg.norm(gradient) * 1e-3
    np.testing.assert_allclose(attacks.invert_one(model, clipped), x[0], atol=1e-5)
    noisy = clipped + rng.normal(0, 1e-4, len(clipped))
    assert attacks.psnr(x.astype(float)[0], attacks.invert_one(model, noisy))[0] < 40


def test_mean_gradient_is_the_gradient(mnist):
    model = MODELS[1]
    x, y = batch(mnist, 8)
    params = model.init(0)
    update = fc.local_sgd(model, params, x, y, batch_size=None, lr=0.5)
    expected = model.gradient(params.astype(np.float64), x, y)
    np.testing.assert_allclose(attacks.mean_gradient(params, update, 0.5), expected, atol=1e-6)
    np.testing.assert_allclose(
        attacks.mean_gradient(params, update, 0.5, 2), expected / 2, atol=1e-6
    )


# ------------------------------------------------------------------------- several examples


def test_units_blend_as_the_formula_says(mnist):
    """For softmax regression, unit c holds sum_i (p_ic - y_ic) x_i over its sum of weights."""
    model = MODELS[0]
    x, y = batch(mnist, 4)
    gradient = model.gradient(np.zeros(model.n_params), x, y)
    candidates, units = attacks.invert_units(model, gradient)
    coefficients = 0.1 - np.eye(10)[y]
    assert units.tolist() == list(range(10))
    for c in range(10):
        expected = coefficients[:, c] @ x / coefficients[:, c].sum()
        np.testing.assert_allclose(candidates[c], expected, atol=1e-6)


def test_a_unit_active_for_one_example_gives_that_example(mnist):
    model = fc.models.MLP(784, 50, 10)
    x, y = batch(mnist, 3)
    params = model.init(0).astype(np.float64)
    W, b = model.unflatten(params)[0]
    active = x @ W + b > 0
    candidates, units = attacks.invert_units(model, model.gradient(params, x, y))
    alone = [
        (j, int(active[:, u].argmax())) for j, u in enumerate(units) if active[:, u].sum() == 1
    ]
    assert len(alone) > 5
    for j, example in alone:
        np.testing.assert_allclose(candidates[j], x[example], atol=1e-6)
    assert not set(units) & set(np.flatnonzero(~active.any(axis=0)))


@pytest.mark.parametrize("n", [2, 5, 9])
def test_classes_are_separated_exactly_when_one_is_absent(mnist, n):
    model = MODELS[0]
    x, y = batch(mnist, n, distinct=True)
    params = model.init()
    update = fc.local_sgd(model, params, x, y, batch_size=None, lr=0.1)
    sums, counts = attacks.class_sums(model, params, attacks.mean_gradient(params, update, 0.1), n)
    assert counts.tolist() == np.bincount(y, minlength=10).tolist()
    np.testing.assert_allclose(sums[y], x, atol=1e-4)
    assert not sums[np.setdiff1d(range(10), y)].any()


def test_classes_of_a_batch_are_sums_exact_where_a_class_has_no_ink(mnist):
    model = MODELS[0]
    x, y = batch(mnist, 30, seed=1)
    b = np.linspace(-1, 1, 10)  # a start that favours some classes
    params = np.concatenate([np.zeros(7840), b])
    gradient = model.gradient(params, x, y)
    sums, counts = attacks.class_sums(model, params, gradient, 30)
    expected = np.stack([x[y == c].sum(axis=0) for c in range(10)])
    no_ink = (expected == 0).any(axis=0)
    assert 0.5 < no_ink.mean() < 1
    assert counts.tolist() == np.bincount(y, minlength=10).tolist()
    np.testing.assert_allclose(sums[:, no_ink], expected[:, no_ink], atol=1e-5)
    assert np.all(sums <= expected + 1e-5)  # elsewhere the ink is underestimated, never invented


def test_averaging_clients_is_one_larger_batch(mnist):
    """K clients with one example each, one step: the server's mean is the gradient of a batch."""
    model = MODELS[0]
    x, y = batch(mnist, 4, distinct=True)
    params = model.init()
    parts = [np.array([k]) for k in range(4)]
    updates = fc.local_sgd_many(model, params, x, y, parts, batch_size=None, lr=0.1)
    mean = fc.weighted_average(updates, [1] * 4)
    sums, _ = attacks.class_sums(model, params, attacks.mean_gradient(params, mean, 0.1), 4)
    np.testing.assert_allclose(sums[y], x, atol=1e-4)


# ------------------------------------------------------------------------------------ traps


def test_traps_recover_more_of_a_batch_than_an_honest_start(mnist):
    model = fc.models.MLP(784, 200, 10)
    honest = model.init(0)
    params = {
        "honest": honest,
        "traps": attacks.trap_params(model, honest),
        "imprint": attacks.imprint_params(model, honest, mnist[1].x),
    }
    shares = {name: [] for name in params}
    for seed in range(4):
        x, y = batch(mnist, 32, seed)
        for name, start in params.items():
            update = fc.local_sgd(model, start, x, y, batch_size=None, lr=0.1)
            gradient = attacks.mean_gradient(start, update, 0.1)
            read = attacks.invert_bins if name == "imprint" else attacks.invert_units
            shares[name].append(attacks.share_recovered(x, read(model, gradient)[0]))
    honest, traps, imprint = (np.mean(shares[name]) for name in params)
    assert honest < 0.2
    assert traps > 0.4
    assert imprint > 0.7


def test_bins_give_exactly_those_who_are_alone_in_one(mnist):
    model = fc.models.MLP(784, 40, 20, 10)
    x, y = batch(mnist, 16)
    start = attacks.imprint_params(model, model.init(0), mnist[1].x).astype(np.float64)
    W, b = model.unflatten(start)[0]
    place = (x @ W + b > 0).sum(axis=1) - 1  # the last unit that fires
    candidates, bins = attacks.invert_bins(model, model.gradient(start, x, y))
    assert set(bins) == set(place) - {-1}
    for j, found in enumerate(bins):
        inside = np.flatnonzero(place == found)
        if len(inside) == 1:
            np.testing.assert_allclose(candidates[j], x[inside[0]], atol=1e-4)
    assert sum(np.sum(place == found) == 1 for found in bins) >= 6


def test_trap_weights_are_half_negative_and_leave_the_rest_alone():
    model = fc.models.MLP(784, 20, 15, 10)
    honest = model.init(3)
    before = honest.copy()
    trapped = attacks.trap_params(model, honest, scale=0.5, seed=1)
    np.testing.assert_array_equal(honest, before)
    (W, b), *rest = model.unflatten(trapped)
    np.testing.assert_allclose(W.sum(axis=0), 0.5 * W.clip(max=0).sum(axis=0), rtol=1e-4)
    assert ((W < 0).sum(axis=0) == 392).all()
    assert not b.any()
    for (W, b), (W0, b0) in zip(rest, model.unflatten(honest)[1:], strict=True):
        np.testing.assert_array_equal(W, W0)
        np.testing.assert_array_equal(b, b0)


# ---------------------------------------------------------------------------------- refusals

S, N = MODELS


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: attacks.invert_one(S, np.zeros(7850)), "gradient must not be zero"),
        (lambda: attacks.invert_one(S, np.zeros(7)), "gradient must hold 7850 numbers, got 7"),
        (lambda: attacks.invert_one(S, np.full(7850, np.nan)), "gradient must be finite"),
        (lambda: attacks.invert_one("softmax", np.zeros(7850)), "model must be"),
        (lambda: attacks.mean_gradient(np.zeros(3), np.zeros(4), 0.1), "update must hold 3"),
        (lambda: attacks.mean_gradient(np.zeros(3), np.zeros(3), 0), "lr must be"),
        (lambda: attacks.mean_gradient(np.zeros(3), np.zeros(3), 0.1, 0), "n_steps must be"),
        (
            lambda: attacks.class_sums(N, N.init(0), np.zeros(N.n_params), 2),
            "model must be a softmax regression",
        ),
        (lambda: attacks.class_sums(S, np.ones(7850), np.zeros(7850), 2), "params must have W = 0"),
        (lambda: attacks.class_sums(S, np.zeros(7850), np.zeros(7850), 0), "batch_size must be"),
        (lambda: attacks.trap_params(S, S.init()), "model must be an MLP with a hidden layer"),
        (lambda: attacks.trap_params(N, N.init(0), scale=1), "scale must be"),
        (lambda: attacks.imprint_params(N, N.init(0), np.zeros((9, 3))), "public_x must hold"),
        (lambda: attacks.invert_units(S, np.zeros(7850), tolerance=-1), "tolerance must be"),
    ],
)
def test_refuses(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()


@pytest.mark.parametrize("factor", [1e-3, 7.0])
def test_an_absent_class_gives_the_scale_of_a_clipped_gradient_away(mnist, factor):
    x, y = batch(mnist, 5, distinct=True)
    gradient = S.gradient(np.zeros(7850), x, y)
    sums, counts = attacks.class_sums(S, S.init(), factor * gradient, 5, rescale=True)
    assert counts.tolist() == np.bincount(y, minlength=10).tolist()
    np.testing.assert_allclose(sums[y], x, atol=1e-5)
