"""Models: shapes, the flat vector, the loss and its gradient, and what they refuse."""

import numpy as np
import pytest

import fedcore as fc
from fedcore.models import MLP, Softmax

SHAPES = [(64, 5), (64, 7, 5), (64, 9, 8, 5), (64, 6, 6, 6, 5)]


def test_sizes():
    softmax, two_hidden = Softmax(784, 10), MLP(784, 200, 200, 10)
    assert softmax.layer_sizes == (784, 10)
    assert softmax.n_params == 7850
    assert two_hidden.n_params == 199_210  # the 2NN of McMahan et al. 2017
    assert two_hidden.nbytes == 4 * 199_210
    assert repr(two_hidden) == "MLP(784, 200, 200, 10)"
    assert softmax == MLP(784, 10)
    assert softmax != two_hidden


def test_flat_vector_is_row_major_w_then_b_layer_by_layer():
    params = np.arange(2 * 3 + 3 + 3 * 2 + 2, dtype=np.float32)
    (W1, b1), (W2, b2) = MLP(2, 3, 2).unflatten(params)
    np.testing.assert_array_equal(W1, [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(b1, [6, 7, 8])
    np.testing.assert_array_equal(W2, [[9, 10], [11, 12], [13, 14]])
    np.testing.assert_array_equal(b2, [15, 16])
    W2[0, 0] = -1  # a view: writes go through
    assert params[9] == -1


@pytest.mark.parametrize("sizes", SHAPES)
def test_flatten_undoes_unflatten(sizes):
    model = MLP(*sizes)
    params = model.init(seed=3)
    np.testing.assert_array_equal(model.flatten(model.unflatten(params)), params)


def test_init_is_seeded_bounded_and_zero_for_softmax():
    model = MLP(784, 200, 10)
    np.testing.assert_array_equal(model.init(seed=1), model.init(seed=1))
    assert (model.init(seed=1) != model.init(seed=2)).mean() > 0.99
    (W1, b1), (W2, b2) = model.unflatten(model.init(seed=1))
    assert 0.95 * np.sqrt(6 / 784) < np.abs(W1).max() <= np.sqrt(6 / 784)
    assert 0.95 * np.sqrt(6 / 210) < np.abs(W2).max() <= np.sqrt(6 / 210)
    assert not b1.any()
    assert not b2.any()
    assert not Softmax(784, 10).init(seed=5).any()


def test_loss_of_the_zero_model_is_log_of_the_classes(digits):
    x, y = digits
    model = Softmax(64, 5)
    assert model.loss(model.init(), x, y) == pytest.approx(np.log(5), rel=1e-6)
    np.testing.assert_allclose(model.predict_proba(model.init(), x), 0.2, rtol=1e-6)


@pytest.mark.parametrize("sizes", SHAPES)
def test_probabilities_sum_to_one_and_agree_with_predictions(sizes, digits):
    x, y = digits
    model = MLP(*sizes)
    params = model.init(seed=1) * np.float32(1.5)
    p = model.predict_proba(params, x)
    assert p.dtype == np.float32
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(model.predict(params, x), p.argmax(axis=1))
    loss, accuracy = model.evaluate(params, x, y)
    assert loss == pytest.approx(-np.log(p[np.arange(len(y)), y].astype(float)).mean(), rel=1e-6)
    assert accuracy == (p.argmax(axis=1) == y).mean()
    assert (model.loss(params, x, y), model.accuracy(params, x, y)) == (loss, accuracy)


@pytest.mark.parametrize("sizes", SHAPES)
def test_gradient_against_finite_differences(sizes, digits, rng):
    x, y = digits
    x = x[:9].astype(np.float64)
    model = MLP(*sizes)
    params = model.init(seed=4).astype(np.float64)
    params += rng.normal(scale=0.05, size=params.shape)  # biases too must not sit at 0

    def loss(at):
        z = x
        for i, (W, b) in enumerate(model.unflatten(at)):
            z = z @ W + b
            z = np.maximum(z, 0) if i < len(sizes) - 2 else z
        return (np.log(np.exp(z).sum(axis=1)) - z[np.arange(9), y[:9]]).mean()

    gradient = model.gradient(params, x, y[:9])
    assert gradient.dtype == np.float64
    for p in rng.choice(model.n_params, 60, replace=False):
        step = np.zeros_like(params)
        step[p] = 1e-6
        slope = (loss(params + step) - loss(params - step)) / 2e-6
        assert gradient[p] == pytest.approx(slope, rel=1e-5, abs=1e-8)


def test_gradient_of_softmax_agrees_with_scikit_learn(digits):
    from sklearn.linear_model import LogisticRegression

    x, y = digits
    reg = LogisticRegression(C=1e6, tol=1e-10, max_iter=5000).fit(x.astype(np.float64), y)
    model = Softmax(64, 5)
    params = np.concatenate([reg.coef_.T.ravel(), reg.intercept_])
    # At scikit-learn's optimum our gradient is the (tiny) pull of its L2 term.
    pull = np.concatenate([reg.coef_.T.ravel(), np.zeros(5)]) / (1e6 * len(y))
    np.testing.assert_allclose(model.gradient(params, x, y), -pull, atol=1e-6)
    np.testing.assert_allclose(
        model.predict_proba(params.astype(np.float32), x), reg.predict_proba(x), atol=1e-4
    )


def test_no_overflow_for_extreme_parameters(digits):
    x, y = digits
    model = Softmax(64, 5)
    params = np.full(model.n_params, 1e30, np.float32)
    params[::2] = -1e30
    assert np.isfinite(model.loss(params, x, y))


def test_predictions_on_several_cores_are_the_same(monkeypatch, rng):
    x = rng.standard_normal((3 * fc.models.PIECE + 5, 64), dtype=np.float32)
    model = MLP(64, 90, 5)
    params, seen = model.init(seed=1), []
    original = fc.models.kernels.predict_proba

    def counting(sizes, params, x, out):
        seen.append(len(x))
        original(sizes, params, x, out)

    monkeypatch.setattr(fc.models.kernels, "predict_proba", counting)
    results = {}
    for cores in (1, 2, 8):
        monkeypatch.setattr(fc.models, "available_cores", lambda cores=cores: cores)
        results[cores] = model.predict_proba(params, x)
    np.testing.assert_array_equal(results[2], results[1])
    np.testing.assert_array_equal(results[8], results[1])
    assert seen[0] == len(x)
    assert sum(seen[1:3]) == sum(seen[3:]) == len(x)
    assert min(seen) >= fc.models.PIECE


def test_one_example_may_come_alone(digits):
    x, y = digits
    model = MLP(64, 7, 5)
    params = model.init()
    np.testing.assert_array_equal(
        model.predict_proba(params, x[3]), model.predict_proba(params, x[3:4])
    )
    np.testing.assert_array_equal(
        model.gradient(params, x[3], y[3:4]), model.gradient(params, x[3:4], y[3:4])
    )


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: MLP(784), ValueError, "layer_sizes must name at least"),
        (lambda: MLP(784, 0, 10), ValueError, r"layer_sizes\[1\] must be at least 1, got 0"),
        (lambda: MLP(784, 1), ValueError, r"layer_sizes\[1\] must be at least 2, got 1"),
        (lambda: MLP(784.0, 10), TypeError, r"layer_sizes\[0\] must be an integer"),
        (lambda: Softmax(784, True), TypeError, r"layer_sizes\[1\] must be an integer"),
        (lambda: MLP(4, 3).init(seed=-1), ValueError, "seed must be at least 0, got -1"),
        (lambda: MLP(4, 3).init(seed="x"), TypeError, "seed must be an integer"),
    ],
)
def test_refuses_shapes(make, error, message):
    with pytest.raises(error, match=message):
        make()


X, Y = np.zeros((3, 4), np.float32), np.array([0, 1, 2])
P = np.zeros(15, np.float32)


@pytest.mark.parametrize(
    ("params", "x", "y", "error", "message"),
    [
        (P[:-1], X, Y, ValueError, "params must hold 15 numbers"),
        (P.astype(int), X, Y, TypeError, "params must have dtype float32 or float64"),
        (list(P), X, Y, TypeError, "params must be a NumPy array"),
        (P.reshape(3, 5), X, Y, ValueError, r"params must have 1 dimension\(s\)"),
        (P, X[:, :3], Y, ValueError, "x must have 4 columns"),
        (P, X[:0], Y[:0], ValueError, "x must hold at least one example"),
        (P, X.astype(np.uint8), Y, TypeError, "x must have dtype float32 or float64"),
        (P, [[0, 0, 0, 0]], Y, TypeError, "x must be a NumPy array"),
        (P, X, Y[:2], ValueError, "y must hold 3 labels"),
        (P, X, Y.astype(float), TypeError, "y must be a one-dimensional array of integers"),
        (P, X, Y + 1, ValueError, "y must hold classes 0 to 2, got 1 to 3"),
        (P, X, Y - 1, ValueError, "y must hold classes 0 to 2, got -1 to 1"),
    ],
)
def test_refuses_data(params, x, y, error, message):
    with pytest.raises(error, match=message):
        MLP(4, 3).gradient(params, x, y)


def test_flatten_refuses_wrong_shapes():
    with pytest.raises(ValueError, match=r"layers\[0\] must have shapes"):
        MLP(4, 3).flatten([(np.zeros((3, 4)), np.zeros(3))])
    with pytest.raises(ValueError, match="layers must hold 1 pairs"):
        MLP(4, 3).flatten([])
