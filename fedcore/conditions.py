"""A device's conditions over time: charging, on Wi-Fi, idle, reachable, and its battery.

Every value is a pure function of (seed, device, time): randomness comes from a counter-based
generator, so nothing is stored, nothing is drawn for a device that nobody asks about, and any
moment can be asked for in any order. All functions take arrays and work elementwise.

Time is in seconds on the world's clock (UTC, 0 = midnight of the first day).
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

HOUR, DAY = 3600.0, 86400.0
USE_SLOT, LINK_SLOT = 600.0, 1800.0  # how long a device stays in (or out of) use; link up or down
LOOK_BACK = 4  # days over which a battery is followed
START_LEVEL = 70.0  # percent, LOOK_BACK days ago, where nothing is known

# purposes: independent streams of the generator
PLUG, UNPLUG, NIGHT, TOPUP, TOPUP_AT, TOPUP_LONG, AWAY, LINK, USE, ONLINE = range(10)
SPEED, BANDWIDTH, CRASH, CRASH_AT, COURSE = range(10, 15)


def uniform(seed: int, purpose: int, device: np.ndarray, index: np.ndarray | int) -> np.ndarray:
    """Numbers in [0, 1), float64, one for each (device, index): a hash, the same every time.

    The mixing is that of SplitMix64 (Steele, Lea and Flood 2014), applied to each word in turn.
    """
    device = np.atleast_1d(np.asarray(device, dtype=np.int64))
    index = np.asarray(index, dtype=np.int64)
    state = np.full(1, (seed * 1000003 + purpose) % 2**64, dtype=np.uint64)
    for word in (device, index):
        state = _mix(state ^ word.astype(np.uint64))
    return (state >> np.uint64(11)).astype(np.float64) * 2.0**-53


def normal(seed: int, purpose: int, device: np.ndarray, index: np.ndarray | int) -> np.ndarray:
    """Standard normal numbers, one for each (device, index); Box and Muller (1958)."""
    radius = np.sqrt(-2 * np.log1p(-uniform(seed, purpose, device, index)))
    return radius * np.cos(2 * np.pi * uniform(seed, purpose + 1000, device, index))


def _mix(x: np.ndarray) -> np.ndarray:
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def z_scores(ranks: np.ndarray) -> np.ndarray:
    """Normal scores of ranks 0 to n-1."""
    inverse = NormalDist().inv_cdf
    return np.array([inverse((rank + 0.5) / len(ranks)) for rank in ranks])


@dataclass(frozen=True)
class Habits:
    """What decides the conditions of devices: arrays (n,), one entry a device."""

    zone: np.ndarray  # hours ahead of UTC
    mains: np.ndarray  # bool: always plugged in, no battery
    plug_hour: np.ndarray  # local hour at which the daily charge begins
    unplug_hour: np.ndarray  # and ends; more than 24: on the next morning
    p_charge: np.ndarray  # probability of that charge on a day
    p_topup: np.ndarray  # probability of a short charge during the day
    home_wifi: np.ndarray  # bool: Wi-Fi at home
    leave_hour: np.ndarray  # local hour of leaving home
    return_hour: np.ndarray
    p_away: np.ndarray  # probability that a day's other place has Wi-Fi
    p_link: np.ndarray  # probability that a link that should be there is up
    p_idle_day: np.ndarray  # probability of not being in use, 7 to 23 local time
    p_idle_night: np.ndarray
    p_online: np.ndarray  # probability of being reachable at all in a round
    drain: np.ndarray  # percent of battery an hour, unplugged
    charge: np.ndarray  # percent an hour, plugged in

    def take(self, devices: np.ndarray) -> Habits:
        """The habits of some devices, repeats allowed."""
        return Habits(**{name: getattr(self, name)[devices] for name in self.__dataclass_fields__})


@dataclass(frozen=True)
class Conditions:
    """Conditions of m devices at m moments: arrays (m,)."""

    charging: np.ndarray
    wifi: np.ndarray
    idle: np.ndarray


def conditions(habits: Habits, seed: int, device: np.ndarray, clock: np.ndarray) -> Conditions:
    """Is device[i], with habits[i], charging, on Wi-Fi and idle at clock[i]?"""
    local = clock + HOUR * habits.zone
    return Conditions(
        charging=_charging(habits, seed, device, local),
        wifi=_wifi(habits, seed, device, local),
        idle=_idle(habits, seed, device, local),
    )


def online(habits: Habits, seed: int, device: np.ndarray, round: int) -> np.ndarray:
    """Can the device be reached in this round? Independent from round to round."""
    return uniform(seed, ONLINE, device, round) < habits.p_online


def battery(
    habits: Habits,
    seed: int,
    device: np.ndarray,
    clock: np.ndarray,
    since: np.ndarray,
    level: np.ndarray,
) -> np.ndarray:
    """Percent of battery at ``clock``, following drain and charge from the moment ``since``, when
    it was ``level`` (or from LOOK_BACK days ago, START_LEVEL, if that is later)."""
    local = clock + HOUR * habits.zone
    day = np.floor(local / DAY)
    begin = (day - LOOK_BACK) * DAY
    known = since + HOUR * habits.zone
    level = np.where(known > begin, level, START_LEVEL)
    now = np.minimum(np.maximum(known, begin), local)
    for back in range(LOOK_BACK, -1, -1):
        for start, end, on in _charges(habits, seed, device, day - back):
            begun, ended = np.minimum(start, local), np.minimum(end, local)
            level, now = _run(level, now, np.where(on, begun, now), -habits.drain)
            level, now = _run(level, now, np.where(on, ended, now), habits.charge)
    level, _ = _run(level, now, local, -habits.drain)
    return np.where(habits.mains, 100.0, level)


def _run(level, now, until, rate) -> tuple[np.ndarray, np.ndarray]:
    """Let the battery change at ``rate`` percent an hour from ``now`` to ``until``, if later."""
    hours = np.maximum(until - now, 0) / HOUR
    return np.clip(level + rate * hours, 0.0, 100.0), np.maximum(now, until)


def _charges(habits, seed, device, day) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """The short and the long charge of a local day: (start, end, does it happen), local time."""
    day_index = day.astype(np.int64)
    topup = 7 + 13 * uniform(seed, TOPUP_AT, device, day_index)
    long = 0.5 + 4 * uniform(seed, TOPUP_LONG, device, day_index)
    plug = habits.plug_hour - 1 + 2 * uniform(seed, PLUG, device, day_index)
    unplug = habits.unplug_hour - 1 + 2 * uniform(seed, UNPLUG, device, day_index)
    is_long = uniform(seed, NIGHT, device, day_index) < habits.p_charge
    is_short = uniform(seed, TOPUP, device, day_index) < habits.p_topup
    base = day * DAY
    return [
        (base + topup * HOUR, base + (topup + long) * HOUR, is_short),
        (base + plug * HOUR, base + unplug * HOUR, is_long),
    ]


def _charging(habits, seed, device, local) -> np.ndarray:
    day = np.floor(local / DAY)
    result = habits.mains.copy()
    for back in (1, 0):
        for start, end, on in _charges(habits, seed, device, day - back):
            result |= on & (start <= local) & (local < end)
    return result


def _wifi(habits, seed, device, local) -> np.ndarray:
    day = np.floor(local / DAY)
    hour = (local - day * DAY) / HOUR
    home = (hour < habits.leave_hour) | (hour >= habits.return_hour)
    away = uniform(seed, AWAY, device, day.astype(np.int64)) < habits.p_away
    slot = np.floor(local / LINK_SLOT).astype(np.int64)
    up = uniform(seed, LINK, device, slot) < habits.p_link
    return np.where(home, habits.home_wifi, away) & up


def _idle(habits, seed, device, local) -> np.ndarray:
    # each device changes at its own moments, not all at the full ten minutes
    shifted = local + USE_SLOT * uniform(seed, USE, device, -1)
    hour = (local / HOUR) % 24
    p = np.where((hour >= 7) & (hour < 23), habits.p_idle_day, habits.p_idle_night)
    return uniform(seed, USE, device, np.floor(shifted / USE_SLOT).astype(np.int64)) < p
