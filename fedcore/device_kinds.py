"""Phones, sensors and hospital servers: what the devices of one kind have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


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
