"""The live panel: sliders that retrain a real federation while they move."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields
from typing import Any

import traitlets

from fedcore._validate import as_real, describe
from fedcore.datasets import Dataset
from fedcore.lab import summary
from fedcore.lab.challenge import Challenge
from fedcore.lab.controls import CONTROLS, make_controls
from fedcore.lab.holdings import Holdings
from fedcore.lab.live import LivePanel
from fedcore.lab.runs import (
    KNOBS,
    MODELS,
    SKEWS,
    SPLITS,
    STRATEGIES,
    Curve,
    RunSettings,
    World,
    follow,
)
from fedcore.lab.style import css, esm


class FederationPanel(LivePanel):
    """A panel whose sliders retrain a federation as they move; put it last in a cell.

    train, test: Datasets. show: the settings that get a control, in this order, of n_clients,
    fraction, epochs, batch_size, lr, split, alpha, shards_per_client, model, strategy, n_rounds,
    seed; the others keep their default and are listed. With alpha or shards_per_client the splits
    are IID, Dirichlet and shards. target: an accuracy in (0, 1] to be marked, None for none.
    splits, models, strategies: further names for those settings, {name: function (y, n_clients,
    seed=) -> parts}, {name: function (n_features, n_classes) -> model}, {name: strategy}. stops:
    other positions of a slider, {setting: values}. defaults: initial settings, as in RunSettings,
    for example ``epochs=5``. title: the panel's heading; height: of the chart, in pixels. holdings:
    draw who holds what, with the clients of the round under way marked, and tell how the worst-off
    client fares. challenge: a ``lab.Challenge`` that each finished run takes part in.

    Each move gives up the run under way at once and starts a new one in the background. The first
    run starts when the panel is seen on a page; ``run()`` starts one from Python. ``curve`` is
    what is on the screen, ``phase`` one of 'idle', 'running', 'done', 'stopped', 'diverged',
    'failed'. The numbers are those of ``lab.panel_run(panel.settings, train, test)``.
    """

    _esm = esm("common.js", "live.js", "chart.js", "holdings.js", "panel.js")
    _css = css()

    target = traitlets.Float(allow_none=True).tag(sync=True)
    holdings = traitlets.Bool(False).tag(sync=True)
    held = traitlets.Dict().tag(sync=True)  # who holds what: {run, counts, text}; view.map names it

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
        holdings: bool = False,
        challenge: Challenge | None = None,
        **defaults: Any,
    ):
        show = _check_show(show)
        if challenge is not None and not isinstance(challenge, Challenge):
            raise TypeError(f"challenge must be a Challenge, got {describe(challenge)}")
        self._challenge = challenge
        knobs = set(KNOBS.values())
        self._world = World(
            train,
            test,
            {**(SKEWS if knobs & set(show) else SPLITS), **(splits or {})},
            {**MODELS, **(models or {})},
            {**STRATEGIES, **(strategies or {})},
            holdings=bool(holdings),
        )
        settings = _make_settings(defaults)
        self._world.check(settings)
        controls = make_controls(show, settings, self._world, stops or {})
        self._before: Curve | None = None
        self._mapped: Holdings | None = None  # the one that ``held`` tells of
        if target is not None:
            target = as_real("target", target, 0, 1, include_low=False)
        others = tuple(f.name for f in fields(RunSettings) if f.name not in show)
        if settings.strategy == "FedAvg" and len(self._world.strategies) == 1:
            others = tuple(name for name in others if name != "strategy")
        idle = knobs - {KNOBS.get(split) for split in self._world.splits}
        others = tuple(name for name in others if name not in idle)
        super().__init__(
            controls,
            settings,
            fixed=f"Fixed here: {summary.settings_text(settings, others)}." if others else "",
            title=title,
            height=height,
            target=target,
            holdings=self._world.holdings,
        )

    @property
    def curve(self) -> Curve | None:
        """The run for the present settings as far as it got; None before its start."""
        return self._result if self._is_current() else None

    def _life(
        self, settings: RunSettings, cancelled: Callable[[], bool]
    ) -> Iterator[tuple[str, Curve, str]]:
        for phase, curve, error in follow(self._world, settings, cancelled):
            yield phase, curve, summary.status(phase, curve, error)

    def _begins(self) -> None:
        if self.view["phase"] == "done":
            self._before = self._result

    def _stopped(self) -> str:
        return summary.status("stopped", self._result)

    def _show(self, seq: int, phase: str, curve: Curve | None, text: str) -> None:
        self._result = curve
        if curve is None:
            self.view = {**self._blank(self.settings), "seq": seq, "phase": phase, "status": text}
            return
        before = self._before
        if phase == "done" and self._challenge is not None:
            text += self._challenge.settle(curve)
        self.view = {
            "seq": seq,
            "map": self._map(seq, curve),
            "phase": phase,
            "round": curve.rounds,
            "n_rounds": curve.settings.n_rounds,
            "current": {"name": "this run", "accuracy": list(curve.accuracy)},
            "before": before and _ghost(before, curve.settings),
            "tiles": summary.tiles(curve, before, self.target, self._world.holdings),
            "floor": summary.axis_floor(curve, before),
            "status": text,
            "alternative": summary.alternative(curve, before),
        }

    def _map(self, seq: int, curve: Curve) -> dict[str, Any] | None:
        """Which map of ``held`` belongs to this view, and who trains. A map is sent once."""
        if curve.held is None:
            return None
        if self._mapped is not curve.held:
            self._mapped = curve.held
            self.held = {"run": seq, **curve.held.as_dict()}
        return {"run": self.held["run"], "clients": list(curve.clients)}

    def _blank(self, settings: RunSettings) -> dict[str, Any]:
        empty = Curve(settings, [0.0], [0.0])
        names = summary.tiles(empty, None, self.target, self._world.holdings)
        return {
            "seq": 0,
            "map": None,
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
