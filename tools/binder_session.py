"""Inside the sandbox of ``make binder``: the server, a client, and what their processes take.

Run by ``binder.py`` as root of a namespace (``unshare --user --map-root-user --net``), with the
environment's own Python, in the folder of the course. Writes FEDCORE_BINDER_RESULT.
"""

import fcntl
import json
import os
import platform
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path

import websocket

TOKEN, FIRST = "binder", "notebooks/00_start_here.ipynb"
LIMIT = 1000.0  # MB, what mybinder.org guarantees
PER_SECOND = 10  # how often memory is asked for
PATIENCE = 600  # seconds for anything


def enter():
    """Loopback up, one core, and then again as user 1000, without root's rights."""
    SIOCSIFFLAGS, IFF_UP = 0x8914, 1
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH14s", b"lo", IFF_UP, b""))
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    again = ["unshare", "--user", "--map-user=1000", "--map-group=1000"]
    os.execvp(again[0], [*again, sys.executable, *sys.argv])


# ------------------------------------------------------------------------------------- memory


def tree(pid):
    """``pid`` and all that descend from it."""
    children = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue  # it has ended
            parent = int(stat.rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(entry.name))
    found, waiting = [], [pid]
    while waiting:
        found.append(waiting.pop())
        waiting += children.get(found[-1], [])
    return found


def field(path, name):
    """A number of kB in a file of /proc, in MB; None once the process has ended."""
    try:
        for line in Path(path).read_text().splitlines():
            if line.startswith(name + ":"):
                return int(line.split()[1]) * 1024 / 1e6
    except (FileNotFoundError, ProcessLookupError):
        pass
    return None


class Memory(threading.Thread):
    """Asks for the PSS of the server and its descendants until ``ended``."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.server, self.ended = server, threading.Event()
        self.forget()

    def forget(self):
        """Start a new record."""
        self.peak, self.largest = (0.0, 0.0), {}

    def run(self):
        while not self.ended.wait(1 / PER_SECOND):
            self.ask()

    def ask(self):
        pss, largest = {}, self.largest
        for pid in tree(self.server):
            share = field(f"/proc/{pid}/smaps_rollup", "Pss")
            highest = field(f"/proc/{pid}/status", "VmHWM")
            if share is not None and highest is not None:
                pss[pid], largest[pid] = share, highest
        server = pss.get(self.server, 0.0)
        self.peak = max(self.peak, (sum(pss.values()), server))


# ---------------------------------------------------------------------------------- the client


class Server:
    """A Jupyter server on loopback, started by the command that repo2docker puts in the image."""

    def __init__(self):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.host = "127.0.0.1:%d" % probe.getsockname()[1]  # noqa: UP031
        port = self.host.split(":")[1]
        command = ["jupyter", "notebook", "--no-browser", f"--port={port}", "--ip=127.0.0.1"]
        command += [f"--IdentityProvider.token={TOKEN}"]
        self.log = open("server.log", "w")  # noqa: SIM115
        self.process = subprocess.Popen(command, stdout=self.log, stderr=subprocess.STDOUT)

    def ask(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"token {TOKEN}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"http://{self.host}{path}", data, headers, method=method)
        with urllib.request.urlopen(request, timeout=PATIENCE) as reply:
            return reply.read()

    def wait_for(self, path):
        """Until the server answers; RuntimeError with its log if it ends or never does."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end and self.process.poll() is None:
            try:
                return self.ask("GET", path)
            except urllib.error.URLError:
                time.sleep(0.05)
        raise RuntimeError(f"the server does not answer:\n{Path('server.log').read_text()}")

    def close(self):
        self.process.terminate()
        self.process.wait()
        self.log.close()


class Kernel:
    """A notebook's session on the server; cells run through its websocket, as JupyterLab does."""

    def __init__(self, server, path):
        self.server = server
        wanted = {"path": path, "name": path, "type": "notebook", "kernel": {"name": "python3"}}
        reply = json.loads(server.ask("POST", "/api/sessions", wanted))
        self.session, kernel = reply["id"], reply["kernel"]["id"]
        address = f"ws://{server.host}/api/kernels/{kernel}/channels?token={TOKEN}"
        self.socket = websocket.create_connection(address, timeout=PATIENCE)
        self.request("kernel_info_request", {})

    def run(self, code):
        """Execute ``code``; RuntimeError with the traceback if it raises."""
        reply = self.request("execute_request", {"code": code, "allow_stdin": False})
        if reply["status"] != "ok":
            raise RuntimeError("\n".join(reply.get("traceback", [str(reply)])))

    def request(self, kind, content):
        """Send a message; the content of its reply, once the kernel is idle again."""
        header = {"msg_id": uuid.uuid4().hex, "msg_type": kind, "version": "5.3"}
        header |= {"session": self.session, "username": "", "date": ""}
        message = {"header": header, "parent_header": {}, "metadata": {}, "content": content}
        self.socket.send(json.dumps(message | {"channel": "shell", "buffers": []}))
        reply, idle = None, False
        while reply is None or not idle:
            answer = decode(self.socket.recv())
            if answer["parent_header"].get("msg_id") != header["msg_id"]:
                continue
            if answer["channel"] == "shell":
                reply = answer["content"]
            elif answer["msg_type"] == "status":
                idle = answer["content"]["execution_state"] == "idle"
        return reply

    def close(self):
        self.socket.close()
        self.server.ask("DELETE", f"/api/sessions/{self.session}")


def decode(frame):
    """A message from the server; with buffers (widgets) it is binary, and their offsets lead."""
    if isinstance(frame, str):
        return json.loads(frame)
    (count,) = struct.unpack_from("!I", frame)
    offsets = struct.unpack_from(f"!{count}I", frame, 4)
    end = offsets[1] if count > 1 else len(frame)
    return json.loads(frame[offsets[0] : end])


def cells(path):
    notebook = json.loads(Path(path).read_text(encoding="utf-8"))
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    return [source for cell in code if (source := "".join(cell["source"])).strip()]


# -------------------------------------------------------------------------------- measurements


def start_up(server, began):
    """Seconds from ``began`` to the page, its connected kernel, and the first cell."""
    server.wait_for(f"/lab/tree/{FIRST}")
    marks = {"page": time.monotonic() - began}
    kernel = Kernel(server, FIRST)
    marks["kernel"] = time.monotonic() - began
    kernel.run(cells(FIRST)[0])
    marks["cell"] = time.monotonic() - began
    kernel.close()
    return marks


def measure(server, memory, path):
    """Run the whole notebook in a kernel of its own; what it took."""
    memory.forget()
    began = time.monotonic()
    kernel = Kernel(server, path)
    try:
        for code in cells(path):
            kernel.run(code)
    except RuntimeError as error:
        raise SystemExit(f"{path} failed:\n{error}") from None
    seconds = time.monotonic() - began
    memory.ask()
    kernel.close()
    (total, own), bound = memory.peak, sum(memory.largest.values())
    print(f"{path}: {seconds:.0f} s, {total:.0f} MB, bound {bound:.0f} MB", flush=True)
    if total > LIMIT:
        raise SystemExit(f"{path} takes {total:.0f} MB; Binder guarantees {LIMIT:.0f}")
    return {
        "notebook": path,
        "seconds": seconds,
        "server": own,
        "rest": total - own,
        "total": total,
        "bound": bound,
    }


def main(notebooks):
    began = time.monotonic()
    server = Server()
    memory = Memory(server.process.pid)
    try:
        found = {"start": start_up(server, began), "notebooks": []}
        memory.ask()
        found |= {"idle": memory.peak[1], "limit": LIMIT, "per_second": PER_SECOND}
        found |= {"user": os.getuid(), "python": platform.python_version()}
        found["machine"] = f"{platform.system()} {platform.machine()}"
        memory.start()
        for path in notebooks:
            found["notebooks"].append(measure(server, memory, path))
            result = Path(os.environ["FEDCORE_BINDER_RESULT"])
            result.write_text(json.dumps(found), encoding="utf-8")
    finally:
        memory.ended.set()
        server.close()


if __name__ == "__main__":
    if os.geteuid() == 0:
        enter()
    main(sys.argv[1:])
