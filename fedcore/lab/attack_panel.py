"""The attack panel: the learner moves the conditions, and sees what the server sees."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import traitlets

from fedcore._validate import describe
from fedcore.datasets import Dataset
from fedcore.lab.attack_runs import ATTACKS, AttackResult, AttackSettings, AttackWorld
from fedcore.lab.controls import Control
from fedcore.lab.live import LivePanel
from fedcore.lab.style import NBSP, count, css, esm, number, percent, seconds

SHOWN = 8  # pictures on the screen


@dataclass(frozen=True)
class AttackControl(Control):
    """A control of an attack; ``symbol`` stands beside its label."""

    symbol: str = ""
    none: str = "off"

    def as_dict(self) -> dict[str, Any]:
        """What the page needs to draw it."""
        texts = [self._text(value) for value in self.values]
        shown = {"name": self.name, "label": self.label, "symbol": self.symbol}
        return {**shown, "kind": self.kind, "texts": texts}

    def _text(self, value: Any) -> str:
        return self.none if value is None else value if isinstance(value, str) else number(value)


CONTROLS: dict[str, AttackControl] = {
    control.name: control
    for control in (
        AttackControl("attack", "The server", "choice", tuple(ATTACKS)),
        AttackControl(
            "batch_size", "Digits per client", "stops", (1, 2, 4, 8, 16, 32, 64), symbol="B"
        ),
        AttackControl("epochs", "Local steps", "stops", (1, 2, 5, 10, 50), symbol="E"),
        AttackControl("n_clients", "Clients averaged", "stops", (1, 2, 4, 8, 16, 32), symbol="K"),
        AttackControl("clip_norm", "Clip norm", "stops", (None, 1.0, 0.1, 0.01), symbol="S"),
        AttackControl(
            "noise_multiplier",
            "Noise multiplier",
            "stops",
            (0.0, 1e-4, 1e-3, 0.01, 0.1, 1.0),
            symbol="z",
        ),
        AttackControl("seed", "Other digits", "stops", tuple(range(10))),
    )
}


class AttackPanel(LivePanel):
    """A panel that attacks one round of federated learning as its controls move.

    train: what clients hold; public: what the attacker has anyway (of the same classes; square
    images). show: the settings that get a control, in this order, of attack, batch_size, epochs,
    n_clients, clip_norm, noise_multiplier, seed. title: the heading. defaults: initial settings, as
    in AttackSettings. ``result`` is what is on the screen, ``phase`` one of 'idle', 'running',
    'done', 'stopped', 'failed'. The numbers are those of ``lab.attack_run(panel.settings, ...)``.
    """

    _esm = esm("common.js", "live.js", "attack.js")
    _css = css("attack.css")

    side = traitlets.Int().tag(sync=True)

    def __init__(
        self,
        train: Dataset,
        public: Dataset,
        *,
        show: Iterable[str] = tuple(CONTROLS),
        title: str = "What the server sees",
        **defaults: Any,
    ):
        known = [f.name for f in fields(AttackSettings)]
        for name in defaults:
            if name not in known:
                raise TypeError(
                    f"{name} must be a setting ({', '.join(known)}), got {describe(name)}"
                )
        settings = AttackSettings(**defaults)
        self._world = AttackWorld(train, public)
        side = round(train.n_features**0.5)
        if side * side != train.n_features or public.n_features != train.n_features:
            raise ValueError(f"train and public must hold square images, got {train!r}, {public!r}")
        super().__init__(
            [_control(name, settings) for name in _check_show(show)],
            settings,
            title=title,
            side=side,
        )

    @property
    def result(self) -> AttackResult | None:
        """The attack with the present settings; None before it is done."""
        return self._result if self._is_current() else None

    def _life(
        self, settings: AttackSettings, cancelled: Callable[[], bool]
    ) -> Iterator[tuple[str, AttackResult, str]]:
        result = self._world.run(settings)
        yield "done", result, status(result)

    def _show(self, seq: int, phase: str, result: AttackResult | None, text: str) -> None:
        self._result = result
        view = self._blank(self.settings)
        if result is not None:
            view |= {
                "pictures": pictures(result),
                "tiles": tiles(result),
                "alternative": alternative(result),
            }
        self.view = {**view, "seq": seq, "phase": phase, "status": text}

    def _blank(self, settings: AttackSettings) -> dict[str, Any]:
        names = ("PSNR", "SSIM", "Exact copies", "Guess without update")
        return {
            "seq": 0,
            "phase": "idle",
            "pictures": [],
            "tiles": [{"name": name, "value": "\N{EN DASH}"} for name in names],
            "status": "Move a slider to attack.",
            "server": f"The server {ATTACKS[settings.attack].text}.",
            "alternative": "No attack yet.",
        }


def pictures(result: AttackResult) -> list[dict[str, Any]]:
    """The first digits for the page: [{original, guess, label, score}], pixels as base64 bytes."""
    rows = zip(result.originals, result.guesses, result.labels, result.psnr, strict=True)
    return [
        {
            "original": _bytes(original),
            "guess": _bytes(guess),
            "label": str(label),
            "score": decibel(psnr),
        }
        for original, guess, label, psnr in list(rows)[:SHOWN]
    ]


def tiles(result: AttackResult) -> list[dict[str, str]]:
    """Key figures as [{name, value}]."""
    return [
        {"name": "PSNR", "value": decibel(result.psnr.mean())},
        {"name": "SSIM", "value": f"{result.ssim.mean():.2f}"},
        {"name": "Exact copies", "value": percent(result.recovered, 0)},
        {"name": "Guess without update", "value": decibel(result.baseline)},
    ]


def status(result: AttackResult) -> str:
    """One sentence: what was attacked, what came of it, how long it took."""
    s, n = result.settings, len(result.originals)
    work = f"{count(n, 'digit')} of the first of {count(s.n_clients, 'client')}"
    clipped = s.clip_norm is not None and result.delta_norm > s.clip_norm
    notes = f" Its delta was {result.delta_norm:.2g} long"
    notes += f" and was clipped to {number(s.clip_norm)}." if clipped else "."
    return f"{verdict(result)}: {work}, training and attack in {seconds(result.seconds)}.{notes}"


def verdict(result: AttackResult) -> str:
    """In words: copied, seen, or no better than a guess that needs no update."""
    if result.recovered == 1:
        return "All copied"
    if result.recovered > 0:
        return f"{percent(result.recovered, 0)} copied, the others blurred"
    if result.psnr.mean() > result.baseline + 3:
        return "Seen, not copied"
    if result.psnr.mean() > result.baseline:
        return "Hardly better than a guess"
    return "No better than a guess"


def alternative(result: AttackResult) -> str:
    """The pictures in words, for those who can't see them."""
    rows = zip(result.labels, result.psnr, result.ssim, strict=True)
    told = [f"a {label}: {decibel(p)}, SSIM {s:.2f}" for label, p, s in list(rows)[:SHOWN]]
    return f"Originals and their reconstructions. {'; '.join(told)}."


def decibel(value: float) -> str:
    """31.26 -> '31 dB'; from 100 on it is float32's rounding: '> 100 dB'."""
    return f">{NBSP}100{NBSP}dB" if value > 100 else f"{value:.0f}{NBSP}dB"


def _bytes(image: np.ndarray) -> str:
    return base64.b64encode(np.rint(255 * image).astype(np.uint8).tobytes()).decode("ascii")


def _control(name: str, settings: AttackSettings) -> AttackControl:
    """The control of a setting; a default between two stops gets one of its own."""
    control, value = CONTROLS[name], getattr(settings, name)
    if value in control.values:
        return control
    values = sorted((*control.values, value), key=lambda v: (v is not None, v or 0))
    return replace(control, values=tuple(values))


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
