"""Who sent this update? Compare it with what the attacker's own examples would have sent."""

from __future__ import annotations

import numpy as np

from fedcore._validate import as_float_array, as_int, as_parts, require_finite
from fedcore.attacks.reconstruction import check_vector
from fedcore.datasets import Dataset
from fedcore.models import MLP
from fedcore.training import local_sgd_many


def reference_deltas(
    model: MLP,
    params: np.ndarray,
    public: Dataset,
    groups: np.ndarray,
    *,
    epochs: int = 1,
    batch_size: int | None = 10,
    lr: float = 0.1,
    n_repeats: int = 1,
    seed: int = 0,
) -> np.ndarray:
    """What a client of each group would send: mean deltas (G, P) float64, for groups 0 to G - 1.

    The attacker trains from ``params``, which it sent or received itself, on its own ``public``
    examples; groups: (n,) integers, the group of each. n_repeats: epoch orders to average over.
    Source: the idea of Melis et al. (2019), whose classifier is a learned one.
    """
    groups = np.asarray(groups)
    if groups.shape != (len(public),) or not np.issubdtype(groups.dtype, np.integer):
        raise ValueError(f"groups must hold {len(public)} integers, got shape {groups.shape}")
    n_groups = int(groups.max()) + 1
    n_repeats = as_int("n_repeats", n_repeats, minimum=1)
    parts = as_parts([np.flatnonzero(groups == g) for g in range(n_groups)], len(public))
    settings = {"epochs": epochs, "batch_size": batch_size, "lr": lr}
    total = np.zeros((n_groups, model.n_params))
    for repeat in range(n_repeats):
        total += local_sgd_many(
            model, params, public.x, public.y, parts, seed=seed + repeat, **settings
        )
    return total / n_repeats - check_vector("params", params)


def source_scores(params: np.ndarray, updates: np.ndarray, references: np.ndarray) -> np.ndarray:
    """How much each update resembles each group: (m, G) float64, the larger the likelier.

    params: (P,); updates: (m, P), what clients sent; references: (G, P), ``reference_deltas``. The
    score is the cosine between delta and reference, after both have lost their part along the mean
    reference, which is what all groups have in common. It does not change with a delta's length, so
    neither clipping nor the amount of data matters.
    """
    params = check_vector("params", params).astype(np.float64)
    updates = as_float_array("updates", updates, ndim=2)
    references = as_float_array("references", references, ndim=2).astype(np.float64)
    require_finite("updates", updates)
    if not updates.shape[1] == references.shape[1] == len(params) or len(references) < 2:
        raise ValueError(
            f"updates (m, P) and references (G, P), G >= 2, must have {len(params)} columns like "
            f"params, got {updates.shape} and {references.shape}"
        )
    common = references.mean(axis=0)
    common /= max(np.linalg.norm(common), np.finfo(np.float64).tiny)
    deltas, own = (v - np.outer(v @ common, common) for v in (updates - params, references))
    sizes = np.linalg.norm(deltas, axis=1)[:, None] * np.linalg.norm(own, axis=1)
    return deltas @ own.T / np.maximum(sizes, np.finfo(np.float64).tiny)
