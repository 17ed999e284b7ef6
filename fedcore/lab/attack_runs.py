"""What the attack panel computes, without any widget: settings in, reconstructions out."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace

import numpy as np

from fedcore import attacks, datasets
from fedcore._validate import as_int, as_real, describe
from fedcore.datasets import Dataset
from fedcore.models import MLP, Softmax
from fedcore.training import local_sgd_many

LR = 0.1
HIDDEN = 200  # units of the network that the malicious server sends
CEILING = 150.0  # dB; an exact copy, but for float32's rounding


@dataclass(frozen=True)
class AttackSettings:
    """Everything that decides an attack on one round; equal settings give equal results.

    Each of ``n_clients`` clients holds ``batch_size`` digits, takes ``epochs`` full-batch steps,
    shortens its delta to ``clip_norm`` (None: not at all) and adds normal noise of standard
    deviation ``noise_multiplier`` times clip_norm, or times 1 without clipping, to each number of
    it. The server gets the mean. Raises TypeError or ValueError that names the setting.
    """

    attack: str = "divide"
    batch_size: int = 1
    epochs: int = 1
    n_clients: int = 1
    clip_norm: float | None = None
    noise_multiplier: float = 0.0
    seed: int = 0

    def __post_init__(self):
        if self.attack not in ATTACKS:
            raise ValueError(
                f"attack must be one of {', '.join(ATTACKS)}, got {describe(self.attack)}"
            )
        for name in ("batch_size", "epochs", "n_clients"):
            as_int(name, getattr(self, name), minimum=1)
        if self.clip_norm is not None:
            as_real("clip_norm", self.clip_norm, 0, include_low=False)
        as_real("noise_multiplier", self.noise_multiplier, 0)
        as_int("seed", self.seed, minimum=0)


@dataclass(frozen=True, eq=False)
class AttackResult:
    """What the attacker got. Scores are of the first client's digits, each with its best match.

    originals, guesses: (n, pixels) float64 in [0, 1]; psnr (dB, at most 150), ssim: (n,);
    recovered: share copied to within 0.01 in every pixel; baseline: mean PSNR in dB of a guess made
    without the update, the mean public digit of the right class; delta_norm: L2 norm of the first
    client's delta before clipping.
    """

    settings: AttackSettings
    originals: np.ndarray
    guesses: np.ndarray
    labels: np.ndarray
    psnr: np.ndarray
    ssim: np.ndarray
    recovered: float
    baseline: float
    delta_norm: float
    seconds: float


@dataclass(frozen=True)
class AttackWorld:
    """The data that clients hold and the attacker's public data, and what is kept between runs."""

    train: Dataset
    public: Dataset
    _kept: dict = field(default_factory=dict, repr=False)

    def start(self, attack: str) -> tuple[MLP, np.ndarray]:
        """(model, parameters that the server sends) for an attack; those of traps are made once."""
        if attack not in self._kept:
            self._kept[attack] = ATTACKS[attack].start(self.train, self.public)
        return self._kept[attack]

    def class_means(self) -> np.ndarray:
        """(C, pixels): the mean public digit of each class."""
        if "means" not in self._kept:
            x, y = self.public.x, self.public.y
            means = [x[y == c].mean(axis=0) for c in range(self.public.n_classes)]
            self._kept["means"] = np.stack(means)
        return self._kept["means"]

    def run(self, settings: AttackSettings) -> AttackResult:
        """The whole round: clients train, clip, add noise, are averaged, and are attacked."""
        rng = np.random.default_rng(settings.seed)
        n = settings.batch_size * settings.n_clients
        if n > len(self.train):
            raise ValueError(
                f"batch_size * n_clients must be at most {len(self.train)} examples, got {n}"
            )
        rows = rng.permutation(len(self.train))[:n]  # the first digit is there for every n
        model, params = self.start(settings.attack)
        parts = np.split(rows, settings.n_clients)
        begun = time.perf_counter()
        delta, norm = _mean_delta(settings, model, params, self.train, parts, rng)
        gradient = -delta / (LR * settings.epochs)
        candidates = ATTACKS[settings.attack].read(model, params, gradient, n)
        seconds = time.perf_counter() - begun
        own = self.train.take(parts[0])
        return _score(settings, own, candidates, self.class_means(), norm, seconds)


def attack_run(
    settings: AttackSettings | None = None,
    train: Dataset | None = None,
    public: Dataset | None = None,
    **changes,
) -> AttackResult:
    """What an AttackPanel shows for ``settings``; ``changes`` replace single ones.

    train: what clients hold; public: what the attacker has anyway; default MNIST's two halves.
    """
    settings = replace(settings or AttackSettings(), **changes)
    if train is None or public is None:
        loaded = datasets.load_mnist()
        train, public = train or loaded[0], public or loaded[1]
    return AttackWorld(train, public).run(settings)


def _mean_delta(settings, model, params, train, parts, rng) -> tuple[np.ndarray, float]:
    """(the mean of the clients' deltas as the server gets it (P,), the first one's norm)."""
    updates = local_sgd_many(
        model,
        params,
        train.x,
        train.y,
        parts,
        epochs=settings.epochs,
        batch_size=None,
        lr=LR,
        seed=settings.seed,
    )
    limit = settings.clip_norm
    deviation = settings.noise_multiplier * (1 if limit is None else limit)
    total, norms = np.zeros(model.n_params), []
    for update in updates:  # one at a time: the deltas of many clients are large together
        delta = update.astype(np.float64) - params
        norms.append(float(np.linalg.norm(delta)))
        if limit is not None:
            delta *= min(1, limit / max(norms[-1], 1e-30))
        if deviation:
            delta += rng.normal(0, deviation, len(delta))
        total += delta
    return total / len(updates), norms[0]


def _score(settings, own, candidates, means, norm, seconds) -> AttackResult:
    originals = own.x.astype(np.float64)
    candidates = np.clip(candidates, 0, 1)
    nearest, _ = attacks.best_match(originals, candidates)
    guesses = candidates[nearest]
    return AttackResult(
        settings=settings,
        originals=originals,
        guesses=guesses,
        labels=own.y,
        psnr=np.minimum(attacks.psnr(originals, guesses), CEILING),
        ssim=attacks.ssim(originals, guesses),
        recovered=attacks.share_recovered(originals, candidates),
        baseline=float(attacks.psnr(originals, means[own.y].astype(np.float64)).mean()),
        delta_norm=norm,
        seconds=seconds,
    )


@dataclass(frozen=True)
class _Attack:
    """What the server sends, and how it reads what comes back."""

    text: str

    def start(self, train: Dataset, public: Dataset) -> tuple[MLP, np.ndarray]:
        model = Softmax(train.n_features, train.n_classes)
        return model, model.init()

    def read(self, model: MLP, params: np.ndarray, gradient: np.ndarray, n: int) -> np.ndarray:
        return attacks.invert_units(model, gradient)[0]


class _Separate(_Attack):
    def read(self, model, params, gradient, n):
        sums, counts = attacks.class_sums(model, params, gradient, n, rescale=True)
        found = counts > 0
        return sums[found] / counts[found, np.newaxis] if found.any() else sums


class _Network(_Attack):
    def start(self, train, public):
        model = MLP(train.n_features, HIDDEN, train.n_classes)
        return model, model.init(0)


class _Traps(_Network):
    def start(self, train, public):
        model, params = super().start(train, public)
        return model, attacks.trap_params(model, params)


class _Imprint(_Network):
    def start(self, train, public):
        model, params = super().start(train, public)
        return model, attacks.imprint_params(model, params, public.x)

    def read(self, model, params, gradient, n):
        return attacks.invert_bins(model, gradient)[0]


ATTACKS: dict[str, _Attack] = {
    "divide": _Attack("divides dW by db: softmax regression"),
    "separate": _Separate("separates the classes: softmax regression, first round"),
    "network": _Network(f"divides dW by db in each of {HIDDEN} hidden units: honest network"),
    "traps": _Traps(f"sends trap weights: network with {HIDDEN} hidden units"),
    "imprint": _Imprint(f"sends weights that sort: network with {HIDDEN} hidden units"),
}
