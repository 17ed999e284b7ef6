"""How a fleet is drawn: kinds, speeds, habits, and who gets which device."""

from __future__ import annotations

from typing import Any

import numpy as np

from fedcore import conditions as cond
from fedcore._validate import as_real, describe
from fedcore.conditions import Habits
from fedcore.device_kinds import KINDS


def kinds(n, shares, rng) -> np.ndarray:
    """The kind of each of n devices, in the given shares, shuffled."""
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


def devices(cls, names, age, rng, speed_spread, seed) -> Any:
    """A fleet (of class ``cls``) of the kinds ``names``; the older a device, the slower."""
    n = len(names)

    def each(attribute: str, place: int | None = None) -> np.ndarray:
        values = {name: getattr(kind, attribute) for name, kind in KINDS.items()}
        return np.array([values[m] if place is None else values[m][place] for m in names], float)

    # correlation 0.9 with age, standard normal again: 0.9^2 + 0.436^2 = 1
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


def charge_habit(mean: float, age: np.ndarray, rng, fleet: Any) -> np.ndarray:
    """Probabilities with the given mean: new devices above it, old ones below."""
    width = min(mean, 1 - mean, 0.3)
    order = np.argsort(np.argsort(age + 0.2 * rng.standard_normal(len(age))))
    p = mean + width * (1 - 2 * (order + 0.5) / len(age))
    return np.where(fleet.habits.mains, 1.0, p)


def time_zones(zones) -> np.ndarray:
    """``zones`` as an array of hours, at least one."""
    array = np.asarray(zones, dtype=np.float64)
    if array.ndim != 1 or len(array) == 0 or not np.isfinite(array).all():
        raise ValueError(f"zones must hold at least one number of hours, got {describe(zones)}")
    return array


def deal(age, rarity, correlation, rng) -> np.ndarray:
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
