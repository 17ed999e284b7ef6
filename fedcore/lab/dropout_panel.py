"""The panel of lesson 4: a fleet whose devices drop out, and four views of the same round."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import Any

import traitlets

from fedcore._validate import describe
from fedcore.datasets import Dataset
from fedcore.lab import dropout_frames, dropout_settings
from fedcore.lab.dropout_runs import DropoutRun, DropoutWorld, follow
from fedcore.lab.dropout_settings import DropoutSettings
from fedcore.lab.frames import positions
from fedcore.lab.live import LivePanel
from fedcore.lab.style import css, esm


class DropoutPanel(LivePanel):
    """A live federation of devices that drop out; put it last in a cell.

    train, test: Datasets; each device holds two shards of ``train``, and the last two classes count
    as rare. title: the panel's heading; height: of the chart, in pixels. defaults: initial
    settings, as in DropoutSettings, for example ``window=20``.

    A move of a slider gives up the run under way and starts again from the first round; rounds are
    trained in the background and shown as they come. Play, step and the two scrubbers move through
    rounds and through the moments of a round; network map, server log, device log and the
    arithmetic of the mean always show the same round, and are made of its events alone.

    ``code`` is the share code of where the sliders stand, ``use(code)`` moves them there.
    ``current`` is the run on the screen. The rounds are those of
    ``lab.dropout_run(panel.settings, train, test)``.
    """

    _esm = esm(
        "common.js",
        "live.js",
        "chart.js",
        "round_map.js",
        "round_views.js",
        "dropout_parts.js",
        "dropout.js",
    )
    _css = css("dropout.css")

    places = traitlets.List().tag(sync=True)  # (x, y) of each device
    code = traitlets.Unicode().tag(sync=True)
    blank_tiles = traitlets.List(list(dropout_frames.TILES)).tag(sync=True)

    def __init__(
        self,
        train: Dataset,
        test: Dataset,
        *,
        title: str = "A federation of devices that drop out",
        height: int = 240,
        **defaults: Any,
    ):
        self._world = DropoutWorld(train, test)
        settings = _make_settings(defaults)
        self._world.holdings(settings)  # too many devices for the data? Say it at once
        controls = dropout_settings.make_controls(settings)
        self._scheme = dropout_settings.scheme(controls, settings, train)
        self._before: DropoutRun | None = None
        self._sent = 0  # rounds of the present run that have gone to the page
        super().__init__(
            controls,
            settings,
            title=title,
            height=height,
            fixed=dropout_settings.fixed_text(settings),
            places=positions(settings.n_devices),
            code=dropout_settings.encode(settings, controls, self._scheme),
        )
        self.on_msg(self._on_message)

    @property
    def current(self) -> DropoutRun | None:
        """The run for the present settings as far as it got; None before its first round."""
        return self._result if self._is_current() else None

    def use(self, code: str) -> None:
        """Move the sliders to where a share code says, and run. ValueError if it is none."""
        self._ask("run", dropout_settings.decode(code, self._controls, self._scheme))

    # ---------------------------------------------------------------------- what the page says

    def _on_message(self, _: Any, content: dict[str, Any], buffers: Any) -> None:
        with self._lock:
            if content["kind"] == "code":
                self._on_code(content["code"])
            elif content["kind"] == "replay":
                self._replay(content["seq"], content["from"])

    def _on_code(self, code: str) -> None:
        """The page asks what a code means, and moves its sliders there."""
        try:
            values = dropout_settings.decode(code, self._controls, self._scheme)
            answer = {"text": "The sliders stand where the code says.", "values": values}
        except ValueError as error:
            answer = {"text": str(error)}
        self.send({"kind": "code", **answer})

    def _replay(self, seq: int, first: int) -> None:
        """Send rounds again: to a page that was opened later, or has missed one."""
        if self._run is None or seq != self._run.seq or self._result is None:
            return
        for index in range(first, self._sent):
            self._send_round(self._result, index)

    # ---------------------------------------------------------------------------- a run's life

    def _on_request(self, change: dict) -> None:
        with self._lock:
            self.code = dropout_settings.encode(self.settings, self._controls, self._scheme)
            super()._on_request(change)

    def _life(
        self, settings: DropoutSettings, cancelled: Callable[[], bool]
    ) -> Iterator[tuple[str, DropoutRun, str]]:
        for phase, run in follow(self._world, settings, cancelled):
            yield phase, run, dropout_frames.status(phase, run)

    def _begins(self) -> None:
        if self.view["phase"] == "done" and self._result is not None:
            self._before = self._result
        self._result, self._sent = None, 0

    def _stopped(self) -> str:
        return dropout_frames.status("stopped", self._result)

    def _show(self, seq: int, phase: str, run: DropoutRun | None, text: str) -> None:
        blank = self._blank(self.settings)
        if run is None:
            self.view = {**blank, "seq": seq, "phase": phase, "status": text}
            return
        self._result = run
        while self._sent < len(run.rounds):  # before the view, which says how many there are
            self._send_round(run, self._sent)
            self._sent += 1
        self.view = {
            **blank,
            "seq": seq,
            "phase": phase,
            "round": len(run.rounds),
            "before": self._before and dropout_frames.ghost(self._before, run.settings),
            "start": run.start,
            "status": text,
        }

    def _send_round(self, run: DropoutRun, index: int) -> None:
        frame = dropout_frames.frame(run, index)
        self.send({"kind": "round", "seq": self._run.seq, "index": index, "frame": frame})

    def _blank(self, settings: DropoutSettings) -> dict[str, Any]:
        return {
            "seq": 0,
            "phase": "idle",
            "round": 0,
            "n_rounds": settings.n_rounds,
            "before": None,
            "start": {"accuracy": 0.0, "worst_class": 0.0, "worst_client": 0.0},
            "status": "Press play, or move a slider.",
        }


def _make_settings(defaults: dict[str, Any]) -> DropoutSettings:
    known = [f.name for f in fields(DropoutSettings)]
    for name in defaults:
        if name not in known:
            raise TypeError(f"{name} must be a setting ({', '.join(known)}), got {describe(name)}")
    return DropoutSettings(**defaults)
