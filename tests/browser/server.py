"""JupyterLab on loopback, on copies: it touches nothing in the checkout, nothing of the user's."""

import http.client
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent.parent
SERVED = ("notebooks", "exercises")
TRIES = 3  # ports: one that was free may be taken a moment later
LIMIT = 120  # seconds that the server may take to start, on a machine under load


class Server:
    """A running JupyterLab; ``root`` is the folder it serves, ``log`` the file it writes.

    folder: an empty folder for everything that the server and its kernels write.
    """

    def __init__(self, folder):
        self.folder = Path(folder)
        self.root = self.folder / "course"
        self.log = self.folder / "server.log"
        self.token = secrets.token_hex(16)
        for name in SERVED:
            shutil.copytree(
                ROOT / name, self.root / name, ignore=shutil.ignore_patterns(".ipynb_checkpoints")
            )
        for _ in range(TRIES):
            self.port = _free_port()
            self.url = f"http://127.0.0.1:{self.port}"
            self._process = self._start()
            try:
                if self._wait():
                    return
            except BaseException:
                self.stop()
                raise
        raise RuntimeError(f"JupyterLab ended at its start:\n{self.read_log()}")

    def _start(self):
        own = {
            name: str(self.folder / name)
            for name in (
                "HOME",
                "JUPYTER_CONFIG_DIR",
                "JUPYTER_DATA_DIR",
                "JUPYTER_RUNTIME_DIR",
                "JUPYTERLAB_SETTINGS_DIR",
                "JUPYTERLAB_WORKSPACES_DIR",
                "IPYTHONDIR",
                "XDG_CACHE_HOME",
                "XDG_DATA_HOME",
                "MPLCONFIGDIR",
            )
        }
        for folder in own.values():
            Path(folder).mkdir(exist_ok=True)
        own["FEDCORE_PROGRESS"] = str(self.folder / "progress.sqlite3")
        command = [
            *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"),
            *("--ip=127.0.0.1", f"--port={self.port}", "--ServerApp.port_retries=0"),
            f"--ServerApp.root_dir={self.root}",
            f"--IdentityProvider.token={self.token}",
            "--LabApp.expose_app_in_browser=True",
        ]
        with self.log.open("wb") as log:
            return subprocess.Popen(
                command,
                env=os.environ | own,
                cwd=self.root,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def _wait(self):
        """True when the server answers; False if it ended, its port taken by somebody else."""
        end = time.monotonic() + LIMIT
        while self._process.poll() is None:
            try:
                self.get("/api/sessions")
                return True
            except (urllib.error.URLError, OSError, http.client.HTTPException):
                if time.monotonic() > end:
                    raise
            time.sleep(0.1)
        return False

    def read_log(self):
        """What the server, and the kernels, have written so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def get(self, path):
        """The JSON answer of the server's interface to ``path``, "/api/sessions" for instance."""
        return self._ask("GET", path)

    def sessions(self, path):
        """The sessions, normally one or none, of the notebook at ``path`` below the root."""
        return [session for session in self.get("/api/sessions") if session["path"] == path]

    def end_sessions(self, path):
        """End the kernel of the notebook at ``path``."""
        for session in self.sessions(path):
            self._ask("DELETE", f"/api/sessions/{session['id']}")

    def _ask(self, method, path):
        headers = {"Authorization": f"token {self.token}"}
        request = urllib.request.Request(self.url + path, method=method, headers=headers)
        with urllib.request.urlopen(request, timeout=LIMIT) as response:
            text = response.read()
        return json.loads(text) if text else None

    def stop(self):
        """End the server and everything that it has started."""
        family = [self._process.pid]
        if self._process.poll() is None:
            family = psutil.Process(self._process.pid).children(recursive=True)
            self._process.terminate()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            _, alive = psutil.wait_procs(family, timeout=5)
            for process in alive:
                process.kill()


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
