"""A fleet: phones, sensors and hospital servers under the conditions they really work in.

``Fleet.mixed`` draws a fleet from the distributions of ``device_kinds``; ``Fleet.simple`` makes one
whose devices are reachable with given probabilities and differ in nothing else. Who is charging, on
Wi-Fi and idle at a moment is in ``conditions``; what a round makes of it in ``fleet_round``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from fedcore import conditions as cond
from fedcore import fleet_draw as draw
from fedcore._validate import as_int, as_parts, as_real, describe
from fedcore.conditions import HOUR, Habits
from fedcore.events import Event


@dataclass(frozen=True, eq=False)
class Fleet:
    """n devices; ids 0 to n-1 are those of the clients. All arrays are (n,).

    A fleet has no memory and no clock of its own: it answers for any moment. ``start_hour`` is the
    hour (UTC) at which simulated time 0 lies.
    """

    kind: np.ndarray  # names in KINDS
    speed: np.ndarray  # examples a second
    down: np.ndarray  # MB/s
    up: np.ndarray
    capacity: np.ndarray  # joules; 0: on mains
    watts_train: np.ndarray
    watts_radio: np.ndarray
    dropout: np.ndarray  # probability to crash or lose the connection in a round
    habits: Habits
    seed: int = 0
    start_hour: float = 0.0
    jitter: float = 0.1  # sigma of the logarithm of a device's speed from round to round
    handicap: np.ndarray = field(default_factory=lambda: np.empty(0))  # 0: best off, 1: worst off

    def __len__(self) -> int:
        return len(self.speed)

    def __repr__(self) -> str:
        names, counts = np.unique(self.kind, return_counts=True)
        return f"Fleet({', '.join(f'{c} {n}' for n, c in zip(names, counts, strict=True))})"

    @classmethod
    def mixed(
        cls,
        n: int,
        *,
        shares: Mapping[str, float] | None = None,
        charging: float = 0.85,
        wifi: float = 0.9,
        battery: float = 1.0,
        speed_spread: float = 0.6,
        dropout: float = 0.05,
        zones: Sequence[float] = (0.0,),
        rarity: np.ndarray | None = None,
        correlation: float = 0.0,
        start_hour: float = 0.0,
        seed: int = 0,
    ) -> Fleet:
        """A fleet of ``n`` devices drawn from ``device_kinds.KINDS``.

        shares: of each kind, default 90 % phones, 8 % sensors, 2 % hospital servers.
        charging: mean share of days on which a phone or sensor gets its long charge.
        wifi: share of phones with Wi-Fi at home. battery: capacity, as a share of a new one's.
        speed_spread: sigma of the logarithm of the speed within a kind. dropout: probability to
        crash or lose the connection in a round. zones: hours ahead of UTC, dealt evenly.
        rarity: (n,) how rare the data of each client is, see ``rarity``; needed if
        ``correlation``, in [0, 1], is not 0: then devices that are slow and rarely charge go to
        the clients with rare data. Which devices there are does not depend on the correlation,
        only who gets which.
        """
        n = as_int("n", n, minimum=1)
        seed = as_int("seed", seed, minimum=0)
        rng = np.random.default_rng([seed, 0xDE71CE])
        age = rng.permutation((np.arange(n) + 0.5) / n)  # old devices: slow, rarely charged
        names = draw.kinds(n, shares, rng)
        fleet = draw.devices(cls, names, age, rng, as_real("speed_spread", speed_spread, 0), seed)
        fleet = replace(fleet, start_hour=as_real("start_hour", start_hour))
        fleet = fleet._with_habits(
            p_charge=draw.charge_habit(as_real("charging", charging, 0, 1), age, rng, fleet),
            home_wifi=(rng.random(n) < as_real("wifi", wifi, 0, 1)) | (names != "phone"),
            zone=draw.time_zones(zones)[rng.permutation(n) % len(zones)],
        )
        fleet = replace(
            fleet,
            capacity=fleet.capacity * as_real("battery", battery, 0, include_low=False),
            dropout=np.full(n, as_real("dropout", dropout, 0, 1)),
        )
        drain = fleet.habits.drain / battery
        fleet = fleet._with_habits(drain=drain, charge=fleet.habits.charge / battery)
        return fleet.take(draw.deal(age, rarity, as_real("correlation", correlation, 0, 1), rng))

    @classmethod
    def simple(
        cls,
        availability: np.ndarray | Sequence[float],
        *,
        speed: np.ndarray | float = 100.0,
        dropout: np.ndarray | float = 0.0,
        bandwidth: float = 5.0,
        jitter: float = 0.0,
        seed: int = 0,
    ) -> Fleet:
        """Devices on mains and cable, reachable in each round with the given probabilities (n,).

        speed: examples a second, one for all or (n,); dropout likewise.
        """
        p = np.asarray(availability, dtype=np.float64)
        if p.ndim != 1 or len(p) == 0 or not ((p >= 0) & (p <= 1)).all():
            raise ValueError(
                f"availability must hold probabilities, one a device, got {describe(availability)}"
            )
        n = len(p)
        rng = np.random.default_rng(0)
        names = np.full(n, "hospital")
        fleet = draw.devices(cls, names, np.full(n, 0.5), rng, 0.0, as_int("seed", seed, minimum=0))
        fleet = replace(
            fleet,
            speed=np.broadcast_to(np.asarray(speed, dtype=np.float64), n).copy(),
            dropout=np.broadcast_to(np.asarray(dropout, dtype=np.float64), n).copy(),
            down=np.full(n, bandwidth),
            up=np.full(n, bandwidth),
            jitter=as_real("jitter", jitter, 0),
        )
        return fleet._with_habits(p_online=p, p_idle_day=np.ones(n), p_idle_night=np.ones(n))

    def take(self, order: np.ndarray) -> Fleet:
        """The fleet whose device i is this one's device ``order[i]``."""
        arrays = {
            name: value[order]
            for name, value in vars(self).items()
            if isinstance(value, np.ndarray) and len(value) == len(self)
        }
        return replace(self, habits=self.habits.take(order), **arrays)

    def _with_habits(self, **changes) -> Fleet:
        return replace(self, habits=replace(self.habits, **changes))

    # ------------------------------------------------------------------- at a moment

    def clock(self, time: float | np.ndarray) -> np.ndarray:
        """World time (s since midnight UTC) at simulated ``time``."""
        return np.asarray(time, dtype=np.float64) + HOUR * self.start_hour

    def local_hour(self, time: float) -> np.ndarray:
        """Hour of the day, [0, 24), where each device is."""
        return (self.clock(time) / HOUR + self.habits.zone) % 24

    def conditions(
        self, time: float | np.ndarray, devices: np.ndarray | None = None
    ) -> cond.Conditions:
        """Charging, on Wi-Fi, idle at ``time`` (one, or one a device) for ``devices`` (all)."""
        devices, habits, clock = self._at(time, devices)
        return cond.conditions(habits, self.seed, devices, clock)

    def battery(
        self,
        time: float | np.ndarray,
        devices: np.ndarray | None = None,
        memory: Memory | None = None,
    ) -> np.ndarray:
        """Percent of battery at ``time``; 100 on mains. ``memory``: what work has taken so far."""
        devices, habits, clock = self._at(time, devices)
        since, level = np.full(len(devices), -np.inf), np.zeros(len(devices))
        if memory is not None:
            since, level = self.clock(memory.since[devices]), memory.level[devices]
        return cond.battery(habits, self.seed, devices, clock, since, level)

    def _at(self, time, devices):
        if devices is None:
            devices, habits = np.arange(len(self)), self.habits
        else:
            devices = np.atleast_1d(devices)
            habits = self.habits.take(devices)
        return devices, habits, np.broadcast_to(self.clock(time), len(devices))

    def missing(
        self,
        time: float,
        round: int,
        *,
        require: Sequence[str] = ("charging", "wifi", "idle"),
        min_battery: float = 0.0,
        memory: Memory | None = None,
    ) -> np.ndarray:
        """Why each device can't be asked now: (n,) of words, "" for those that can.

        The conditions of Bonawitz et al. (2019), section 3: idle, charging, on an unmetered
        network; ``require`` names those that hold. One word a device, the first that applies of:
        offline, charging, wifi, idle, battery (below ``min_battery`` percent).
        """
        devices = np.arange(len(self))
        now = self.conditions(time)
        low = np.zeros(len(self), dtype=bool)
        if min_battery > 0 or "charging" not in require:
            level = self.battery(time, memory=memory)
            low = (level < min_battery) | (level <= 0) & ~now.charging
        lacking = [
            ("offline", ~cond.online(self.habits, self.seed, devices, round)),
            *[
                (name, ~getattr(now, name))
                for name in ("charging", "wifi", "idle")
                if name in require
            ],
            ("battery", low & ~self.habits.mains),
        ]
        return np.select([mask for _, mask in lacking], [name for name, _ in lacking], default="")

    def sentences(self, events: Iterable[Event], device: int) -> list[tuple[float, str]]:
        """The log of one device, in sentences a person reads: [(time, sentence)]."""
        from fedcore.device_log import sentences

        return sentences(self, events, device)


@dataclass(frozen=True, eq=False)
class Memory:
    """What a federation must remember about its fleet from round to round; state in, state out."""

    clock: float  # simulated seconds
    since: np.ndarray  # (n,) when each battery was last known through work; -inf: never
    level: np.ndarray  # (n,) percent then
    used: np.ndarray  # (n,) int64, how often each report entered the mean
    rounds: int  # rounds until now, abandoned ones included

    @classmethod
    def fresh(cls, n: int) -> Memory:
        """Before the first round."""
        return cls(0.0, np.full(n, -np.inf), np.zeros(n), np.zeros(n, dtype=np.int64), 0)

    def arrays(self) -> tuple[np.ndarray, ...]:
        """As arrays, for a History."""
        return (np.array([self.clock, self.rounds]), self.since, self.level, self.used)

    @classmethod
    def from_arrays(cls, arrays: Sequence[np.ndarray]) -> Memory:
        """The inverse of ``arrays``."""
        (clock, rounds), since, level, used = arrays
        return cls(float(clock), since, level, used, int(rounds))


def rarity(y: np.ndarray, parts: Sequence[np.ndarray], rare: Sequence[int] = (8, 9)) -> np.ndarray:
    """The share of each client's examples that belong to the ``rare`` classes: (K,) in [0, 1]."""
    y = np.asarray(y)
    return np.array([np.isin(y[part], list(rare)).mean() for part in as_parts(parts, len(y))])
