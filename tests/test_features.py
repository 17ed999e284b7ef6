"""Feature skew: rotation against SciPy, noise and contrast by hand, each client its own."""

import numpy as np
import pytest
from scipy import ndimage

from fedcore import features
from fedcore.datasets import Dataset


@pytest.mark.parametrize("degrees", [0, 1, 30, -77, 90, 180, 405])
@pytest.mark.parametrize("side", [1, 4, 28])
def test_rotation_is_scipy_s(rng, degrees, side):
    x = rng.random((3, side * side), dtype=np.float32)
    expected = [
        ndimage.rotate(image, degrees, reshape=False, order=1, mode="grid-constant")
        for image in x.reshape(3, side, side)
    ]
    turned = features.rotate(x, degrees)
    np.testing.assert_allclose(turned, np.reshape(expected, x.shape), atol=1e-6)
    assert turned.dtype == np.float32
    assert turned.min() >= 0
    assert turned.max() <= 1 + 1e-6


def test_rotation_turns_anticlockwise(rng):
    image = np.array([[1, 2], [3, 4]], np.float64)
    assert features.rotate(image.reshape(1, 4), 90).reshape(2, 2).round(9).tolist() == [
        [2, 4],
        [1, 3],
    ]
    many = rng.random((features.CHUNK + 3, 9))
    np.testing.assert_array_equal(features.rotate(many, 20)[-1:], features.rotate(many[-1:], 20))


def test_contrast_by_hand():
    x = np.array([[0, 0.25, 0.5, 1]], np.float32)
    assert features.change_contrast(x, 0.5).tolist() == [[0.25, 0.375, 0.5, 0.75]]
    assert features.change_contrast(x, 2).tolist() == [[0, 0, 0.5, 1]]
    assert features.change_contrast(x, -1).tolist() == [[1, 0.75, 0.5, 0]]


def test_noise_has_its_standard_deviation():
    x = np.full((50, 400), 0.5, np.float32)
    noisy = features.add_noise(x, 0.05, seed=1)
    assert noisy.std() == pytest.approx(0.05, rel=0.02)
    assert noisy.mean() == pytest.approx(0.5, abs=0.002)
    np.testing.assert_array_equal(noisy, features.add_noise(x, 0.05, seed=1))
    assert (noisy != features.add_noise(x, 0.05, seed=2)).any()
    strong = features.add_noise(x, 3)
    assert (strong.min(), strong.max()) == (0, 1)
    np.testing.assert_array_equal(features.add_noise(x, 0), x)
    assert noisy.dtype == np.float32


def test_apply_changes_each_client_s_rows_only(rng):
    data = Dataset(rng.random((7, 9), dtype=np.float32), np.arange(7) % 2, 2)
    before = data.x.copy()
    parts = [np.array([0, 4]), np.array([2])]
    new = features.apply(data, parts, features.for_clients("contrast", [-1, 1]))
    np.testing.assert_allclose(new.x[[0, 4]], 1 - before[[0, 4]], atol=1e-6)
    np.testing.assert_allclose(new.x[[1, 2, 3, 5, 6]], before[[1, 2, 3, 5, 6]], atol=1e-6)
    np.testing.assert_array_equal(data.x, before)
    assert (new.y == data.y).all()


def test_for_clients():
    x = np.random.default_rng(0).random((2, 16), dtype=np.float32)
    turn, stay = features.for_clients("rotation", [90, 0])
    np.testing.assert_array_equal(turn(x), features.rotate(x, 90))
    np.testing.assert_array_equal(stay(x), x)
    first, second = features.for_clients("noise", [0.1, 0.1])
    assert (first(x) != second(x)).any()  # each client's noise is its own


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x, d: features.rotate(x[:, :7], 3), ValueError, r"square images, .*\(2, 7\)"),
        (lambda x, d: features.rotate(x[0], 3), ValueError, "x must have 2 dimension"),
        (lambda x, d: features.rotate(x, np.inf), ValueError, "degrees must be a finite number"),
        (lambda x, d: features.add_noise(x, -1), ValueError, r"std must be .*\[0, inf\), got -1"),
        (lambda x, d: features.change_contrast(x, "2"), TypeError, "factor must be a number"),
        (lambda x, d: features.for_clients("blur", [1]), ValueError, "kind must be rotation, noi"),
        (
            lambda x, d: features.apply(d, [[0], [1]], [np.copy]),
            ValueError,
            "transforms must hold 2, one a client, got 1",
        ),
    ],
)
def test_bad_arguments(call, error, message):
    x = np.ones((2, 9), np.float32)
    with pytest.raises(error, match=message):
        call(x, Dataset(x, np.array([0, 1]), 2))
