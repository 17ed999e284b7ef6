"""One device at work in a round: how long each step takes, where it dies, and what it costs."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from fedcore import conditions as cond
from fedcore.devices import Fleet
from fedcore.events import Event
from fedcore.strategy_api import Payload

STEPS = (("download", "downloaded"), ("training", "trained"), ("upload", "uploaded"))


MB = 1e6


class Course(NamedTuple):
    """What one device will do if nothing closes the round before."""

    seconds: tuple[float, float, float]  # download, training, upload
    epochs: int
    death: float  # seconds after being asked; inf: it lives
    cause: str


class Working:
    """One device at work: which step, since when, what it costs until any moment."""

    def __init__(self, fleet: Fleet, device: int, begun: float, course: Course, payload: Payload):
        self.device, self.begun, self.course, self.payload = device, begun, course, payload
        self.step, self.step_begun = 0, begun
        self.watts = (
            fleet.watts_radio[device],
            fleet.watts_train[device],
            fleet.watts_radio[device],
        )
        self.capacity = fleet.capacity[device]
        self.rate = 0.0  # percent a second that the battery changes without work
        self.level: float | None = None

    @property
    def next_time(self) -> float:
        """When its step ends, well or badly."""
        return min(self.step_begun + self.course.seconds[self.step], self.begun + self.course.death)

    @property
    def dies(self) -> bool:
        """Will the step end badly?"""
        return self.begun + self.course.death < self.step_begun + self.course.seconds[self.step]

    def event(self, kind: str, time: float, round: int, **more) -> Event:
        """The event that ends the current step at ``time``, with what the step has cost."""
        seconds, whole = time - self.step_begun, self.course.seconds[self.step]
        part = 1.0 if kind == STEPS[self.step][1] else min(1.0, seconds / whole)
        joules = seconds * float(self.watts[self.step])
        return Event(
            time=time,
            round=round,
            kind=kind,
            device=self.device,
            seconds=seconds,
            bytes_down=int(part * self.payload.down) if self.step == 0 else 0,
            bytes_up=int(part * self.payload.up) if self.step == 2 else 0,
            joules=joules,
            battery=self._spend(seconds, joules),
            epochs=int((0, part, 1)[self.step] * self.course.epochs),
            **more,
        )

    def _spend(self, seconds: float, joules: float) -> float | None:
        if self.level is None:
            return None
        drawn = 0.0 if self.rate > 0 else 100 * joules / self.capacity  # the charger pays, if any
        self.level = min(100.0, max(0.0, self.level + self.rate * seconds - drawn))
        return self.level


def start_work(fleet, plan, devices, n_examples, epochs, payload, begin, round, memory):
    """A ``Working`` for each of ``devices``, asked at ``begin``."""
    if len(devices) == 0:
        return []
    payload = payload if isinstance(payload, Payload) else Payload(payload, payload)
    levels = fleet.battery(begin, devices, memory)
    charging = fleet.conditions(begin, devices).charging
    power = (levels, charging)
    courses = _courses(fleet, plan, devices, n_examples, epochs, payload, begin, round, power)
    crew = []
    for i, device in enumerate(devices.tolist()):
        work = Working(fleet, device, begin, courses[i], payload)
        if not fleet.habits.mains[device]:
            work.level = float(levels[i])
            habit = fleet.habits.charge if charging[i] else -fleet.habits.drain
            work.rate = float(habit[device]) / cond.HOUR
        crew.append(work)
    return crew


def _courses(fleet, plan, devices, n_examples, epochs, payload, begin, round, power):
    """Durations, epochs and death of each asked device."""
    key = np.int64(round)
    pace = np.exp(fleet.jitter * cond.normal(fleet.seed, cond.SPEED, devices, key))
    net = np.exp(fleet.jitter * cond.normal(fleet.seed, cond.BANDWIDTH, devices, key))
    down = payload.down / (MB * fleet.down[devices] * net)
    up = payload.up / (MB * fleet.up[devices] * net)
    epoch = n_examples[devices] / (fleet.speed[devices] * pace)
    done = np.full(len(devices), epochs)
    if plan.stragglers == "partial" and plan.window != math.inf:
        fits = np.floor((plan.window - down - up) / epoch * (1 - 1e-9)).clip(-1, epochs)
        done = np.where(fits >= 1, fits, epochs).astype(int)
    train = done * epoch
    death, cause = _deaths(fleet, plan, devices, (down, train, up), begin, round, power)
    return [
        Course((float(d), float(t), float(u)), int(e), float(x), c)
        for d, t, u, e, x, c in zip(down, train, up, done, death, cause, strict=True)
    ]


def _deaths(fleet, plan, devices, steps, begin, round, power):
    """(seconds until each device dies, inf if it doesn't; why)."""
    key = np.int64(round)
    total = sum(steps)
    crashes = cond.uniform(fleet.seed, cond.CRASH, devices, key) < fleet.dropout[devices]
    when = total * cond.uniform(fleet.seed, cond.CRASH_AT, devices, key)
    death = np.where(crashes, when, np.inf)
    cause = np.where(crashes, "crash", "").astype("<U8")
    for lost, name in _losses(fleet, plan, devices, total, begin):
        earlier = lost < death
        death, cause = np.where(earlier, lost, death), np.where(earlier, name, cause)
    empty = _battery_ends(fleet, devices, steps, *power)
    earlier = empty < death
    death, cause = np.where(earlier, empty, death), np.where(earlier, "battery", cause)
    return np.where(death < total, death, np.inf), cause


def _losses(fleet, plan, devices, total, begin):
    """For each required condition, seconds until it no longer holds; looked at every 30 s, or
    at 200 moments if the work takes longer."""
    if not plan.require:
        return
    steps = int(min(200, max(2, math.ceil(total.max() / 30.0))))
    moments = total[:, None] * (np.arange(1, steps + 1) / steps)
    many = np.repeat(devices, steps)
    then = fleet.conditions(begin + moments.ravel(), many)
    for name in plan.require:
        gone = ~getattr(then, name).reshape(moments.shape)
        first = gone.argmax(axis=1)
        lost = moments[np.arange(len(devices)), first]
        yield np.where(gone.any(axis=1), lost, np.inf), name


def _battery_ends(fleet, devices, steps, level, charging):
    """Seconds until the battery of a device that isn't charging is empty; inf if it never is."""
    down, train, _ = steps
    draining = ~charging & ~fleet.habits.mains[devices]
    if not draining.any():
        return np.full(len(devices), np.inf)
    percent = 100 / np.where(fleet.capacity[devices] > 0, fleet.capacity[devices], np.inf)
    idle = fleet.habits.drain[devices] / cond.HOUR
    radio = idle + percent * fleet.watts_radio[devices]
    work = idle + percent * fleet.watts_train[devices]
    left_1 = level - radio * down
    left_2 = left_1 - work * train
    with np.errstate(divide="ignore", invalid="ignore"):
        ends = np.where(
            left_1 <= 0,
            level / radio,
            np.where(left_2 <= 0, down + left_1 / work, down + train + left_2 / radio),
        )
    return np.where(draining, ends, np.inf)
