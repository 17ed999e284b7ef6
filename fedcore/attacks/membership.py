"""Was this example in the training data? A threshold on the loss, and LiRA with shadow models."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fedcore._validate import as_int, describe
from fedcore.datasets import Dataset
from fedcore.models import MLP
from fedcore.training import local_sgd_many

LITTLE = 1e-6  # added to a standard deviation, so that equal confidences do not divide by zero


@dataclass(frozen=True, eq=False)
class Shadows:
    """Models trained on random halves of a pool, and who was in which half.

    params: (M, P) float32; member: (M, n) bool, member[m, i] if model m was trained on example i.
    """

    params: np.ndarray
    member: np.ndarray


def train_shadows(
    model: MLP,
    pool: Dataset,
    n_models: int,
    *,
    epochs: int = 20,
    batch_size: int | None = 10,
    lr: float = 0.1,
    seed: int = 0,
    threads: int | None = None,
) -> Shadows:
    """Train ``n_models`` models, each on a random half of ``pool``, all from ``model.init(seed)``.

    n_models is even, and every example is in exactly half of the models: they are drawn in pairs
    of complementary halves. epochs, batch_size, lr: as in ``local_sgd``, and each model is a single
    client that trains alone. Memory: n_models * model.nbytes.
    The design is that of Carlini et al. (2022).
    """
    n_models = as_int("n_models", n_models, minimum=4)
    if n_models % 2 or not isinstance(pool, Dataset) or len(pool) < 4:
        raise ValueError(
            "n_models must be even, and pool a Dataset of at least 4 examples, "
            f"got {n_models} and {describe(pool)}"
        )
    rng = np.random.default_rng(as_int("seed", seed, minimum=0))
    member = np.zeros((n_models, len(pool)), dtype=bool)
    for m in range(0, n_models, 2):
        member[m, rng.permutation(len(pool))[: len(pool) // 2]] = True
        member[m + 1] = ~member[m]
    params = local_sgd_many(
        model,
        model.init(seed),
        pool.x,
        pool.y,
        [np.flatnonzero(row) for row in member],
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        seed=seed,
        threads=threads,
    )
    return Shadows(params, member)


def confidences(model: MLP, params: np.ndarray, data: Dataset) -> np.ndarray:
    """log(p / (1 - p)) of the true class for every example: (n,), or (M, n) for params (M, P).

    The logit-scaled confidence, roughly normal from model to model. float64; 1 - p is summed over
    the other classes, so that a confident model does not round to infinity.
    Source: Carlini et al. (2022), Algorithm 1.
    """
    if params.ndim == 2:
        return np.stack([confidences(model, row, data) for row in params])
    p = model.predict_proba(params, data.x).astype(np.float64)
    rows, tiny = np.arange(len(data)), np.finfo(np.float32).tiny
    true = np.maximum(p[rows, data.y], tiny)
    p[rows, data.y] = 0
    return np.log(true) - np.log(np.maximum(p.sum(axis=1), tiny))


def losses(model: MLP, params: np.ndarray, data: Dataset) -> np.ndarray:
    """Cross-entropy of each example in nats, (n,), or (M, n) for params (M, P); float64."""
    return np.logaddexp(0, -confidences(model, params, data))


def loss_scores(model: MLP, params: np.ndarray, data: Dataset) -> np.ndarray:
    """Membership by the loss alone: minus the loss, larger means "member". Shapes as ``losses``.

    Source: Yeom et al. (2018) compare the loss with one threshold; a ROC curve tries them all.
    """
    return -losses(model, params, data)


def lira_scores(
    target: np.ndarray,
    shadow: np.ndarray,
    member: np.ndarray,
    *,
    online: bool = True,
    pooled: bool = True,
) -> np.ndarray:
    """LiRA: how much likelier is this confidence if the example was a member? (n,) float64.

    target: (n,) confidences of the attacked model; shadow: (M, n) those of M shadow models;
    member: (M, n) bool, which of them had seen the example. For each example two normal
    distributions are fitted to the shadow models, "in" and "out", each from at least 2 models; the
    score is the log of their likelihood ratio at the target. online=False fits only "out" and
    scores how far above it the target lies: it needs no shadow model that has seen the example.
    pooled=True uses one standard deviation for all examples: steadier with few shadow models.
    Source: Carlini et al. (2022), Algorithm 1 (online), and their offline variant.
    """
    target, shadow, member = _check_lira(target, shadow, member, online)
    mean_out, std_out = _fit(shadow, ~member, pooled)
    if not online:
        return (target - mean_out) / std_out
    mean_in, std_in = _fit(shadow, member, pooled)
    return _log_normal(target, mean_in, std_in) - _log_normal(target, mean_out, std_out)


def lira_leave_one_out(
    confidence: np.ndarray, member: np.ndarray, *, online: bool = True, pooled: bool = True
) -> np.ndarray:
    """LiRA against each of M models in turn, with the M - 1 others as its shadows: (M, n) scores.

    confidence: (M, n), member: (M, n) bool. One trained set of models then gives M attacked models
    and M * n answers: enough to see a false positive rate of 0.1 %.
    """
    member = np.asarray(member)
    everyone = np.ones(len(confidence), dtype=bool)
    scores = []
    for m in range(len(confidence)):
        everyone[m] = False
        others = confidence[everyone], member[everyone]
        scores.append(lira_scores(confidence[m], *others, online=online, pooled=pooled))
        everyone[m] = True
    return np.stack(scores)


def _fit(shadow: np.ndarray, chosen: np.ndarray, pooled: bool) -> tuple[np.ndarray, np.ndarray]:
    """Mean (n,) and standard deviation (n,) or () of the chosen confidences of each example."""
    n = chosen.sum(axis=0)
    mean = np.where(chosen, shadow, 0).sum(axis=0) / n
    squares = np.where(chosen, np.square(shadow - mean), 0).sum(axis=0)
    variance = squares.sum() / (n - 1).sum() if pooled else squares / (n - 1)
    return mean, np.sqrt(variance) + LITTLE


def _log_normal(x: np.ndarray, mean: np.ndarray, std: np.ndarray) -> np.ndarray:
    """Log density, without the constant that cancels in a ratio."""
    return -np.square((x - mean) / std) / 2 - np.log(std)


def _check_lira(target, shadow, member, online) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    target, shadow = (np.asarray(a, dtype=np.float64) for a in (target, shadow))
    member = np.asarray(member)
    if member.dtype != bool:
        raise TypeError(f"member must hold True and False, got {describe(member)}")
    if shadow.ndim != 2 or member.shape != shadow.shape or target.shape != shadow.shape[1:]:
        raise ValueError(
            "target (n,), shadow (M, n) and member (M, n) must fit together, got shapes "
            f"{target.shape}, {shadow.shape}, {member.shape}"
        )
    for name, chosen in (("out", ~member), ("in", member)):
        fewest = chosen.sum(axis=0).min()
        if fewest < 2 and (online or name == "out"):
            raise ValueError(
                f'member must leave at least 2 "{name}" shadow models for every example, '
                f"got {fewest}"
            )
    return target, shadow, member
