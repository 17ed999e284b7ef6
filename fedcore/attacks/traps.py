"""A malicious server: weights made so that single examples fall out of a large batch's gradient."""

from __future__ import annotations

import numpy as np

from fedcore._validate import as_float_array, as_int, as_real
from fedcore.attacks.reconstruction import first_layer
from fedcore.models import MLP

SMALL = 0.01  # scale of the measure: small weights, so that float32 rounds the update finely


def trap_params(model: MLP, params: np.ndarray, scale: float = 0.7, seed: int = 0) -> np.ndarray:
    """``params`` with a first layer whose units fire for few examples: new parameters (P,) float32.

    Each unit gets random weights, half of them negative; the positive ones are the mirror images of
    the negative, times ``scale`` < 1, and its bias is zero. For x >= 0 the sum is then mostly
    below zero, and now and again one example of a batch fires the unit alone; ``invert_units``
    then reads it. The other layers stay. ``scale`` in (0, 1) sets how rarely units fire.
    Source: Boenisch et al. (2023), "trap weights".
    """
    scale = as_real("scale", scale, 0, 1, include_low=False, include_high=False)
    result, rng = _copy(model, params), _rng(seed)
    W, b = model.unflatten(result)[0]
    half = len(W) // 2
    for j in range(W.shape[1]):
        sizes = np.abs(rng.normal(size=half)) * np.sqrt(2 / len(W))
        places = rng.permutation(len(W))
        W[:, j] = 0
        W[places[:half], j] = -sizes
        W[places[half : 2 * half], j] = scale * sizes
    b[:] = 0
    return result


def imprint_params(
    model: MLP, params: np.ndarray, public_x: np.ndarray, seed: int = 0
) -> np.ndarray:
    """``params`` with a first layer that sorts examples into bins: new parameters (P,) float32.

    All units measure the same thing, h(x) = x'v with one random v, and unit j fires if h(x) exceeds
    the j-th of H thresholds, the quantiles of h over ``public_x`` (n, features): so each bin
    between two thresholds catches about one example in H. All units pass the same weights on to
    the next layer, so that ``invert_bins`` can take the difference of neighbours. The model must
    have a hidden layer. Source: Fowl et al. (2022), the "imprint module".
    """
    result, rng = _copy(model, params), _rng(seed)
    public_x = as_float_array("public_x", public_x, ndim=2)
    if public_x.shape[1] != model.n_features or len(public_x) < 2:
        raise ValueError(
            f"public_x must hold at least 2 examples of {model.n_features} features, "
            f"got shape {public_x.shape}"
        )
    (W, b), (W_next, _) = model.unflatten(result)[:2]
    measure = SMALL * rng.normal(size=model.n_features) / np.sqrt(model.n_features)
    levels = np.arange(W.shape[1]) / W.shape[1]
    thresholds = np.quantile(public_x @ measure.astype(public_x.dtype), levels)
    W[:] = measure[:, np.newaxis]
    b[:] = -thresholds
    W_next[:] = W_next[0] / np.sqrt(len(W_next))
    return result


def invert_bins(
    model: MLP, gradient: np.ndarray, tolerance: float = 1e-5
) -> tuple[np.ndarray, np.ndarray]:
    """What each bin of ``imprint_params`` caught: (candidates (m, features), bins (m,)).

    The gradient of unit j sums over the examples above threshold j; neighbours differ by the
    examples in the bin between them: (dW[:, j] - dW[:, j+1]) / (db[j] - db[j+1]). A bin with one
    example gives it exactly, one with several a blend. Bins whose difference in db is below
    ``tolerance`` times the largest are empty and left out.
    """
    tolerance = as_real("tolerance", tolerance, 0)
    dW, db = first_layer(model, gradient)
    dW, db = (np.append(a, 0 * a[..., :1], axis=-1) for a in (dW, db))
    dW, db = -np.diff(dW, axis=1), -np.diff(db)
    size = np.abs(db)
    bins = np.flatnonzero((size > tolerance * size.max()) & (size > 0))
    return (dW[:, bins] / db[bins]).T, bins


def _copy(model: MLP, params: np.ndarray) -> np.ndarray:
    if not isinstance(model, MLP) or len(model.layer_sizes) < 3:
        raise ValueError(f"model must be an MLP with a hidden layer, got {model!r}")
    return model._check_params(params).astype(np.float32)


def _rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(as_int("seed", seed, minimum=0))
