"""Gradient matching: its derivative against finite differences, and digits it finds."""

import numpy as np
import pytest
from scipy.optimize import check_grad

import fedcore as fc
from fedcore import attacks
from fedcore.attacks.matching import _Problem

MODEL = fc.models.Softmax(784, 10)


@pytest.fixture(scope="module")
def once_trained(mnist):
    """Parameters after one round: predictions differ from digit to digit."""
    train, test = mnist
    parts = fc.partition.iid(train.y, 100)
    local = fc.LocalSGD(lr=0.05)
    run = fc.run_federation(MODEL, train, parts, test, n_rounds=1, local=local, progress=False)
    return run.params.astype(np.float64)


def test_the_derivative_is_that_of_the_loss(rng):
    model = fc.models.Softmax(6, 4)
    params = rng.normal(size=model.n_params)
    y = np.array([0, 2, 2])
    problem = _Problem(model, params, rng.normal(size=model.n_params), y)
    x = rng.random(18)
    error = check_grad(lambda v: problem.loss(v)[0], lambda v: problem.loss(v)[1], x)
    assert error < 1e-5 * np.linalg.norm(problem.loss(x)[1])


def test_the_loss_is_the_distance_between_gradients(rng):
    model = fc.models.Softmax(6, 4)
    params, target = rng.normal(size=model.n_params), rng.normal(size=model.n_params)
    x, y = rng.random((3, 6)), np.array([0, 2, 2])
    distance = np.square(model.gradient(params, x, y) - target).sum() / np.square(target).sum()
    assert _Problem(model, params, target, y).loss(x.ravel())[0] == pytest.approx(distance)


def test_a_batch_is_found_where_the_ratio_gives_a_blend(mnist, once_trained):
    train = mnist[0]
    rows = np.random.default_rng(4).choice(len(train), 4, replace=False)
    x, y = train.x[rows], train.y[rows]
    gradient = MODEL.gradient(once_trained, x, y)
    blend, _ = attacks.invert_units(MODEL, gradient)
    found, loss = attacks.match_gradient(MODEL, once_trained, gradient, y, n_starts=2)
    nearest, errors = attacks.best_match(x, found)
    assert loss < 1e-6
    assert errors.max() < 1e-3 < attacks.best_match(x, blend)[1].mean()
    assert sorted(nearest) == [0, 1, 2, 3]


def test_a_perfect_match_need_not_be_right(mnist):
    """From W = 0, digits of one class have the same effect: only their sum can be known."""
    train = mnist[0]
    rows = np.flatnonzero(train.y == 3)[:2]
    x, y = train.x[rows], train.y[rows]
    gradient = MODEL.gradient(np.zeros(MODEL.n_params), x, y)
    found, loss = attacks.match_gradient(MODEL, np.zeros(MODEL.n_params), gradient, y)
    assert loss < 1e-10
    np.testing.assert_allclose(found.sum(axis=0), x.sum(axis=0), atol=1e-3)
    assert attacks.best_match(x, found)[1].mean() > 1e-3


NET, G = fc.models.MLP(784, 20, 10), np.ones(MODEL.n_params)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: attacks.match_gradient(NET, NET.init(), G, [1]), "model must be a softmax"),
        (lambda: attacks.match_gradient(MODEL, 0 * G, 0 * G, [1]), "gradient must not be zero"),
        (lambda: attacks.match_gradient(MODEL, 0 * G, G, [10]), "y must hold labels 0 to 9"),
        (lambda: attacks.match_gradient(MODEL, 0 * G, G, []), "y must"),
        (lambda: attacks.match_gradient(MODEL, 0 * G, G[:3], [1]), "gradient must hold 7850"),
        (lambda: attacks.match_gradient(MODEL, 0 * G, G, [1], n_starts=0), "n_starts must be"),
    ],
)
def test_refuses(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()
