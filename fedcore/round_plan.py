"""How a server runs its rounds: what it wants, for how long it waits, whom it may ask."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fedcore._validate import as_int, as_real, describe


@dataclass(frozen=True)
class RoundPlan:
    """How the server runs a round.

    target: reports wanted. over_selection: target times this many are asked (rounded up).
    window: seconds from asking until the round closes; math.inf waits for everybody.
    min_reports: with fewer the round is abandoned. stragglers: "cut", who is late is lost; or
    "partial", who would be late trains fewer epochs, at least one, and sends what it has.
    require: the conditions of which a device must fulfil all, to be asked and to go on;
    min_battery: percent below which it isn't asked. weighting: "examples", n_k; or
    "inverse_propensity", n_k over the probability that k's report is used: ``propensity``, (n,)
    numbers in (0, 1], if it is known; otherwise counted, see ``estimated_propensity``.
    pause: seconds between rounds. payload: bytes of a model on the wire; default: the model's own.

    The round also closes as soon as ``target`` reports are in, or nobody is working any more.
    Defaults: over-selection of 130 % and the conditions as in Bonawitz et al. (2019).
    """

    target: int = 10
    over_selection: float = 1.3
    window: float = 600.0
    min_reports: int = 1
    stragglers: str = "cut"
    require: tuple[str, ...] = ("charging", "wifi", "idle")
    min_battery: float = 0.0
    weighting: str = "examples"
    propensity: tuple[float, ...] | None = None
    pause: float = 0.0
    payload: int | None = None

    def __post_init__(self):
        as_int("target", self.target, minimum=1)
        as_real("over_selection", self.over_selection, 1)
        if self.window != math.inf:
            as_real("window", self.window, 0, include_low=False)
        as_int("min_reports", self.min_reports, minimum=1, maximum=self.target)
        as_real("min_battery", self.min_battery, 0, 100)
        as_real("pause", self.pause, 0)
        if self.payload is not None:
            as_int("payload", self.payload, minimum=1)
        _one_of("stragglers", self.stragglers, ("cut", "partial"))
        _one_of("weighting", self.weighting, ("examples", "inverse_propensity"))
        check_conditions(self.require)
        for k, p in enumerate(self.propensity or ()):
            as_real(f"propensity[{k}]", p, 0, 1, include_low=False)

    @property
    def asked(self) -> int:
        """How many devices are asked, if so many are eligible."""
        return math.ceil(round(self.target * self.over_selection, 9))


def check_conditions(require: Sequence[str]) -> None:
    """Raise if ``require`` is not a tuple of conditions."""
    if isinstance(require, str):
        raise TypeError(f"require must be a tuple of conditions, got {require!r}")
    for name in require:
        _one_of("require", name, ("charging", "wifi", "idle"))


def _one_of(name: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} must be one of {allowed}, got {describe(value)}")
