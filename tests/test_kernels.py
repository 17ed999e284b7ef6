"""The compiled kernel against its NumPy twin, and its own last line of defence.

Tolerances are relative, in the L2 norm of the change that training makes:
one step 1e-5; five epochs 1e-5 for softmax regression, 2e-2 for networks. Networks get more room
because a ReLU input within rounding of 0 may fall on either side, and that example's step then
differs as a whole; without such a case they agree to 1e-5 too.
"""

import os
import subprocess
import sys

import numpy as np
import pytest

from fedcore import _core, _reference
from fedcore.models import MLP
from fedcore.training import epoch_orders

kernels = pytest.importorskip("fedcore._kernels") if _core.COMPILED else None
pytestmark = pytest.mark.skipif(kernels is None, reason="the compiled core is not built")

SHAPES = [(64, 5), (64, 1, 5), (64, 7, 5), (64, 16, 5), (64, 33, 17, 5), (64, 8, 9, 10, 5)]
# Widths on both sides of what the vector registers hold (16 x 16 floats), and many cache blocks.
WIDE = [(64, 255, 5), (64, 256, 5), (64, 257, 5), (64, 530, 5), (64, 5, 300, 5), (64, 40)]


def change(module, sizes, params, x, y, order, batch_size, lr):
    out, part = np.full_like(params, np.nan), np.arange(len(x))
    assert module.local_sgd(sizes, params, x, y, part, order, batch_size, lr, out) == 0
    return out - params


def relative(difference, size):
    return np.linalg.norm(difference) / np.linalg.norm(size)


def compare(sizes, x, y, order, batch_size, lr=0.05):
    params = MLP(*sizes).init(seed=1)
    ours = change(kernels, sizes, params, x, y, order, batch_size, lr)
    theirs = change(_reference, sizes, params, x, y, order, batch_size, lr)
    return relative(ours - theirs, theirs)


@pytest.mark.parametrize("sizes", SHAPES + WIDE)
@pytest.mark.parametrize("batch_size", [1, 2, 10, 31, 32, 33, 64, 65, 120])
def test_one_step(sizes, batch_size, digits, rng):
    x, _ = digits
    y = rng.integers(0, sizes[-1], len(x))
    order = rng.permutation(len(x))[np.newaxis, :batch_size]
    # lr = 1, so that the step is not lost in the rounding of the parameters it is added to.
    assert compare(sizes, x, y, order, batch_size, lr=1.0) < 1e-5


@pytest.mark.parametrize("sizes", SHAPES)
@pytest.mark.parametrize("scale", [1, 100], ids=["sparse", "dense"])
def test_one_epoch_with_a_small_last_batch(sizes, scale, digits, rng):
    x, y = digits
    if scale == 100:
        x = rng.normal(size=x.shape).astype(np.float32)
    order = rng.permutation(len(x))[np.newaxis, :117]
    tolerance = 1e-5 if len(sizes) == 2 else 2e-2
    assert compare(sizes, x, y, order, batch_size=10) < tolerance


@pytest.mark.parametrize("sizes", [*WIDE, (64, 100, 90, 5), (64, 101, 97, 5), (64, 81)])
@pytest.mark.parametrize("batch_size", [1, 2, 9, 10, 31, 33, 65])
@pytest.mark.parametrize("n_features", [64, 63])
def test_one_step_where_rows_are_paired(sizes, batch_size, n_features, digits, rng):
    """Dense inputs into wide layers; odd numbers of inputs, hidden units and examples."""
    x = rng.normal(size=(120, n_features)).astype(np.float32)
    x[7, 5] = x[8, 5] = x[8, 6] = 0  # an example that is not quite full between full ones
    y = rng.integers(0, sizes[-1], len(x))
    order = rng.permutation(len(x))[np.newaxis, :batch_size]
    order[0, :2] = (7, 8)[: len(order[0])]
    assert compare((n_features, *sizes[1:]), x, y, order, batch_size, lr=1.0) < 1e-5


@pytest.mark.parametrize(
    ("sizes", "tolerance"), [((784, 10), 1e-5), ((784, 50, 10), 2e-2), ((784, 200, 200, 10), 2e-2)]
)
@pytest.mark.parametrize("batch_size", [10, 600])
def test_five_epochs_of_mnist(sizes, tolerance, batch_size, mnist):
    train, _ = mnist
    order = epoch_orders(600, 5, seed=0, client=3)
    assert compare(sizes, train.x[:600], train.y[:600], order, batch_size) < tolerance


def test_steps_are_the_gradient(digits):
    """One step from params must be exactly -lr times the gradient that models.py computes."""
    x, y = digits
    model = MLP(64, 33, 17, 5)
    params = model.init(seed=2)
    order = np.arange(len(x))[np.newaxis]
    step = change(kernels, model.layer_sizes, params, x, y, order, len(x), 0.5)
    gradient = model.gradient(params.astype(np.float64), x, y)
    assert relative(step + 0.5 * gradient, step) < 1e-5


def test_softmax_against_scikit_learn(digits):
    """Full-batch descent from our kernel ends where scikit-learn's optimiser does."""
    from sklearn.linear_model import LogisticRegression

    x, _ = digits
    x = x[:, :6].copy()
    y = (x @ np.arange(1, 7) > np.median(x @ np.arange(1, 7))).astype(np.int64)
    y[::3] = 1 - y[::3]  # not separable, so that the optimum is finite
    reg = LogisticRegression(C=1e9, tol=1e-10, max_iter=5000).fit(x.astype(float), y)
    model = MLP(6, 2)
    order = np.tile(np.arange(len(x)), (4000, 1))
    out = np.empty(model.n_params, np.float32)
    kernels.local_sgd((6, 2), model.init() * 0, x, y, order[0], order, len(x), 1.0, out)
    [(W, b)] = model.unflatten(out)
    np.testing.assert_allclose(W[:, 1] - W[:, 0], reg.coef_[0], atol=2e-3)
    assert b[1] - b[0] == pytest.approx(reg.intercept_[0], abs=2e-3)


@pytest.mark.parametrize("sizes", SHAPES + WIDE)
@pytest.mark.parametrize("n", [1, 31, 32, 33, 120])
def test_probabilities(sizes, n, digits):
    x = digits[0][:n]
    params = MLP(*sizes).init(seed=1)
    ours = np.full((n, sizes[-1]), np.nan, np.float32)
    theirs = np.empty_like(ours)
    kernels.predict_proba(sizes, params, x, ours)
    _reference.predict_proba(sizes, params, x, theirs)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("n_classes", [2, 10, 16, 17, 100])
@pytest.mark.parametrize("spread", [1e-6, 1, 30, 300, 1e30])
def test_softmax_of_any_logits(n_classes, spread, rng):
    """With x the unit vectors, W holds the logits. Against float64; below 1e-38 all is 0."""
    logits = rng.normal(0, spread, (50, n_classes)).astype(np.float32)
    params = np.concatenate([logits.ravel(), np.zeros(n_classes, np.float32)])
    ours = np.empty((50, n_classes), np.float32)
    kernels.predict_proba((50, n_classes), params, np.eye(50, dtype=np.float32), ours)
    exact = np.exp(logits.astype(float) - logits.max(axis=1, keepdims=True).astype(float))
    exact /= exact.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(ours, exact, rtol=2e-5 if spread > 1 else 1e-6, atol=2e-38)
    np.testing.assert_allclose(ours.sum(axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_comes_out(bad):
    params = np.zeros(2 * 3 + 3, np.float32)
    params[0] = bad
    out = np.empty((2, 3), np.float32)
    kernels.predict_proba((2, 3), params, np.eye(2, dtype=np.float32), out)
    if bad == -np.inf:  # exp(-inf) = 0 is a probability
        np.testing.assert_allclose(out[0], [0, 0.5, 0.5], atol=1e-37)
    else:
        assert np.isnan(out[0]).any()
    np.testing.assert_allclose(out[1], 1 / 3, rtol=1e-6)


def test_probabilities_refuse_wrong_sizes():
    params, x = np.zeros(15, np.float32), np.zeros((6, 4), np.float32)
    with pytest.raises(ValueError, match=r"out must have shape \(6, 3\), got \(6, 4\)"):
        kernels.predict_proba((4, 3), params, x, np.zeros((6, 4), np.float32))
    with pytest.raises(ValueError, match="x must have 4 columns, got 3"):
        kernels.predict_proba((4, 3), params, x[:, :3].copy(), np.zeros((6, 3), np.float32))
    with pytest.raises(ValueError, match="params must have 15 numbers, got 14"):
        kernels.predict_proba((4, 3), params[1:], x, np.zeros((6, 3), np.float32))


def test_read_only_and_memory_mapped_inputs(digits, tmp_path):
    x, y = digits
    sizes, params = (64, 7, 5), MLP(64, 7, 5).init()
    order = epoch_orders(len(x), 2, seed=0)
    expected = change(kernels, sizes, params, x, y, order, 10, 0.1)
    arrays = {"params": params, "x": x, "y": y, "part": np.arange(len(x)), "order": order}
    for name, array in arrays.items():
        np.save(tmp_path / f"{name}.npy", array)
    mapped = [np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in arrays]
    assert not mapped[1].flags.writeable
    out = np.empty_like(params)
    kernels.local_sgd(sizes, *mapped, 10, 0.1, out)
    np.testing.assert_array_equal(out - params, expected)


def test_out_may_be_params(digits):
    x, y = digits
    part, order = np.arange(len(x)), epoch_orders(len(x), 1, seed=0)
    params = MLP(64, 7, 5).init()
    separate = np.empty_like(params)
    kernels.local_sgd((64, 7, 5), params, x, y, part, order, 10, 0.1, separate)
    kernels.local_sgd((64, 7, 5), params, x, y, part, order, 10, 0.1, params)
    np.testing.assert_array_equal(params, separate)


@pytest.mark.parametrize("sizes", [(64, 5), (64, 7, 5)])
@pytest.mark.parametrize("module", [kernels, _reference], ids=["compiled", "reference"])
def test_reports_the_epoch_that_diverged(module, sizes, digits):
    x, y = digits
    params, out = MLP(*sizes).init(), np.empty(MLP(*sizes).n_params, np.float32)
    part, order = np.arange(len(x)), epoch_orders(len(x), 3, seed=0)
    assert module.local_sgd(sizes, params, x, y, part, order, 10, 0.1, out) == 0
    assert module.local_sgd(sizes, params, x, y, part, order, 10, 3e38, out) == 1
    poisoned = x.copy()
    poisoned[5, 5] = np.nan
    assert module.local_sgd(sizes, params, poisoned, y, part, order, 10, 0.1, out) == 1
    late = order.copy()
    late[:2][late[:2] == 5] = 6  # the bad example comes in the third epoch only
    assert module.local_sgd(sizes, params, poisoned, y, part, late, 10, 0.1, out) == 3


def test_nothing_is_left_behind_in_reused_memory(digits, rng):
    """Calls of other sizes, other data, and diverged ones in between must not change a result."""
    x, y = digits
    params, order = MLP(64, 7, 5).init(), epoch_orders(50, 3, seed=0)
    part = rng.permutation(120)[:50]
    arguments = (part, order, 10, 0.1)
    fresh, again = np.empty_like(params), np.empty_like(params)
    kernels.local_sgd((64, 7, 5), params, x, y, *arguments, fresh)
    for scale, n, lr in ((100, 120, 0.1), (1, 3, 3e38), (np.inf, 120, 0.1), (1, 120, 0.1)):
        with np.errstate(invalid="ignore"):
            other = np.where(x > 0, x * np.float32(scale), 0)
        orders = epoch_orders(n, 2, seed=1)
        kernels.local_sgd((64, 7, 5), params, other, y, np.arange(n), orders, 7, lr, again)
        kernels.local_sgd((64, 7, 5), params, x, y, *arguments, again)
        np.testing.assert_array_equal(again, fresh)


def call(**changes):
    arguments = {
        "layer_sizes": (4, 3),
        "params": np.zeros(15, np.float32),
        "x": np.zeros((6, 4), np.float32),
        "y": np.zeros(6, np.int64),
        "part": np.arange(6),
        "order": np.zeros((1, 6), np.int64),
        "batch_size": 2,
        "lr": 0.1,
        "out": np.zeros(15, np.float32),
    } | changes
    return kernels.local_sgd(*arguments.values())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layer_sizes": (4,)}, "layer_sizes must be two or more positive"),
        ({"layer_sizes": (4, 0)}, "layer_sizes must be two or more positive"),
        ({"params": np.zeros(14, np.float32)}, "params must have 15 numbers"),
        ({"out": np.zeros(16, np.float32)}, "out must have 15 numbers"),
        ({"x": np.zeros((6, 5), np.float32)}, "x must have 4 columns"),
        ({"y": np.zeros(5, np.int64)}, "y must have 6 labels"),
        ({"y": np.full(6, 3)}, "y must hold classes 0 to 2, got 3"),
        ({"y": np.full(6, -1)}, "y must hold classes 0 to 2, got -1"),
        ({"part": np.full(6, 6)}, "part must hold rows 0 to 5, got 6"),
        ({"part": np.full(6, -1)}, "part must hold rows 0 to 5, got -1"),
        ({"part": np.zeros(0, np.int64)}, "order must hold places 0 to -1, got 0"),
        ({"order": np.full((1, 6), 6)}, "order must hold places 0 to 5, got 6"),
        ({"order": np.full((1, 6), -1)}, "order must hold places 0 to 5, got -1"),
        ({"order": np.zeros((0, 6), np.int64)}, "both sides of order"),
        ({"order": np.zeros((1, 0), np.int64)}, "both sides of order"),
        ({"batch_size": 0}, "batch_size and both sides"),
        ({"prox_mu": 0.1, "correction": np.zeros(14, np.float32)}, "correction must have 15 num"),
        ({"x": np.zeros((6, 4))}, "Buffer dtype mismatch"),
        ({"x": np.zeros((6, 8), np.float32)[:, ::2]}, "not C"),
    ],
)
def test_kernel_itself_refuses_what_would_be_unsafe(changes, message):
    assert call() == 0
    with pytest.raises(ValueError, match=message):
        call(**changes)


def descend(sizes, params, x, y, order, batch_size, lr, prox_mu, correction):
    """Local SGD in float64, one flat vector, straight from the formula."""
    model, w = MLP(*sizes), params.astype(np.float64)
    for places in order:
        for start in range(0, len(places), batch_size):
            batch = places[start : start + batch_size]
            gradient = model.gradient(w, x[batch], y[batch])
            w = w - lr * (gradient + prox_mu * (w - params) + correction)
    return w


@pytest.mark.parametrize("module", [kernels, _reference], ids=["compiled", "reference"])
@pytest.mark.parametrize("sizes", [(64, 5), (64, 17, 5), (64, 33, 17, 5)])
@pytest.mark.parametrize("batch_size", [1, 10, 33, 120])
@pytest.mark.parametrize("prox_mu", [0.0, 0.7])
@pytest.mark.parametrize("corrected", [False, True])
def test_prox_and_correction(module, sizes, batch_size, prox_mu, corrected, digits, rng):
    """Three epochs against float64: a lost term, or a W out of step with its transpose, shows."""
    x, y = digits
    params, lr = MLP(*sizes).init(seed=1), 0.05
    correction = rng.normal(0, 0.1, len(params)).astype(np.float32) if corrected else None
    part, order, out = np.arange(120), epoch_orders(120, 3, seed=0), np.empty_like(params)
    arguments = (sizes, params, x, y, part, order, batch_size, lr, out)
    assert module.local_sgd(*arguments, prox_mu, correction) == 0
    exact = descend(
        sizes, params, x, y, order, batch_size, lr, prox_mu, correction if corrected else 0
    )
    assert relative(out - exact, exact - params) < (1e-5 if len(sizes) == 2 else 1e-3)


def test_prox_and_correction_leave_nothing_behind(digits):
    """The plain path is the same bits whatever ran before, and so is the pulled one."""
    x, y = digits
    sizes, params = (64, 7, 5), MLP(64, 7, 5).init()
    part, order = np.arange(120), epoch_orders(120, 2, seed=0)
    outs = np.empty((6, len(params)), np.float32)
    pulls = [(), (0.5,), (0, np.ones_like(params)), (), (0.5,), (0, np.ones_like(params))]
    for pull, out in zip(pulls, outs, strict=True):
        kernels.local_sgd(sizes, params, x, y, part, order, 10, 0.1, out, *pull)
    np.testing.assert_array_equal(outs[:3], outs[3:])
    assert (outs[0] != outs[1]).any()
    assert (outs[0] != outs[2]).any()


def test_a_small_prox_does_not_shrink_the_weights(digits):
    """lr * prox_mu = 1e-5 and x = 0: W has no gradient, stands where it began, and must stay there.

    Had the pull been written (1 - lr * prox_mu) * W + ..., the rounding of 1 - 1e-5 would move it.
    """
    sizes, params = (4, 3), np.full(15, 1.0, np.float32)
    x, y = np.zeros((3, 4), np.float32), np.array([0, 1, 2])  # W has no gradient: x is 0
    order = np.zeros((1, 1), np.int64).repeat(20_000, axis=1) + np.arange(20_000) % 3
    out = np.empty_like(params)
    kernels.local_sgd(sizes, params, x, y, np.arange(3), order, 3, 0.01, out, 1e-3)
    np.testing.assert_allclose(out[:12], 1, rtol=1e-6)


def clipped_by_hand(sizes, params, x, y, rows, clip_norm):
    """Every example's gradient written down in float64, clipped, added up."""
    model, params = MLP(*sizes), params.astype(np.float64)
    total, norms = np.zeros(len(params)), np.zeros(len(rows))
    for i, row in enumerate(rows):
        gradient = model.gradient(params, x[row : row + 1], y[row : row + 1])
        norms[i] = np.linalg.norm(gradient)
        total += gradient * min(1, clip_norm / norms[i])
    return total, norms


@pytest.mark.parametrize("module", [kernels, _reference], ids=["compiled", "reference"])
@pytest.mark.parametrize("sizes", [*SHAPES, (64, 300, 5)])
@pytest.mark.parametrize("n", [0, 1, 32, 33, 120])
@pytest.mark.parametrize("quantile", [0, 0.5, 1.1])
def test_clipped_gradients(module, sizes, n, quantile, digits, rng):
    """All clipped, half of them, none; rows in any order, some of them twice."""
    x, y = digits
    params, rows = MLP(*sizes).init(seed=1), rng.integers(0, 120, n)
    params += rng.normal(0, 0.1, len(params)).astype(np.float32)  # biases that are not 0
    _, norms = clipped_by_hand(sizes, params, x, y, rows, 1)
    clip_norm = np.sort(norms)[int(quantile * (n - 1))] * 0.99 if n and quantile < 1 else 1e6
    out, got = np.full_like(params, np.nan), np.full(n, np.nan)
    module.clipped_gradient_sum(sizes, params, x, y, rows, clip_norm, out, got)
    total, norms = clipped_by_hand(sizes, params, x, y, rows, clip_norm)
    np.testing.assert_allclose(got, norms, rtol=1e-5)
    np.testing.assert_allclose(out, total, atol=1e-5 * max(np.abs(total).max(), 1e-9))


def test_clipping_leaves_nothing_behind(digits):
    """After a call, after one with NaN in it, and after training with large batches: same bits."""
    x, y = digits
    sizes, params = (64, 7, 5), MLP(64, 7, 5).init()
    rows, order = np.arange(50), epoch_orders(120, 1, seed=0)
    outs, norms = np.empty((4, len(params)), np.float32), np.empty((4, 50))
    spoilt = np.where(x > 0.9, np.float32(np.nan), x)
    kernels.clipped_gradient_sum(sizes, params, x, y, rows, 0.5, outs[0], norms[0])
    kernels.clipped_gradient_sum(sizes, params, x, y, rows, 0.5, outs[1], norms[1])
    kernels.clipped_gradient_sum(sizes, params, spoilt, y, rows, 0.5, outs[2], norms[2])
    assert np.isnan(norms[2]).any()
    kernels.clipped_gradient_sum(sizes, params, x, y, rows, 0.5, outs[2], norms[2])
    kernels.local_sgd(sizes, params, x, y, np.arange(120), order, 100, 0.1, outs[3])
    kernels.clipped_gradient_sum(sizes, params, x, y, rows, 0.5, outs[3], norms[3])
    np.testing.assert_array_equal(outs[1:], outs[:1].repeat(3, axis=0))
    np.testing.assert_array_equal(norms[1:], norms[:1].repeat(3, axis=0))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rows": np.array([6])}, "rows must hold rows 0 to 5, got 6"),
        ({"rows": np.array([-1])}, "rows must hold rows 0 to 5, got -1"),
        ({"y": np.full(6, 3)}, "y must hold classes 0 to 2, got 3"),
        ({"y": np.zeros(5, np.int64)}, "y must have 6 labels, got 5"),
        ({"out": np.zeros(14, np.float32)}, "out and norms must have 15 and 6 numbers, got 14"),
        ({"norms": np.zeros(5)}, "out and norms must have 15 and 6 numbers, got 15 and 5"),
        ({"norms": np.zeros(6, np.float32)}, "Buffer dtype mismatch"),
    ],
)
def test_clipping_itself_refuses_what_would_be_unsafe(changes, message):
    arguments = {
        "layer_sizes": (4, 3),
        "params": np.zeros(15, np.float32),
        "x": np.zeros((6, 4), np.float32),
        "y": np.zeros(6, np.int64),
        "rows": np.arange(6),
        "clip_norm": 1.0,
        "out": np.zeros(15, np.float32),
        "norms": np.zeros(6),
    } | changes
    with pytest.raises(ValueError, match=message):
        kernels.clipped_gradient_sum(*arguments.values())


@pytest.mark.parametrize("module", [kernels, _reference], ids=["compiled", "reference"])
def test_the_teaching_steps_are_the_same_product(module, digits, rng):
    x, W = digits[0], rng.normal(size=(64, 9)).astype(np.float32)
    exact = x.astype(float) @ W.astype(float)
    steps = (module.product_naive, (module.product_by_rows, False), (module.product_by_rows, True))
    for step in steps:
        function, *more = step if isinstance(step, tuple) else (step,)
        out = np.full((len(x), 9), np.nan, np.float32)
        function(x, W, out, *more)
        np.testing.assert_allclose(out, exact, atol=1e-5)


def test_the_teaching_steps_refuse_wrong_shapes():
    x, W, out = (np.zeros(shape, np.float32) for shape in ((3, 4), (4, 2), (3, 2)))
    kernels.product_naive(x, W, out)
    with pytest.raises(ValueError, match=r"got shapes \(3, 2\) = \(3, 4\) \(3, 2\)"):
        kernels.product_naive(x, W[:3].copy(), out)
    with pytest.raises(ValueError, match="W must have at least one column"):
        kernels.product_by_rows(x, W[:, :0].copy(), out[:, :0].copy(), True)


@pytest.mark.parametrize("level", ["baseline", "avx2", "avx512"])
def test_every_instruction_set_gives_the_same_answer(level, tmp_path):
    """Each level runs in a process of its own; all must agree with the reference."""
    program = tmp_path / "one_epoch.py"
    program.write_text(
        "import sys, numpy as np\n"
        "from fedcore import _kernels, _reference\n"
        "from fedcore.models import MLP\n"
        "rng = np.random.default_rng(0)\n"
        "x = rng.random((90, 50), dtype=np.float32); x[x < 0.6] = 0\n"
        "y = rng.integers(0, 4, 90); part = np.arange(90); order = rng.permutation(90)[None]\n"
        "print(_kernels.SIMD)\n"
        "for sizes in [(50, 4), (50, 9, 4), (50, 100, 41, 4), (50, 300, 4)]:\n"
        "    p = MLP(*sizes).init(1); a = p.copy(); b = p.copy()\n"
        "    _kernels.local_sgd(sizes, p, x, y, part, order[:, :10], 10, 0.1, a)\n"
        "    _reference.local_sgd(sizes, p, x, y, part, order[:, :10], 10, 0.1, b)\n"
        "    print(np.linalg.norm(a - b) / np.linalg.norm(b - p))\n"
    )
    env = os.environ | {"FEDCORE_SIMD": level}
    done = subprocess.run(
        [sys.executable, program], env=env, capture_output=True, text=True, check=False
    )
    if "must name a level that this processor has" in done.stderr:
        pytest.skip(f"this processor has no {level}")
    assert done.returncode == 0, done.stderr
    name, *errors = done.stdout.split()
    assert name == level
    assert len(errors) == 4
    assert max(map(float, errors)) < 1e-5


def test_unknown_instruction_set_is_refused():
    done = subprocess.run(
        [sys.executable, "-c", "import fedcore._kernels"],
        env=os.environ | {"FEDCORE_SIMD": "mmx"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "FEDCORE_SIMD must name a level" in done.stderr
    assert "'mmx'" in done.stderr


def test_without_the_compiled_core_it_runs_and_says_so_once(digits):
    program = (
        "import sys; sys.modules['fedcore._kernels'] = None\n"
        "import fedcore as fc, numpy as np\n"
        "assert fc.info()['compiled'] is False, fc.info()\n"
        "m = fc.models.Softmax(4, 3)\n"
        "p = fc.local_sgd(m, m.init(), np.eye(4, dtype='f4')[:3], np.array([0, 1, 2]), lr=1.0)\n"
        "print(m.accuracy(p, np.eye(4, dtype='f4')[:3], np.array([0, 1, 2])))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "1.0"
    assert done.stderr.count("runs without its compiled core") == 1
