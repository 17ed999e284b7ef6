"""Conditions over time: pure functions of (seed, device, time), against brute force."""

import numpy as np
import pytest
from scipy import stats

from fedcore import conditions as cond
from fedcore.devices import Fleet, Memory

HOUR, DAY = cond.HOUR, cond.DAY


def test_the_hash_is_uniform_and_its_streams_are_independent():
    devices, index = np.repeat(np.arange(200), 100), np.tile(np.arange(100), 200)
    u = cond.uniform(7, cond.USE, devices, index)
    assert stats.kstest(u, "uniform").pvalue > 0.001
    assert len(np.unique(u)) == len(u)
    for other in (
        cond.uniform(8, cond.USE, devices, index),
        cond.uniform(7, cond.LINK, devices, index),
        cond.uniform(7, cond.USE, devices + 1, index),
        cond.uniform(7, cond.USE, devices, index + 1),
    ):
        assert abs(stats.pearsonr(u, other).statistic) < 0.03


def test_the_hash_is_splitmix64():
    """The published finaliser, in Python integers, on one word after the other."""

    def mix(x):
        x = (x + 0x9E3779B97F4A7C15) % 2**64
        x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        x = (x ^ x >> 27) * 0x94D049BB133111EB % 2**64
        return x ^ x >> 31

    state = 3 * 1000003 + cond.USE
    expected = (mix(mix(state ^ 5) ^ 11) >> 11) / 2**53
    assert cond.uniform(3, cond.USE, np.array([5]), np.array([11]))[0] == expected


def test_normal_is_standard_normal():
    z = cond.normal(1, cond.SPEED, np.arange(20_000), 0)
    assert stats.kstest(z, "norm").pvalue > 0.001


def test_any_moment_can_be_asked_in_any_order():
    fleet = Fleet.mixed(50, seed=3)
    times = np.linspace(0, 3 * DAY, 97)
    forwards = [fleet.conditions(t) for t in times]
    backwards = [fleet.conditions(t) for t in times[::-1]][::-1]
    for a, b in zip(forwards, backwards, strict=True):
        assert (a.charging == b.charging).all()
        assert (a.wifi == b.wifi).all()
        assert (a.idle == b.idle).all()
    some = np.array([41, 3, 3, 17])
    alone = fleet.conditions(times[5], some)
    assert (alone.charging == forwards[5].charging[some]).all()
    assert (alone.idle == forwards[5].idle[some]).all()


def test_battery_follows_charge_and_drain_minute_by_minute():
    """Against a simulation in steps of a minute that only asks whether the device charges."""
    fleet = Fleet.mixed(40, seed=5, start_hour=0)
    begin, step = 10 * DAY, 60.0
    level = fleet.battery(begin)
    battery = ~fleet.habits.mains
    for minute in range(24 * 60):
        charging = fleet.conditions(begin + step * (minute + 0.5)).charging
        rate = np.where(charging, fleet.habits.charge, -fleet.habits.drain)
        level = np.clip(level + rate * step / HOUR, 0, 100)
    difference = np.abs(fleet.battery(begin + DAY) - level)[battery]
    # days that have sunk out of sight are forgotten: only where no charge came in between
    assert np.quantile(difference, 0.9) < 1.5
    assert (fleet.battery(begin)[fleet.habits.mains] == 100).all()


def test_battery_starts_from_what_work_has_left():
    fleet = Fleet.mixed(30, seed=5, shares={"phone": 1})
    t = 12 * HOUR
    unplugged = np.flatnonzero(~fleet.conditions(t).charging & ~fleet.conditions(t + 60).charging)
    memory = Memory.fresh(30)
    memory.since[unplugged], memory.level[unplugged] = t, 40.0
    later = fleet.battery(t + 60, memory=memory)[unplugged]
    assert later == pytest.approx(40 - fleet.habits.drain[unplugged] / 60)


def test_phones_are_eligible_at_night_and_rarely_by_day():
    fleet = Fleet.mixed(500, seed=0, start_hour=0, shares={"phone": 1})
    share = {hour: np.mean(fleet.missing((24 + hour) * HOUR, 1) == "") for hour in (3, 12, 20)}
    assert share[3] > 0.5 > 0.2 > share[12]
    assert share[20] < 0.2


def test_time_zones_move_the_night():
    here = Fleet.mixed(300, seed=0, start_hour=0, zones=(0,))
    there = Fleet.mixed(300, seed=0, start_hour=0, zones=(8,))
    assert (here.conditions(30 * HOUR).charging == there.conditions(22 * HOUR).charging).all()
    assert here.battery(30 * HOUR) == pytest.approx(there.battery(22 * HOUR))


def test_availability_is_a_coin_for_each_round():
    fleet = Fleet.simple(np.array([0.0, 0.2, 0.7, 1.0]), seed=4)
    up = np.array([fleet.missing(0.0, t) == "" for t in range(1, 2001)]).mean(axis=0)
    assert up == pytest.approx([0, 0.2, 0.7, 1], abs=0.03)
    assert up[0] == 0
    assert up[3] == 1
