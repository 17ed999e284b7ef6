"""What happened in a round under real conditions: one record, from which every view is drawn.

A round is a tuple of ``Event``s in the order of simulated time. ``used`` events carry the weights
of the mean, the rest carry what was spent: bytes, seconds, joules. ``disagreements`` says where a
RoundRecord and its events differ; in a sound record they never do.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

SERVER_KINDS = ("round_begin", "aggregated", "round_abandoned", "evaluated")
DEVICE_KINDS = (
    "ineligible",  # not asked; reason says which condition is missing
    "selected",  # asked: it begins to download
    "downloaded",
    "trained",
    "uploaded",  # its report arrived at the server
    "died",  # reason: the stage, "download", "training" or "upload"; cause: why
    "late",  # still working when the round closed; reason: "window", or "enough" reports were in
    "used",  # its report enters the mean, with `weight`
    "unused",  # arrived in vain; reason: "abandoned" or "enough"; on Flower "lost", see flower_plan
)
KINDS = SERVER_KINDS + DEVICE_KINDS
ENDS = ("used", "unused", "died", "late")  # every selected device ends in exactly one

CONDITIONS = ("offline", "charging", "wifi", "idle", "battery")  # why a device is ineligible
STAGES = ("download", "training", "upload")
CAUSES = ("charging", "wifi", "idle", "battery", "offline", "crash")  # why a device died


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened at a simulated time; ``device`` None means the server."""

    time: float  # simulated seconds since the federation began
    round: int  # from 1
    kind: str  # one of KINDS
    device: int | None = None
    seconds: float = 0.0  # duration of the step that this event ends
    bytes_down: int = 0  # bytes this event moved to the device, as far as it got
    bytes_up: int = 0  # and from it; a broken upload counts what was sent until then
    joules: float = 0.0  # energy that the device spent on the step
    battery: float | None = None  # percent after the event; None: on mains for ever
    epochs: int = 0  # local epochs done ("trained"; on "died" and "late": complete ones)
    weight: float = 0.0  # "used": weight in the mean. "aggregated": length of the server's step
    reason: str = ""  # a word for machines: see KINDS
    cause: str = ""  # "died": one of CAUSES, the condition lost
    asked: int = 0  # "round_begin": devices asked
    target: int = 0  # "round_begin": reports wanted
    eligible: int = 0  # "round_begin": devices that could have been asked
    version: int = 0  # asynchronous only: the model's version that the device received


def ends(events: Iterable[Event]) -> dict[int, str]:
    """How each selected device ended: {device: one of ENDS}; None while it is under way."""
    result: dict[int, Any] = {}
    for event in events:
        if event.kind == "selected":
            result[event.device] = None
        elif event.kind in ENDS:
            result[event.device] = event.kind
    return result


def count_ends(events: Iterable[Event]) -> dict[str, int]:
    """How many of the selected devices ended in each of ENDS."""
    counts = Counter(ends(events).values())
    return {kind: counts[kind] for kind in ENDS}


def disagreements(record: Any) -> list[str]:
    """Where a synchronous round's RoundRecord and its events differ, in words; [] if nowhere."""
    events: Sequence[Event] = record.events
    used = {e.device: e.weight for e in events if e.kind == "used"}
    server = [e.time for e in events if e.kind in SERVER_KINDS]
    begin = [e.time for e in events if e.kind == "round_begin"]
    pairs = {
        "bytes_down": (sum(e.bytes_down for e in events), record.bytes_down),
        "bytes_up": (sum(e.bytes_up for e in events), record.bytes_up),
        "joules": (math.fsum(e.joules for e in events), record.joules),
        "sim_seconds": (max(server) - begin[0], record.sim_seconds),
        "n_selected": (sum(e.kind == "selected" for e in events), record.n_selected),
        "clients": (tuple(sorted(used)), record.clients),
        "weights": (tuple(used[k] for k in sorted(used)), record.weights),
        "sum of weights": (math.fsum(used.values()), 0.0 if record.abandoned else 1.0),
        "rounds named in events": ({e.round for e in events}, {record.round}),
    }
    wrong = [
        f"{name}: {theirs!r} from events, {ours!r} in the record"
        for name, (theirs, ours) in pairs.items()
        if not _same(theirs, ours)
    ]
    wrong += [f"device {k} never ended" for k, end in ends(events).items() if end is None]
    times = [e.time for e in events]
    return wrong + (["events are not in the order of time"] if times != sorted(times) else [])


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, float) or isinstance(b, float):
        return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-9)
    return a == b
