"""A federation in separate processes on this machine: one SuperLink, some SuperNodes.

Starts Flower's own programs on loopback, in a folder of their own, and ends them, whatever
happens. Needs Flower and psutil, see ``flower``.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from fedcore._validate import as_int

APP = Path(__file__).parent / "flower_app"  # MNIST, what `make federation` runs
HOST = "127.0.0.1"
MARK = "FLWR_HOME"  # every process of a Loopback inherits it, and no other has the same
GRACE = 5.0  # seconds between asking a process to end and ending it


class Loopback:
    """SuperLink and SuperNodes as processes; a context manager that always ends them.

        with Loopback(n_nodes=4) as loopback:
            code = loopback.run(APP, {"n-rounds": 3})

    n_nodes: SuperNodes started at once, numbers 0 to n_nodes - 1, each with its number as
    ``partition-id`` and n_nodes as ``num-partitions``. Attributes: folder, where logs (``*.log``)
    and checkpoints lie until the end; address, the SuperLink's; nodes, {number: Popen}; superlink,
    Popen.
    """

    def __init__(self, n_nodes: int):
        self.n_nodes = as_int("n_nodes", n_nodes, minimum=1)
        self.nodes: dict[int, subprocess.Popen] = {}
        self.superlink: subprocess.Popen | None = None

    def __enter__(self) -> Loopback:
        self.folder = Path(tempfile.mkdtemp(prefix="fedcore-flower-"))
        self.port = free_port()
        self.address = f"{HOST}:{self.port}"
        (self.folder / "config.toml").write_text(
            f'[superlink]\ndefault = "loop"\n\n[superlink.loop]\naddress = "{self.address}"\n'
            "insecure = true\n"
        )
        try:
            self.start_superlink()
            for number in range(self.n_nodes):
                self.start_node(number)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def start_superlink(self, seconds: float = 60.0) -> None:
        """Start the SuperLink, and wait until it accepts connections.

        It keeps its state in memory: one that takes the place of a dead one knows no SuperNode, and
        those of the old one end when they notice. Start them again, and ``run`` again.
        """
        self.superlink = self._start(
            "flower-superlink",
            *("--insecure", "--host", HOST, "--port", str(self.port)),
            "--disable-runtime-dependency-installation",
            log="superlink",
        )
        end = time.monotonic() + seconds
        while not accepts(self.port):
            if self.superlink.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"the SuperLink has not started:\n{self.log('superlink')}")
            time.sleep(0.2)

    def start_node(self, number: int) -> None:
        """Start SuperNode ``number``, also in the place of one that is dead."""
        self.nodes[number] = self._start(
            "flower-supernode",
            *("--insecure", "--superlink", self.address, "--port", str(free_port())),
            *("--node-config", f"partition-id={number} num-partitions={self.n_nodes}"),
            log=f"node-{number}",
        )

    def run(self, app: str | Path, config: dict[str, object] | None = None, stream=None) -> int:
        """``flwr run`` of the folder ``app``; waits for its end, and returns its exit code.

        config: settings of ``[tool.flwr.app.config]`` to change. stream: an open file for the log;
        default run.log in ``folder``.
        """
        process = self.start_run(app, config, stream)
        return process.wait()

    def start_run(self, app, config=None, stream=None) -> subprocess.Popen:
        """The same without waiting."""
        settings = " ".join(f"{key}={toml(value)}" for key, value in (config or {}).items())
        more = ("--run-config", settings) if settings else ()
        return self._start("flwr", "run", str(app), "loop", "--stream", *more, log="run", to=stream)

    def log(self, name: str) -> str:
        """What ``superlink``, ``node-0`` or ``run`` has written so far."""
        path = self.folder / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def kill(self, process: subprocess.Popen) -> None:
        """SIGKILL ``process`` and all that it has started: no time to say goodbye."""
        if process.poll() is not None:
            return
        family = [
            *psutil.Process(process.pid).children(recursive=True),
            psutil.Process(process.pid),
        ]
        end_processes(family, grace=0)
        process.wait()

    def close(self) -> None:
        """End every process that was started here or by one of them, and remove ``folder``."""
        end_processes(self.processes())
        for process in filter(None, [self.superlink, *self.nodes.values()]):
            process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def processes(self) -> list[psutil.Process]:
        """All that belong to this Loopback, those too whose parent is dead."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.pid != os.getpid() and process.environ().get(MARK) == str(self.folder):
                    found.append(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
                continue  # gone, or somebody else's
        return found

    def _start(self, program: str, *arguments: str, log: str, to=None) -> subprocess.Popen:
        command = [str(Path(sys.executable).with_name(program)), *arguments]
        with (self.folder / f"{log}.log").open("ab") as file:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=to or file,
                stderr=subprocess.STDOUT,
                env=self._environment(),
                cwd=self.folder,
                start_new_session=True,  # Ctrl-C reaches us, and we end the rest
            )

    def _environment(self) -> dict[str, str]:
        quiet = {"FLWR_TELEMETRY_ENABLED": "0", "FLWR_DISABLE_UPDATE_CHECK": "1"}
        # Flower starts its helpers by name, so this Python's programs must come first.
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        fast = {"FLWR_SUPEREXEC_TASK_POLL_INTERVAL": "0.2", "PYTHONUNBUFFERED": "1"}
        return {**os.environ, **quiet, **fast, "PATH": path, MARK: str(self.folder)}


def end_processes(processes: Sequence[psutil.Process], grace: float = GRACE) -> None:
    """Ask ``processes`` to end; those that have not after ``grace`` seconds are killed."""
    for process in processes if grace else ():
        _signal(process.terminate)
    _, alive = psutil.wait_procs(processes, timeout=grace)
    for process in alive:
        _signal(process.kill)
    psutil.wait_procs(alive, timeout=GRACE)


def _signal(send) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):  # it has ended by itself: as we want
        send()


def free_port() -> int:
    """A TCP port of loopback that nobody uses at the moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


def accepts(port: int) -> bool:
    """Whether something listens on ``port`` of loopback."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((HOST, port)) == 0


def toml(value: object) -> str:
    """``value`` as TOML, the notation of ``--run-config``."""
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if isinstance(value, int | float) else f'"{value}"'
