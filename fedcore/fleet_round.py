"""A round under real conditions, as an event queue in simulated time: who is asked, who reports.

Nothing is trained here: the time that training takes follows from a device's speed and its number
of examples, so a round is simulated first and only the reports that count are trained afterwards.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fedcore.device_work import STEPS, Working, start_work
from fedcore.devices import Fleet, Memory
from fedcore.events import CONDITIONS, Event
from fedcore.round_plan import RoundPlan
from fedcore.strategy_api import Payload

LOG_ALL = 200  # larger fleets: "ineligible" only as counts, in "round_begin"


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


def _choose(eligible: np.ndarray, asked: int, seed: int, round: int) -> np.ndarray:
    rng = np.random.default_rng([seed, round, 0x5E1EC7])
    m = min(asked, len(eligible))
    return np.sort(rng.choice(eligible, size=m, replace=False)) if m else eligible[:0]


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
