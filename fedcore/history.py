"""What a federation leaves behind: a record of every round, and the History that holds them."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from fedcore._validate import as_real, describe
from fedcore.events import Event

FORMAT = "fedcore history 1"
MB = 1e6


@dataclass(frozen=True)
class RoundRecord:
    """One round of a federation. Per-client tuples have one entry for each of ``clients``.

    Two records are equal if they tell the same round, whatever time it took.
    """

    round: int  # from 1
    clients: tuple[int, ...]  # ids of those that trained, ascending
    n_examples: tuple[int, ...]  # n_k
    weights: tuple[float, ...]  # n_k / n, they sum to 1
    update_norms: tuple[float, ...]  # L2 norm of (parameters sent back - parameters received)
    loss: float  # of the new model on the test set: mean cross-entropy, nats
    accuracy: float  # of the new model on the test set, in [0, 1]
    bytes_down: int  # server to clients: one model for each, two with SCAFFOLD
    bytes_up: int  # clients to server: likewise, or less if compressed
    seconds_train: float = field(compare=False)  # wall clock, all clients together
    seconds_aggregate: float = field(compare=False)
    seconds_evaluate: float = field(compare=False)  # test set and update norms
    n_selected: int = 0  # asked; with a fleet fewer report
    abandoned: bool = False  # too few reports: the model stayed as it was
    sim_seconds: float = 0.0  # with a fleet: simulated seconds from asking to closing
    joules: float = 0.0  # and energy that all devices together spent
    events: tuple[Event, ...] = field(default=(), repr=False)  # and everything that happened

    @property
    def seconds(self) -> float:
        """Wall clock of the round: training, aggregation, evaluation."""
        return self.seconds_train + self.seconds_aggregate + self.seconds_evaluate


@dataclass(eq=False, repr=False)
class History:
    """The rounds of one federation, its final model, and what it takes to continue it."""

    rounds: list[RoundRecord]
    params: np.ndarray  # (P,) float32, after the last round, read-only
    seed: int
    model_sizes: tuple[int, ...]  # layer sizes of the model
    n_clients: int  # registered, whether they ever trained or not
    initial_loss: float  # "round 0": of the model that the first round started from
    initial_accuracy: float
    strategy_state: Any = ()  # what the strategy handed on after the last round
    fleet_state: tuple[np.ndarray, ...] = ()  # what the server remembers of its fleet
    interrupted: bool = False  # stopped by the user before the last round asked for

    def __len__(self) -> int:
        return len(self.rounds)

    @property
    def round(self) -> np.ndarray:
        """Round numbers (n_rounds,) int64, from 1."""
        return self._column("round", np.int64)

    @property
    def loss(self) -> np.ndarray:
        """Test loss after each round (n_rounds,) float64, nats."""
        return self._column("loss", np.float64)

    @property
    def accuracy(self) -> np.ndarray:
        """Test accuracy after each round (n_rounds,) float64, in [0, 1]."""
        return self._column("accuracy", np.float64)

    @property
    def bytes_down(self) -> np.ndarray:
        """Bytes from server to clients in each round (n_rounds,) int64."""
        return self._column("bytes_down", np.int64)

    @property
    def bytes_up(self) -> np.ndarray:
        """Bytes from clients to server in each round (n_rounds,) int64."""
        return self._column("bytes_up", np.int64)

    @property
    def seconds(self) -> np.ndarray:
        """Wall clock of each round (n_rounds,) float64, seconds."""
        return self._column("seconds", np.float64)

    @property
    def sim_seconds(self) -> np.ndarray:
        """Simulated duration of each round (n_rounds,) float64, seconds; 0 without a fleet."""
        return self._column("sim_seconds", np.float64)

    @property
    def joules(self) -> np.ndarray:
        """Energy spent by the devices in each round (n_rounds,) float64; 0 without a fleet."""
        return self._column("joules", np.float64)

    @property
    def events(self) -> tuple[Event, ...]:
        """The events of all rounds, in order."""
        return tuple(event for record in self.rounds for event in record.events)

    def rounds_to(self, target: float, *, interpolated: bool = False) -> int | float | None:
        """The first round with test accuracy >= ``target``; None if there is none.

        0 means that the initial model reached it. With ``interpolated`` the crossing lies on the
        straight line between the best accuracy before and this one, so it can be a fraction: how
        McMahan et al. (2017), section 3, count rounds for their tables.
        """
        target = as_real("target", target, 0, 1)
        accuracy = np.concatenate([[self.initial_accuracy], self.accuracy])
        reached = np.flatnonzero(accuracy >= target)
        if reached.size == 0:
            return None
        first = int(reached[0])
        if not interpolated or first == 0:
            return first
        before = accuracy[:first].max()
        return float(first - 1 + (target - before) / (accuracy[first] - before))

    def participation(self) -> dict[int, int]:
        """How many rounds each client trained in: {client: times}, 0 for those never asked."""
        times = np.zeros(self.n_clients, dtype=np.int64)
        for record in self.rounds:
            np.add.at(times, list(record.clients), 1)  # FedBuff: a client can report twice
        return {client: int(n) for client, n in enumerate(times)}

    def to_rows(self) -> list[dict[str, int | float]]:
        """One flat dict a round, for a data frame or a CSV file; per-client values are summed up.

        ``clients`` is how many trained, ``examples`` how many examples they hold together.
        """
        return [_row(record) for record in self.rounds]

    def save(self, path: str | Path) -> Path:
        """Write everything to ``path`` (an npz file, no pickle); returns the path.

        Raises TypeError if the strategy's state is neither None nor a tuple of arrays. The file
        appears complete or not at all.
        """
        path = Path(path)
        state = _as_arrays(self.strategy_state)
        about = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in _ARRAYS}
        about["rounds"] = [asdict(record) for record in self.rounds]
        about |= {"format": FORMAT, "n_state": None if state is None else len(state)}
        about["n_fleet"] = len(self.fleet_state)
        arrays = {f"state_{i}": array for i, array in enumerate(state or ())}
        arrays |= {f"fleet_{i}": array for i, array in enumerate(self.fleet_state)}
        text = np.frombuffer(json.dumps(about).encode(), dtype=np.uint8)
        unfinished = path.with_name(f"{path.name}.{os.getpid()}.part")
        try:
            with unfinished.open("wb") as file:
                np.savez_compressed(file, about=text, params=self.params, **arrays)
            os.replace(unfinished, path)
        finally:
            unfinished.unlink(missing_ok=True)
        return path

    @classmethod
    def load(cls, path: str | Path) -> History:
        """Read what ``save`` wrote. Raises FileNotFoundError, or ValueError if it is no History."""
        try:
            with np.load(Path(path), allow_pickle=False) as file:
                about = json.loads(file["about"].tobytes())
                if about.pop("format") != FORMAT:
                    raise ValueError("another format")
                n_state = about.pop("n_state")
                state = n_state and tuple(file[f"state_{i}"] for i in range(n_state))
                fleet = tuple(file[f"fleet_{i}"] for i in range(about.pop("n_fleet", 0)))
                params = file["params"]
        except FileNotFoundError:
            raise
        except Exception as error:  # a broken zip, a foreign npz, JSON that is none, ...
            raise ValueError(
                f"{path}: expected a history saved by History.save, found something else ({error})"
            ) from error
        about["rounds"] = [_record(entry) for entry in about["rounds"]]
        about["model_sizes"] = tuple(about["model_sizes"])
        params.flags.writeable = False
        state = () if state == 0 else state
        return cls(params=params, strategy_state=state, fleet_state=fleet, **about)

    def __repr__(self) -> str:
        last = self.rounds[-1].accuracy if self.rounds else self.initial_accuracy
        end = ", interrupted" if self.interrupted else ""
        return (
            f"History({len(self)} rounds, {self.n_clients} clients, "
            f"accuracy {self.initial_accuracy:.3f} -> {last:.3f}{end})"
        )

    def _repr_html_(self) -> str:
        """A compact table: the first rounds, the last ones, the totals."""
        shown = self.rounds if len(self) <= 8 else [*self.rounds[:3], None, *self.rounds[-4:]]
        body = [_html_row([0, "", f"{self.initial_accuracy:.4f}", f"{self.initial_loss:.4f}"])]
        body += [_html_row(_cells(r)) if r else _html_row(["..."]) for r in shown]
        down, up = self.bytes_down.sum() / MB, self.bytes_up.sum() / MB
        total = ["all", "", "", "", f"{down:.2f}", f"{up:.2f}", f"{self.seconds.sum():.2f}"]
        caption = f"{len(self)} rounds, {self.n_clients} clients" + (
            ", interrupted" if self.interrupted else ""
        )
        return (
            f"<table><caption>{caption}</caption><thead>{_html_row(_HEADS, 'th')}</thead>"
            f"<tbody>{''.join(body)}</tbody><tfoot>{_html_row(total)}</tfoot></table>"
        )

    def _column(self, name: str, dtype: type) -> np.ndarray:
        return np.array([getattr(record, name) for record in self.rounds], dtype=dtype)


_ARRAYS = ("params", "strategy_state", "fleet_state")
_HEADS = ("round", "clients", "test accuracy", "test loss", "MB down", "MB up", "seconds")


def _row(record: RoundRecord) -> dict[str, int | float]:
    return {
        "round": record.round,
        "clients": len(record.clients),
        "examples": sum(record.n_examples),
        "accuracy": record.accuracy,
        "loss": record.loss,
        "bytes_down": record.bytes_down,
        "bytes_up": record.bytes_up,
        "seconds_train": record.seconds_train,
        "seconds_aggregate": record.seconds_aggregate,
        "seconds_evaluate": record.seconds_evaluate,
        "seconds": record.seconds,
    }


def _cells(record: RoundRecord) -> list[Any]:
    return [
        record.round,
        len(record.clients),
        f"{record.accuracy:.4f}",
        f"{record.loss:.4f}",
        f"{record.bytes_down / MB:.2f}",
        f"{record.bytes_up / MB:.2f}",
        f"{record.seconds:.3f}",
    ]


def _html_row(cells: list[Any] | tuple[str, ...], tag: str = "td") -> str:
    cells = [*cells, *[""] * (len(_HEADS) - len(cells))]
    return "<tr>" + "".join(f"<{tag}>{cell}</{tag}>" for cell in cells) + "</tr>"


def _record(entry: dict[str, Any]) -> RoundRecord:
    events = tuple(Event(**event) for event in entry.pop("events", ()))
    entry = {k: tuple(v) if isinstance(v, list) else v for k, v in entry.items()}
    return RoundRecord(**entry, events=events)


def _as_arrays(state: Any) -> tuple[np.ndarray, ...] | None:
    if state is None:
        return None
    if not isinstance(state, tuple) or not all(
        isinstance(a, np.ndarray) and a.dtype != object for a in state
    ):
        raise TypeError(
            "strategy_state must be None or a tuple of arrays to be saved, "
            f"got {describe(state)} ({type(state).__name__})"
        )
    return state
