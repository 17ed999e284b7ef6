"""Measures and attacks whose unit is a user: all examples of one person together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fedcore._validate import as_int, as_parts
from fedcore.attacks.membership import confidences
from fedcore.datasets import Dataset
from fedcore.models import MLP


def halves(n_units: int, n_models: int, seed: int = 0) -> np.ndarray:
    """Who is in which training run: (n_models, n_units) bool, each unit in half of the models.

    Drawn in pairs of complementary halves, from ``seed``; n_models is even, at least 4. What an
    audit needs: the same training with and without each unit, many times.
    """
    n_units = as_int("n_units", n_units, minimum=2)
    n_models = as_int("n_models", n_models, minimum=4)
    if n_models % 2:
        raise ValueError(f"n_models must be even, got {n_models}")
    rng = np.random.default_rng(as_int("seed", seed, minimum=0))
    member = np.zeros((n_models, n_units), dtype=bool)
    for m in range(0, n_models, 2):
        member[m, rng.permutation(n_units)[: n_units // 2]] = True
        member[m + 1] = ~member[m]
    return member


def user_confidences(
    model: MLP, params: np.ndarray, data: Dataset, parts: Sequence[np.ndarray]
) -> np.ndarray:
    """How sure the model is of each user's data: (N,) float64, or (M, N) for params (M, P).

    The mean over a user's examples (rows ``parts[k]`` of ``data``) of the logit-scaled confidence
    in the true class, see ``attacks.confidences``. With ``attacks.lira_leave_one_out`` it makes a
    membership attack on users: did this person take part?
    """
    parts = as_parts(parts, len(data))
    rows = np.concatenate(parts)
    held = Dataset(data.x[rows], data.y[rows], data.n_classes)
    found = confidences(model, params, held)
    starts = np.cumsum([0, *(len(part) for part in parts[:-1])])
    sums = np.add.reduceat(found, starts, axis=-1)
    return sums / [len(part) for part in parts]


def user_accuracies(
    model: MLP, params: np.ndarray, train: Dataset, parts: Sequence[np.ndarray], test: Dataset
) -> np.ndarray:
    """How well the model reads for each user: (N,) float64, in [0, 1].

    Accuracy on the test set, class by class, weighted by the classes that the user holds (rows
    ``parts[k]`` of ``train``): a user's own few examples would measure it in large steps.
    """
    right = model.predict_proba(params, test.x).argmax(axis=1) == test.y
    classes = np.bincount(test.y, minlength=test.n_classes)
    hits = np.bincount(test.y, right, minlength=test.n_classes)
    by_class = hits / np.maximum(classes, 1)
    return np.array([by_class[train.y[part]].mean() for part in as_parts(parts, len(train))])
