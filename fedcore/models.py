"""Models: softmax regression and ReLU multilayer perceptrons, parameters in one flat vector.

A model object holds a shape and no parameters: what travels between server and clients, and what
the server averages, is a float32 vector. Each layer's W (inputs, outputs) stands there row-major,
followed by its bias b (outputs,); then the next layer.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from fedcore import _reference
from fedcore._core import kernels
from fedcore._threads import available_cores, for_each
from fedcore._validate import as_float_array, as_int, describe

PIECE = 2048  # examples from which on a further thread is worth starting


class MLP:
    """ReLU multilayer perceptron with a softmax output: ``MLP(784, 200, 200, 10)``.

    Arguments are the layer sizes: features, hidden layers (none or more), classes. The loss is the
    mean cross-entropy in nats. The "2NN" of McMahan et al. (2017) is ``MLP(784, 200, 200, 10)``.
    """

    def __init__(self, *layer_sizes: int):
        if len(layer_sizes) < 2:
            raise ValueError(
                f"layer_sizes must name at least features and classes, got {layer_sizes}"
            )
        minima = [1] * (len(layer_sizes) - 1) + [2]
        self.layer_sizes = tuple(
            as_int(f"layer_sizes[{i}]", size, minimum=low)
            for i, (size, low) in enumerate(zip(layer_sizes, minima, strict=True))
        )
        self.n_features, self.n_classes = self.layer_sizes[0], self.layer_sizes[-1]
        self.n_params = sum((n_in + 1) * n_out for n_in, n_out in pairwise(self.layer_sizes))
        self.nbytes = 4 * self.n_params

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(str, self.layer_sizes))})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MLP) and self.layer_sizes == other.layer_sizes

    def __hash__(self) -> int:
        return hash(self.layer_sizes)

    def init(self, seed: int = 0) -> np.ndarray:
        """Initial parameters (P,) float32: He-uniform weights, U(-l, l) with l = sqrt(6 / inputs)
        (He et al. 2015), and zero biases. The last layer uses Glorot's l = sqrt(6 / (inputs +
        outputs)) (Glorot and Bengio 2010), since no ReLU follows it.
        """
        rng = np.random.default_rng(as_int("seed", seed, minimum=0))
        params = np.zeros(self.n_params, dtype=np.float32)
        layers = self.unflatten(params)
        for W, _ in layers:
            fan = W.shape[0] + (W.shape[1] if W is layers[-1][0] else 0)
            limit = np.sqrt(6 / fan)
            W[:] = rng.uniform(-limit, limit, W.shape)
        return params

    def unflatten(self, params: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """Views [(W, b), ...] into ``params``, layer by layer; nothing is copied.

        W has shape (inputs, outputs), b (outputs,). Writing to a view writes to ``params``.
        """
        return _reference.layers(self._check_params(params), self.layer_sizes)

    def flatten(self, layers: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
        """The inverse of ``unflatten``: one new float32 vector (P,)."""
        params = np.empty(self.n_params, dtype=np.float32)
        views = self.unflatten(params)
        if len(layers) != len(views):
            raise ValueError(f"layers must hold {len(views)} pairs (W, b), got {len(layers)}")
        for i, ((W, b), (to_W, to_b)) in enumerate(zip(layers, views, strict=True)):
            W, b = np.asarray(W), np.asarray(b)
            if W.shape != to_W.shape or b.shape != to_b.shape:
                raise ValueError(
                    f"layers[{i}] must have shapes {to_W.shape} and {to_b.shape}, "
                    f"got {W.shape} and {b.shape}"
                )
            to_W[:], to_b[:] = W, b
        return params

    def predict_proba(self, params: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Class probabilities (n, classes) float32 for x (n, features), or one x (features,)."""
        x, params = self._check_x(x), self._check_params(params)
        probabilities = np.empty((len(x), self.n_classes), dtype=np.float32)
        params = np.ascontiguousarray(params, dtype=np.float32)
        x = np.ascontiguousarray(x, dtype=np.float32)
        pieces = min(available_cores(), len(x) // PIECE) or 1

        def predict(i: int) -> None:
            rows = slice(i * len(x) // pieces, (i + 1) * len(x) // pieces)
            kernels.predict_proba(self.layer_sizes, params, x[rows], probabilities[rows])

        for_each(predict, pieces, pieces)
        return probabilities

    def predict(self, params: np.ndarray, x: np.ndarray) -> np.ndarray:
        """The most probable class (n,) int64 for x (n, features)."""
        return self.predict_proba(params, x).argmax(axis=1)

    def evaluate(self, params: np.ndarray, x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
        """(mean cross-entropy in nats, share of correct predictions in [0, 1]), in one pass."""
        x, y = self._check_xy(x, y)
        p = self.predict_proba(params, x)
        tiny = np.finfo(np.float32).tiny
        loss = -np.log(np.maximum(p[np.arange(len(y)), y], tiny), dtype=np.float64).mean()
        return float(loss), float((p.argmax(axis=1) == y).mean())

    def loss(self, params: np.ndarray, x: np.ndarray, y: np.ndarray) -> float:
        """Mean cross-entropy in nats over x (n, features), y (n,)."""
        return self.evaluate(params, x, y)[0]

    def accuracy(self, params: np.ndarray, x: np.ndarray, y: np.ndarray) -> float:
        """Share of correct predictions, in [0, 1], over x (n, features), y (n,)."""
        return self.evaluate(params, x, y)[1]

    def gradient(self, params: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Gradient (P,) of the mean cross-entropy over x (n, features), y (n,).

        Same dtype as ``params``: float64 parameters give a float64 gradient.
        """
        x, y = self._check_xy(x, y)
        weights = self.unflatten(params)
        grads = _reference.gradients(weights, x.astype(params.dtype, copy=False), y)
        return np.concatenate([part.ravel() for pair in grads for part in pair])

    def _check_params(self, params: np.ndarray) -> np.ndarray:
        params = as_float_array("params", params, ndim=1)
        if len(params) != self.n_params:
            raise ValueError(
                f"params must hold {self.n_params} numbers for {self!r}, got {len(params)}"
            )
        return params

    def _check_x(self, x: np.ndarray) -> np.ndarray:
        if isinstance(x, np.ndarray) and x.ndim == 1:
            x = x[np.newaxis]
        x = as_float_array("x", x, ndim=2)
        if x.shape[1] != self.n_features:
            raise ValueError(f"x must have {self.n_features} columns for {self!r}, got {x.shape}")
        if len(x) == 0:
            raise ValueError("x must hold at least one example, got 0")
        return x

    def _check_xy(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        x, y = self._check_x(x), check_labels(y, len(x) if np.ndim(x) == 2 else 1)
        if y.min() < 0 or y.max() >= self.n_classes:
            raise ValueError(
                f"y must hold classes 0 to {self.n_classes - 1}, got {y.min()} to {y.max()}"
            )
        return x, y


class Softmax(MLP):
    """Softmax regression (multinomial logistic regression): ``Softmax(784, 10)``."""

    def __init__(self, n_features: int, n_classes: int):
        super().__init__(n_features, n_classes)

    def init(self, seed: int = 0) -> np.ndarray:
        """All zeros, whatever the seed: the loss is convex, so the start needs no luck."""
        as_int("seed", seed, minimum=0)
        return np.zeros(self.n_params, dtype=np.float32)


def check_labels(y: np.ndarray, n: int) -> np.ndarray:
    """``y`` as contiguous int64 (n,); TypeError unless integers, ValueError unless n of them."""
    array = np.asarray(y)
    if array.ndim != 1 or not np.issubdtype(array.dtype, np.integer):
        raise TypeError(f"y must be a one-dimensional array of integers, got {describe(array)}")
    if len(array) != n:
        raise ValueError(f"y must hold {n} labels, one for each row of x, got {len(array)}")
    return np.ascontiguousarray(array, dtype=np.int64)
