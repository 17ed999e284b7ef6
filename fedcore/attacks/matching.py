"""Gradient matching: look for examples whose gradient is the one that was sent."""

from __future__ import annotations

import numpy as np

from fedcore._validate import as_int, require_finite
from fedcore.attacks.reconstruction import first_layer
from fedcore.models import MLP, check_labels

START = 0.3  # the search begins with pixels drawn from U(0, START)


def match_gradient(
    model: MLP,
    params: np.ndarray,
    gradient: np.ndarray,
    y: np.ndarray,
    *,
    n_starts: int = 1,
    max_iter: int = 300,
    seed: int = 0,
) -> tuple[np.ndarray, float]:
    """Examples (B, features) in [0, 1] with labels ``y`` whose gradient is nearest to ``gradient``.

    Minimises ||gradient of (x, y) - gradient||^2 over x, from random starts, by L-BFGS-B, and
    returns the best x with its relative loss, that square over ||gradient||^2. A loss of 0 is a
    perfect match, which need not be the right one. model: softmax regression. gradient: (P,) of the
    mean loss over the B examples at ``params``. y: (B,), known from ``label_counts``. Examples of
    one class come in any order. Needs scipy. Raises ValueError for a model with hidden layers.

    Source: Zhu, Liu and Han (2019), "Deep leakage from gradients"; labels fixed as in Zhao et al.
    (2020), pixels kept in their range.
    """
    if len(model.layer_sizes) != 2:
        raise ValueError(f"model must be a softmax regression, got {model!r}")
    y = check_labels(y, np.size(y))
    if len(y) == 0 or y.min() < 0 or y.max() >= model.n_classes:
        raise ValueError(f"y must hold labels 0 to {model.n_classes - 1}, at least one, got {y}")
    n_starts = as_int("n_starts", n_starts, minimum=1)
    max_iter = as_int("max_iter", max_iter, minimum=1)
    problem = _Problem(model, params, gradient, y)
    rng = np.random.default_rng(as_int("seed", seed, minimum=0))
    found = [problem.solve(rng, max_iter) for _ in range(n_starts)]
    return min(found, key=lambda result: result[1])


class _Problem:
    """The loss as a function of x, and its derivative, for softmax regression.

    With A = (P - Y) / B, P the predictions for x, the gradient is (x' A, column sums of A).
    """

    def __init__(self, model: MLP, params: np.ndarray, gradient: np.ndarray, y: np.ndarray):
        self.W, self.b = model.unflatten(np.asarray(params, dtype=np.float64))[0]
        require_finite("params", self.W)
        self.dW, self.db = first_layer(model, gradient)
        self.Y = np.eye(model.n_classes)[y]
        size = np.square(self.dW).sum() + np.square(self.db).sum()
        if size == 0:
            raise ValueError("gradient must not be zero: there is nothing to match")
        self.scale = 1 / size

    def loss(self, flat: np.ndarray) -> tuple[float, np.ndarray]:
        """(relative loss, its derivative by x), both for x as a flat vector."""
        x, B = flat.reshape(len(self.Y), -1), len(self.Y)
        z = x @ self.W + self.b
        P = np.exp(z - z.max(axis=1, keepdims=True))
        P /= P.sum(axis=1, keepdims=True)
        A = (P - self.Y) / B
        off_W, off_b = x.T @ A - self.dW, A.sum(axis=0) - self.db
        by_A = x @ off_W + off_b
        by_z = P * (by_A - (P * by_A).sum(axis=1, keepdims=True)) / B
        value = self.scale * (np.square(off_W).sum() + np.square(off_b).sum())
        return value, 2 * self.scale * (A @ off_W.T + by_z @ self.W.T).ravel()

    def solve(self, rng: np.random.Generator, max_iter: int) -> tuple[np.ndarray, float]:
        """One descent from a random start: (x (B, features), relative loss)."""
        from scipy.optimize import minimize  # slow to import

        start = rng.uniform(0, START, len(self.Y) * len(self.W))
        options = {"maxiter": max_iter, "maxfun": 2 * max_iter, "ftol": 1e-16, "gtol": 1e-12}
        found = minimize(
            self.loss,
            start,
            jac=True,
            method="L-BFGS-B",
            bounds=[(0, 1)] * len(start),
            options=options,
        )
        return found.x.reshape(len(self.Y), -1), float(found.fun)
