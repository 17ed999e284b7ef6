"""What every live panel shares: each move of a control makes the run under way obsolete at once."""

from __future__ import annotations

import atexit
import threading
import weakref
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from typing import Any

import anywidget
import traitlets

from fedcore.lab.controls import Control

SETTLE = 0.02  # seconds that a value must stand before its run starts: a drag passes many stops
_OPEN: weakref.WeakSet[LivePanel] = weakref.WeakSet()


class _Run:
    """One run: the settings, and the flag that makes it obsolete."""

    def __init__(self, seq: int, settings: Any):
        self.seq, self.settings, self.obsolete = seq, settings, threading.Event()


class LivePanel(anywidget.AnyWidget):
    """Controls, and a run in the background for where they stand. A panel adds three methods.

    Each request of the page, or of Python, has a number, ``seq``. What a run tells is shown with
    the number of the request that it answers, and only while that request is the newest.
    """

    controls = traitlets.List().tag(sync=True)
    fixed = traitlets.Unicode().tag(sync=True)
    title = traitlets.Unicode().tag(sync=True)
    height = traitlets.Int(300).tag(sync=True)
    defaults = traitlets.Dict().tag(sync=True)  # {setting: position} where each control began
    request = traitlets.Dict().tag(sync=True)  # {seq, action, values}; action: run, reset, stop
    view = traitlets.Dict().tag(sync=True)  # what is on the screen; its seq is that of a request

    _run: _Run | None = None  # here too, since a panel that refused its arguments is closed as well

    def __init__(self, controls: list[Control], defaults: Any, **traits: Any):
        """controls: of settings that are fields of ``defaults``, a frozen dataclass."""
        self._controls, self._defaults = controls, defaults
        self._lock = threading.RLock()  # sliders and rounds reach the widget from two threads
        self._run: _Run | None = None
        positions = self._positions(defaults)
        super().__init__(
            controls=[control.as_dict() for control in controls],
            defaults=positions,
            request={"seq": 0, "action": "run", "values": positions},
            view=self._blank(defaults),
            **traits,
        )
        self.observe(self._on_request, names="request")
        _OPEN.add(self)

    # ------------------------------------------------------------------------- a panel's own

    def _life(self, settings: Any, cancelled: Callable[[], bool]) -> Iterator[tuple[str, Any, str]]:
        """A run as (phase, result so far, status), until it ends or ``cancelled()`` is true."""
        raise NotImplementedError

    def _show(self, seq: int, phase: str, result: Any, text: str) -> None:
        """Put a state on the screen, by setting ``view``; ``result`` is None before the first."""
        raise NotImplementedError

    def _blank(self, settings: Any) -> dict[str, Any]:
        """The view before the first run, with seq 0 and phase 'idle'."""
        raise NotImplementedError

    _result: Any = None  # of the run on the screen

    def _begins(self) -> None:
        """A new run is about to start; ``view`` still holds the one before."""

    # ----------------------------------------------------------------------------- for everyone

    @property
    def settings(self) -> Any:
        """What the controls say now."""
        values = self.request["values"]
        chosen = {c.name: c.values[values[c.name]] for c in self._controls}
        return replace(self._defaults, **chosen)

    @property
    def phase(self) -> str:
        """How far the run for the present settings is."""
        return self.view["phase"] if self._is_current() else "running"

    def run(self, **changes: Any) -> None:
        """Move controls from Python, ``panel.run(epochs=5)``, and start; returns at once."""
        values = dict(self.request["values"])
        for name, value in changes.items():
            control = next((c for c in self._controls if c.name == name), None)
            if control is None:
                raise ValueError(f"{name} must be one of the panel's controls, got {name!r}")
            values[name] = control.position(value)
        self._ask("run", values)

    def stop(self) -> None:
        """Give up the run under way; the rounds done stay on the screen."""
        self._ask("stop", self.request["values"])

    def reset(self) -> None:
        """Put every control back to where it began, and run."""
        self._ask("run", self.defaults)

    def close(self) -> None:
        """End the run, if any, and take the panel from the page."""
        self._abandon()
        super().close()

    # ------------------------------------------------------------------ from slider to thread

    def set_state(self, sync_data: dict) -> None:
        """What the page sends; one at a time with what a run sends."""
        with self._lock:
            super().set_state(sync_data)

    def _ask(self, action: str, values: dict[str, int]) -> None:
        with self._lock:
            seq = self.request["seq"] + 1
            self.request = {"seq": seq, "action": action, "values": values}

    def _on_request(self, change: dict) -> None:
        with self._lock:
            action, seq = change["new"]["action"], change["new"]["seq"]
            if action == "stop":
                self._stop(seq)
                return
            self._start(seq)

    def _start(self, seq: int) -> None:
        self._abandon()
        self._begins()
        self._run = run = _Run(seq, self.settings)
        work = threading.Thread(target=self._work, args=(run,), name="federation", daemon=True)
        work.start()

    def _stop(self, seq: int) -> None:
        self._abandon()
        if self._run is not None and self.view["seq"] < self._run.seq:
            self._show(seq, "stopped", None, "Stopped by you before the run had begun.")
        elif self.view["phase"] == "running":
            self._show(seq, "stopped", self._result, self._stopped())
        else:  # it had just ended: nothing to stop
            self.view = {**self.view, "seq": seq}

    def _stopped(self) -> str:
        return "Stopped by you."

    def _abandon(self) -> None:
        if self._run is not None:
            self._run.obsolete.set()

    def _work(self, run: _Run) -> None:
        """In a thread of its own: a run, shown round by round, until it ends or is obsolete."""
        if run.obsolete.wait(SETTLE):
            return
        try:
            for phase, result, text in self._life(run.settings, run.obsolete.is_set):
                self._publish(run, phase, result, text)
        except Exception as error:  # say it where the learner looks: a thread has no cell
            self._publish(run, "failed", None, f"Stopped: {error}")

    def _publish(self, run: _Run, phase: str, result: Any, text: str) -> None:
        with self._lock:
            if run is self._run and not run.obsolete.is_set():
                self._show(run.seq, phase, result, text)

    def _is_current(self) -> bool:
        return self.view["seq"] == self.request["seq"]

    def _positions(self, settings: Any) -> dict[str, int]:
        values = asdict(settings)
        return {c.name: c.position(values[c.name]) for c in self._controls}


@atexit.register
def _give_up_all() -> None:
    """The kernel ends: no thread shall go on training."""
    for panel in list(_OPEN):
        panel._abandon()
