"""The controls of a live panel: which positions a slider has, and what it says at each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from fedcore._validate import describe
from fedcore.lab.runs import KNOBS, RunSettings, World
from fedcore.lab.summary import SYMBOLS, setting_text


@dataclass(frozen=True)
class Control:
    """A setting that the learner can move: its values in the order of the slider."""

    name: str
    label: str
    kind: str  # "stops": a slider; "choice": buttons of which one is on
    values: tuple[Any, ...]
    needs: str = ""  # the split without which it does nothing; it is then switched off

    def position(self, value: Any) -> int:
        """Where ``value`` stands on the slider; ValueError if it has no place there."""
        if value not in self.values:
            raise ValueError(
                f"{self.name} must be one of {', '.join(map(repr, self.values))}, "
                f"got {describe(value)}"
            )
        return self.values.index(value)

    def as_dict(self) -> dict[str, Any]:
        """What the page needs to draw it."""
        symbol = SYMBOLS[self.name] if len(SYMBOLS[self.name]) == 1 else ""
        return {
            "name": self.name,
            "label": self.label,
            "symbol": symbol,
            "kind": self.kind,
            "needs": self.needs,
            "texts": [setting_text(self.name, value) for value in self.values],
        }


CONTROLS: dict[str, tuple[str, tuple[Any, ...]]] = {
    "n_clients": ("Number of clients", (10, 20, 50, 100, 200, 500, 1000)),
    "fraction": ("Fraction per round", (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)),
    "epochs": ("Local epochs", (1, 2, 3, 5, 10, 20)),
    "batch_size": ("Batch size", (1, 5, 10, 20, 50, 100, 200, None)),
    "lr": ("Learning rate", (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)),
    "split": ("Who holds what", ()),
    "alpha": ("Dirichlet", (0.01, 0.03, 0.1, 0.3, 1.0, 10.0, 100.0)),
    "shards_per_client": ("Shards per client", (1, 2, 3, 5, 10)),
    "model": ("Model", ()),
    "strategy": ("Server", ()),
    "n_rounds": ("Rounds", (5, 10, 20, 50, 100)),
    "seed": ("Seed", tuple(range(10))),
}


def make_controls(
    show: Iterable[str], settings: RunSettings, world: World, stops: Mapping[str, Iterable[Any]]
) -> list[Control]:
    """The controls for the settings in ``show``; a default between two stops gets one of its own.

    ``stops`` replaces the positions of a slider. Raises ValueError naming a setting or value.
    """
    for name in stops:
        if name not in CONTROLS:
            raise ValueError(f"stops must name settings ({', '.join(CONTROLS)}), got {name!r}")
    names = {"split": world.splits, "model": world.models, "strategy": world.strategies}
    return [_control(name, settings, stops, names.get(name)) for name in show]


def _control(name, settings, stops, known) -> Control:
    label, usual = CONTROLS[name]
    values = tuple(stops.get(name, known or usual))
    if not values:
        raise ValueError(f"stops must hold at least one value for {name}, got none")
    for value in values:
        replace(settings, **{name: value})  # every position must be a legal setting
        if known is not None and value not in known:
            raise ValueError(
                f"stops must hold values of {name} ({', '.join(map(repr, known))}), got {value!r}"
            )
    default = asdict(settings)[name]
    if default not in values:
        values = (*values, default)
        if known is None:
            values = tuple(sorted(values, key=lambda v: (v is None, v or 0)))
    needs = next((split for split, knob in KNOBS.items() if knob == name), "")
    return Control(name, label, "stops" if known is None else "choice", values, needs)
