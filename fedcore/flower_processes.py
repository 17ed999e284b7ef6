"""A federation in separate processes on this machine: one SuperLink, some SuperNodes.

Starts Flower's own programs on loopback, in a folder of their own, and ends them, whatever
happens. Needs Flower and psutil, see ``flower``.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from fedcore._validate import as_int
from fedcore.flower_guard import end_marked, end_processes, marked
from fedcore.flower_keys import Certificates, make_certificates, make_node_key

APP = Path(__file__).parent / "flower_app"  # MNIST, what `make federation` runs
HOST = "127.0.0.1"
MARK = "FLWR_HOME"  # every process of a Loopback inherits it, and no other has the same


class Loopback:
    """SuperLink and SuperNodes as processes; a context manager that always ends them.

        with Loopback(n_nodes=4) as loopback:
            code = loopback.run(APP, {"n-rounds": 3})

    n_nodes: SuperNodes started at once, numbers 0 to n_nodes - 1, each with its number as
    ``partition-id`` and n_nodes as ``num-partitions``. tls: everything that crosses is encrypted,
    and the SuperLink accepts only nodes whose key it knows; keys and certificates are made anew.
    database: the SuperLink keeps its state on disk, so that one that takes its place knows it.

    Attributes: folder, where logs (``*.log``) and checkpoints lie until the end; address, the
    SuperLink's; nodes, {number: Popen}; superlink, Popen; certificates, None without ``tls``.

    The processes also end if this one is killed: ``flower_guard`` sees to that.
    """

    def __init__(self, n_nodes: int, *, tls: bool = False, database: bool = False):
        self.n_nodes = as_int("n_nodes", n_nodes, minimum=1)
        self.tls, self.database = tls, database
        self.nodes: dict[int, subprocess.Popen] = {}
        self.superlink: subprocess.Popen | None = None
        self._started: list[subprocess.Popen] = []
        self.certificates: Certificates | None = None

    def __enter__(self) -> Loopback:
        self.folder = Path(tempfile.mkdtemp(prefix="fedcore-flower-"))
        self.port = free_port()
        self.address = f"{HOST}:{self.port}"
        self._guard = self._start_guard()
        try:
            if self.tls:
                self.certificates = make_certificates(self.folder, HOST)
            (self.folder / "config.toml").write_text(self._config(), encoding="utf-8")
            self.start_superlink()
            for number in range(self.n_nodes):
                self.start_node(number)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def start_superlink(self, seconds: float = 300.0) -> None:
        """Start the SuperLink, and wait until it accepts connections.

        Without ``database`` one that takes the place of a dead one knows no SuperNode, and those of
        the old one end when they notice. Start them again, and ``run`` again.
        """
        arguments = ["--host", HOST, "--port", str(self.port)]
        if self.certificates:
            arguments += ["--ssl-ca-certfile", self.certificates.ca, "--enable-supernode-auth"]
            arguments += ["--ssl-certfile", self.certificates.certificate]
            arguments += ["--ssl-keyfile", self.certificates.key]
        else:
            arguments.append("--insecure")
        if self.database:
            arguments += ["--database", self.folder / "superlink.sqlite"]
        arguments.append("--disable-runtime-dependency-installation")
        self.superlink = self.start("flower-superlink", *arguments, log="superlink")
        end = time.monotonic() + seconds
        while not accepts(self.port):
            if self.superlink.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"the SuperLink has not started:\n{self.log('superlink')}")
            time.sleep(0.2)

    def start_node(self, number: int) -> None:
        """Start SuperNode ``number``, also in the place of one that is dead.

        With ``tls`` it is registered first, and comes back under its old identity.
        """
        key = self.folder / f"node-{number}.key"
        arguments = ["--insecure"]
        if self.certificates:
            if not key.exists():
                self.register(make_node_key(key))
            arguments = ["--root-certificates", self.certificates.ca]
            arguments += ["--auth-supernode-private-key", key]
        self.nodes[number] = self.start(
            "flower-supernode",
            *arguments,
            *("--superlink", self.address, "--port", str(free_port())),
            *("--node-config", f"partition-id={number} num-partitions={self.n_nodes}"),
            log=f"node-{number}",
        )

    def register(self, public_key: Path) -> None:
        """Tell the SuperLink to accept the node with this key; RuntimeError if it does not."""
        command = ("supernode", "register", public_key, "loop")
        if self.start("flwr", *command, log="register").wait():
            raise RuntimeError(f"the SuperLink refused a key:\n{self.log('register')}")

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
        return self.start("flwr", "run", app, "loop", "--stream", *more, log="run", to=stream)

    def log(self, name: str) -> str:
        """What ``superlink``, ``node-0`` or ``run`` has written so far."""
        path = self.folder / f"{name}.log"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def kill(self, process: subprocess.Popen) -> None:
        """SIGKILL ``process`` and all that it has started: no time to say goodbye."""
        if process.poll() is not None:
            return
        leader = psutil.Process(process.pid)
        end_processes([*leader.children(recursive=True), leader], grace=0)
        process.wait()

    def close(self) -> None:
        """End every process that was started here or by one of them, and remove ``folder``."""
        end_marked(MARK, str(self.folder))
        for process in self._started:
            process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
        self._guard.stdin.close()
        self._guard.wait()

    def processes(self) -> list[psutil.Process]:
        """All that belong to this Loopback, those too whose parent is dead."""
        return marked(MARK, str(self.folder))

    def start(self, program: str, *arguments: str | Path, log: str, to=None) -> subprocess.Popen:
        """One of Flower's programs, as a process of this Loopback; what it says goes to ``log``.

        Raises FileNotFoundError if there is no such program beside this Python.
        """
        path = shutil.which(program, path=str(Path(sys.executable).parent))
        if path is None:
            raise FileNotFoundError(f"{program} is missing: install Flower, see fedcore.flower")
        with (self.folder / f"{log}.log").open("ab") as file:
            process = subprocess.Popen(
                [path, *map(str, arguments)],
                stdin=subprocess.DEVNULL,
                stdout=to or file,
                stderr=subprocess.STDOUT,
                env=self._environment(),
                cwd=self.folder,
                start_new_session=True,  # Ctrl-C reaches us, and we end the rest
            )
        self._started.append(process)
        return process

    def _start_guard(self) -> subprocess.Popen:
        command = [sys.executable, "-m", "fedcore.flower_guard", MARK, str(self.folder)]
        # Its output is nobody's, and an open pipe would keep a parent's caller waiting.
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True, **quiet)

    def _config(self) -> str:
        """What ``flwr`` must know to find the SuperLink."""
        ca = self.certificates and self.certificates.ca
        trust = f"root-certificates = {toml(ca)}" if ca else "insecure = true"
        return (
            '[superlink]\ndefault = "loop"\n\n'
            f'[superlink.loop]\naddress = "{self.address}"\n{trust}\n'
        )

    def _environment(self) -> dict[str, str]:
        quiet = {"FLWR_TELEMETRY_ENABLED": "0", "FLWR_DISABLE_UPDATE_CHECK": "1"}
        # Flower starts its helpers by name, so this Python's programs must come first.
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        fast = {"FLWR_SUPEREXEC_TASK_POLL_INTERVAL": "0.2", "PYTHONUNBUFFERED": "1"}
        return {**os.environ, **quiet, **fast, "PATH": path, MARK: str(self.folder)}


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
    if isinstance(value, int | float):
        return repr(value)
    return json.dumps(str(value), ensure_ascii=False)  # Windows' paths hold backslashes
