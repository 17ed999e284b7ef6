"""The federation of lesson 7 in processes of its own, watched while it runs.

A Loopback whose SuperNodes reach the SuperLink through a Wiretap each, and whose logs are read as
they are written. Needs Flower and psutil, see ``flower``.
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path

from fedcore._validate import as_int
from fedcore.flower_processes import HOST, Loopback
from fedcore.flower_saved import LESSON_APP, Line, until
from fedcore.history import History
from fedcore.wiretap import Stream, Wiretap

MODEL_BYTES = 31_400  # of the lesson's model: a node that has got more is about to train
LOOK = 0.2  # seconds between two looks at logs and processes
SERVER = "ServerApp"


class _Tapped(Loopback):
    """A Loopback with a Wiretap in front of each SuperNode."""

    def __init__(self, n_nodes: int, tls: bool):
        super().__init__(n_nodes, tls=tls)
        self.taps: dict[int, Wiretap] = {}

    def start_node(self, number: int) -> None:
        if number not in self.taps:
            self.taps[number] = Wiretap(self.port).__enter__()
        server, self.address = self.address, f"{HOST}:{self.taps[number].port}"
        try:
            super().start_node(number)
        finally:
            self.address = server

    def close(self) -> None:
        super().close()
        for tap in self.taps.values():
            tap.close()


class RealFederation:
    """SuperLink and ``n_nodes`` SuperNodes, started at once; a context manager that ends them.

        with RealFederation(n_nodes=3) as real:
            history = real.run(n_rounds=2)

    Whatever ends a ``run`` early, an error or the notebook's stop button, ends the processes too.
    If this process dies, its guard ends them. tls: encrypted, and only for nodes whose key the
    SuperLink knows. Attributes: history, after the last ``run``; lines,
    what the processes have logged; on_change, called without arguments whenever a line came, a
    process began or ended.
    """

    saved = False

    def __init__(
        self,
        n_nodes: int = 3,
        on_change: Callable[[], object] | None = None,
        tls: bool = False,
    ):
        self.n_nodes = as_int("n_nodes", n_nodes, minimum=1)
        self.on_change = on_change
        self.lines: list[Line] = []
        self.history: History | None = None
        self.killed: set[int] = set()
        self.marks: list[dict[int, list[tuple[int, int]]]] = []  # traffic at the end of each run
        self._begun = time.monotonic()
        self._ended = threading.Event()
        self._loopback = _Tapped(self.n_nodes, tls)
        self._loopback.__enter__()
        self._watch = threading.Thread(target=self._follow, name="logs", daemon=True)
        self._watch.start()

    def __enter__(self) -> RealFederation:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        """End every process, and wait for that. Logs, history and traffic stay."""
        if not self._ended.is_set():
            self._loopback.close()
            self._ended.set()
            self._watch.join()
            self._changed()

    @property
    def open(self) -> bool:
        """Whether its processes are there."""
        return not self._ended.is_set()

    def run(self, n_rounds: int, kill: int | None = None, round_timeout: float = 120.0) -> History:
        """Go on until ``n_rounds`` rounds are done in all, and return their History.

        kill: a node to be ended by SIGKILL, without a warning, as soon as it has received the model
        of the next round. round_timeout: seconds after which a round goes on without who is silent.

        Raises RuntimeError with the server's log if it ends before.
        """
        with self._ends_on_error():
            if not self.open:
                raise RuntimeError("this federation has ended: start another one")
            checkpoint = self._loopback.folder / "history.npz"
            settings = {"n-clients": self.n_nodes, "n-rounds": n_rounds}
            settings |= {"round-timeout": float(round_timeout), "checkpoint": checkpoint}
            enough = 0 if kill is None else self._loopback.taps[kill].n_down + MODEL_BYTES
            process = self._loopback.start_run(LESSON_APP, settings)
            while process.poll() is None:
                if kill is not None and self._loopback.taps[kill].n_down > enough:
                    self.kill(kill)
                    kill = None
                if checkpoint.exists():
                    self._load(checkpoint)
                time.sleep(LOOK)
            self._load(checkpoint)
            if self.history is None or len(self.history) < n_rounds:
                raise RuntimeError(f"the run has ended early:\n{self._loopback.log('run')}")
            self.marks.append(
                {
                    k: [(len(s.up), len(s.down)) for s in tap.streams]
                    for k, tap in self._loopback.taps.items()
                }
            )
            return self.history

    def kill(self, number: int) -> None:
        """End SuperNode ``number`` and what it has started by SIGKILL: it can't say goodbye."""
        self._loopback.kill(self._loopback.nodes[number])
        self.killed.add(number)
        self._note(f"SuperNode {number}", "killed from here, with SIGKILL")

    def processes(self) -> list[tuple[str, int, float]]:
        """(what it is, process id, megabytes of memory) of every process that is alive."""
        import psutil

        found = []
        for process in self._loopback.processes() if self.open else ():
            with contextlib.suppress(psutil.Error):  # it has ended between two questions
                name = _kind(process.cmdline())
                for number, node in self._loopback.nodes.items():
                    if process.pid == node.pid:
                        name = f"{name} {number}"
                found.append((name, process.pid, process.memory_info().rss / 1e6))
        return sorted(found)

    def traffic(self, runs: int | None = None) -> dict[int, list[Stream]]:
        """{node: its connections}: what crossed until the end of that many ``run``s, or so far."""
        taps = {k: tap.streams for k, tap in self._loopback.taps.items()}
        return taps if runs is None else until(taps, self.marks[runs - 1])

    # ------------------------------------------------------------------------- while it runs

    @contextlib.contextmanager
    def _ends_on_error(self):
        try:
            yield
        except BaseException:  # the stop button, too
            self.close()
            raise

    def _load(self, checkpoint: Path) -> None:
        if checkpoint.exists():
            self.history = History.load(checkpoint)

    def _follow(self) -> None:
        """In a thread: read what is new in the logs, until the end and then once more."""
        names = {f"node-{k}": f"SuperNode {k}" for k in range(self.n_nodes)}
        names |= {"run": SERVER, "superlink": "SuperLink"}
        read = dict.fromkeys(names, 0)
        while not self._ended.wait(LOOK):
            for name, source in names.items():
                text = self._loopback.log(name)
                new, _, rest = text[read[name] :].rpartition("\n")
                read[name] = len(text) - len(rest)
                for line in new.splitlines():
                    if line := _tidy(line, self._loopback.folder):
                        self._note(source, line)

    def _note(self, source: str, text: str) -> None:
        self.lines.append(Line(time.monotonic() - self._begun, source, text))
        self._changed()

    def _changed(self) -> None:
        if self.on_change is not None:
            self.on_change()


def _tidy(line: str, folder: Path) -> str:
    """Without colours, the level INFO, and the folder's name, which says nothing."""
    line = re.sub(r"\x1b\[[0-9;]*m", "", line).replace(str(folder), "...")
    return re.sub(r"^INFO\s*:\s*", "", line).strip()


def _kind(command: list[str]) -> str:
    """What Flower calls the process with this command line."""
    text = " ".join(command)
    kinds = {
        "flower-superlink": "SuperLink",
        "flower-supernode": "SuperNode",
        "flwr-serverapp": "ServerApp",
        "flwr-clientapp": "ClientApp",
        "flower-superexec": "SuperExec",
        "flwr run": "flwr run",
    }
    return next((kind for key, kind in kinds.items() if key in text), Path(command[-1]).name)
