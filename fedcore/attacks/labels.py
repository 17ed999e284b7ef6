"""Which classes a client holds, read from the last layer of its gradient."""

from __future__ import annotations

import numpy as np

from fedcore._validate import as_int, describe
from fedcore.attacks.reconstruction import check_vector
from fedcore.datasets import Dataset
from fedcore.models import MLP


def label_of_one(model: MLP, gradient: np.ndarray) -> int:
    """The label behind the gradient of a single example: the class with a negative db. Exact.

    gradient: (P,), or a positive multiple. In the last layer db_c = p_c - 1 for the label and p_c
    for every other class, and only the first is negative.
    Source: Zhao, Mopuri and Bilen (2020), "iDLG", there for the signs of dW.
    """
    return int(_last_biases(model, gradient).argmin())


def label_shares(
    model: MLP,
    params: np.ndarray,
    gradient: np.ndarray,
    public: Dataset | None = None,
    after: np.ndarray | None = None,
) -> np.ndarray:
    """Estimated share of each class in the client's examples, (C,) float64, sums to 1.

    gradient: (P,) of a mean loss, as ``mean_gradient`` gives it. In the last layer
    db_c = mean of p_c - share_c, and what the model predicts on average is known: exactly, if it
    predicts the same for everyone (all weights of the last layer zero, ``public`` not needed);
    otherwise from ``public`` examples of each class. after: the parameters that came back, if the
    client took many steps: the prediction is then the mean of those before and after.
    Source: the idea is that of Wainakh et al. (2022), "LLG"; the solution here is least squares.
    """
    db = _last_biases(model, gradient)
    vectors = [params] if after is None else [params, after]
    P = np.mean([_mean_predictions(model, vector, public) for vector in vectors], axis=0)
    # share = P' share - db and sum(share) = 1, in the least-squares sense, then not negative
    left = np.vstack([np.eye(len(db)) - P.T, np.ones(len(db))])
    shares = np.linalg.lstsq(left, np.append(-db, 1.0), rcond=None)[0]
    shares = np.maximum(shares, 0)
    return shares / shares.sum()


def label_counts(shares: np.ndarray, n_examples: int) -> np.ndarray:
    """``shares`` as whole numbers that add up to ``n_examples``, (C,) int64: largest remainders."""
    n = as_int("n_examples", n_examples, minimum=1)
    shares = check_vector("shares", shares)
    if shares.min() < 0 or not np.isclose(shares.sum(), 1):
        raise ValueError(f"shares must be at least 0 and sum to 1, got {describe(shares)}")
    exact = shares * n
    counts = np.floor(exact + 1e-9).astype(np.int64)
    missing = n - counts.sum()
    counts[np.argsort(counts - exact, kind="stable")[:missing]] += 1
    return counts


def _last_biases(model: MLP, gradient: np.ndarray) -> np.ndarray:
    if not isinstance(model, MLP):
        raise TypeError(f"model must be a Softmax or an MLP, got {describe(model)}")
    gradient = check_vector("gradient", gradient)
    return model.unflatten(gradient)[-1][1].astype(np.float64)


def _mean_predictions(model: MLP, params: np.ndarray, public: Dataset | None) -> np.ndarray:
    """(C, C): row k is what the model predicts on average for examples of class k."""
    W, b = model.unflatten(check_vector("params", params))[-1]
    if not W.any():
        p = np.exp(b.astype(np.float64) - b.max())
        return np.tile(p / p.sum(), (model.n_classes, 1))
    if not isinstance(public, Dataset):
        raise TypeError(
            f"public must be a Dataset unless all predictions are equal, got {public!r}"
        )
    missing = np.setdiff1d(np.arange(model.n_classes), public.y)
    if missing.size:
        raise ValueError(f"public must hold examples of every class, got none of {missing[0]}")
    p = model.predict_proba(params, public.x)
    return np.stack([p[public.y == k].mean(axis=0) for k in range(model.n_classes)])
