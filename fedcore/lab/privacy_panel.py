"""The privacy panel: a slider for the noise that re-trains, re-accounts and attacks again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, fields, replace
from typing import Any

import traitlets

from fedcore._validate import describe
from fedcore.datasets import Dataset
from fedcore.lab import privacy_words as words
from fedcore.lab.controls import Control
from fedcore.lab.live import LivePanel
from fedcore.lab.privacy_runs import PrivacyResult, PrivacySettings, deal, follow_privacy
from fedcore.lab.style import css, esm
from fedcore.lab.summary import differences, settings_text

CONTROLS = {
    "noise_multiplier": ("Noise", (0, 0.001, 0.01, 0.03, 0.1, 0.3, 0.5, 1, 2, 3, 5, 10)),
    "clip_norm": ("Clip norm", (0.1, 0.2, 0.5, 1, 2, 5)),
    "n_users": ("Users", (20, 50, 100, 200, 500)),
    "n_rounds": ("Rounds", (5, 10, 20, 30, 60)),
}


class PrivacyPanel(LivePanel):
    """Attack, defence and epsilon on one page; put it last in a cell.

    train, test: Datasets. show: which settings get a slider, of noise_multiplier, clip_norm,
    n_users, n_rounds; the others keep their default and are listed. defaults: initial settings, as
    in ``PrivacySettings``, for example ``n_users=200``. title: the heading; height: of the chart.

    Each move gives up the run under way at once and starts a new one in the background: one private
    training, round by round, then the reconstruction of a single user's digit and the membership
    attack on all users. ``result`` is what is on the screen. Its numbers are those of
    ``lab.privacy_run(panel.settings, train, test)``.
    """

    _esm = esm("common.js", "live.js", "chart.js", "panel.js")
    _css = css()

    target = traitlets.Float(allow_none=True, default_value=None).tag(sync=True)

    def __init__(
        self,
        train: Dataset,
        test: Dataset,
        *,
        show: Iterable[str] = ("noise_multiplier", "clip_norm", "n_users", "n_rounds"),
        title: str = "Attack, defence, epsilon",
        height: int = 260,
        **defaults: Any,
    ):
        show = _check_show(show)
        settings = _make_settings(defaults)
        for name, data in (("train", train), ("test", test)):
            if not isinstance(data, Dataset):
                raise TypeError(f"{name} must be a Dataset, got {describe(data)}")
        controls = [_control(name, settings, train) for name in show]
        self._train, self._test = train, test
        self._before: PrivacyResult | None = None
        others = tuple(f.name for f in fields(settings) if f.name not in show)
        super().__init__(
            controls,
            settings,
            fixed=f"Fixed here: {settings_text(settings, others)}.",
            title=title,
            height=height,
        )

    @property
    def result(self) -> PrivacyResult | None:
        """The run for the present settings as far as it got; None before its start."""
        return self._result if self._is_current() else None

    def _life(
        self, settings: PrivacySettings, cancelled: Callable[[], bool]
    ) -> Iterator[tuple[str, PrivacyResult, str]]:
        for phase, result in follow_privacy(self._train, self._test, settings, cancelled):
            shown = "done" if phase == "done" else "running"
            yield shown, replace(result), words.status(phase, result)

    def _begins(self) -> None:
        if self.view["phase"] == "done":
            self._before = self._result

    def _stopped(self) -> str:
        return words.status("stopped", self._result)

    def _show(self, seq: int, phase: str, result: PrivacyResult | None, text: str) -> None:
        self._result = result
        if result is None:
            self.view = {**self._blank(self.settings), "seq": seq, "phase": phase, "status": text}
            return
        settings, before = result.settings, self._before
        done = len(result.accuracy) - 1 + settings.n_rounds * max(0, result.models - 1)
        self.view = {
            "seq": seq,
            "phase": phase,
            "round": len(result.accuracy) - 1,
            "n_rounds": settings.n_rounds,
            "progress": min(1, done / (settings.n_rounds * settings.n_models)),
            "current": {"name": "this run", "accuracy": list(result.accuracy)},
            "before": before and _ghost(before, settings),
            "tiles": words.tiles(result, before),
            "pictures": words.pictures(result),
            "floor": 0,
            "status": text,
            "alternative": words.alternative(result, before),
        }

    def _blank(self, settings: PrivacySettings) -> dict[str, Any]:
        return {
            "seq": 0,
            "phase": "idle",
            "round": 0,
            "n_rounds": settings.n_rounds,
            "progress": 0,
            "current": None,
            "before": None,
            "tiles": words.tiles(PrivacyResult(settings), None),
            "pictures": [],
            "floor": 0,
            "status": "Move a slider to train and attack.",
            "alternative": "Test accuracy against rounds. No run yet.",
        }


def _ghost(before: PrivacyResult, now: PrivacySettings) -> dict[str, Any]:
    name = f"previous run: {differences(before.settings, now)}"
    return {"name": name, "accuracy": list(before.accuracy)}


def _control(name: str, settings: PrivacySettings, train: Dataset) -> Control:
    label, values = CONTROLS[name]
    default = asdict(settings)[name]
    values = tuple(sorted({*values, default}))
    if name == "n_users":  # two groups of them must be dealt their digits
        most = len(train) // (2 * settings.n_examples)
        values = tuple(v for v in values if v <= most or v == default)
    deal(train, settings)
    return Control(name, label, "stops", values)


def _check_show(show: Iterable[str]) -> tuple[str, ...]:
    show = (show,) if isinstance(show, str) else tuple(show)
    for name in show:
        if name not in CONTROLS:
            raise ValueError(f"show must name settings ({', '.join(CONTROLS)}), got {name!r}")
    if len(set(show)) < len(show):
        raise ValueError(f"show must name each setting once, got {show}")
    return show


def _make_settings(defaults: dict[str, Any]) -> PrivacySettings:
    known = [f.name for f in fields(PrivacySettings)]
    for name in defaults:
        if name not in known:
            raise TypeError(f"{name} must be a setting ({', '.join(known)}), got {describe(name)}")
    return PrivacySettings(**defaults)
