"""Ends what a federation has left behind when the process that started it is gone.

``python -m fedcore.flower_guard MARK VALUE`` waits until its standard input is closed, which is so
however its parent ends, by SIGKILL too. Then it ends every process that has ``MARK=VALUE`` in its
environment, and removes the folder VALUE. Needs psutil.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
from collections.abc import Sequence

import psutil

GRACE = 5.0  # seconds between asking a process to end and ending it


def marked(mark: str, value: str) -> list[psutil.Process]:
    """All other processes with ``mark=value`` in their environment, whoever their parent is."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(mark) == value:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue  # gone, or somebody else's
    return found


def end_marked(mark: str, value: str) -> None:
    """End all of ``marked``, those too that one of them has started meanwhile."""
    while processes := marked(mark, value):
        end_processes(processes)


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


def main(mark: str, folder: str) -> None:
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # meant for the parent: its end is what counts
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    sys.stdin.buffer.read()
    end_marked(mark, folder)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
