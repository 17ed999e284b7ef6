"""FedAvg: the weighted mean, nothing kept, nothing touched."""

import numpy as np
import pytest

from fedcore.strategies import FedAvg


def test_fedavg_weighs_by_examples():
    """(1 * (1, 10) + 3 * (5, 2)) / 4 = (4, 4); the unweighted mean would be (3, 6)."""
    updates = np.array([[1, 10], [5, 2]], np.float32)
    new, state = FedAvg().aggregate((), np.zeros(2, np.float32), updates, np.array([1, 3]))
    assert new.tolist() == [4, 4]
    assert new.dtype == np.float32
    assert state == ()


def test_fedavg_is_pure(rng):
    strategy = FedAvg()
    params = rng.random(50, dtype=np.float32)
    updates, weights = rng.random((4, 50), dtype=np.float32), np.array([5, 1, 70, 9])
    before = [array.copy() for array in (params, updates, weights)]
    for array in (params, updates, weights):
        array.flags.writeable = False
    first, state = strategy.aggregate(strategy.init(params), params, updates, weights)
    second, _ = strategy.aggregate(state, params, updates, weights)
    np.testing.assert_array_equal(first, second)
    for array, copy in zip((params, updates, weights), before, strict=True):
        np.testing.assert_array_equal(array, copy)
    assert not np.shares_memory(first, updates)
    assert strategy == FedAvg()


def test_fedavg_does_not_look_at_the_old_parameters(rng):
    updates, weights = rng.random((3, 6), dtype=np.float32), np.array([1, 2, 3])
    old = rng.random((2, 6), dtype=np.float32)
    results = [FedAvg().aggregate((), params, updates, weights)[0] for params in old]
    np.testing.assert_array_equal(*results)


@pytest.mark.parametrize(
    ("weights", "message"),
    [([1], "weights must hold 2 numbers"), ([0, 0], "not all be zero"), ([1, -1], "not negative")],
)
def test_fedavg_refuses_bad_weights(weights, message):
    updates = np.ones((2, 3), np.float32)
    with pytest.raises(ValueError, match=message):
        FedAvg().aggregate((), updates[0], updates, np.array(weights))
