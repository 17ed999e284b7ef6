"""A round under real conditions, as an event queue in simulated time: who is asked, who reports.

Nothing is trained here: the time that training takes follows from a device's speed and its number
of examples, so a round is simulated first and only the reports that count are trained afterwards.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from fedcore import conditions as cond
from fedcore._validate import as_int, as_real, describe
from fedcore.devices import Fleet, Memory
from fedcore.events import CONDITIONS, Event
from fedcore.strategy_api import Payload

LOG_ALL = 200  # larger fleets: "ineligible" only as counts, in "round_begin"
STEPS = (("download", "downloaded"), ("training", "trained"), ("upload", "uploaded"))
MB = 1e6


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


@dataclass(frozen=True)
class Outcome:
    """A simulated round. ``clients``, ``epochs``, ``weights``: of the reports that count."""

    events: tuple[Event, ...]
    clients: np.ndarray  # (m,) int64, ascending
    epochs: np.ndarray  # (m,) int64, local epochs that each did
    raw_weights: np.ndarray  # (m,) n_k, int64, or n_k over its propensity, float64
    weights: np.ndarray  # (m,) float64, the same divided by their sum
    abandoned: bool
    memory: Memory  # for the next round


def totals(events: Sequence[Event]) -> dict[str, Any]:
    """What a round has cost, as fields of a RoundRecord: all devices, whatever came of them."""
    return {
        "n_selected": sum(event.kind == "selected" for event in events),
        "bytes_down": sum(event.bytes_down for event in events),
        "bytes_up": sum(event.bytes_up for event in events),
        "joules": math.fsum(event.joules for event in events),
        "sim_seconds": events[-1].time - events[0].time,
    }


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


def simulate_round(
    fleet: Fleet,
    plan: RoundPlan,
    n_examples: np.ndarray,
    epochs: int,
    payload: int | Payload,
    *,
    round: int,
    seed: int,
    memory: Memory,
) -> Outcome:
    """Simulate one round that begins at ``memory.clock``.

    n_examples: (n,) of each device's client. epochs: local epochs asked for. payload: bytes of a
    model, or a Payload. Everything random follows from (seed, round) and from the fleet's own seed.
    """
    if plan.propensity is not None and len(plan.propensity) != len(fleet):
        raise ValueError(
            f"propensity must hold {len(fleet)} numbers, one a device, got {len(plan.propensity)}"
        )
    begin = memory.clock
    why = fleet.missing(
        begin, round, require=plan.require, min_battery=plan.min_battery, memory=memory
    )
    eligible = np.flatnonzero(why == "")
    asked = _choose(eligible, plan.asked, seed, round)
    events = [
        Event(
            begin,
            round,
            "round_begin",
            asked=len(asked),
            target=plan.target,
            eligible=len(eligible),
            reason=" ".join(f"{name}={(why == name).sum()}" for name in CONDITIONS),
        )
    ]
    if len(fleet) <= LOG_ALL:
        events += [
            Event(begin, round, "ineligible", int(k), reason=str(why[k]))
            for k in np.flatnonzero(why != "")
        ]
    crew = start_work(fleet, plan, asked, n_examples, epochs, payload, begin, round, memory)
    events += [Event(begin, round, "selected", w.device, battery=w.level) for w in crew]
    close, reports = _run_queue(crew, plan, begin, round, events)
    memory = _remember(memory, fleet, crew, close)
    return _conclude(events, reports, close, len(asked), n_examples, plan, round, memory)


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


def _choose(eligible: np.ndarray, asked: int, seed: int, round: int) -> np.ndarray:
    rng = np.random.default_rng([seed, round, 0x5E1EC7])
    m = min(asked, len(eligible))
    return np.sort(rng.choice(eligible, size=m, replace=False)) if m else eligible[:0]


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


def _run_queue(crew, plan, begin, round, events) -> tuple[float, list[Working]]:
    """Let the crew work until the round closes; returns (closing time, reports in order)."""
    deadline = begin + plan.window
    queue = [(work.next_time, i) for i, work in enumerate(crew)]
    heapq.heapify(queue)
    close = begin if crew else begin + (0 if plan.window == math.inf else plan.window)
    reports: list[Working] = []
    while queue and len(reports) < plan.target:
        time, i = queue[0]
        if time > deadline:
            break
        heapq.heappop(queue)
        work, close = crew[i], time
        if work.dies:
            stage = STEPS[work.step][0]
            more = {"reason": stage, "cause": work.course.cause}
            events.append(work.event("died", time, round, **more))
            continue
        events.append(work.event(STEPS[work.step][1], time, round))
        work.step, work.step_begun = work.step + 1, time
        if work.step == 3:
            reports.append(work)
        else:
            heapq.heappush(queue, (work.next_time, i))
    if queue:
        reason = "enough" if len(reports) >= plan.target else "window"
        close = close if reason == "enough" else deadline
        events += [crew[i].event("late", close, round, reason=reason) for _, i in sorted(queue)]
    return close, reports


def _remember(memory: Memory, fleet: Fleet, crew: Sequence[Working], close: float) -> Memory:
    """The batteries that work has drawn on. One that charges follows its habits again."""
    since, level = memory.since.copy(), memory.level.copy()
    for work in crew:
        if work.level is not None and work.rate < 0:
            since[work.device], level[work.device] = work.step_begun, work.level
    return replace(memory, since=since, level=level, clock=close)


def _conclude(events, reports, close, n_asked, n_examples, plan, round, memory) -> Outcome:
    clients = np.array(sorted(work.device for work in reports), dtype=np.int64)
    epochs_of = {work.device: work.course.epochs for work in reports}
    abandoned = len(reports) < plan.min_reports
    if abandoned:
        events += [Event(close, round, "unused", int(k), reason="abandoned") for k in clients]
        reason = "nobody" if n_asked == 0 else "too_few"
        events.append(Event(close, round, "round_abandoned", reason=reason))
        clients, raw, weights = clients[:0], np.empty(0), np.empty(0)
    else:
        raw = _raw_weights(plan, clients, n_examples, memory)
        weights = raw / raw.sum()
        events += [
            Event(close, round, "used", int(k), weight=float(w))
            for k, w in zip(clients, weights, strict=True)
        ]
        events.append(Event(close, round, "aggregated", weight=1.0))
    events.append(Event(close, round, "evaluated"))
    used = memory.used.copy()
    used[clients] += 1
    memory = replace(memory, used=used, rounds=memory.rounds + 1, clock=close + plan.pause)
    epochs = np.array([epochs_of[k] for k in clients.tolist()], dtype=np.int64)
    return Outcome(tuple(events), clients, epochs, raw, weights, abandoned, memory)


def _raw_weights(plan, clients, n_examples, memory) -> np.ndarray:
    raw = n_examples[clients]
    if plan.weighting == "inverse_propensity":
        known = plan.propensity and np.asarray(plan.propensity, dtype=np.float64)
        chances = estimated_propensity(memory, plan.target) if known is None else known
        raw = raw / chances[clients]
    return raw


def estimated_propensity(memory: Memory, target: int) -> np.ndarray:
    """(n,) estimated probability that a device's report is used in a round.

    Counted over the rounds until now, together with a prior round's worth of the even share
    target / n: (used + 1) / (rounds + n / target), so that no estimate is 0.
    """
    n = len(memory.used)
    return (memory.used + 1) / (memory.rounds + max(1.0, n / target))


def check_conditions(require: Sequence[str]) -> None:
    """Raise if ``require`` is not a tuple of conditions."""
    if isinstance(require, str):
        raise TypeError(f"require must be a tuple of conditions, got {require!r}")
    for name in require:
        _one_of("require", name, ("charging", "wifi", "idle"))


def _one_of(name: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} must be one of {allowed}, got {describe(value)}")
