"""What a live panel computes, without any widget: settings in, the records of a federation out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from fedcore import datasets, models, partition, strategies
from fedcore._validate import as_int, as_real, describe
from fedcore.datasets import Dataset
from fedcore.federation import LocalSGD, federated_rounds
from fedcore.history import RoundRecord
from fedcore.lab.holdings import Holdings
from fedcore.models import MLP
from fedcore.training import DivergedError

MODELS: dict[str, Callable[[int, int], MLP]] = {
    "softmax": models.Softmax,
    "2NN": lambda n_features, n_classes: models.MLP(n_features, 200, 200, n_classes),
}
SPLITS: dict[str, Callable] = {  # (y, n_clients, seed=) -> parts
    "IID": partition.iid,
    "2 shards": partition.shards,
    "1 shard": partial(partition.shards, shards_per_client=1),
}
SKEWS: dict[str, Callable] = {  # the same, each with a knob of its own
    "IID": partition.iid,
    "Dirichlet": partition.dirichlet,
    "shards": partition.shards,
}
KNOBS = {"Dirichlet": "alpha", "shards": "shards_per_client"}  # split: the setting that turns it
STRATEGIES = {"FedAvg": strategies.FedAvg()}


class Cancelled(Exception):
    """The run was made obsolete while it was under way."""


@dataclass(frozen=True)
class RunSettings:
    """Everything that decides a run; two equal settings give the same records, bit for bit.

    Raises TypeError or ValueError that names the setting. ``split``, ``model`` and ``strategy`` are
    names, looked up when the run starts.
    """

    n_clients: int = 100  # K
    fraction: float = 0.1  # C
    epochs: int = 1  # E
    batch_size: int | None = 10  # B; None: all of a client's examples
    lr: float = 0.1
    split: str = "IID"
    model: str = "softmax"
    strategy: str = "FedAvg"
    n_rounds: int = 20
    seed: int = 0
    alpha: float = 0.3  # of the split "Dirichlet"
    shards_per_client: int = 2  # of the split "shards"

    def __post_init__(self):
        as_int("n_clients", self.n_clients, minimum=1)
        as_real("fraction", self.fraction, 0, 1, include_low=False)
        LocalSGD(self.epochs, self.batch_size, self.lr)
        as_int("n_rounds", self.n_rounds, minimum=1)
        as_int("seed", self.seed, minimum=0)
        as_real("alpha", self.alpha, 0, include_low=False)
        as_int("shards_per_client", self.shards_per_client, minimum=1)
        for name in ("split", "model", "strategy"):
            if not isinstance(getattr(self, name), str):
                raise TypeError(f"{name} must be a name, got {describe(getattr(self, name))}")


@dataclass(frozen=True)
class World:
    """What the names in the settings stand for, and the data that is trained and tested on."""

    train: Dataset
    test: Dataset
    splits: Mapping[str, Callable] = field(default_factory=lambda: SPLITS)
    models: Mapping[str, Callable] = field(default_factory=lambda: MODELS)
    strategies: Mapping[str, object] = field(default_factory=lambda: STRATEGIES)
    holdings: bool = False  # whether runs tell who holds what and how the worst client fares
    _starts: dict = field(default_factory=dict, repr=False)  # the same for most runs: keep them

    def model(self, settings: RunSettings) -> MLP:
        """The model that ``settings`` names, shaped for this data."""
        make = _look_up("model", settings.model, self.models)
        return make(self.train.n_features, self.train.n_classes)

    def check(self, settings: RunSettings) -> None:
        """Raise ValueError if a name in ``settings`` stands for nothing here."""
        _look_up("split", settings.split, self.splits)
        _look_up("model", settings.model, self.models)
        _look_up("strategy", settings.strategy, self.strategies)

    def start(self, settings: RunSettings) -> tuple[float, float]:
        """(loss, accuracy) on the test set before the first round."""
        key = (settings.model, settings.seed)
        if key not in self._starts:
            model = self.model(settings)
            self._starts[key] = model.evaluate(model.init(settings.seed), self.test.x, self.test.y)
        return self._starts[key]

    def parts(self, settings: RunSettings) -> list[np.ndarray]:
        """Who holds what under ``settings``: rows of ``train`` for each client."""
        make = _look_up("split", settings.split, self.splits)
        knob = KNOBS.get(settings.split)
        turned = {knob: getattr(settings, knob)} if knob else {}
        return make(self.train.y, settings.n_clients, seed=settings.seed, **turned)

    def rounds(
        self,
        settings: RunSettings,
        cancelled: Callable[[], bool] = lambda: False,
        parts: list[np.ndarray] | None = None,
        model: MLP | None = None,
    ) -> Iterator[tuple[RoundRecord, np.ndarray]]:
        """Run ``settings`` round by round, as ``federated_rounds`` does. Cancelled is raised soon
        after ``cancelled()`` is true: at the latest when the client being trained is done.

        parts: default ``self.parts(settings)``. model: default one that ``settings`` name.
        """
        strategy = _look_up("strategy", settings.strategy, self.strategies)
        return federated_rounds(
            model or _stoppable(self.model(settings), cancelled),
            self.train,
            self.parts(settings) if parts is None else parts,
            self.test,
            n_rounds=settings.n_rounds,
            fraction=settings.fraction,
            local=LocalSGD(settings.epochs, settings.batch_size, settings.lr),
            strategy=strategy,
            seed=settings.seed,
        )


def panel_run(
    settings: RunSettings | None = None,
    train: Dataset | None = None,
    test: Dataset | None = None,
    strategies: Mapping[str, object] | None = None,
    **changes,
) -> Iterator[RoundRecord]:
    """The records that a FederationPanel draws, one a round, as a generator.

    settings: default ``RunSettings()``; ``changes`` replace single ones: ``panel_run(epochs=5)``.
    train, test: default MNIST. strategies: further names, as in the panel. Raises ValueError naming
    a wrong setting, and FederationDiverged.
    """
    settings = replace(settings or RunSettings(), **changes)
    if train is None or test is None:
        loaded = datasets.load_mnist()
        train, test = train or loaded[0], test or loaded[1]
    world = World(train, test, {**SPLITS, **SKEWS}, strategies={**STRATEGIES, **(strategies or {})})
    return (record for record, _ in world.rounds(settings))


@dataclass
class Curve:
    """A run as far as it got: what the panel draws and says."""

    settings: RunSettings
    accuracy: list[float]  # entry 0 is the initial model, entry t follows round t
    loss: list[float]
    bytes_up: int = 0
    bytes_down: int = 0
    seconds: float = 0.0  # spent in the rounds, on this machine
    clients: tuple[int, ...] = ()  # that trained in the last round
    held: Holdings | None = None  # who holds what, if that is watched
    worst: float | None = None  # accuracy that the worst-off client meets, if that is watched

    @property
    def rounds(self) -> int:
        """How many rounds are done."""
        return len(self.accuracy) - 1

    def add(self, record: RoundRecord) -> None:
        """Take in the next round."""
        self.accuracy.append(record.accuracy)
        self.loss.append(record.loss)
        self.bytes_up += record.bytes_up
        self.bytes_down += record.bytes_down
        self.seconds += record.seconds
        self.clients = record.clients

    def rounds_to(self, target: float) -> int | None:
        """The first round whose accuracy is at least ``target``; None if there is none yet."""
        return next((t for t, a in enumerate(self.accuracy) if a >= target), None)


def follow(
    world: World, settings: RunSettings, cancelled: Callable[[], bool] = lambda: False
) -> Iterator[tuple[str, Curve, DivergedError | None]]:
    """The life of a run as (phase, curve so far, error): 'running' at the start and after each
    round, then once 'done' or 'diverged'. Nothing follows once ``cancelled()`` is true."""
    loss, accuracy = world.start(settings)
    curve = Curve(settings, [accuracy], [loss])
    parts = world.parts(settings)
    if world.holdings:
        curve.held = Holdings.of(world.train, parts)
    yield "running", curve, None
    model = _stoppable(world.model(settings), cancelled)
    try:
        for record, params in world.rounds(settings, cancelled, parts, model):
            if cancelled():
                return
            curve.add(record)
            if curve.held is not None:
                curve.worst = curve.held.worst(model, params, world.test)
            if curve.rounds < settings.n_rounds:
                yield "running", curve, None
    except Cancelled:
        return
    except DivergedError as error:
        yield "diverged", curve, error
        return
    yield "done", curve, None


def _look_up(what: str, name: str, known: Mapping[str, object]):
    if name not in known:
        raise ValueError(f"{what} must be one of {', '.join(map(repr, known))}, got {name!r}")
    return known[name]


def _stoppable(model: MLP, cancelled: Callable[[], bool]) -> MLP:
    """The same model, but training it ends with Cancelled once ``cancelled()`` is true.

    Training asks a model for its shape before each client: that is where this one looks up. It also
    keeps its last predictions: the round's accuracy and that by class are of the same.
    """
    sizes = model.layer_sizes

    class Stoppable(type(model)):
        _last: tuple = (None, None, None)  # parameters, examples, what was predicted

        def predict_proba(self, params, x):
            if params is not self._last[0] or params.flags.writeable or x is not self._last[1]:
                self._last = (params, x, super().predict_proba(params, x))
            return self._last[2]

        @property
        def layer_sizes(self):
            if cancelled():
                raise Cancelled
            return sizes

        @layer_sizes.setter
        def layer_sizes(self, value):
            pass

    stoppable = object.__new__(Stoppable)
    stoppable.__dict__.update({k: v for k, v in vars(model).items() if k != "layer_sizes"})
    return stoppable
