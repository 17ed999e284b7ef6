"""From a gradient back to the examples behind it, in closed form.

The first layer computes z = x W + b, so one example's gradient is dW = x d', db = d with some
vector d: every column of dW is the example, times a number that stands in db. Divide, and there it
is. The rest of this file is what becomes of that when several examples share a gradient.
"""

from __future__ import annotations

import numpy as np

from fedcore._validate import as_float_array, as_int, as_real, describe, require_finite
from fedcore.models import MLP


def mean_gradient(
    params: np.ndarray, update: np.ndarray, lr: float, n_steps: int = 1
) -> np.ndarray:
    """What a client's update says about its gradients: (params - update) / (lr * n_steps).

    params: (P,), what the server sent; update: (P,), what came back. After one step of SGD this is
    the gradient; after several it is the mean of the gradients along the way. (P,) float64.
    float32 rounding of ``update`` is divided by lr too: a small lr blurs it.
    """
    params, update = check_vector("params", params), check_vector("update", update)
    if params.shape != update.shape:
        raise ValueError(f"update must hold {len(params)} numbers like params, got {len(update)}")
    scale = as_real("lr", lr, 0, include_low=False) * as_int("n_steps", n_steps, minimum=1)
    return (params.astype(np.float64) - update) / scale


def invert_one(model: MLP, gradient: np.ndarray) -> np.ndarray:
    """The example behind the gradient of a single example, (features,) float64: exact.

    gradient: (P,), or any multiple of it: a step of SGD, or many steps on that same example. The
    column of dW whose db is largest is divided by that db. With several examples behind the
    gradient the result is a blend of them. ValueError if db is zero throughout.
    Source: Phong et al. (2018); for networks Geiping et al. (2020), proposition 3.1.
    """
    dW, db = first_layer(model, gradient)
    unit = int(np.abs(db).argmax())
    if db[unit] == 0:
        raise ValueError("gradient must not be zero in the first layer's biases")
    return dW[:, unit] / db[unit]


def invert_units(
    model: MLP, gradient: np.ndarray, tolerance: float = 1e-5
) -> tuple[np.ndarray, np.ndarray]:
    """dW[:, j] / db[j] for every unit j of the first layer: (candidates (m, features), units (m,)).

    A unit that is active for one example of the batch only gives that example exactly; one that is
    active for several gives a blend. Units whose |db[j]| is below ``tolerance`` times the largest
    are left out: what stands there is rounding. For softmax regression, unit j is class j.
    """
    tolerance = as_real("tolerance", tolerance, 0)
    dW, db = first_layer(model, gradient)
    size = np.abs(db)
    units = np.flatnonzero((size > tolerance * size.max()) & (size > 0))
    return (dW[:, units] / db[units]).T, units


def class_sums(
    model: MLP,
    params: np.ndarray,
    gradient: np.ndarray,
    batch_size: int,
    *,
    rescale: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Separate a batch by class: (sum of its examples of each class (C, F), how many (C,) int64).

    For softmax regression whose W is still zero, as in the first round: then every example gets the
    same probabilities p, and the gradient says, with S_c the sum of the examples of class c,
    B dW[:, c] = p_c S - S_c and B db_c = p_c B - n_c. So n_c is known. S = sum_c S_c is known
    in every pixel in which at least one class has no ink, since S_c >= 0 there turns into
    p_c S >= B dW[:, c], with equality. A class that occurs once is recovered exactly, up to pixels
    in which all classes have ink. gradient: (P,) of the mean loss over ``batch_size`` examples with
    x >= 0. rescale: the gradient is known up to a positive factor only, after clipping for example;
    a class that is absent then gives the factor away, since its db_c is p_c. Raises ValueError if W
    is not zero, or for hidden layers.
    """
    B = as_int("batch_size", batch_size, minimum=1)
    if len(model.layer_sizes) != 2:
        raise ValueError(f"model must be a softmax regression, got {model!r}")
    (W, b), (dW, db) = model.unflatten(params)[0], first_layer(model, gradient)
    if W.any():
        raise ValueError("params must have W = 0: only then are all predictions equal")
    p = np.exp(b.astype(np.float64) - b.max())
    p /= p.sum()
    if rescale and (db > 0).any():
        factor = (db / p).max()
        dW, db = dW / factor, db / factor
    counts = np.rint(B * (p - db)).astype(np.int64)
    total = np.maximum((B * dW / p).max(axis=1), 0)
    sums = (p * total[:, np.newaxis] - B * dW).T
    sums[counts <= 0] = 0
    return sums, np.maximum(counts, 0)


def first_layer(model: MLP, gradient: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(dW (features, units), db (units,)) of the first layer, float64."""
    if not isinstance(model, MLP):
        raise TypeError(f"model must be a Softmax or an MLP, got {describe(model)}")
    gradient = check_vector("gradient", gradient)
    if len(gradient) != model.n_params:
        raise ValueError(f"gradient must hold {model.n_params} numbers, got {len(gradient)}")
    dW, db = model.unflatten(gradient.astype(np.float64))[0]
    return dW, db


def check_vector(name: str, value: np.ndarray) -> np.ndarray:
    """``value`` if it is a finite float vector; TypeError or ValueError that names it if not."""
    value = as_float_array(name, value, ndim=1)
    require_finite(name, value)
    return value
