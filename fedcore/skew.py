"""How skewed a partition is, and who pays for it: label shares, distances, accuracy by client."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fedcore import partition
from fedcore._validate import as_float_array, as_int, describe
from fedcore.datasets import Dataset
from fedcore.models import MLP


def label_counts(
    y: np.ndarray, parts: Sequence[np.ndarray], n_classes: int | None = None
) -> np.ndarray:
    """Examples of each class at each client: (K, n_classes) int64.

    y: labels (n,), not negative. n_classes: default one more than the largest label in ``y``.
    """
    y = partition._as_labels(y)
    if y.min() < 0:
        raise ValueError(f"y must hold classes from 0, got {y.min()}")
    largest = int(y.max()) + 1
    n_classes = largest if n_classes is None else as_int("n_classes", n_classes, minimum=largest)
    parts = partition.check(parts, len(y))
    return np.stack([np.bincount(y[part], minlength=n_classes) for part in parts])


def label_shares(
    y: np.ndarray, parts: Sequence[np.ndarray], n_classes: int | None = None
) -> np.ndarray:
    """The label distribution of each client, p_k(c): (K, n_classes) float64, rows sum to 1."""
    counts = label_counts(y, parts, n_classes)
    return counts / counts.sum(axis=1, keepdims=True)


def emd(y: np.ndarray, parts: Sequence[np.ndarray]) -> np.ndarray:
    """How far each client's labels are from everybody's: sum_c |p_k(c) - p(c)|, (K,) float64.

    From 0, the same distribution, to nearly 2: with ten equally frequent classes a client of one
    class has 1.8. p is the distribution of all examples that the clients hold together.

    Source: Zhao et al. (2018), section 3, who call it earth mover's distance: between
    labels that are all equally far apart it is that, times two.
    """
    counts = label_counts(y, parts)
    population = counts.sum(axis=0) / counts.sum()
    return np.abs(counts / counts.sum(axis=1, keepdims=True) - population).sum(axis=1)


def weight_divergence(params: np.ndarray, reference: np.ndarray) -> float:
    """||params - reference|| / ||reference||, L2, for two parameter vectors (P,) of one model.

    Source: Zhao et al. (2018), section 3, where the reference is a model trained by
    SGD on all data in one place. Raises ValueError if the reference is zero.
    """
    params = as_float_array("params", params, ndim=1)
    reference = as_float_array("reference", reference, ndim=1)
    if params.shape != reference.shape:
        raise ValueError(f"reference must hold {len(params)} numbers, got {describe(reference)}")
    norm = np.linalg.norm(reference.astype(np.float64))
    if norm == 0:
        raise ValueError("reference must not be zero: nothing can be compared with it")
    return float(np.linalg.norm(np.subtract(params, reference, dtype=np.float64)) / norm)


def class_accuracy(model: MLP, params: np.ndarray, test: Dataset) -> np.ndarray:
    """Share of correct predictions among the test examples of each class, (n_classes,).

    NaN for a class of which ``test`` has none.
    """
    correct = model.predict(params, test.x) == test.y
    hits = np.bincount(test.y, weights=correct, minlength=test.n_classes)
    with np.errstate(invalid="ignore"):
        return hits / np.bincount(test.y, minlength=test.n_classes)


def client_accuracy(
    model: MLP, params: np.ndarray, test: Dataset, shares: np.ndarray
) -> np.ndarray:
    """The accuracy that each client meets on the classes it has: (K,) in [0, 1].

    sum_c shares[k, c] * (accuracy on the test examples of class c): what client k would measure on
    new examples, distributed over classes as its own are, if within a class all clients are alike.
    params: (P,), one model for all, or (K, P), one for each. shares: (K, n_classes), as from
    ``label_shares``.
    """
    shares = as_float_array("shares", shares, ndim=2)
    if shares.shape[1] != test.n_classes:
        raise ValueError(f"shares must have {test.n_classes} columns, got {shares.shape}")
    personal = isinstance(params, np.ndarray) and params.ndim == 2
    if personal and len(params) != len(shares):
        raise ValueError(f"params must be one model or {len(shares)} of them, got {len(params)}")
    models = params if personal else [params]
    by_class = np.stack([class_accuracy(model, one, test) for one in models])
    return (shares * np.where(shares > 0, by_class, 0)).sum(axis=1)
