"""Local SGD as the lessons call it: many clients, many threads, and what it refuses."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fedcore as fc
from fedcore import _reference
from fedcore.models import MLP, Softmax
from fedcore.training import DivergedError, epoch_orders, local_sgd, local_sgd_many

MODEL = MLP(64, 9, 5)


@pytest.fixture
def parts(rng):
    """Clients of very unequal size: 1, 5, 14, 40 and 60 examples."""
    return np.split(rng.permutation(120), [1, 6, 20, 60])


def test_epoch_orders_visit_everything_once_an_epoch():
    orders = epoch_orders(50, 3, seed=7, client=2)
    assert orders.shape == (3, 50)
    np.testing.assert_array_equal(np.sort(orders, axis=1), np.tile(np.arange(50), (3, 1)))
    assert (orders[0] != orders[1]).any()
    np.testing.assert_array_equal(orders, epoch_orders(50, 3, seed=7, client=2))
    assert (orders != epoch_orders(50, 3, seed=7, client=3)).any()
    assert (orders != epoch_orders(50, 3, seed=8, client=2)).any()


def test_one_step_by_hand():
    """Two features, two classes, one example, all parameters 0: p = 1/2, dz = (-1/2, 1/2)."""
    model = Softmax(2, 2)
    x, y = np.array([[1.0, 3.0]], np.float32), np.array([0])
    new = local_sgd(model, model.init(), x, y, epochs=1, batch_size=1, lr=0.2)
    np.testing.assert_allclose(new, [0.1, -0.1, 0.3, -0.3, 0.1, -0.1], rtol=1e-6)


def test_many_clients_equal_one_by_one(digits, parts):
    x, y = digits
    params = MODEL.init()
    settings_ = {"epochs": 3, "batch_size": 7, "lr": 0.1, "seed": 11}
    together = local_sgd_many(MODEL, params, x, y, parts, **settings_)
    for k, part in enumerate(parts):
        alone = local_sgd(MODEL, params, x[part], y[part], client=k, **settings_)
        np.testing.assert_array_equal(together[k], alone)
    ids = [40, 3, 12, 7, 0]
    renamed = local_sgd_many(MODEL, params, x, y, parts, clients=ids, **settings_)
    alone = local_sgd(MODEL, params, x[parts[1]], y[parts[1]], client=3, **settings_)
    np.testing.assert_array_equal(renamed[1], alone)


def test_it_trains_with_the_orders_it_says(digits):
    x, y = digits
    params, expected = MODEL.init(), np.empty(MODEL.n_params, np.float32)
    order = epoch_orders(120, 2, seed=5, client=9)
    _reference.local_sgd(MODEL.layer_sizes, params, x, y, np.arange(120), order, 10, 0.1, expected)
    got = local_sgd(MODEL, params, x, y, epochs=2, batch_size=10, lr=0.1, seed=5, client=9)
    np.testing.assert_allclose(got, expected, atol=1e-5)


@pytest.mark.parametrize("model", [Softmax(64, 5), MODEL, MLP(64, 40, 30, 5)])
def test_threads_change_nothing(model, digits, rng):
    x, y = digits
    params = model.init(seed=1)
    parts = [rng.permutation(120)[: rng.integers(1, 100)] for _ in range(23)]
    one, two, eight = (
        local_sgd_many(model, params, x, y, parts, epochs=2, lr=0.1, seed=3, threads=threads)
        for threads in (1, 2, 8)
    )
    np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(one, eight)


def test_epochs_may_differ_from_client_to_client(digits, parts):
    x, y = digits
    params, epochs = MODEL.init(), [3, 1, 2, 5, 1]
    for many in (epochs, tuple(epochs), np.array(epochs)):
        together = local_sgd_many(MODEL, params, x, y, parts, epochs=many, lr=0.1, seed=4)
        for k, part in enumerate(parts):
            alone = local_sgd(
                MODEL, params, x[part], y[part], epochs=epochs[k], lr=0.1, seed=4, client=k
            )
            np.testing.assert_array_equal(together[k], alone)


@pytest.mark.parametrize("model", [Softmax(64, 5), MODEL])
def test_prox_and_correction_row_by_row_on_any_number_of_threads(model, digits, parts, rng):
    x, y = digits
    params = model.init(seed=1)
    own = rng.normal(0, 0.1, (5, len(params))).astype(np.float32)
    common = {"epochs": 2, "lr": 0.1, "seed": 3, "prox_mu": 0.3}
    one, four = (
        local_sgd_many(model, params, x, y, parts, correction=own, threads=threads, **common)
        for threads in (1, 4)
    )
    np.testing.assert_array_equal(one, four)
    shared = local_sgd_many(model, params, x, y, parts, correction=own[2], **common)
    np.testing.assert_array_equal(shared[2], one[2])
    assert (shared[1] != one[1]).any()
    for k, part in enumerate(parts):
        alone = local_sgd(model, params, x[part], y[part], client=k, correction=own[k], **common)
        np.testing.assert_array_equal(one[k], alone)


def test_a_strong_prox_keeps_the_client_near(digits):
    x, y = digits
    params = MODEL.init()
    moved = [
        np.linalg.norm(local_sgd(MODEL, params, x, y, epochs=5, lr=0.1, prox_mu=mu) - params)
        for mu in (0, 0.1, 1, 5)
    ]
    assert moved == sorted(moved, reverse=True)
    assert moved[-1] < moved[0] / 5


def test_scaffold_with_the_exact_correction_follows_the_global_gradient(digits, parts):
    """With c - c_k = grad f(w) - grad f_k(w) a full-batch step of any client is the global one."""
    x, y = digits
    params = MODEL.init()
    whole = MODEL.gradient(params, x, y)
    own = np.stack([MODEL.gradient(params, x[part], y[part]) for part in parts])
    steps = local_sgd_many(
        MODEL, params, x, y, parts, batch_size=None, lr=0.1, correction=whole - own
    )
    np.testing.assert_allclose(steps - params, np.tile(-0.1 * whole, (5, 1)), atol=1e-6)


def test_a_correction_that_is_not_finite_is_blamed(digits, parts):
    x, y = digits
    correction = np.zeros(MODEL.n_params, np.float32)
    correction[7] = np.inf
    with pytest.raises(ValueError, match="correction of client 0 must be finite, got inf"):
        local_sgd_many(MODEL, MODEL.init(), x, y, parts, correction=correction)


def test_clipped_gradient_sum_on_mnist(mnist):
    """Against the gradient of the mean loss (nothing clipped), and the bound on one row's part."""
    train, _ = mnist
    model = MLP(784, 30, 10)
    params, rows = model.init(), np.arange(0, 600, 2)
    total, norms = fc.clipped_gradient_sum(model, params, train.x, train.y, rows, 1e6)
    mean = model.gradient(params.astype(np.float64), train.x[rows], train.y[rows])
    np.testing.assert_allclose(total / 300, mean, atol=1e-6)
    bound = float(np.median(norms))
    clipped, same = fc.clipped_gradient_sum(model, params, train.x, train.y, rows, bound)
    without, _ = fc.clipped_gradient_sum(model, params, train.x, train.y, rows[1:], bound)
    np.testing.assert_array_equal(norms, same)
    assert np.linalg.norm(clipped - without) == pytest.approx(min(norms[0], bound), rel=1e-3)


def test_no_rows_at_all_give_zeros(digits):
    x, y = digits
    total, norms = fc.clipped_gradient_sum(MODEL, MODEL.init(), x, y, [], 1.0)
    np.testing.assert_array_equal(total, np.zeros(MODEL.n_params, np.float32))
    assert norms.shape == (0,)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"rows": [120]}, ValueError, "rows must hold indices from 0 to 119, got 120"),
        ({"rows": [0.5]}, TypeError, "rows must be a one-dimensional array of integers"),
        ({"rows": np.ones(120, bool)}, TypeError, "rows must be .* of integers"),
        ({"clip_norm": 0}, ValueError, "clip_norm must be a finite number in"),
        ({"clip_norm": None}, TypeError, "clip_norm must be a number"),
        (
            {"params": np.full(635, np.nan, np.float32)},
            ValueError,
            "params must be finite, got nan",
        ),
        ({"x": np.full((120, 64), np.inf, np.float32)}, ValueError, r"x\[rows\] must be finite"),
        ({"params": np.full(635, 1e38, np.float32)}, ValueError, "the gradient of row 3 is not"),
    ],
)
def test_clipped_gradient_sum_refuses(changes, error, message, digits):
    x, y = digits
    arguments = {"model": MODEL, "params": MODEL.init(), "x": x, "y": y} | {
        "rows": [3, 4],
        "clip_norm": 1.0,
    }
    with pytest.raises(error, match=message):
        fc.clipped_gradient_sum(**(arguments | changes))


def test_inputs_are_left_alone_and_may_be_read_only(digits, parts):
    x, y = digits
    params = MODEL.init()
    frozen = [params, x, y, *parts]
    before = [array.copy() for array in frozen]
    for array in frozen:
        array.flags.writeable = False
    local_sgd_many(MODEL, params, x, y, parts, epochs=1, lr=0.5)
    for array, copy in zip(frozen, before, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_float64_strided_and_other_integers_are_accepted(digits):
    x, y = digits
    params = MODEL.init()
    expected = local_sgd(MODEL, params, x, y, lr=0.1)
    wide = np.zeros((120, 128), np.float32)
    wide[:, ::2] = x
    for other_x, other_y in (
        (x.astype(np.float64), y.astype(np.int32)),
        (wide[:, ::2], y.astype(np.uint8)),
        (np.asfortranarray(x), np.repeat(y, 2)[::2]),
    ):
        np.testing.assert_array_equal(local_sgd(MODEL, params, other_x, other_y, lr=0.1), expected)
    as_float64 = local_sgd(MODEL, params.astype(np.float64), x, y, lr=0.1)
    assert as_float64.dtype == np.float32
    np.testing.assert_array_equal(as_float64, expected)


def test_batch_size_none_is_one_batch_of_all(digits):
    x, y = digits
    params = MODEL.init()
    step = local_sgd(MODEL, params, x, y, batch_size=None, lr=0.3) - params
    np.testing.assert_allclose(step, -0.3 * MODEL.gradient(params, x, y), atol=1e-6)
    large = local_sgd(MODEL, params, x, y, batch_size=10**9, lr=0.3)
    np.testing.assert_array_equal(large, params + step)


@settings(max_examples=25)
@given(st.integers(1, 40), st.integers(1, 50), st.integers(1, 3), st.integers(0, 2**40))
def test_any_size_batch_and_seed_agree_with_the_reference(n, batch_size, epochs, seed):
    rng = np.random.default_rng(seed)
    model = Softmax(6, 3)
    x = rng.normal(size=(n, 6)).astype(np.float32)
    y = rng.integers(0, 3, n)
    params = rng.normal(size=model.n_params).astype(np.float32)
    got = local_sgd(model, params, x, y, epochs=epochs, batch_size=batch_size, lr=0.1, seed=seed)
    order, expected = epoch_orders(n, epochs, seed), np.empty_like(params)
    _reference.local_sgd((6, 3), params, x, y, np.arange(n), order, batch_size, 0.1, expected)
    np.testing.assert_allclose(got, expected, atol=2e-5)


def test_learns_mnist(mnist):
    train, test = mnist
    model = Softmax(784, 10)
    params = local_sgd(model, model.init(), train.x, train.y, epochs=1, batch_size=10, lr=0.05)
    assert model.accuracy(params, test.x, test.y) > 0.90


def test_divergence_names_client_epoch_and_rate(digits, parts):
    x, y = digits  # clients 70 and 71 have one batch each: too few steps to diverge
    with pytest.raises(DivergedError, match="client 72 in local epoch 1") as caught:
        local_sgd_many(MODEL, MODEL.init(), x, y, parts, clients=[70, 71, 72, 73, 74], lr=3e38)
    assert (caught.value.client, caught.value.epoch) == (72, 1)
    assert caught.value.lr == pytest.approx(3e38)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_of_several_errors_the_one_of_the_first_client_is_raised(digits, threads):
    """Which thread fails first is chance; which error is told is not."""
    x, y = digits
    parts = [np.arange(110), np.arange(20), *[np.arange(10 * k, 10 * k + 4) for k in range(3)]]
    x[5] = np.inf  # held by the first two clients; the second, with less data, meets it first
    for _ in range(20):
        with pytest.raises(ValueError, match="x of client 10 must be finite"):
            local_sgd_many(
                MODEL, MODEL.init(), x, y, parts, epochs=3, clients=range(10, 15), threads=threads
            )


def test_data_that_is_not_finite_is_blamed_not_the_rate(digits):
    x, y = digits
    x[17, 3] = np.inf
    with pytest.raises(ValueError, match=r"x of client 0 must be finite, got inf at index \(17, 3"):
        local_sgd(MODEL, MODEL.init(), x, y)
    params = MODEL.init()
    params[8] = np.nan
    with pytest.raises(ValueError, match="params must be finite, got nan at index"):
        local_sgd(MODEL, params, x[20:], y[20:])


def test_an_error_in_one_client_stops_the_rest(monkeypatch, digits, rng):
    """With two threads, the clients after the failing one are not all trained."""
    x, y = digits
    begun = itertools.count(1)
    original = fc.training.kernels.local_sgd

    class Counting:
        @staticmethod
        def local_sgd(*arguments):
            if next(begun) == 3:
                raise KeyboardInterrupt
            return original(*arguments)

    monkeypatch.setattr(fc.training, "kernels", Counting)
    parts = [np.arange(120)] * 4000
    with pytest.raises(KeyboardInterrupt):
        local_sgd_many(MODEL, MODEL.init(), x, y, parts, epochs=5, threads=2)
    assert next(begun) <= 4000


GOOD_PART = np.arange(3)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"model": "softmax"}, TypeError, "model must be a Softmax or an MLP, got 'softmax'"),
        ({"params": np.zeros(3, np.float32)}, ValueError, "params must hold 635 numbers"),
        ({"x": np.zeros((120, 63), np.float32)}, ValueError, "x must have 64 columns"),
        ({"x": np.zeros(64, np.float32)}, ValueError, r"x must have 2 dimension\(s\)"),
        ({"x": [[0.0]]}, TypeError, "x must be a NumPy array"),
        ({"x": np.zeros((120, 64), complex)}, TypeError, "x must have dtype float32 or float64"),
        ({"y": np.zeros(119, int)}, ValueError, "y must hold 120 labels"),
        ({"y": np.zeros(120)}, TypeError, "y must be a one-dimensional array of integers"),
        ({"y": np.full(120, 5)}, ValueError, "y must hold classes 0 to 4, got 5"),
        ({"parts": []}, ValueError, "parts must hold at least one client"),
        ({"parts": np.arange(3)}, TypeError, "parts must be a list of index arrays"),
        ({"parts": [GOOD_PART, []]}, ValueError, r"parts\[1\] must hold at least one example"),
        ({"parts": [np.array([120])]}, ValueError, r"parts\[0\] must hold indices from 0 to 119"),
        ({"parts": [np.array([-1])]}, ValueError, r"parts\[0\] must hold indices .* got -1"),
        ({"parts": [np.array([0.5])]}, TypeError, r"parts\[0\] must be a one-dimensional array"),
        ({"parts": [np.ones(120, bool)]}, TypeError, r"parts\[0\] must be .* of integers"),
        ({"epochs": 0}, ValueError, "epochs must be at least 1, got 0"),
        ({"epochs": 1.5}, TypeError, "epochs must be an integer, got 1.5"),
        ({"epochs": [1, 2]}, ValueError, "epochs must hold 1 numbers, one a client, got 2"),
        ({"epochs": [0]}, ValueError, r"epochs\[0\] must be at least 1, got 0"),
        ({"epochs": [[1]]}, TypeError, r"epochs\[0\] must be an integer"),
        ({"epochs": np.array([1.0])}, TypeError, r"epochs\[0\] must be an integer"),
        ({"prox_mu": -1}, ValueError, "prox_mu must be a finite number in"),
        ({"prox_mu": "much"}, TypeError, "prox_mu must be a number"),
        ({"correction": np.zeros(634)}, ValueError, r"correction must have shape \(635,\)"),
        ({"correction": np.zeros((2, 635))}, ValueError, r"correction must have shape \(1, 635\)"),
        ({"correction": np.zeros(635, int)}, TypeError, "correction must have dtype float32"),
        ({"correction": [0.0]}, TypeError, "correction must be a NumPy array"),
        ({"batch_size": 0}, ValueError, "batch_size must be at least 1, got 0"),
        ({"batch_size": "all"}, TypeError, "batch_size must be an integer, got 'all'"),
        ({"lr": 0}, ValueError, "lr must be a finite number in"),
        ({"lr": -0.1}, ValueError, "lr must be .* got -0.1"),
        ({"lr": float("nan")}, ValueError, "lr must be .* got nan"),
        ({"lr": 1e39}, ValueError, r"lr must be .* got 1e\+39"),
        ({"lr": "fast"}, TypeError, "lr must be a number"),
        ({"seed": -1}, ValueError, "seed must be at least 0, got -1"),
        ({"seed": None}, TypeError, "seed must be an integer"),
        ({"threads": 0}, ValueError, "threads must be at least 1, got 0"),
        ({"clients": [1, 2]}, ValueError, "clients must hold 1 ids, one for each part, got 2"),
        ({"clients": [-1]}, ValueError, r"clients\[0\] must be at least 0"),
        ({"out": np.zeros((1, 3), np.float32)}, ValueError, "out must be a float32 array of shape"),
        ({"out": np.zeros((1, 635))}, ValueError, "out must be a float32 array of shape"),
        ({"out": np.zeros((1, 1270), np.float32)[:, ::2]}, ValueError, "out must be contiguous"),
    ],
)
def test_refuses(changes, error, message, digits):
    x, y = digits
    arguments = {
        "model": MODEL,
        "params": MODEL.init(),
        "x": x,
        "y": y,
        "parts": [GOOD_PART],
    } | changes
    with pytest.raises(error, match=message):
        local_sgd_many(
            *[arguments.pop(n) for n in ("model", "params", "x", "y", "parts")], **arguments
        )


def test_out_must_not_overlap_what_is_read(digits):
    x, y = digits
    both = np.zeros((2, MODEL.n_params), np.float32)
    with pytest.raises(ValueError, match="out must not overlap params"):
        local_sgd_many(MODEL, both[0], x, y, [GOOD_PART] * 2, out=both)
    with pytest.raises(ValueError, match="out must not overlap correction"):
        local_sgd_many(MODEL, MODEL.init(), x, y, [GOOD_PART] * 2, out=both, correction=both[1])
