"""Labels from the last layer: exact for one example and for the first round, close for the rest."""

import numpy as np
import pytest

import fedcore as fc
from fedcore import attacks

MODELS = [fc.models.Softmax(784, 10), fc.models.MLP(784, 30, 10)]


@pytest.fixture(scope="module")
def trained(mnist):
    """A softmax model after three rounds."""
    train, test = mnist
    parts = fc.partition.iid(train.y, 100)
    run = fc.run_federation(MODELS[0], train, parts, test, n_rounds=3, progress=False)
    return run.params


@pytest.mark.parametrize("model", MODELS, ids=repr)
def test_the_label_of_one_example_is_always_right(mnist, model):
    train, params = mnist[0], model.init(0)
    for i in range(40):
        x, y = train.x[i : i + 1], train.y[i : i + 1]
        assert attacks.label_of_one(model, model.gradient(params, x, y)) == y[0]
        update = fc.local_sgd(model, params, x, y, epochs=3, lr=0.1)
        assert attacks.label_of_one(model, attacks.mean_gradient(params, update, 0.1)) == y[0]


def test_counts_are_exact_while_the_model_predicts_the_same_for_all(mnist, rng):
    model, train = MODELS[0], mnist[0]
    for n in (1, 7, 64, 600):
        rows = rng.choice(len(train), n, replace=False)
        gradient = model.gradient(model.init(), train.x[rows], train.y[rows])
        shares = attacks.label_shares(model, model.init(), gradient)
        expected = np.bincount(train.y[rows], minlength=10)
        assert attacks.label_counts(shares, n).tolist() == expected.tolist()


def test_the_system_is_solved_when_predictions_hang_on_the_class_alone(rng):
    """Examples of one class are all alike: then the estimate is exact for any parameters."""
    model = fc.models.MLP(6, 5, 4)
    params = model.init(2).astype(np.float64)
    x, y = np.eye(6, dtype=np.float32)[:4], np.arange(4)
    public = fc.datasets.Dataset(x, y, 4)
    rows = np.repeat([0, 1, 3], [5, 2, 3])
    gradient = model.gradient(params, x[rows], y[rows])
    shares = attacks.label_shares(model, params, gradient, public)
    np.testing.assert_allclose(shares, [0.5, 0.2, 0, 0.3], atol=1e-6)


def test_a_skewed_client_shows_through_five_local_epochs(mnist, trained, rng):
    """Closer than the guess that every class is equally frequent, by far."""
    model, (train, test) = MODELS[0], mnist
    parts = fc.partition.shards(train.y, 50)
    off, baseline = [], []
    for k in range(10):
        x, y = train.x[parts[k]], train.y[parts[k]]
        update = fc.local_sgd(model, trained, x, y, epochs=5, batch_size=10, lr=0.05, client=k)
        steps = 5 * -(-len(y) // 10)
        gradient = attacks.mean_gradient(trained, update, 0.05, steps)
        shares = attacks.label_shares(model, trained, gradient, test, after=update)
        truth = np.bincount(y, minlength=10) / len(y)
        off.append(np.abs(shares - truth).sum() / 2)
        baseline.append(np.abs(0.1 - truth).sum() / 2)
    assert np.mean(off) < 0.35 * np.mean(baseline)


def test_counts_by_hand():
    assert attacks.label_counts(np.array([0.5, 0.25, 0.25]), 4).tolist() == [2, 1, 1]
    assert attacks.label_counts(np.array([0.46, 0.29, 0.25]), 10).tolist() == [5, 3, 2]
    assert attacks.label_counts(np.array([0.3, 0.7]), 1).tolist() == [0, 1]


M = MODELS[0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: attacks.label_of_one(M, np.zeros(3)), "params must hold|gradient must hold"),
        (lambda: attacks.label_shares(M, np.ones(7850), np.zeros(7850)), "public must be"),
        (
            lambda: attacks.label_shares(
                M,
                np.ones(7850),
                np.zeros(7850),
                fc.datasets.Dataset(np.zeros((2, 784)), np.array([0, 1]), 10),
            ),
            "public must hold examples of every class, got none of 2",
        ),
        (lambda: attacks.label_counts(np.array([0.5, 0.6]), 3), "shares must be"),
        (lambda: attacks.label_counts(np.array([0.5, 0.5]), 0), "n_examples must be"),
    ],
)
def test_refuses(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()
