"""Image distances, against scikit-image's definitions written out pixel by pixel, and by hand."""

import numpy as np
import pytest
from scipy import ndimage

from fedcore import attacks


def test_mse_and_psnr_by_hand():
    original = np.array([[0.0, 1.0], [0.5, 0.5]])
    guess = np.array([[0.1, 0.9], [0.5, 0.0]])
    np.testing.assert_allclose(attacks.mse(original, guess), [0.01, 0.125])
    np.testing.assert_allclose(attacks.psnr(original, guess), [20, 10 * np.log10(8)])
    np.testing.assert_allclose(attacks.psnr(255 * original, 255 * guess, peak=255)[0], 20)
    assert attacks.psnr(original, original).tolist() == [np.inf, np.inf]


def test_one_image_may_come_as_a_vector(rng):
    a, b = rng.random(64), rng.random(64)
    assert attacks.mse(a, b).shape == attacks.psnr(a, b).shape == attacks.ssim(a, b).shape == (1,)


def independent_ssim(a, b, peak=1.0):
    """From the paper's formula, windows by scipy's filter instead of ours."""

    def window(image):
        return ndimage.gaussian_filter(image, 1.5, radius=5, mode="reflect")

    mean_a, mean_b = window(a), window(b)
    var_a, var_b = window(a**2) - mean_a**2, window(b**2) - mean_b**2
    both = window(a * b) - mean_a * mean_b
    c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2
    light = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    structure = (2 * both + c2) / (var_a + var_b + c2)
    return (light * structure).mean()


def test_ssim_agrees_with_scipys_windows(mnist, rng):
    originals = mnist[0].x[:5].astype(np.float64)
    guesses = np.clip(originals + rng.normal(0, [[0.01], [0.1], [0.3], [1], [0]], (5, 784)), 0, 1)
    ours = attacks.ssim(originals, guesses)
    shaped = zip(originals.reshape(-1, 28, 28), guesses.reshape(-1, 28, 28), strict=True)
    np.testing.assert_allclose(ours, [independent_ssim(a, b) for a, b in shaped], atol=1e-12)
    assert ours[4] == pytest.approx(1)
    assert ours[0] > ours[1] > ours[2] > ours[3]


def test_best_match_by_brute_force(rng):
    originals, candidates = rng.random((6, 16)), rng.random((4, 16))
    nearest, errors = attacks.best_match(originals, candidates)
    for i, original in enumerate(originals):
        each = [float(np.mean((original - c) ** 2)) for c in candidates]
        assert nearest[i] == int(np.argmin(each))
        assert errors[i] == pytest.approx(min(each))


def test_recovered_means_a_copy_in_every_pixel(rng):
    originals = rng.random((4, 16))
    candidates = originals[[2, 0]].copy()
    candidates[0, 3] += 0.009  # within tolerance
    candidates[1, 3] += 0.011  # not within
    assert attacks.share_recovered(originals, candidates) == 0.25
    assert attacks.share_recovered(originals, candidates, tolerance=0.02) == 0.5


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda a: attacks.mse(a, a[:1]), "guess must have the shape of original"),
        (lambda a: attacks.psnr(a, a, peak=0), "peak must be"),
        (lambda a: attacks.ssim(a[:, :63], a[:, :63]), "square images"),
        (lambda a: attacks.ssim(a[:, :25], a[:, :25]), "at least 6 pixels"),
        (lambda a: attacks.best_match(a, a[:0]), "candidates must hold at least one"),
        (lambda a: attacks.best_match(a, a[:, :3]), "candidates must hold at least one"),
        (lambda a: attacks.mse(a.tolist(), a), "original must be a NumPy array"),
    ],
)
def test_refuses(rng, call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call(rng.random((2, 64)))
