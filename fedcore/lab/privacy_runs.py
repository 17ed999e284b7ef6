"""What the privacy panel computes, without any widget: train privately, then attack the result."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from fedcore import accounting, audit, partition, user_level
from fedcore._validate import as_int, as_real
from fedcore.attacks import (
    auc,
    invert_one,
    lira_leave_one_out,
    mean_gradient,
    psnr,
    tpr_at_fpr,
)
from fedcore.datasets import Dataset
from fedcore.federation import LocalSGD, federated_rounds
from fedcore.models import MLP, Softmax
from fedcore.privacy import DPFedAvg, clip
from fedcore.training import local_sgd

FPR = 0.01  # the false alarms that the membership attack may raise
VICTIMS = 20  # digits that are reconstructed
EXACT = 100.0  # dB; better than this is a copy: float32 rounding is all that is left


@dataclass(frozen=True)
class PrivacySettings:
    """Everything that decides a private run and the attacks on it; the same settings, same numbers.

    n_users: in each training run; twice as many are dealt ``n_examples`` digits each at random, and
    every run is of a random half of them. n_models: training runs that the membership attack has,
    even, >= 6. delta: of the guarantee. The others as in ``DPFedAvg`` and ``run_federation``.
    Raises TypeError or ValueError that names the setting.
    """

    noise_multiplier: float = 1.0  # z
    clip_norm: float = 0.5  # S
    n_users: int = 100  # K
    n_examples: int = 10
    sampling_rate: float = 0.2  # q
    n_rounds: int = 30  # T
    epochs: int = 5
    lr: float = 0.1
    n_models: int = 24
    delta: float = 1e-5
    seed: int = 0

    def __post_init__(self):
        DPFedAvg(self.clip_norm, self.noise_multiplier)
        as_int("n_users", self.n_users, minimum=2)
        as_int("n_examples", self.n_examples, minimum=1)
        as_real("sampling_rate", self.sampling_rate, 0, 1, include_low=False)
        as_int("n_rounds", self.n_rounds, minimum=1)
        LocalSGD(self.epochs, self.n_examples, self.lr)
        if as_int("n_models", self.n_models, minimum=6) % 2:
            raise ValueError(f"n_models must be even, got {self.n_models}")
        as_real("delta", self.delta, 0, 1, include_low=False, include_high=False)
        as_int("seed", self.seed, minimum=0)


@dataclass
class PrivacyResult:
    """A private run as far as it got; what is not known yet is None."""

    settings: PrivacySettings
    accuracy: list[float] = field(default_factory=list)  # of the first run, entry 0 before round 1
    epsilon: float | None = None  # at most, by the accountant
    worst_user: float | None = None  # accuracy of the user for whom the model reads worst
    psnr: float | None = None  # dB, median over the victims
    pictures: tuple[np.ndarray, np.ndarray] | None = None  # (original, reconstruction), (784,)
    models: int = 0  # training runs done
    scores: np.ndarray | None = None  # (n_models, 2 n_users): LiRA, larger means "took part"
    member: np.ndarray | None = None  # the same shape, bool: the truth
    tpr: float | None = None  # of LiRA, at FPR 1 %
    auc: float | None = None
    proven: float | None = None  # epsilon at least, by the attack


def privacy_run(
    settings: PrivacySettings | None = None,
    train: Dataset | None = None,
    test: Dataset | None = None,
    **changes,
) -> PrivacyResult:
    """Train, account and attack: the numbers that a PrivacyPanel shows.

    settings: default ``PrivacySettings()``; ``changes`` replace single ones. train, test: default
    MNIST. Raises TypeError or ValueError naming a wrong setting.
    """
    settings = replace(settings or PrivacySettings(), **changes)
    if train is None or test is None:
        from fedcore.datasets import load_mnist

        loaded = load_mnist()
        train, test = train or loaded[0], test or loaded[1]
    *_, (_, result) = follow_privacy(train, test, settings)
    return result


def follow_privacy(
    train: Dataset,
    test: Dataset,
    settings: PrivacySettings,
    cancelled: Callable[[], bool] = lambda: False,
) -> Iterator[tuple[str, PrivacyResult]]:
    """The life of a run as (what is next, result so far); it ends early once ``cancelled()``."""
    model = Softmax(train.n_features, train.n_classes)
    parts = deal(train, settings)
    member = user_level.halves(len(parts), settings.n_models, settings.seed)
    result = PrivacyResult(settings, accuracy=[model.accuracy(model.init(0), test.x, test.y)])
    result.epsilon = accounting.epsilon(
        noise_multiplier=settings.noise_multiplier,
        sampling_rate=settings.sampling_rate,
        steps=settings.n_rounds,
        delta=settings.delta,
    )
    yield "training", result
    params = []
    for record, now in _rounds(model, train, parts, test, settings, member, 0):
        if cancelled():
            return
        result.accuracy.append(record.accuracy)
        last = now
        yield "training", result
    params.append(last)
    mine = [parts[k] for k in np.flatnonzero(member[0])]
    result.worst_user = float(user_level.user_accuracies(model, last, train, mine, test).min())
    result.psnr, result.pictures = reconstruct(model, train, settings)
    yield "attacking", result
    few = Dataset(test.x[:1], test.y[:1], test.n_classes)  # what is measured after each round
    for m in range(1, settings.n_models):
        for _, now in _rounds(model, train, parts, few, settings, member, m):
            if cancelled():
                return
            last = now
        params.append(last)
        result.models = m + 1
        yield "attacking", result
    confidence = user_level.user_confidences(model, np.stack(params), train, parts)
    result.member, result.scores = member, lira_leave_one_out(confidence, member)
    result.tpr = tpr_at_fpr(result.scores.ravel(), member.ravel(), FPR)
    result.auc = auc(result.scores.ravel(), member.ravel())
    result.proven = proven_epsilon(result.scores, member, settings.delta)
    yield "done", result


def deal(train: Dataset, settings: PrivacySettings) -> list[np.ndarray]:
    """``n_examples`` random rows of ``train`` for each of 2 ``n_users`` users."""
    n_users, n = 2 * settings.n_users, settings.n_examples
    if n_users * n > len(train):
        raise ValueError(
            f"n_users must be at most {len(train) // (2 * n)} with {n} examples each, two groups "
            f"and {len(train)} examples in all, got {settings.n_users}"
        )
    rows = np.random.default_rng(settings.seed).permutation(len(train))[: n_users * n]
    return partition.check(list(rows.reshape(n_users, n)), len(train))


def reconstruct(
    model: MLP, train: Dataset, settings: PrivacySettings
) -> tuple[float, tuple[np.ndarray, np.ndarray]]:
    """(median PSNR in dB, (original, reconstruction) of the first victim), from noisy sums.

    Each victim holds a single digit and takes one step in the first round. The attacker sees the
    noisy sum and knows the updates of all others, the attacker whom differential privacy assumes:
    what is left is the victim's clipped update plus the noise. From it, the closed form of lesson 5
    (``attacks.invert_one``), cut to the range of a pixel.
    """
    rng = np.random.default_rng([settings.seed, 1])
    params = model.init(0)
    victims = rng.permutation(len(train))[:VICTIMS]
    noise = settings.noise_multiplier * settings.clip_norm
    found = []
    for row in victims:
        one = train.x[row : row + 1], train.y[row : row + 1]
        update = local_sgd(model, params, *one, epochs=1, batch_size=1, lr=settings.lr)
        seen = clip(update - params, settings.clip_norm) + rng.normal(0, noise, len(params))
        guess = invert_one(model, mean_gradient(params, params + seen, settings.lr))
        found.append(np.clip(guess, 0, 1))
    quality = psnr(train.x[victims].astype(float), np.stack(found))
    return float(np.median(quality)), (train.x[victims[0]].astype(float), found[0])


def proven_epsilon(scores: np.ndarray, member: np.ndarray, delta: float) -> float:
    """The epsilon that LiRA's answers refute, at least, with 95 % confidence.

    The threshold is chosen on the even models and its hits are counted on the odd ones, so that it
    hasn't been fitted to them. The answers of one model hang together: read it as a guide.
    """
    threshold = audit.best_threshold(scores[::2].ravel(), member[::2].ravel(), delta)
    accused, truth = scores[1::2] >= threshold, member[1::2]
    return audit.epsilon_lower_bound(
        true_positives=int((accused & truth).sum()),
        members=int(truth.sum()),
        false_positives=int((accused & ~truth).sum()),
        nonmembers=int((~truth).sum()),
        delta=delta,
    )


def _rounds(model, train, parts, test, settings, member, m):
    """The rounds of training run ``m``: (record, parameters) of one half of the users."""
    strategy = DPFedAvg(settings.clip_norm, settings.noise_multiplier, seed=_seed(settings, m))
    return federated_rounds(
        model,
        train,
        [parts[k] for k in np.flatnonzero(member[m])],
        test,
        n_rounds=settings.n_rounds,
        fraction=settings.sampling_rate,
        local=LocalSGD(settings.epochs, settings.n_examples, settings.lr),
        strategy=strategy,
        sampling="poisson",
        seed=_seed(settings, m),
        params=model.init(0),
        threads=1,
    )


def _seed(settings: PrivacySettings, m: int) -> int:
    return 1000 * settings.seed + m
