"""The live panel: sliders that retrain a real federation while they move."""

from __future__ import annotations

import atexit
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, fields, replace
from typing import Any

import anywidget
import traitlets

from fedcore._validate import as_real, describe
from fedcore.datasets import Dataset
from fedcore.lab import summary
from fedcore.lab.controls import CONTROLS, make_controls
from fedcore.lab.runs import MODELS, SPLITS, STRATEGIES, Curve, RunSettings, World, follow
from fedcore.lab.style import css, esm

SETTLE = 0.02  # seconds that a value must stand before its run starts: a drag passes many stops
_OPEN: weakref.WeakSet[FederationPanel] = weakref.WeakSet()


class _Run:
    """One run: the settings, and the flag that makes it obsolete."""

    def __init__(self, seq: int, settings: RunSettings):
        self.seq, self.settings, self.obsolete = seq, settings, threading.Event()


class FederationPanel(anywidget.AnyWidget):
    """A panel whose sliders retrain a federation as they move; put it last in a cell.

    train, test: Datasets. show: the settings that get a control, in this order, of n_clients,
    fraction, epochs, batch_size, lr, split, model, strategy, n_rounds, seed; the others keep their
    default and are listed. target: an accuracy in (0, 1] to be marked, None for none. splits,
    models, strategies: further names for those settings, {name: function (y, n_clients, seed=) ->
    parts}, {name: function (n_features, n_classes) -> model}, {name: strategy}. stops: other
    positions of a slider, {setting: values}. defaults: initial settings, as in RunSettings, for
    example ``epochs=5``. title: the panel's heading; height: of the chart, in pixels.

    Each move gives up the run under way at once and starts a new one in the background. The first
    run starts when the panel is seen on a page; ``run()`` starts one from Python. ``curve`` is
    what is on the screen, ``phase`` one of 'idle', 'running', 'done', 'stopped', 'diverged',
    'failed'. The numbers are those of ``lab.panel_run(panel.settings, train, test)``.
    """

    _esm = esm("common.js", "chart.js", "panel.js")
    _css = css()

    controls = traitlets.List().tag(sync=True)
    fixed = traitlets.Unicode().tag(sync=True)
    title = traitlets.Unicode().tag(sync=True)
    height = traitlets.Int(300).tag(sync=True)
    target = traitlets.Float(allow_none=True).tag(sync=True)
    request = traitlets.Dict().tag(sync=True)  # {seq, action, values: {setting: position}}
    view = traitlets.Dict().tag(sync=True)  # everything on the screen; its seq is that of a request

    _run: _Run | None = None  # here too, since a panel that refused its arguments is closed as well

    def __init__(
        self,
        train: Dataset,
        test: Dataset,
        *,
        show: Iterable[str] = ("n_clients", "fraction", "epochs", "batch_size", "lr", "split"),
        target: float | None = 0.9,
        splits: Mapping[str, Callable] | None = None,
        models: Mapping[str, Callable] | None = None,
        strategies: Mapping[str, object] | None = None,
        stops: Mapping[str, Iterable[Any]] | None = None,
        title: str = "Live federation",
        height: int = 300,
        **defaults: Any,
    ):
        show = _check_show(show)
        self._world = World(
            train,
            test,
            {**SPLITS, **(splits or {})},
            {**MODELS, **(models or {})},
            {**STRATEGIES, **(strategies or {})},
        )
        self._defaults = _make_settings(defaults)
        self._world.check(self._defaults)
        self._controls = make_controls(show, self._defaults, self._world, stops or {})
        self._lock = threading.RLock()  # sliders and rounds reach the widget from two threads
        self._run: _Run | None = None
        self._before: Curve | None = None
        self._curve: Curve | None = None
        if target is not None:
            target = as_real("target", target, 0, 1, include_low=False)
        others = tuple(f.name for f in fields(RunSettings) if f.name not in show)
        if self._defaults.strategy == "FedAvg" and len(self._world.strategies) == 1:
            others = tuple(name for name in others if name != "strategy")
        super().__init__(
            controls=[control.as_dict() for control in self._controls],
            fixed=f"Fixed here: {summary.settings_text(self._defaults, others)}." if others else "",
            title=title,
            height=height,
            target=target,
            request={"seq": 0, "action": "run", "values": self._positions(self._defaults)},
            view=self._blank(self._defaults),
        )
        self.observe(self._on_request, names="request")
        _OPEN.add(self)

    @property
    def settings(self) -> RunSettings:
        """What the controls say now."""
        values = self.request["values"]
        chosen = {c.name: c.values[values[c.name]] for c in self._controls}
        return replace(self._defaults, **chosen)

    @property
    def phase(self) -> str:
        """How far the run for the present settings is."""
        return self.view["phase"] if self._is_current() else "running"

    @property
    def curve(self) -> Curve | None:
        """The run for the present settings as far as it got; None before its start."""
        return self._curve if self._is_current() else None

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
        self._ask("reset", self.request["values"])

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
            if action == "reset":
                values = self._positions(self._defaults)
                self.request = {"seq": seq + 1, "action": "run", "values": values}
                return
            self._start(seq)

    def _start(self, seq: int) -> None:
        self._abandon()
        if self.view["phase"] == "done":
            self._before = self._curve
        self._run = run = _Run(seq, self.settings)
        work = threading.Thread(target=self._work, args=(run,), name="federation", daemon=True)
        work.start()

    def _stop(self, seq: int) -> None:
        self._abandon()
        if self._run is not None and self.view["seq"] < self._run.seq:
            self._show(seq, "stopped", None, "Stopped by you before the run had begun.")
        elif self.view["phase"] == "running":
            self._show(seq, "stopped", self._curve, summary.status("stopped", self._curve))
        else:  # it had just ended: nothing to stop
            self.view = {**self.view, "seq": seq}

    def _abandon(self) -> None:
        if self._run is not None:
            self._run.obsolete.set()

    def _work(self, run: _Run) -> None:
        """In a thread of its own: a run, shown round by round, until it ends or is obsolete."""
        if run.obsolete.wait(SETTLE):
            return
        try:
            for phase, curve, error in follow(self._world, run.settings, run.obsolete.is_set):
                self._publish(run, phase, curve, summary.status(phase, curve, error))
        except Exception as error:  # say it where the learner looks: a thread has no cell
            self._publish(run, "failed", None, f"Stopped: {error}")

    def _publish(self, run: _Run, phase: str, curve: Curve | None, text: str) -> None:
        with self._lock:
            if run is self._run and not run.obsolete.is_set():
                self._show(run.seq, phase, curve, text)

    def _show(self, seq: int, phase: str, curve: Curve | None, text: str) -> None:
        self._curve = curve
        if curve is None:
            self.view = {**self._blank(self.settings), "seq": seq, "phase": phase, "status": text}
            return
        before = self._before
        self.view = {
            "seq": seq,
            "phase": phase,
            "round": curve.rounds,
            "n_rounds": curve.settings.n_rounds,
            "current": {"name": "this run", "accuracy": list(curve.accuracy)},
            "before": before and _ghost(before, curve.settings),
            "tiles": summary.tiles(curve, before, self.target),
            "floor": summary.axis_floor(curve, before),
            "status": text,
            "alternative": summary.alternative(curve, before),
        }

    def _is_current(self) -> bool:
        return self.view["seq"] == self.request["seq"]

    def _blank(self, settings: RunSettings) -> dict[str, Any]:
        empty = Curve(settings, [0.0], [0.0])
        names = summary.tiles(empty, None, self.target)
        return {
            "seq": 0,
            "phase": "idle",
            "round": 0,
            "n_rounds": settings.n_rounds,
            "current": None,
            "before": None,
            "floor": 0,
            "tiles": [{**tile, "value": "\N{EN DASH}"} for tile in names],
            "status": "Move a slider to train.",
            "alternative": "Test accuracy against rounds. No run yet.",
        }

    def _positions(self, settings: RunSettings) -> dict[str, int]:
        values = asdict(settings)
        return {c.name: c.position(values[c.name]) for c in self._controls}


def _ghost(before: Curve, now: RunSettings) -> dict[str, Any]:
    name = f"previous run: {summary.differences(before.settings, now)}"
    return {"name": name, "accuracy": list(before.accuracy)}


def _check_show(show: Iterable[str]) -> tuple[str, ...]:
    if isinstance(show, str):
        raise TypeError(f"show must be a sequence of names, got {show!r}")
    show = tuple(show)
    for name in show:
        if name not in CONTROLS:
            raise ValueError(f"show must name settings ({', '.join(CONTROLS)}), got {name!r}")
    if len(set(show)) < len(show):
        raise ValueError(f"show must name each setting once, got {show}")
    return show


def _make_settings(defaults: dict[str, Any]) -> RunSettings:
    known = [f.name for f in fields(RunSettings)]
    for name in defaults:
        if name not in known:
            raise TypeError(f"{name} must be a setting ({', '.join(known)}), got {describe(name)}")
    return RunSettings(**defaults)


@atexit.register
def _give_up_all() -> None:
    """The kernel ends: no thread shall go on training."""
    for panel in list(_OPEN):
        panel._abandon()
