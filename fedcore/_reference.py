"""The kernels once more, in NumPy: oracle of the tests, text to read, fallback without a compiler.

Same functions, same signatures and same meaning as ``_kernels.pyx``. Arguments are assumed valid:
``training`` and ``aggregation`` check them before they call either module.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

SIMD = "numpy"


def weighted_average(updates, coefficients, out):
    """out = sum_k coefficients[k] * updates[k], summed in float64, in the order of k.

    updates: (K, P) array or list of K arrays (P,), float32 or float64; coefficients: (K,) float64
    that sum to 1; out: (P,), same dtype as the updates, written in place. Returns whether all of
    ``out`` is finite.
    """
    total = np.zeros(len(out), dtype=np.float64)
    for update, coefficient in zip(updates, coefficients, strict=True):
        total += coefficient * update.astype(np.float64)
    out[:] = total
    return bool(np.isfinite(out).all())


def add_weighted(total, update, weight):
    """total[p] += weight * update[p]: one step of a running average, in float64, in place."""
    total += weight * update.astype(np.float64)


def layers(params, layer_sizes):
    """Views [(W, b), ...] into the flat vector: W (inputs, outputs) row-major, then b."""
    views, start = [], 0
    for n_in, n_out in pairwise(layer_sizes):
        end = start + n_in * n_out
        views.append((params[start:end].reshape(n_in, n_out), params[end : end + n_out]))
        start = end + n_out
    return views


def forward(weights, x):
    """Activations [x, a_1, ..., a_last]: ReLU between the layers, probabilities at the end."""
    activations = [x]
    for W, b in weights[:-1]:
        activations.append(np.maximum(activations[-1] @ W + b, 0))
    W, b = weights[-1]
    z = activations[-1] @ W + b
    z -= z.max(axis=1, keepdims=True)
    p = np.exp(z)
    p /= p.sum(axis=1, keepdims=True)
    activations.append(p)
    return activations


def gradients(weights, x, y):
    """Gradients [(dW, db), ...] of the mean cross-entropy over the batch: back-propagation."""
    activations = forward(weights, x)
    deltas = backward(weights, activations, y)
    for g in deltas:
        g /= len(y)
    return [(a.T @ g, g.sum(axis=0)) for a, g in zip(activations[:-1], deltas, strict=True)]


def backward(weights, activations, y):
    """[g_1, ..., g_last]: gradients of each example's loss by what enters the units of a layer."""
    g = activations[-1].copy()
    g[np.arange(len(y)), y] -= 1
    deltas = [g]
    for (W, _), a in zip(reversed(weights[1:]), reversed(activations[1:-1]), strict=True):
        deltas.append((deltas[-1] @ W.T) * (a > 0))
    return deltas[::-1]


def local_sgd(
    layer_sizes, params, x, y, part, order, batch_size, lr, out, prox_mu=0.0, correction=None
):
    """Mini-batch SGD from ``params`` on the rows ``part`` of x; the result goes to ``out``.

    For each epoch e and each batch of ``batch_size`` places in order[e] (the last may be smaller),
    from w = params on: w <- w - lr * (gradient of the mean cross-entropy over the rows part[batch]
    of x + prox_mu * (w - params) + correction). correction: (P,) float32, or None for zeros.

    layer_sizes: (784, 200, 10) and the like; params, out: (P,) float32; x: (n, features) float32;
    y: (n,) int64; part: (m,) int64, the client's rows of x; order: (epochs, visits) int64, places
    in ``part``. Returns 0, or the 1-based epoch after which a parameter was not finite (training
    stops there).
    """
    begin = params.copy()
    out[:] = begin
    weights = layers(out, layer_sizes)
    lr, prox_mu = np.float32(lr), np.float32(prox_mu)
    with np.errstate(over="ignore", invalid="ignore"):
        for epoch, places in enumerate(order, start=1):
            visits = part[places]
            for start in range(0, len(visits), batch_size):
                batch = visits[start : start + batch_size]
                grads = gradients(weights, x[batch], y[batch])
                if prox_mu:
                    pull = prox_mu * (out - begin)
                if correction is not None:
                    pull = pull + correction if prox_mu else correction
                for (W, b), (dW, db) in zip(weights, grads, strict=True):
                    W -= lr * dW
                    b -= lr * db
                if prox_mu or correction is not None:
                    out -= lr * pull
            if not np.isfinite(out).all():
                return epoch
    return 0


CHUNK = 2048  # examples predicted at a time: keeps the activations of an MLP in the cache


def predict_proba(layer_sizes, params, x, out):
    """out[i, :] = class probabilities of x[i, :], by ``forward``.

    layer_sizes: (784, 200, 10) and the like; params: (P,) float32; x: (n, features) float32;
    out: (n, classes) float32, written in place.
    """
    weights = layers(params, layer_sizes)
    for start in range(0, len(x), CHUNK):
        out[start : start + CHUNK] = forward(weights, x[start : start + CHUNK])[-1]


def clipped_gradient_sum(layer_sizes, params, x, y, rows, clip_norm, out, norms):
    """out = sum over the rows i of min(1, clip_norm / norms[i]) * gradient of the loss of x[i].

    norms[i] is the L2 norm of that gradient over all layers. No gradient is written down for it: in
    a layer it is the outer product of the input a (and 1, for the bias) with g, so that its squared
    norm is (|a|^2 + 1) * |g|^2; clipping it is scaling g.

    layer_sizes: (784, 200, 10) and the like; params: (P,) float32; x: (n, features) float32; y:
    (n,) int64; rows: (m,) int64, m may be 0; out: (P,) float32 and norms: (m,) float64, written.
    """
    weights, total = layers(params, layer_sizes), layers(out, layer_sizes)
    out[:] = 0
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for start in range(0, len(rows), CHUNK):
            chunk = rows[start : start + CHUNK]
            activations = forward(weights, x[chunk])
            deltas = backward(weights, activations, y[chunk])
            squares = [
                ((a**2).sum(axis=1, dtype=np.float64) + 1) * (g**2).sum(axis=1, dtype=np.float64)
                for a, g in zip(activations[:-1], deltas, strict=True)
            ]
            norm = np.sqrt(sum(squares))
            norms[start : start + CHUNK] = norm
            scale = np.where(norm <= clip_norm, 1, clip_norm / norm).astype(np.float32)
            for (W, b), a, g in zip(total, activations[:-1], deltas, strict=True):
                g = g * scale[:, np.newaxis]
                W += a.T @ g
                b += g.sum(axis=0)


def product_naive(x, W, out):
    """out = x W; the compiled twin does it number by number, for ``inside_the_kernel``."""
    np.matmul(x, W, out=out)


def product_by_rows(x, W, out, skip_zeros):
    """out = x W; the compiled twin goes along the rows of W, if asked only those that x needs."""
    np.matmul(x, W, out=out)
