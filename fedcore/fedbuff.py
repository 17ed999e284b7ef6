"""Asynchronous aggregation with a buffer: no rounds to wait for, but updates that are stale.

A number of devices is always at work. Each trains the model that it was given, whatever has become
of the server's model meanwhile; when ``buffer`` reports are in, the server makes a step. Source:
Nguyen et al. (2022), Algorithm 1, with the staleness scaling 1 / sqrt(1 + tau) of its section on
experiments.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from fedcore._validate import as_int, as_real
from fedcore.device_work import STEPS, Working, start_work
from fedcore.devices import Fleet, Memory
from fedcore.events import Event
from fedcore.round_plan import check_conditions

RETRY = 60.0  # seconds until the server looks again, if too few devices were eligible


@dataclass(frozen=True)
class FedBuff:
    """How an asynchronous server works; a "round" is one step of the server.

    buffer: reports in a step (K). concurrency: devices at work at a time. server_lr: length of the
    server's step (eta_g). window: seconds after which a step that found too few reports is
    recorded as abandoned; the reports stay in the buffer. require, min_battery, payload: as in
    RoundPlan.

    A step adds server_lr / K * sum_k s(tau_k) (w_k - w_base(k)) to the model; tau_k is how many
    steps the server has made since k was given its model, s(tau) = 1 / sqrt(1 + tau). Reports
    count the same whatever their numbers of examples.
    """

    buffer: int = 10
    concurrency: int = 30
    server_lr: float = 1.0
    window: float = 3600.0
    require: tuple[str, ...] = ("charging", "wifi", "idle")
    min_battery: float = 0.0
    payload: int | None = None

    stragglers = "cut"  # nobody is one: see start_work

    def __post_init__(self):
        as_int("buffer", self.buffer, minimum=1)
        as_int("concurrency", self.concurrency, minimum=1)
        as_real("server_lr", self.server_lr, 0, include_low=False)
        as_real("window", self.window, 0, include_low=False)
        as_real("min_battery", self.min_battery, 0, 100)
        if self.payload is not None:
            as_int("payload", self.payload, minimum=1)
        check_conditions(self.require)


def staleness_scale(tau: np.ndarray) -> np.ndarray:
    """s(tau) = 1 / sqrt(1 + tau)."""
    return 1 / np.sqrt(1.0 + np.asarray(tau))


class Report(NamedTuple):
    """One report in the buffer."""

    device: int
    version: int  # steps that the server had made when the device was given its model
    task: int  # number of the piece of work, from 0: seeds its epoch orders


class AsyncStep(NamedTuple):
    """One step of the server: what happened since the last one, and the reports it is made of."""

    events: tuple[Event, ...]
    reports: tuple[Report, ...]  # empty if the step was abandoned
    scales: np.ndarray  # s(tau) of each


@dataclass
class _Task:
    work: Working
    version: int
    number: int


class AsyncQueue:
    """The event queue of an asynchronous federation; ``step`` runs it to the server's next step."""

    def __init__(
        self,
        fleet: Fleet,
        plan: FedBuff,
        n_examples: np.ndarray,
        epochs: int,
        payload: int,
        seed: int,
    ):
        self.fleet, self.plan, self.seed = fleet, plan, seed
        self.job = (n_examples, epochs, payload)
        self.time, self.n_tasks, self.n_fills, self.look_again = 0.0, 0, 0, 0.0
        self.queue: list[tuple[float, int, _Task]] = []
        self.busy = np.zeros(len(fleet), dtype=bool)
        self.buffer: list[Report] = []
        self.memory = Memory.fresh(len(fleet))
        self.version = 0

    def step(self, t: int) -> AsyncStep:
        """Run to the server's step number ``t``, or until the window is over."""
        deadline = self.time + self.plan.window
        begin = Event(self.time, t, "round_begin", target=self.plan.buffer, asked=len(self.queue))
        events = [begin]
        while len(self.buffer) < self.plan.buffer:
            self._fill(t, events)
            time = self.queue[0][0] if self.queue else math.inf
            if len(self.queue) < self.plan.concurrency:
                time = min(time, self.look_again)
            if time > deadline:
                self.time = deadline
                return self._abandon(t, events)
            self.time = time
            if self.queue and self.queue[0][0] == time:
                self._advance(t, events)
        return self._conclude(t, events)

    def _fill(self, t, events) -> None:
        free = self.plan.concurrency - len(self.queue)
        if free == 0 or self.time < self.look_again:
            return
        plan = self.plan
        why = self.fleet.missing(
            self.time, t, require=plan.require, min_battery=plan.min_battery, memory=self.memory
        )
        eligible = np.flatnonzero((why == "") & ~self.busy)
        if len(eligible) < free:
            self.look_again = self.time + RETRY
        rng = np.random.default_rng([self.seed, self.n_fills, 0xB0FF])
        chosen = np.sort(rng.choice(eligible, size=min(free, len(eligible)), replace=False))
        key, self.n_fills = self.n_fills, self.n_fills + 1
        for work in start_work(self.fleet, plan, chosen, *self.job, self.time, key, self.memory):
            self._begin(work, t, events)

    def _begin(self, work, t, events) -> None:
        task = _Task(work, self.version, self.n_tasks)
        self.n_tasks += 1
        self.busy[work.device] = True
        events.append(
            Event(self.time, t, "selected", work.device, battery=work.level, version=self.version)
        )
        heapq.heappush(self.queue, (work.next_time, task.number, task))

    def _advance(self, t, events) -> None:
        time, number, task = heapq.heappop(self.queue)
        work = task.work
        if work.dies:
            more = {"reason": STEPS[work.step][0], "cause": work.course.cause}
            events.append(work.event("died", time, t, version=task.version, **more))
            self._release(work)
            return
        events.append(work.event(STEPS[work.step][1], time, t, version=task.version))
        work.step, work.step_begun = work.step + 1, time
        if work.step < 3:
            heapq.heappush(self.queue, (work.next_time, number, task))
            return
        self._release(work)
        self.buffer.append(Report(work.device, task.version, task.number))

    def _release(self, work) -> None:
        self.busy[work.device] = False
        if work.level is not None and work.rate < 0:
            since, level = self.memory.since.copy(), self.memory.level.copy()
            since[work.device], level[work.device] = self.time, work.level
            self.memory = replace(self.memory, since=since, level=level)

    def _abandon(self, t, events) -> AsyncStep:
        reason = "too_few" if self.queue or self.buffer else "nobody"
        events.append(Event(self.time, t, "round_abandoned", reason=reason))
        events.append(Event(self.time, t, "evaluated"))
        return AsyncStep(tuple(events), (), np.empty(0))

    def _conclude(self, t, events) -> AsyncStep:
        reports, self.buffer = tuple(self.buffer), []
        scales = staleness_scale([self.version - report.version for report in reports])
        shares = scales / scales.sum()
        events += [
            Event(self.time, t, "used", r.device, weight=float(w), version=r.version)
            for r, w in zip(reports, shares, strict=True)
        ]
        length = self.plan.server_lr * float(scales.mean())
        events += [
            Event(self.time, t, "aggregated", weight=length),
            Event(self.time, t, "evaluated"),
        ]
        self.version += 1
        return AsyncStep(tuple(events), reports, scales)

    @property
    def oldest(self) -> int:
        """The oldest version of the model that somebody still works on or waits with."""
        versions = [task.version for *_, task in self.queue] + [r.version for r in self.buffer]
        return min([self.version, *versions])
