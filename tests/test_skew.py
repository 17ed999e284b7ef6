"""Measures of skew: by hand, against SciPy's Wasserstein distance, and against direct counting."""

import numpy as np
import pytest
from scipy.stats import wasserstein_distance_nd

from fedcore import partition, skew
from fedcore.datasets import Dataset
from fedcore.models import Softmax

Y = np.array([0, 0, 0, 1, 1, 1, 2, 2])


def test_counts_and_shares_by_hand():
    parts = [[0, 1, 2, 3], [4, 6], [7]]
    assert skew.label_counts(Y, parts).tolist() == [[3, 1, 0], [0, 1, 1], [0, 0, 1]]
    assert skew.label_counts(Y, parts, n_classes=4).tolist()[2] == [0, 0, 1, 0]
    assert skew.label_shares(Y, parts).tolist() == [[0.75, 0.25, 0], [0, 0.5, 0.5], [0, 0, 1]]


def test_emd_by_hand():
    """Held: 3 zeros, 2 ones, 2 twos. Client 0 (3/4, 1/4, 0): 9/28 + 1/28 + 2/7 = 18/28."""
    parts = [[0, 1, 2, 3], [4, 6], [7]]
    expected = [18 / 28, 3 / 7 + 3 / 14 + 3 / 14, 3 / 7 + 2 / 7 + 5 / 7]
    np.testing.assert_allclose(skew.emd(Y, parts), expected)


def test_emd_of_the_paper_s_extremes():
    """Ten equal classes: IID 0, two classes 1.6, one class 1.8 (Zhao et al. 2018)."""
    y = np.repeat(np.arange(10), 60)
    assert skew.emd(y, partition.by_group(np.arange(600) % 60 // 6 * 0, 1)).tolist() == [0]
    np.testing.assert_allclose(skew.emd(y, partition.shards(y, 10, 1)), 1.8)
    pairs = [np.flatnonzero((y == c) | (y == c + 1)) for c in range(0, 10, 2)]
    np.testing.assert_allclose(skew.emd(y, pairs), 1.6)


def test_emd_is_twice_the_transport_between_classes_equally_far_apart(rng):
    """Corners of a simplex with side 1 are equally far apart: SciPy moves the earth there."""
    y = rng.integers(0, 4, 60)
    corners = np.eye(4) / np.sqrt(2)
    parts = partition.dirichlet(y, 5, 0.5)
    whole = np.bincount(y, minlength=4) / len(y)
    for distance, share in zip(skew.emd(y, parts), skew.label_shares(y, parts), strict=True):
        moved = wasserstein_distance_nd(corners, corners, share, whole)
        assert distance == pytest.approx(2 * moved, abs=1e-6)


def test_weight_divergence_by_hand():
    assert skew.weight_divergence(np.array([3.0, 0.0]), np.array([0.0, 4.0])) == 1.25
    assert skew.weight_divergence(np.ones(3, np.float32), np.ones(3, np.float32)) == 0


@pytest.fixture
def world(rng):
    model = Softmax(5, 3)
    test = Dataset(rng.normal(size=(90, 5)).astype(np.float32), rng.integers(0, 3, 90), 3)
    return model, test, rng.normal(size=(2, model.n_params)).astype(np.float32)


def test_client_accuracy_is_the_mean_over_a_matching_test_set(world):
    """For whole numbers of examples it is plain counting: repeat classes as the client has them."""
    model, test, params = world
    shares = np.array([[0.5, 0.5, 0], [0, 0, 1]])
    expected = []
    for share in shares:
        found = [model.accuracy(params[0], test.x[test.y == c], test.y[test.y == c])
                 for c in np.flatnonzero(share)]  # fmt: skip
        expected.append(np.mean(found))
    np.testing.assert_allclose(skew.client_accuracy(model, params[0], test, shares), expected)
    own = skew.client_accuracy(model, params, test, shares)
    assert own[0] == pytest.approx(expected[0])
    assert own[1] == pytest.approx(
        model.accuracy(params[1], test.x[test.y == 2], test.y[test.y == 2])
    )


def test_client_with_everybody_s_labels_meets_the_plain_accuracy(world):
    model, test, params = world
    shares = np.bincount(test.y, minlength=3)[None] / len(test)
    found = skew.client_accuracy(model, params[0], test, shares)
    assert found == pytest.approx(model.accuracy(params[0], test.x, test.y))


def test_class_without_test_examples(world):
    model, test, params = world
    some = test.take(np.flatnonzero(test.y != 1))
    assert np.isnan(skew.class_accuracy(model, params[0], some)).tolist() == [False, True, False]
    assert np.isfinite(skew.client_accuracy(model, params[0], some, np.array([[0.5, 0, 0.5]])))
    assert np.isnan(skew.client_accuracy(model, params[0], some, np.array([[0.5, 0.5, 0]])))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: skew.label_counts(-Y, [[0]]), ValueError, "y must hold classes from 0, got -2"),
        (lambda: skew.label_counts(Y, [[0]], 2), ValueError, "n_classes must be at least 3, got 2"),
        (lambda: skew.emd(Y, [[0], []]), ValueError, r"parts\[1\] must hold at least one example"),
        (
            lambda: skew.weight_divergence(np.ones(2), np.zeros(2)),
            ValueError,
            "reference must not be zero",
        ),
        (
            lambda: skew.weight_divergence(np.ones(2), np.ones(3)),
            ValueError,
            "reference must hold 2 numbers",
        ),
    ],
)
def test_bad_arguments(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_bad_shares(world):
    model, test, params = world
    with pytest.raises(ValueError, match=r"shares must have 3 columns, got \(2, 4\)"):
        skew.client_accuracy(model, params[0], test, np.ones((2, 4)))
    with pytest.raises(ValueError, match="params must be one model or 3 of them, got 2"):
        skew.client_accuracy(model, params, test, np.ones((3, 3)))
