"""What a drop-out panel computes, without any widget: settings in, rounds out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from fedcore import datasets, partition, skew
from fedcore.datasets import Dataset
from fedcore.devices import Fleet, rarity
from fedcore.events import Event
from fedcore.federation import LocalSGD, federated_rounds
from fedcore.history import RoundRecord
from fedcore.lab.dropout_settings import POWER, WEIGHTING, DropoutSettings
from fedcore.lab.round_views import Sample
from fedcore.lab.runs import Cancelled, _stoppable
from fedcore.models import MLP, Softmax
from fedcore.round_plan import RoundPlan
from fedcore.strategies import FedAvg
from fedcore.training import DivergedError

RARE = 2  # how many of the last classes count as rare: digits 8 and 9 of MNIST
ALPHA = 0.1  # of the Dirichlet partition: most devices hold a few digits, and unequal numbers
START_HOUR = 22.0  # of the first round, local time


@dataclass(frozen=True, eq=False)
class DropoutRound:
    """One round of a drop-out run: what the server recorded, and how good its model now is."""

    record: RoundRecord
    params: np.ndarray  # (P,) float32, after the round
    sample: Sample  # a few parameters, before, in each report, and after
    class_accuracy: np.ndarray  # (n_classes,) on the test set; NaN for classes not in it
    client_accuracy: np.ndarray  # (n_devices,) expected on test examples in the client's own mix
    spent: Spent  # since the run began

    @property
    def events(self) -> tuple[Event, ...]:
        """The round's events, from which all its views are made."""
        return self.record.events


@dataclass(frozen=True)
class Spent:
    """What a run has cost until a moment."""

    seconds: float = 0.0  # simulated, pauses included
    bytes_down: int = 0
    bytes_up: int = 0
    joules: float = 0.0

    def plus(self, record: RoundRecord) -> Spent:
        """With another round. Time is read off its last event."""
        return Spent(
            seconds=record.events[-1].time,
            bytes_down=self.bytes_down + record.bytes_down,
            bytes_up=self.bytes_up + record.bytes_up,
            joules=self.joules + record.joules,
        )


class Holdings(NamedTuple):
    """Who holds what: the same for all settings with as many devices and the same seed."""

    parts: list[np.ndarray]  # rows of the training set
    n_examples: list[int]
    mix: np.ndarray  # (n_devices, n_classes) the share of each class among a client's examples
    rarity: np.ndarray  # (n_devices,) the share of the rare classes


class DropoutWorld:
    """The data, who holds what, and which classes are rare."""

    def __init__(self, train: Dataset, test: Dataset):
        self.train, self.test = train, test
        self.model = Softmax(train.n_features, train.n_classes)
        self.rare = tuple(range(max(0, train.n_classes - RARE), train.n_classes))
        self._held: dict[tuple[int, int], Holdings] = {}

    def holdings(self, settings: DropoutSettings) -> Holdings:
        """Who holds what: a Dirichlet partition, skewed in labels and in sizes."""
        key = (settings.n_devices, settings.seed)
        if key not in self._held:
            y = self.train.y
            parts = partition.dirichlet(y, settings.n_devices, alpha=ALPHA, seed=settings.seed)
            self._held[key] = Holdings(
                parts,
                [len(part) for part in parts],
                skew.label_shares(y, parts, self.train.n_classes),
                rarity(y, parts, self.rare),
            )
        return self._held[key]

    def fleet(self, settings: DropoutSettings) -> Fleet:
        """The fleet that the settings describe."""
        return Fleet.mixed(
            settings.n_devices,
            charging=settings.charging,
            wifi=settings.wifi,
            battery=settings.battery,
            speed_spread=settings.speed_spread,
            dropout=settings.dropout,
            rarity=self.holdings(settings).rarity,
            correlation=settings.correlation,
            start_hour=START_HOUR,
            seed=settings.seed,
        )

    def plan(self, settings: DropoutSettings) -> RoundPlan:
        """How the server runs a round."""
        require, min_battery = POWER[settings.power]
        return RoundPlan(
            target=settings.target,
            over_selection=settings.over_selection,
            window=settings.window,
            stragglers=settings.stragglers,
            require=require,
            min_battery=min_battery,
            weighting=WEIGHTING[settings.weighting],
            pause=settings.pause,
            payload=settings.payload,
        )

    def class_accuracy(self, params: np.ndarray) -> np.ndarray:
        """(n_classes,) share of the test examples of each class that are recognised."""
        return skew.class_accuracy(self.model, params, self.test)

    def rounds(
        self, settings: DropoutSettings, cancelled: Callable[[], bool] = lambda: False
    ) -> Iterator[DropoutRound]:
        """Run ``settings`` round by round; Cancelled is raised soon after ``cancelled()``."""
        recorder = _Recorder(self.model, sample_where(self.model))
        model = _stoppable(self.model, cancelled)
        params = self.model.init(settings.seed)
        steps = federated_rounds(
            model,
            self.train,
            self.holdings(settings).parts,
            self.test,
            n_rounds=settings.n_rounds,
            local=LocalSGD(settings.epochs, settings.batch_size, settings.lr),
            strategy=recorder,
            seed=settings.seed,
            fleet=self.fleet(settings),
            plan=self.plan(settings),
        )
        mix, spent = self.holdings(settings).mix, Spent()
        for record, new in steps:
            by_class, spent = skew.class_accuracy(model, new, self.test), spent.plus(record)
            sample = recorder.sample(record, params, new)
            by_client = mix @ np.nan_to_num(by_class)
            yield DropoutRound(record, new, sample, by_class, by_client, spent)
            params = new


@dataclass
class DropoutRun:
    """A run as far as it got: what the panel draws."""

    settings: DropoutSettings
    n_examples: Sequence[int]
    fleet: Fleet
    start: dict[str, float]  # accuracies of the initial model
    rounds: list[DropoutRound] = field(default_factory=list)


def dropout_run(
    settings: DropoutSettings | None = None,
    train: Dataset | None = None,
    test: Dataset | None = None,
    **changes: Any,
) -> Iterator[DropoutRound]:
    """The rounds that a DropoutPanel shows, one at a time, as a generator.

    settings: default ``DropoutSettings()``; ``changes`` replace single ones:
    ``dropout_run(window=10)``. train, test: default MNIST. Raises ValueError naming a setting.
    """
    settings = replace(settings or DropoutSettings(), **changes)
    if train is None or test is None:
        loaded = datasets.load_mnist()
        train, test = train or loaded[0], test or loaded[1]
    return DropoutWorld(train, test).rounds(settings)


def follow(
    world: DropoutWorld, settings: DropoutSettings, cancelled: Callable[[], bool]
) -> Iterator[tuple[str, DropoutRun]]:
    """The life of a run as (phase, run so far): 'running' after each round, then once 'done', or
    'diverged' if that happens after the first round."""
    held, params = world.holdings(settings), world.model.init(settings.seed)
    start = accuracies(world.class_accuracy(params), held.mix)
    start["accuracy"] = world.model.accuracy(params, world.test.x, world.test.y)
    run = DropoutRun(settings, held.n_examples, world.fleet(settings), start)
    try:
        for done in world.rounds(settings, cancelled):
            if cancelled():
                return
            run.rounds.append(done)
            yield ("running" if len(run.rounds) < settings.n_rounds else "done"), run
    except Cancelled:
        return
    except DivergedError:
        if not run.rounds:
            raise
        yield "diverged", run


def accuracies(by_class: np.ndarray, mix: np.ndarray) -> dict[str, float]:
    """{worst_class, worst_client} of a model with these accuracies (n_classes,) by class."""
    return {
        "worst_class": float(np.nanmin(by_class)),
        "worst_client": float((mix @ np.nan_to_num(by_class)).min()),
    }


# --------------------------------------------------------------- a few parameters, watched


def sample_where(model: MLP) -> dict[str, int]:
    """{name: index into the flat vector} of a few parameters worth watching.

    The biases of the last and the first class, and the weights from the middle feature to both.
    """
    n_in, n_out = model.layer_sizes[-2:]
    first_bias, middle = model.n_params - n_out, model.n_params - n_out - n_in * n_out
    side = math.isqrt(n_in)
    pixel = n_in // 2 + (side // 2 if side * side == n_in else 0)
    place = f"pixel {pixel // side},{pixel % side}" if side * side == n_in else f"input {pixel}"
    last = n_out - 1
    return {
        f"bias of class {last}": first_bias + last,
        "bias of class 0": first_bias,
        f"weight {place} \N{RIGHTWARDS ARROW} class {last}": middle + pixel * n_out + last,
        f"weight {place} \N{RIGHTWARDS ARROW} class 0": middle + pixel * n_out,
    }


class _Recorder(FedAvg):
    """FedAvg that notes a few of the parameters that it is given to average."""

    def __init__(self, model: MLP, where: dict[str, int]):
        object.__setattr__(self, "names", tuple(where))
        object.__setattr__(self, "where", np.array(list(where.values())))
        object.__setattr__(self, "seen", [])

    def aggregate(self, state, params, updates, weights):
        """The same as FedAvg's."""
        self.seen.append(np.array(updates[:, self.where], dtype=np.float64))
        return super().aggregate(state, params, updates, weights)

    def sample(self, record: RoundRecord, before: np.ndarray, after: np.ndarray) -> Sample:
        """What was noted in the round of ``record``."""
        rows = self.seen.pop().tolist() if self.seen else []
        return Sample(
            names=self.names,
            before=tuple(before[self.where].tolist()),
            updates={k: tuple(row) for k, row in zip(record.clients, rows, strict=True)},
            after=tuple(after[self.where].tolist()),
        )
