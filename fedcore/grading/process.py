"""Run one answer in a process of its own and talk to it in plain data.

The process that compares (this one) never executes a line of the answer; the process that executes
it never sees an expected result. What an answer patches, prints or returns can therefore change
only the numbers that it sends.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from fedcore.grading import plain, sandbox
from fedcore.models import MLP

_WORKER = Path(__file__).with_name("worker.py")
_NAMESPACES = ("--user", "--map-current-user", "--net", "--pid", "--ipc", "--fork", "--kill-child")


@dataclass(frozen=True)
class Limits:
    """cpu_seconds: processor time of one answer. wall_seconds: of one call, waiting included.
    memory: bytes. file: bytes that an answer may write to one file."""

    cpu_seconds: int = 15
    wall_seconds: float = 90.0
    memory: int = 2_000_000_000
    file: int = 16_000_000


LIMITS = Limits()


class AnswerFailed(Exception):
    """The answer gave no result. kind: blank, missing, error, type, time, memory or died."""

    def __init__(self, kind: str, message: str):
        super().__init__(message)
        self.kind = kind


@cache
def namespaces() -> tuple[str, ...]:
    """The command that gives a process no network and its own process ids; () where it can't."""
    tool = shutil.which("unshare")
    if tool is None:
        return ()
    command = (tool, *_NAMESPACES)
    done = subprocess.run([*command, "true"], capture_output=True, check=False)
    return command if done.returncode == 0 else ()


def isolation() -> dict[str, bool]:
    """What is in force on this machine, measured by starting a process."""
    with Answer(["x = 1"], "x") as answer:
        answer.value()
        return {
            "own process": True,
            "time limit": True,
            "memory and file limits": answer.in_force["limits"],
            "files closed by the system (Landlock)": answer.in_force["files"],
            "no network, own process ids (namespaces)": bool(namespaces()),
        }


class Answer:
    """The answer called ``name`` in ``cells`` (sources of a notebook's cells); use with ``with``.

    ``answer(...)`` calls it with plain data and returns plain data; ``answer.value()`` is what a
    task that asks for a value holds. Both raise ``AnswerFailed``. After a time-out or a crash a
    fresh process is started for the next call.
    """

    def __init__(self, cells: Sequence[str], name: str, limits: Limits = LIMITS):
        self.cells, self.name, self.limits = [str(cell) for cell in cells], name, limits
        self.in_force: dict[str, bool] = {}
        self.cell: int | None = None  # where the answer was found
        self._process: subprocess.Popen | None = None
        self._scratch: tempfile.TemporaryDirectory | None = None

    def __enter__(self) -> Answer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        arguments, named = _portable(list(arguments)), _portable(named)
        return self._ask({"do": "call", "arguments": arguments, "named": named})

    def value(self) -> Any:
        """The value itself; AnswerFailed (blank) if it is still None."""
        found = self._ask({"do": "value"})
        if found is None:
            raise AnswerFailed("blank", f"`{self.name}` is still None: not attempted yet.")
        return found

    def close(self) -> None:
        """End the process and everything that it has started."""
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                if hasattr(os, "killpg"):
                    os.killpg(process.pid, signal.SIGKILL)
                else:
                    process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                with contextlib.suppress(OSError):
                    stream.close()
        scratch, self._scratch = self._scratch, None
        if scratch is not None:
            scratch.cleanup()

    def _ask(self, request: dict[str, Any]) -> Any:
        if self._process is None:
            self._start()
            self.in_force = self._exchange(None)
            self.cell = self._result({"cells": self.cells, "name": self.name})
        return self._result(request)

    def _start(self) -> None:
        self._scratch = tempfile.TemporaryDirectory(prefix="answer-", ignore_cleanup_errors=True)
        setup = {
            "path": [place for place in sys.path if place] + [str(_WORKER.parents[2])],
            "read": sandbox.readable(str(_WORKER.parents[1])),
            "scratch": self._scratch.name,
            "limits": asdict(self.limits),
        }
        env = {key: os.environ[key] for key in ("PATH", "SYSTEMROOT") if key in os.environ}
        env |= dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        env |= {"HOME": self._scratch.name, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0"}
        self._process = subprocess.Popen(
            [*namespaces(), sys.executable, "-s", "-S", str(_WORKER), json.dumps(setup)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=self._scratch.name,
            env=env,
            start_new_session=True,
        )

    def _result(self, request: dict[str, Any]) -> Any:
        reply = self._exchange(request)
        if isinstance(reply, dict) and set(reply) == {"value"}:
            return reply["value"]
        error = reply.get("error") if isinstance(reply, dict) else None
        if not isinstance(error, dict):
            self.close()
            raise AnswerFailed("died", "The process sent something that can't be read.")
        if "cells" in request:
            self.close()
        raise _explain(self.name, error)

    def _exchange(self, request: dict[str, Any] | None) -> Any:
        """Send, and wait for the reply, in a thread: no trick of the answer holds the grader up."""
        process, replies = self._process, queue.SimpleQueue()
        before = _children_cpu()

        def talk() -> None:
            try:
                if request is not None:
                    plain.write(process.stdin, request)
                replies.put((plain.read(process.stdout), None))
            except Exception as error:
                replies.put((None, error))

        threading.Thread(target=talk, daemon=True).start()
        try:
            reply, error = replies.get(timeout=self.limits.wall_seconds)
        except queue.Empty:
            self.close()
            seconds = self.limits.wall_seconds
            raise AnswerFailed("time", f"No result after {seconds:g} s: stopped.") from None
        except BaseException:  # Ctrl-C
            self.close()
            raise
        if error is None:
            return reply
        if isinstance(error, ValueError):
            self.close()
            raise AnswerFailed("died", f"The process sent what can't be read: {error}.")
        if not isinstance(error, EOFError | BrokenPipeError):
            self.close()
            raise error
        raise self._obituary(before)

    def _obituary(self, cpu_before: float) -> AnswerFailed:
        process = self._process
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5)
        code = process.returncode
        self.close()
        limit = self.limits.cpu_seconds
        if _children_cpu() - cpu_before >= 0.9 * limit:
            text = f"Stopped after {limit} s of processor time. Is there a loop that never ends?"
            return AnswerFailed("time", text)
        if code in (-9, 137, -11, 139, -6, 134):
            text = "The process crashed or was ended by the system, most likely for want of memory."
            return AnswerFailed("died", text)
        text = f"The process ended in the middle of the call (exit code {code})."
        return AnswerFailed("died", text)


def _children_cpu() -> float:
    """Processor time of all children that have ended, seconds."""
    times = os.times()
    return times.children_user + times.children_system


def _portable(value: Any) -> Any:
    """Models are sent as their layer sizes, also inside lists and dicts."""
    if isinstance(value, MLP):
        return plain.Model(value.layer_sizes)
    if isinstance(value, list | tuple) and not isinstance(value, plain.Model):
        return [_portable(item) for item in value]
    if isinstance(value, dict):
        return {key: _portable(item) for key, item in value.items()}
    return value


def _explain(name: str, error: dict[str, Any]) -> AnswerFailed:
    """What the worker said, for the learner."""
    kind, message = str(error.get("kind", ""))[:80], str(error.get("message", ""))[:400]
    where = f" ({str(error['where'])[:160]})" if error.get("where") else ""
    if kind == "NotImplementedError":
        return AnswerFailed("blank", "Not attempted yet.")
    if kind == "NoAnswer":
        return AnswerFailed("missing", f"No cell of the notebook defines `{name}`.")
    if kind == "MemoryError":
        text = f"It needs more memory than the {LIMITS.memory // 10**9} GB that an answer may use"
        return AnswerFailed("memory", f"{text}{where}.")
    if kind == "type":
        return AnswerFailed("type", f"`{name}` {message}. Numbers, lists and arrays are expected.")
    if kind == "SystemExit":
        return AnswerFailed("error", f"Your code ended the program with `sys.exit`{where}.")
    if kind == "PermissionError" and message.startswith("an answer may not"):
        return AnswerFailed("error", f"Not allowed: {message}{where}.")
    if kind == "NameError":
        hint = " An answer sees its parameters, imports and functions, not other cells' variables."
        return AnswerFailed("error", f"NameError: {message}{where}.{hint}")
    if kind == "SyntaxError":
        return AnswerFailed("error", f"The cell can't be read: {message}{where}.")
    return AnswerFailed("error", f"It stopped with {kind}: {message}{where}.")
