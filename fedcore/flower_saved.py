"""A real run of ``flower_live``, recorded, for machines without Flower; the choice of the two.

The record is made by ``tools/record_federation.py``: what the processes logged, the Histories, and
every byte that crossed between SuperNodes and SuperLink. Needs neither Flower nor psutil.
"""

from __future__ import annotations

import base64
import gzip
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from fedcore.history import History
from fedcore.wiretap import Stream

FILE = Path(__file__).parent / "data" / "flower-run.json.gz"
LESSON_APP = Path(__file__).parent / "flower_lesson"
FORMAT = "fedcore flower run 1"
MISSING = (
    "Flower is not installed here, so nothing is started. What follows is the RECORD of a real\n"
    "run (Flower {flwr}, {n_nodes} nodes, {seconds:.0f} s). For the real thing: run\n"
    "`make .venv/.flower` in the course's folder, then restart the kernel."
)


def start_federation(n_nodes: int = 3, on_change: Callable[[], object] | None = None):
    """A RealFederation where Flower is installed, else the SavedFederation; says which."""
    try:
        import flwr
    except ImportError:
        saved = SavedFederation.load()
        if n_nodes != saved.n_nodes:
            raise ValueError(
                f"n_nodes must be {saved.n_nodes}, as recorded, got {n_nodes}"
            ) from None
        print(MISSING.format(flwr=saved.flwr, n_nodes=saved.n_nodes, seconds=saved.seconds))
        return saved
    from fedcore.flower_live import RealFederation

    real = RealFederation(n_nodes, on_change)
    version = getattr(flwr, "__version__", "")
    print(
        f"Started: one SuperLink and {n_nodes} SuperNodes, each a process. Flower {version}".strip()
    )
    return real


class Line(NamedTuple):
    """A line of a log. seconds: since the start. source: the process that wrote it."""

    seconds: float
    source: str
    text: str


class SavedFederation:
    """The record of one real run, with the methods of a RealFederation; nothing is running.

    ``lines`` are those until the end of the last ``run``. Attributes besides: all_lines; flwr, the
    version of Flower; seconds, how long the run took; tls, the traffic and the History of one round
    under TLS.
    """

    saved, open = True, False

    def __init__(self, record: dict[str, Any]):
        self.n_nodes, self.flwr, self.seconds = (record[k] for k in ("n_nodes", "flwr", "seconds"))
        self.all_lines = [Line(*line) for line in record["lines"]]
        self.lines: list[Line] = []
        self.on_change: Callable[[], object] | None = None
        self.history: History | None = None
        self.killed: set[int] = set()
        self._steps = record["steps"]
        self._processes = [tuple(process) for process in record["processes"]]
        self._traffic = unpack_traffic(record["traffic"])
        self.tls = record["tls"] and {
            "history": unpack_history(record["tls"]["history"]),
            "traffic": unpack_traffic(record["tls"]["traffic"]),
        }

    @classmethod
    def load(cls, path: str | Path = FILE) -> SavedFederation:
        """Read what ``save`` wrote; ValueError if it is something else."""
        with gzip.open(path, "rt", encoding="utf-8") as file:
            record = json.load(file)
        if record.get("format") != FORMAT:
            raise ValueError(f"{path}: expected the record of a run on Flower")
        return cls(record)

    def __enter__(self) -> SavedFederation:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        """Nothing to end."""

    def run(self, n_rounds: int, kill: int | None = None, round_timeout: float = 0.0) -> History:
        """What the recorded ``run`` with this n_rounds and kill gave; ValueError if none did."""
        for step in self._steps:
            if (step["n_rounds"], step["kill"]) == (n_rounds, kill):
                self.killed |= set() if kill is None else {kill}
                self.history = unpack_history(step["history"])
                self._read_until(f"round {n_rounds} of {n_rounds}:")
                return self.history
        known = [(step["n_rounds"], step["kill"]) for step in self._steps]
        raise ValueError(
            f"(n_rounds, kill) must be one of {known}, which were recorded, got {(n_rounds, kill)}"
        )

    def _read_until(self, text: str) -> None:
        """Show the log up to the line with ``text``."""
        last = max(i for i, line in enumerate(self.all_lines) if text in line.text)
        self.lines = self.all_lines[: last + 1]
        if self.on_change is not None:
            self.on_change()

    def last_run(self) -> History:
        """The History at the end of everything that was recorded."""
        return unpack_history(self._steps[-1]["history"])

    def processes(self) -> list[tuple[str, int, float]]:
        """(what it was, process id, megabytes of memory) after the first ``run``."""
        return self._processes

    def traffic(self, runs: int | None = None) -> dict[int, list[Stream]]:
        """{node: its connections}: what crossed until the end of that many ``run``s."""
        if runs is None:
            return self._traffic
        marks = {int(k): mark for k, mark in self._steps[runs - 1]["marks"].items()}
        return until(self._traffic, marks)


def until(traffic: dict[int, list[Stream]], marks: dict) -> dict[int, list[Stream]]:
    """The beginning of ``traffic``: of node k the connections that ``marks[k]`` tells lengths of.

    marks: {node: [(bytes up, bytes down) of each connection]}.
    """
    return {
        k: [
            Stream(s.up[:up], s.down[:down])
            for s, (up, down) in zip(streams, marks[k], strict=False)  # later ones are left out
        ]
        for k, streams in traffic.items()
    }


def save(record: dict[str, Any], path: str | Path = FILE) -> None:
    """Write a record, as ``tools/record_federation.py`` makes it, for SavedFederation.load."""
    text = json.dumps({"format": FORMAT, **record}).encode()
    with open(path, "wb") as file, gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed:
        packed.write(text)


def pack_traffic(traffic: dict[int, list[Stream]]) -> dict[str, list[list[str]]]:
    """Streams as JSON can hold them."""
    return {
        str(k): [[base64.b64encode(way).decode() for way in stream] for stream in streams]
        for k, streams in traffic.items()
    }


def unpack_traffic(packed: dict[str, list[list[str]]]) -> dict[int, list[Stream]]:
    """What ``pack_traffic`` packed."""
    return {
        int(k): [Stream(*map(base64.b64decode, ways)) for ways in streams]
        for k, streams in packed.items()
    }


def pack_history(history: History) -> str:
    """A History as text: its own file, in base64."""
    with tempfile.TemporaryDirectory() as folder:
        return base64.b64encode(history.save(Path(folder) / "history.npz").read_bytes()).decode()


def unpack_history(packed: str) -> History:
    """What ``pack_history`` packed."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "history.npz"
        path.write_bytes(base64.b64decode(packed))
        return History.load(path)
