"""A fleet: phones, sensors and hospital servers under the conditions they really work in.

``Fleet.mixed`` draws a fleet from the distributions of ``KINDS``; ``Fleet.simple`` makes one whose
devices are reachable with given probabilities and differ in nothing else. Who is charging, on Wi-Fi
and idle at a moment is in ``conditions``; what a round makes of it in ``fleet_round``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from fedcore import conditions as cond
from fedcore._validate import as_int, as_parts, as_real, describe
from fedcore.conditions import HOUR, Habits
from fedcore.events import Event


@dataclass(frozen=True)
class Kind:
    """What the devices of one kind have in common. Medians are of lognormal distributions.

    Where a comment names no source, the value is an assumption, chosen for its order of magnitude.
    """

    name: str
    speed: float  # median examples trained a second
    down: float  # median bandwidth to the device, MB/s
    up: float  # and from it
    spread_net: float  # sigma of the logarithm of both
    capacity: float  # battery, joules; 0: on mains for ever
    watts_train: float  # power while training
    watts_radio: float  # power while sending or receiving
    drain: float  # percent of battery an hour, unplugged and not training
    charge: float  # percent an hour, plugged in
    plug_hour: tuple[float, float]  # local time of the daily charge: from, with its spread
    unplug_hour: tuple[float, float]
    p_charge: float  # share of days with that charge
    p_topup: float  # and with a short one in between
    p_link: float
    p_idle_day: float
    p_idle_night: float


KINDS: Mapping[str, Kind] = {
    "phone": Kind(
        "phone",
        speed=100.0,
        down=5.0,
        up=1.5,
        spread_net=0.7,
        capacity=55_000.0,  # 4,000 mAh at 3.85 V
        watts_train=4.0,
        watts_radio=1.0,
        drain=4.0,
        charge=35.0,
        plug_hour=(22.0, 1.0),
        unplug_hour=(31.0, 0.8),
        p_charge=0.85,
        p_topup=0.8,
        p_link=0.98,
        p_idle_day=0.75,
        p_idle_night=0.97,
    ),
    "sensor": Kind(
        "sensor",  # a small board with a solar panel, on a weak link
        speed=20.0,
        down=0.5,
        up=0.25,
        spread_net=0.5,
        capacity=90_000.0,  # two cells of 3,400 mAh at 3.7 V
        watts_train=2.5,
        watts_radio=0.8,
        drain=1.5,
        charge=12.0,
        plug_hour=(8.0, 0.3),
        unplug_hour=(17.0, 0.3),
        p_charge=0.85,
        p_topup=0.0,
        p_link=0.85,
        p_idle_day=0.9,
        p_idle_night=0.9,
    ),
    "hospital": Kind(
        "hospital",  # a server in a cupboard: mains, cable, busy in working hours
        speed=2_000.0,
        down=50.0,
        up=50.0,
        spread_net=0.2,
        capacity=0.0,
        watts_train=150.0,
        watts_radio=20.0,
        drain=0.0,
        charge=0.0,
        plug_hour=(0.0, 0.0),
        unplug_hour=(24.0, 0.0),
        p_charge=1.0,
        p_topup=0.0,
        p_link=1.0,
        p_idle_day=0.7,
        p_idle_night=0.98,
    ),
}


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
        """A fleet of ``n`` devices drawn from ``KINDS``.

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
        names = _kinds(n, shares, rng)
        fleet = _draw(cls, names, age, rng, as_real("speed_spread", speed_spread, 0), seed)
        fleet = replace(fleet, start_hour=as_real("start_hour", start_hour))
        fleet = fleet._with_habits(
            p_charge=_charge_habit(as_real("charging", charging, 0, 1), age, rng, fleet),
            home_wifi=(rng.random(n) < as_real("wifi", wifi, 0, 1)) | (names != "phone"),
            zone=_zones(zones)[rng.permutation(n) % len(zones)],
        )
        fleet = replace(
            fleet,
            capacity=fleet.capacity * as_real("battery", battery, 0, include_low=False),
            dropout=np.full(n, as_real("dropout", dropout, 0, 1)),
        )
        drain = fleet.habits.drain / battery
        fleet = fleet._with_habits(drain=drain, charge=fleet.habits.charge / battery)
        return fleet.take(_deal(age, rarity, as_real("correlation", correlation, 0, 1), rng))

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
        fleet = _draw(cls, names, np.full(n, 0.5), rng, 0.0, as_int("seed", seed, minimum=0))
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


def _kinds(n, shares, rng) -> np.ndarray:
    shares = {"phone": 0.9, "sensor": 0.08, "hospital": 0.02} if shares is None else dict(shares)
    for name, share in shares.items():
        if name not in KINDS:
            raise ValueError(f"shares must name kinds of {sorted(KINDS)}, got {name!r}")
        as_real(f"shares[{name!r}]", share, 0)
    total = sum(shares.values())
    if total <= 0:
        raise ValueError(f"shares must not all be zero, got {shares}")
    edges = np.round(n * np.cumsum(list(shares.values())) / total).astype(int)
    counts = np.diff(np.concatenate([[0], edges]))
    return rng.permutation(np.repeat(list(shares), counts))


def _draw(cls, names, age, rng, speed_spread, seed) -> Fleet:
    n = len(names)

    def each(attribute: str, place: int | None = None) -> np.ndarray:
        values = {name: getattr(kind, attribute) for name, kind in KINDS.items()}
        return np.array([values[m] if place is None else values[m][place] for m in names], float)

    slowness = 0.9 * cond.z_scores(np.argsort(np.argsort(age))) + 0.436 * rng.standard_normal(n)
    net = np.exp(each("spread_net") * rng.standard_normal(n))
    phone = names == "phone"
    habits = Habits(
        zone=np.zeros(n),
        mains=each("capacity") == 0,
        plug_hour=each("plug_hour", 0) + each("plug_hour", 1) * rng.standard_normal(n).clip(-2, 2),
        unplug_hour=each("unplug_hour", 0)
        + each("unplug_hour", 1) * rng.standard_normal(n).clip(-2, 2),
        p_charge=each("p_charge"),
        p_topup=each("p_topup"),
        home_wifi=np.ones(n, dtype=bool),
        leave_hour=np.where(phone, 8 + rng.standard_normal(n).clip(-1, 2), 24.0),
        return_hour=np.where(phone, 18 + rng.standard_normal(n).clip(-2, 2), 0.0),
        p_away=np.where(phone, 0.6, 1.0),
        p_link=each("p_link"),
        p_idle_day=each("p_idle_day"),
        p_idle_night=each("p_idle_night"),
        p_online=np.ones(n),
        drain=each("drain"),
        charge=each("charge"),
    )
    return cls(
        kind=names,
        speed=each("speed") * np.exp(-speed_spread * slowness),
        down=each("down") * net,
        up=each("up") * net,
        capacity=each("capacity"),
        watts_train=each("watts_train"),
        watts_radio=each("watts_radio"),
        dropout=np.zeros(n),
        habits=habits,
        seed=seed,
        handicap=age,
    )


def _charge_habit(mean: float, age: np.ndarray, rng, fleet: Fleet) -> np.ndarray:
    """Probabilities with the given mean: new devices above it, old ones below."""
    width = min(mean, 1 - mean, 0.3)
    order = np.argsort(np.argsort(age + 0.2 * rng.standard_normal(len(age))))
    p = mean + width * (1 - 2 * (order + 0.5) / len(age))
    return np.where(fleet.habits.mains, 1.0, p)


def _zones(zones) -> np.ndarray:
    array = np.asarray(zones, dtype=np.float64)
    if array.ndim != 1 or len(array) == 0 or not np.isfinite(array).all():
        raise ValueError(f"zones must hold at least one number of hours, got {describe(zones)}")
    return array


def _deal(age, rarity, correlation, rng) -> np.ndarray:
    """order: client i gets device order[i]. A Gaussian copula of rarity and age."""
    n = len(age)
    noise = rng.standard_normal(n)
    if correlation == 0:
        return np.argsort(age)[np.argsort(np.argsort(noise))]
    if rarity is None:
        raise ValueError("rarity must be given, one number a client, if correlation is not 0")
    rarity = np.asarray(rarity, dtype=np.float64)
    if rarity.shape != (n,) or not np.isfinite(rarity).all():
        raise ValueError(f"rarity must hold {n} finite numbers, got {describe(rarity)}")
    ranks = np.argsort(np.lexsort((rng.random(n), rarity)))
    z = correlation * cond.z_scores(ranks) + np.sqrt(1 - correlation**2) * noise
    return np.argsort(age)[np.argsort(np.argsort(z))]
