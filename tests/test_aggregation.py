"""The weighted average: examples worked out by hand, properties, and everything it must refuse."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fedcore as fc
from fedcore import _core, _reference
from fedcore.aggregation import RunningAverage, normalize_weights, weighted_average

KERNELS = [pytest.param(_reference, id="reference")]
if _core.COMPILED:
    KERNELS.append(pytest.param(_core.kernels, id="compiled"))


@st.composite
def federations(draw, min_clients=1):
    """(updates (K, P) float32, weights (K,)): clients with different arrays, different weights."""
    n_clients = draw(st.integers(min_clients, 9))
    n_params = draw(st.integers(1, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    updates = rng.normal(scale=draw(st.sampled_from([1e-3, 1.0, 1e6])), size=(n_clients, n_params))
    weights = rng.integers(0, 1000, n_clients).astype(float)
    weights[draw(st.integers(0, n_clients - 1))] += 1
    return updates.astype(np.float32), weights


def exact(updates, weights):
    """An average that is not ours: NumPy's own, in float64."""
    return np.average(np.asarray(updates, dtype=np.float64), axis=0, weights=weights)


def test_worked_example():
    updates = [np.array([1, 10], np.float32), np.array([4, -2], np.float32)]
    # weights 1 and 3: (1 * 1 + 3 * 4) / 4 = 3.25 and (1 * 10 + 3 * -2) / 4 = 1
    np.testing.assert_array_equal(weighted_average(updates, [1, 3]), [3.25, 1])


def test_weights_matter():
    updates = np.array([[0, 0], [1, 1]], np.float32)
    np.testing.assert_allclose(weighted_average(updates, [600, 60]), 60 / 660)
    np.testing.assert_allclose(weighted_average(updates, [60, 600]), 600 / 660)


@given(federations())
def test_agrees_with_numpy(federation):
    updates, weights = federation
    expected = exact(updates, weights)
    tolerance = 1e-6 * np.abs(updates).max()
    np.testing.assert_allclose(weighted_average(updates, weights), expected, atol=tolerance)
    np.testing.assert_array_equal(
        weighted_average(list(updates), weights), weighted_average(updates, weights)
    )


@given(federations())
def test_stays_between_smallest_and_largest(federation):
    updates, weights = federation
    average, taking_part = weighted_average(updates, weights), updates[weights > 0]
    slack = 1e-6 * np.abs(updates).max()
    assert (average >= taking_part.min(axis=0) - slack).all()
    assert (average <= taking_part.max(axis=0) + slack).all()


@given(federations(min_clients=2), st.randoms(use_true_random=False))
def test_order_of_clients_does_not_matter(federation, random):
    updates, weights = federation
    order = list(range(len(weights)))
    random.shuffle(order)
    np.testing.assert_allclose(
        weighted_average(updates[order], weights[order]),
        weighted_average(updates, weights),
        atol=1e-6 * np.abs(updates).max(),
    )


@given(federations(), st.sampled_from([0.001, 7.0, 1e300]))
def test_only_ratios_of_weights_matter(federation, factor):
    updates, weights = federation
    np.testing.assert_allclose(
        weighted_average(updates, weights * factor),
        weighted_average(updates, weights),
        atol=1e-6 * np.abs(updates).max(),
    )


@given(federations())
def test_equal_weights_give_the_mean(federation):
    updates, _ = federation
    np.testing.assert_allclose(
        weighted_average(updates, np.full(len(updates), 3.5)),
        updates.mean(axis=0, dtype=np.float64),
        atol=1e-6 * np.abs(updates).max(),
    )


@given(federations())
def test_a_client_of_weight_zero_has_no_say(federation):
    updates, weights = federation
    with_stranger = np.concatenate([updates, np.full_like(updates[:1], 999)])
    np.testing.assert_allclose(
        weighted_average(with_stranger, np.append(weights, 0)),
        weighted_average(updates, weights),
        atol=1e-6 * np.abs(updates).max(),
    )


def test_one_client_comes_back_unchanged(rng):
    update = rng.normal(size=5000).astype(np.float32)
    np.testing.assert_array_equal(weighted_average([update], [0.3]), update)


def test_ten_thousand_clients_within_1e_6_of_float64(rng):
    updates = rng.normal(size=(10_000, 33)).astype(np.float32)
    weights = rng.integers(1, 600, 10_000)
    expected = exact(updates, weights)
    got = weighted_average(list(updates), weights)
    # One rounding to float32 at the end; the sum itself is float64.
    np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("n_clients", [1, 2, 3, 4, 5, 8, 13])
@pytest.mark.parametrize("n_params", [1, 17, 2047, 2048, 2049, 5000])
def test_every_grouping_and_strip(kernels, n_clients, n_params, rng):
    updates = rng.normal(size=(n_clients, n_params)).astype(np.float32)
    weights = normalize_weights(np.arange(1, n_clients + 1), n_clients)
    out = np.full(n_params, np.nan, np.float32)
    kernels.weighted_average(updates, weights, out)
    np.testing.assert_allclose(out, exact(updates, weights), rtol=1e-6, atol=1e-7)


def test_float64_in_float64_out(rng):
    updates = rng.normal(size=(5, 100))
    average = weighted_average(updates, [1, 2, 3, 4, 5])
    assert average.dtype == np.float64
    np.testing.assert_allclose(average, exact(updates, [1, 2, 3, 4, 5]), rtol=1e-14)


def test_read_only_strided_and_reversed(rng):
    base = rng.normal(size=(6, 50)).astype(np.float32)
    weights = [1, 2, 3, 4, 5, 6]
    expected = weighted_average(base, weights)
    wide = np.zeros((6, 100), np.float32)
    wide[:, ::2] = base
    frozen = base.copy()
    frozen.flags.writeable = False
    for same in (
        np.asfortranarray(base),
        wide[:, ::2],
        [row[::2] for row in wide],
        base[::-1].copy()[::-1],
        frozen,
        list(frozen),
    ):
        np.testing.assert_array_equal(weighted_average(same, weights), expected)


def test_memory_mapped(tmp_path, rng):
    updates = rng.normal(size=(4, 300)).astype(np.float32)
    np.save(tmp_path / "updates.npy", updates)
    mapped = np.load(tmp_path / "updates.npy", mmap_mode="r")
    np.testing.assert_array_equal(
        weighted_average(mapped, [1, 2, 3, 4]), weighted_average(updates, [1, 2, 3, 4])
    )


def test_huge_values_do_not_overflow():
    biggest = np.finfo(np.float32).max
    updates = np.full((3, 4), biggest, np.float32)
    np.testing.assert_array_equal(weighted_average(updates, [1, 1, 1]), updates[0])
    mixed = np.array([[biggest], [-biggest]], np.float32)
    assert weighted_average(mixed, [1e308, 1e308])[0] == 0


def test_out_is_written_and_returned(rng):
    updates = rng.normal(size=(3, 10)).astype(np.float32)
    out = np.zeros(10, np.float32)
    assert weighted_average(updates, [1, 2, 3], out=out) is out
    np.testing.assert_array_equal(out, weighted_average(updates, [1, 2, 3]))


def test_inputs_are_left_alone(rng):
    updates = rng.normal(size=(3, 10)).astype(np.float32)
    weights = np.array([1, 2, 3])
    before = updates.copy(), weights.copy()
    weighted_average(updates, weights)
    np.testing.assert_array_equal(updates, before[0])
    np.testing.assert_array_equal(weights, before[1])


GOOD = np.ones((2, 3), np.float32)
NAN = np.array([[1, 2, 3], [1, np.nan, 3]], np.float32)
FROZEN = np.zeros(3, np.float32)
FROZEN.flags.writeable = False


@pytest.mark.parametrize(
    ("updates", "weights", "out", "error", "message"),
    [
        ([], [], None, ValueError, "updates must hold at least one client"),
        (np.empty((0, 3), np.float32), [], None, ValueError, "at least one client"),
        (np.empty((2, 0), np.float32), [1, 1], None, ValueError, "at least one parameter"),
        (GOOD[0], [1], None, ValueError, r"updates must have shape \(K, P\), got \(3,\)"),
        ("abc", [1], None, TypeError, "updates must be an array"),
        (None, [1], None, TypeError, "updates must be an array"),
        ([[1.0, 2.0]], [1], None, TypeError, r"updates\[0\] must be a one-dimensional float32"),
        (np.ones((2, 3), int), [1, 1], None, TypeError, r"updates\[0\] .* int64"),
        (GOOD.astype(">f4"), [1, 1], None, TypeError, r"updates\[0\] .* >f4"),
        ([GOOD[0], GOOD[1, :2]], [1, 1], None, ValueError, r"updates\[1\] must be like"),
        ([GOOD[0], GOOD[1].astype(float)], [1, 1], None, ValueError, r"updates\[1\] must be like"),
        (GOOD, [1], None, ValueError, "weights must hold 2 numbers, one a client, got 1"),
        (GOOD, [1, 1, 1], None, ValueError, "weights must hold 2 numbers"),
        (GOOD, [[1], [1]], None, TypeError, "weights must be a one-dimensional array"),
        (GOOD, ["a", "b"], None, TypeError, "weights must be a one-dimensional array of numbers"),
        (GOOD, [True, False], None, TypeError, "weights must be a one-dimensional array of num"),
        (GOOD, [1, -1], None, ValueError, r"not negative, got weights\[1\] = -1"),
        (GOOD, [1, np.nan], None, ValueError, r"weights\[1\] = nan"),
        (GOOD, [np.inf, 1], None, ValueError, r"weights\[0\] = inf"),
        (GOOD, [0, 0], None, ValueError, "weights must not all be zero"),
        (NAN, [1, 1], None, ValueError, r"updates\[1\] must be finite, got nan at parameter 1"),
        (NAN * np.float32(np.inf), [1, 1], None, ValueError, r"updates\[0\] must be finite"),
        (GOOD, [1, 1], np.zeros(2, np.float32), ValueError, "out must be an array like an update"),
        (GOOD, [1, 1], np.zeros(3), ValueError, "out must be an array like an update"),
        (GOOD, [1, 1], np.zeros(6, np.float32)[::2], ValueError, "out must be contiguous"),
        (GOOD, [1, 1], FROZEN, ValueError, "out must be contiguous and writeable"),
        (GOOD, [1, 1], GOOD[1], ValueError, "out must not overlap"),
    ],
)
def test_refuses(updates, weights, out, error, message):
    with pytest.raises(error, match=message):
        weighted_average(updates, weights, out=out)


@settings(max_examples=30)
@given(federations())
def test_compiled_equals_reference(federation):
    updates, weights = federation
    coefficients = normalize_weights(weights, len(updates))
    ours = np.empty(updates.shape[1], np.float32)
    theirs = np.empty_like(ours)
    fc.training.kernels.weighted_average(updates, coefficients, ours)
    _reference.weighted_average(updates, coefficients, theirs)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-9 * np.abs(updates).max())


# ------------------------------------------------------------------------ one at a time


@given(federations())
def test_running_average_equals_the_average_of_all(federation):
    updates, weights = federation
    running = RunningAverage(updates.shape[1])
    for update, weight in zip(updates, weights, strict=True):
        running.add(update, weight)
    assert running.n_updates == len(updates)
    assert running.total_weight == weights.sum()
    np.testing.assert_allclose(
        running.result(),
        weighted_average(updates, weights),
        rtol=1e-6,
        atol=1e-7 * np.abs(updates).max(),
    )


def test_running_average_can_be_asked_in_between():
    running = RunningAverage(2)
    running.add(np.array([1, 10], np.float32), 1)
    np.testing.assert_array_equal(running.result(), [1, 10])
    running.add(np.array([4, -2], np.float32), 3)
    np.testing.assert_array_equal(running.result(), [3.25, 1])


@pytest.mark.parametrize(
    ("update", "weight", "error", "message"),
    [
        (np.ones(4, np.float32), 1, ValueError, "update must hold 3 numbers, got 4"),
        (np.ones((1, 3), np.float32), 1, ValueError, r"update must have 1 dimension\(s\)"),
        (np.ones(3), 1, TypeError, "update must have dtype float32"),
        ([1, 2, 3], 1, TypeError, "update must be a NumPy array"),
        (np.array([1, np.nan, 1], np.float32), 1, ValueError, "update must be finite, got nan"),
        (np.ones(3, np.float32), -1, ValueError, r"weight must be .* got -1"),
        (np.ones(3, np.float32), np.nan, ValueError, "weight must be .* got nan"),
        (np.ones(3, np.float32), "1", TypeError, "weight must be a number"),
    ],
)
def test_running_average_refuses_and_stays_as_it_was(update, weight, error, message):
    running = RunningAverage(3)
    running.add(np.array([1, 2, 3], np.float32), 2)
    with pytest.raises(error, match=message):
        running.add(update, weight)
    assert (running.n_updates, running.total_weight) == (1, 2)
    np.testing.assert_array_equal(running.result(), [1, 2, 3])


def test_running_average_of_nothing():
    running = RunningAverage(3)
    with pytest.raises(ValueError, match="nothing to average: 0 updates"):
        running.result()
    running.add(np.ones(3, np.float32), 0)
    with pytest.raises(ValueError, match="nothing to average: 1 updates of total weight 0"):
        running.result()
    with pytest.raises(ValueError, match="n_params must be at least 1, got 0"):
        RunningAverage(0)
