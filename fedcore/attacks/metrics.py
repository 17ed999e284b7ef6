"""How good is a reconstruction? Distances between images, and which one matches which original."""

from __future__ import annotations

import numpy as np

from fedcore._validate import as_float_array, as_int, as_real, describe

SSIM_SIGMA, SSIM_RADIUS = 1.5, 5  # Wang et al. (2004), section III-C: 11 x 11 Gaussian window
SSIM_K1, SSIM_K2 = 0.01, 0.03


def mse(original: np.ndarray, guess: np.ndarray) -> np.ndarray:
    """Mean squared error of each image: (n,) float64 for two arrays (n, pixels), or a (pixels,)."""
    original, guess = _pair(original, guess)
    return np.square(original - guess).mean(axis=1)


def psnr(original: np.ndarray, guess: np.ndarray, peak: float = 1.0) -> np.ndarray:
    """Peak signal-to-noise ratio, 10 log10(peak^2 / MSE), in dB, (n,) float64.

    original, guess: (n, pixels) or (pixels,), float. peak: the largest value a pixel can take.
    Two equal images give infinity; float32 rounding alone gives about 150 dB.
    """
    peak = as_real("peak", peak, 0, include_low=False)
    error = mse(original, guess)
    with np.errstate(divide="ignore"):
        return 10 * np.log10(peak**2 / error)


def ssim(original: np.ndarray, guess: np.ndarray, peak: float = 1.0) -> np.ndarray:
    """Structural similarity of square images (n, side * side), (n,) float64, at most 1.

    Means, variances and covariance are taken in a Gaussian window of 11 x 11 (sigma 1.5) with
    mirrored edges; the index is their mean over the image. side must be at least 6.
    Source: Wang, Bovik, Sheikh and Simoncelli (2004), equation 13, K1 = 0.01, K2 = 0.03.
    """
    peak = as_real("peak", peak, 0, include_low=False)
    original, guess = _pair(original, guess)
    side = round(original.shape[1] ** 0.5)
    if side * side != original.shape[1] or side <= SSIM_RADIUS:
        raise ValueError(
            f"original must hold square images of at least {SSIM_RADIUS + 1} pixels a side, "
            f"got {original.shape[1]} pixels"
        )
    a, b = (image.reshape(-1, side, side) for image in (original, guess))
    mean_a, mean_b = _blur(a), _blur(b)
    var_a, var_b = _blur(a * a) - mean_a**2, _blur(b * b) - mean_b**2
    covariance = _blur(a * b) - mean_a * mean_b
    c1, c2 = (SSIM_K1 * peak) ** 2, (SSIM_K2 * peak) ** 2
    index = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    index /= (mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2)
    return index.mean(axis=(1, 2))


def best_match(originals: np.ndarray, candidates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each original the candidate nearest to it: (indices (n,) int64, their MSE (n,)).

    originals: (n, pixels); candidates: (m, pixels), m >= 1. One candidate may serve several
    originals: a blend of two digits is the nearest that there is to both.
    """
    originals = as_float_array("originals", originals, ndim=2).astype(np.float64)
    candidates = as_float_array("candidates", candidates, ndim=2).astype(np.float64)
    if len(candidates) == 0 or candidates.shape[1] != originals.shape[1]:
        raise ValueError(
            f"candidates must hold at least one image of {originals.shape[1]} pixels, "
            f"got {describe(candidates)}"
        )
    errors = np.stack([np.square(candidates - image).mean(axis=1) for image in originals])
    nearest = errors.argmin(axis=1)
    return nearest, errors[np.arange(len(originals)), nearest]


def share_recovered(
    originals: np.ndarray, candidates: np.ndarray, tolerance: float = 0.01
) -> float:
    """Share of the originals of which some candidate differs by at most ``tolerance`` everywhere.

    0.01 is two and a half of the 255 grey levels: a copy, not a likeness. In [0, 1].
    """
    tolerance = as_real("tolerance", tolerance, 0)
    nearest, _ = best_match(originals, candidates)
    return float((np.abs(candidates[nearest] - originals).max(axis=1) <= tolerance).mean())


def _pair(original: np.ndarray, guess: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    pair = []
    for name, value in (("original", original), ("guess", guess)):
        if isinstance(value, np.ndarray) and value.ndim == 1:
            value = value[np.newaxis]
        pair.append(as_float_array(name, value, ndim=2).astype(np.float64))
    if pair[0].shape != pair[1].shape:
        raise ValueError(
            f"guess must have the shape of original, {np.shape(original)}, got {np.shape(guess)}"
        )
    return pair[0], pair[1]


def _blur(images: np.ndarray) -> np.ndarray:
    """Gaussian window over the last two axes; edges are mirrored (d c b a | a b c d)."""
    offsets = np.arange(-SSIM_RADIUS, SSIM_RADIUS + 1)
    kernel = np.exp(-(offsets**2) / (2 * SSIM_SIGMA**2))
    kernel /= kernel.sum()
    for axis in (1, 2):
        widths = [(0, 0)] * 3
        widths[axis] = (SSIM_RADIUS, SSIM_RADIUS)
        padded = np.pad(images, widths, mode="symmetric")
        n = as_int("side", images.shape[axis])
        images = sum(
            weight * padded.take(range(shift, shift + n), axis=axis)
            for shift, weight in enumerate(kernel)
        )
    return images
