"""The settings of a drop-out panel, their sliders, and the share code that stands for both."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any
from zlib import crc32

from fedcore._validate import as_int, as_real, describe
from fedcore.datasets import Dataset
from fedcore.federation import LocalSGD
from fedcore.fleet_round import LOG_ALL
from fedcore.lab import share_code
from fedcore.lab.controls import Control
from fedcore.lab.style import NBSP, number, percent, size

POWER = {  # which condition of power the server requires, and a battery level, per cent
    "\N{GREATER-THAN OR EQUAL TO} 50 %": (("wifi", "idle"), 50.0),
    "charging": (("charging", "wifi", "idle"), 0.0),
}
STRAGGLERS = ("cut", "partial")
WEIGHTING = {"n\N{LATIN SUBSCRIPT SMALL LETTER K}": "examples", "importance": "inverse_propensity"}


@dataclass(frozen=True)
class DropoutSettings:
    """Everything that decides a run of a drop-out panel; equal settings give equal rounds.

    Raises TypeError or ValueError that names the setting.
    """

    charging: float = 0.6  # mean share of days on which a device gets its long charge
    wifi: float = 0.8  # share of phones with Wi-Fi at home
    battery: float = 1.0  # capacity, as a share of a new battery's
    speed_spread: float = 0.6  # sigma of the logarithm of the computing speed
    dropout: float = 0.1  # probability to crash or lose the connection in a round
    window: float = 60.0  # deadline: seconds from asking until the round closes
    over_selection: float = 1.3  # devices asked per report wanted
    correlation: float = 0.75  # of a device's handicap with its share of rare classes
    power: str = next(iter(POWER))
    stragglers: str = "cut"
    weighting: str = next(iter(WEIGHTING))
    n_devices: int = 100  # at most 200: the events of larger fleets don't name every device
    target: int = 10  # reports wanted
    epochs: int = 3  # E
    batch_size: int = 10  # B
    lr: float = 0.02
    payload: int | None = 5_000_000  # bytes of a model on the wire; None: of the one trained here
    pause: float = 1200.0  # seconds from the end of a round to the next
    n_rounds: int = 30
    seed: int = 0

    def __post_init__(self):
        for name in ("charging", "wifi", "dropout", "correlation"):
            as_real(name, getattr(self, name), 0, 1)
        as_real("battery", self.battery, 0, include_low=False)
        as_real("speed_spread", self.speed_spread, 0)
        if self.window != math.inf:
            as_real("window", self.window, 0, include_low=False)
        as_real("over_selection", self.over_selection, 1)
        for name, allowed in (
            ("power", POWER),
            ("stragglers", STRAGGLERS),
            ("weighting", WEIGHTING),
        ):
            if getattr(self, name) not in allowed:
                raise ValueError(
                    f"{name} must be one of {', '.join(map(repr, allowed))}, "
                    f"got {describe(getattr(self, name))}"
                )
        as_int("n_devices", self.n_devices, minimum=1, maximum=LOG_ALL)
        for name in ("target", "n_rounds"):
            as_int(name, getattr(self, name), minimum=1)
        LocalSGD(self.epochs, self.batch_size, self.lr)
        as_real("pause", self.pause, 0)
        if self.payload is not None:
            as_int("payload", self.payload, minimum=1)
        as_int("seed", self.seed, minimum=0)


LABELS: dict[str, tuple[str, tuple[Any, ...]]] = {
    "charging": ("Charge every day", (0.0, 0.1, 0.25, 0.4, 0.6, 0.8, 1.0)),
    "wifi": ("Wi-Fi at home", (0.0, 0.2, 0.4, 0.6, 0.8, 0.9, 1.0)),
    "battery": ("Battery capacity", (0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0)),
    "speed_spread": ("Spread of speed", (0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.5)),
    "dropout": ("Chance to die", (0.0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0)),
    "window": ("Deadline", (5.0, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0, 300.0, math.inf)),
    "over_selection": ("Over-selection", (1.0, 1.1, 1.3, 1.5, 2.0, 3.0, 5.0)),
    "correlation": ("Correlation", (0.0, 0.25, 0.5, 0.75, 0.9, 1.0)),
    "payload": ("Model size", (None, 1_000_000, 5_000_000, 20_000_000, 100_000_000)),
    "pause": ("Between rounds", (0.0, 60.0, 300.0, 1200.0, 1800.0, 3600.0)),
    "seed": ("Seed", tuple(range(20))),
    "power": ("Power to be asked", tuple(POWER)),
    "stragglers": ("Stragglers", STRAGGLERS),
    "weighting": ("Weights of the mean", tuple(WEIGHTING)),
}
HELP = {
    "charging": "Share of days on which a phone or sensor gets its long charge",
    "wifi": "Share of phones with Wi-Fi at home; the others are rarely asked",
    "battery": "Capacity, as a share of a new battery's: a small one is soon below 50 %",
    "speed_spread": "Sigma of the logarithm of the computing speed: 0, all phones are alike",
    "dropout": "Probability that a device crashes or loses the connection within a round",
    "window": "Seconds from asking until the server closes the round and cuts who still works",
    "over_selection": "Devices asked, in per cent of the reports wanted",
    "correlation": "How surely slow, rarely charged devices hold the last two classes",
    "payload": "Bytes of a model on the wire, each way; as it is: of the model trained here",
    "pause": "From the end of a round to the next: the hours of the night pass",
    "seed": "Another fleet, other data on each device, another selection",
    "power": "Only devices with at least half a battery, or only those that charge",
    "stragglers": "Whoever would be late is cut, or does fewer epochs and sends what it has",
    "weighting": "Examples, or examples over the estimated chance that the report is used",
}
CHOICES = ("power", "stragglers", "weighting")


def setting_text(name: str, value: Any) -> str:
    """The value of one setting as the panel writes it."""
    if name in ("charging", "wifi", "battery", "dropout", "over_selection"):
        return percent(value, 0)
    if name == "speed_spread":
        return f"\N{GREEK SMALL LETTER SIGMA}{NBSP}={NBSP}{number(value)}"
    if name == "window":
        return "none" if value == math.inf else f"{number(value)}{NBSP}s"
    if name == "pause":
        return f"{number(value / 60)}{NBSP}min"
    if name == "payload":
        return "as it is" if value is None else size(value)
    if name == "stragglers":
        return {"cut": "cut", "partial": "partial work"}[value]
    return number(value) if isinstance(value, int | float) else str(value).replace(" ", NBSP)


@dataclass(frozen=True)
class DropoutControl(Control):
    """A control whose words are those of ``setting_text`` above."""

    def as_dict(self) -> dict[str, Any]:
        """What the page needs to draw it."""
        texts = [setting_text(self.name, value) for value in self.values]
        return {
            "name": self.name,
            "label": self.label,
            "symbol": "",
            "kind": self.kind,
            "texts": texts,
            "help": HELP[self.name],
        }


def make_controls(settings: DropoutSettings) -> list[Control]:
    """All controls of the panel; a default between two stops gets one of its own."""
    found = []
    for name, (label, values) in LABELS.items():
        default = getattr(settings, name)
        if default not in values:
            values = tuple(sorted((*values, default), key=lambda v: v or 0))
        found.append(DropoutControl(name, label, "choice" if name in CHOICES else "stops", values))
    return found


def fixed_text(settings: DropoutSettings) -> str:
    """What no control of the panel changes, in a sentence."""
    return (
        f"Fixed here: {settings.n_devices} devices, {settings.target} reports wanted a round, "
        f"E{NBSP}={NBSP}{settings.epochs}, B{NBSP}={NBSP}{settings.batch_size}, "
        f"\N{GREEK SMALL LETTER ETA}{NBSP}={NBSP}{number(settings.lr)}, {settings.n_rounds} rounds "
        "from 22:00 on, softmax regression. To be asked, and to go on, a device must be on Wi-Fi "
        f"and not in use. Digits are dealt by a Dirichlet partition, \N{GREEK SMALL LETTER ALPHA}"
        f"{NBSP}={NBSP}0.1. Correlation: how surely slow, rarely charged devices are those with "
        "many of the last two classes. Worst client: the lowest accuracy that a client meets on "
        "test examples in its own mix of classes."
    )


def differences(settings: DropoutSettings, other: DropoutSettings) -> str:
    """Only what ``settings`` does otherwise than ``other``; 'same settings' if nothing."""
    ours, theirs = asdict(settings), asdict(other)
    changed = [name for name in LABELS if ours[name] != theirs[name]]
    words = (f"{LABELS[n][0].lower()} {setting_text(n, ours[n])}" for n in changed)
    return ", ".join(words) or "same settings"


# ------------------------------------------------------------------------------- share codes


def scheme(controls: Sequence[Control], settings: DropoutSettings, data: Dataset) -> str:
    """A text that tells what positions mean: the stops, the fixed settings and the data."""
    stops = [(control.name, control.values) for control in controls]
    moved = {control.name for control in controls}
    fixed = [(f.name, getattr(settings, f.name)) for f in fields(settings) if f.name not in moved]
    return repr((stops, fixed, len(data), crc32(data.y.tobytes())))


def encode(settings: DropoutSettings, controls: Sequence[Control], scheme: str) -> str:
    """The share code of ``settings``."""
    positions = [control.position(getattr(settings, control.name)) for control in controls]
    return share_code.encode(positions, [len(control.values) for control in controls], scheme)


def decode(code: str, controls: Sequence[Control], scheme: str) -> dict[str, int]:
    """{setting: position} from a share code; ValueError in a learner's words if it is none."""
    positions = share_code.decode(code, [len(control.values) for control in controls], scheme)
    return {control.name: at for control, at in zip(controls, positions, strict=True)}


def with_positions(settings: DropoutSettings, controls: Sequence[Control], at: dict[str, int]):
    """``settings`` with the values at these positions of the controls."""
    return replace(settings, **{c.name: c.values[at[c.name]] for c in controls})
