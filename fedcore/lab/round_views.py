"""Four views of one round, as plain data made of its events alone.

``map_view`` is the network map, ``server_log`` what the server noted, ``device_log`` what one
device went through, ``mean_view`` the arithmetic of the weighted mean. Times are simulated seconds
since the round began. Each view adds up its own totals: tests hold them against each other.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fedcore.events import Event
from fedcore.lab.round_story import (
    CUT,
    MISSING,
    STAGES,
    Story,
    began,
    duration,
    outcome_text,
    stories,
)
from fedcore.lab.style import NBSP, count, number, percent, size

# ------------------------------------------------------------------------------- 1: the map


def map_view(events: Sequence[Event], n_devices: int) -> dict[str, Any]:
    """{seconds, devices, counts, reasons, bytes_down, bytes_up, joules, participants, text}.

    devices: one dict for each, with its outcome, its steps as [stage, begin, end], and a line about
    it. counts: devices by outcome; reasons: those not eligible by the condition that was missing.
    """
    told = stories(events, n_devices)
    full = max([s.bytes_down for s in told] + [1])
    counts = Counter(story.outcome for story in told)
    reasons = Counter(s.reason for s in told if s.outcome == "ineligible")
    return {
        "seconds": duration(events),
        "devices": [_on_map(story, full) for story in told],
        "counts": dict(counts),
        "reasons": dict(reasons),
        "bytes_down": sum(s.bytes_down for s in told),
        "bytes_up": sum(s.bytes_up for s in told),
        "joules": math.fsum(s.joules for s in told),
        "participants": [s.device for s in told if s.outcome == "used"],
        "text": _round_text(counts, reasons, n_devices, told),
    }


def _on_map(story: Story, full: int) -> dict[str, Any]:
    moved = {"download": story.bytes_down, "upload": story.bytes_up}.get(story.stage)
    return {
        "id": story.device,
        "outcome": story.outcome,
        "reason": story.reason,
        "stage": story.stage,
        "steps": [list(step) for step in story.steps],
        "end": story.ended_at,
        "reach": None if moved is None else min(1.0, moved / full),
        "line": f"Device {story.device}: {outcome_text(story)}",
    }


def _round_text(counts: Counter, reasons: Counter, n: int, told: list[Story]) -> str:
    asked = n - counts["eligible"] - counts["ineligible"]
    out = counts["ineligible"]
    text = f"{out} of {count(n, 'device')} not eligible"
    if out:
        each = ", ".join(f"{k} {MISSING.get(name, name)}" for name, k in reasons.most_common())
        text += f" ({each})"
    text += f". Asked {asked}: {counts['used']} in the mean"
    if counts["unused"]:
        text += f", {counts['unused']} in vain"
    cut = Counter(s.reason for s in told if s.outcome == "late")
    text += "".join(f", {cut[why]} cut since {words}" for why, words in CUT.items() if cut[why])
    died = Counter(s.stage for s in told if s.outcome == "died")
    text += "".join(f", {died[stage]} died in the {stage}" for stage in STAGES if died[stage])
    return text + "."


# ------------------------------------------------------------------------ 2: the server's log


def server_log(
    events: Sequence[Event], n_devices: int, accuracy: float | None = None
) -> dict[str, Any]:
    """{lines: [{t, device, kind, text}], bytes_down, bytes_up, seconds, participants, weights}.

    What the server sees: it sends, waits, receives. Of a device that died it only learns that the
    connection is gone. accuracy: of the new model on the test set, told with ``evaluated``.
    """
    begin, lines, received = began(events), [], 0
    target = next(e.target for e in events if e.kind == "round_begin")
    weights = {e.device: e.weight for e in events if e.kind == "used"}
    for event in events:
        received += event.kind == "uploaded"
        text = _server_line(event, n_devices, received, target, weights, accuracy)
        if text:
            lines.append(
                {
                    "t": event.time - begin,
                    "device": event.device,
                    "kind": event.kind,
                    "text": text,
                }
            )
    return {
        "lines": lines,
        "bytes_down": sum(e.bytes_down for e in events),
        "bytes_up": sum(e.bytes_up for e in events),
        "seconds": lines[-1]["t"],
        "participants": sorted(weights),
        "weights": [weights[k] for k in sorted(weights)],
    }


def _server_line(event, n_devices, received, target, weights, accuracy) -> str:
    who = f"Device {event.device}"
    if event.kind == "round_begin":
        asked = f"asked {event.asked} for {count(event.target, 'report')}"
        if event.asked == 0:
            asked = f"nobody to ask; {count(event.target, 'report')} wanted"
        return f"{event.eligible} of {count(n_devices, 'device')} eligible: {asked}."
    if event.kind == "uploaded":
        return f"{who}: report {received} of {target} is in, {size(event.bytes_up)}."
    if event.kind == "died":
        return f"{who}: connection lost."
    if event.kind == "late":
        return f"{who}: cut, {CUT[event.reason]}."
    if event.kind == "unused":
        why = "the round is abandoned" if event.reason == "abandoned" else "enough were in"
        return f"{who}: report thrown away, {why}."
    if event.kind == "used":
        return f"{who}: enters the mean with weight {number(event.weight)}."
    if event.kind == "round_abandoned":
        return f"Round abandoned after {count(received, 'report')}: the model stays as it was."
    if event.kind == "aggregated":
        return _mean_line(weights)
    if event.kind == "evaluated" and accuracy is not None:
        return f"Test accuracy of the model: {percent(accuracy)}."
    return ""


def _mean_line(weights: Mapping[int, float]) -> str:
    low, high = min(weights.values()), max(weights.values())
    return (
        f"Mean of {count(len(weights), 'report')}, weights {number(low)} to {number(high)}, sum "
        f"{math.fsum(weights.values()):.6g}. New model."
    )


# ------------------------------------------------------------------------ 3: a device's log


def device_log(
    events: Sequence[Event], device: int, sentences: Iterable[tuple[float, str]]
) -> dict[str, Any]:
    """{id, lines: [{t, text}], outcome, bytes_down, bytes_up, seconds, joules, battery, weight}.

    sentences: (time, text) as the fleet tells them for this device and these events. seconds: how
    long the device was at work; battery: per cent when it
    ended, None on mains and for a device that nobody asked.
    """
    begin, story = began(events), Story(device)
    mine = [event for event in events if event.device == device]
    for event in mine:
        story.take(event, event.time - begin)
    lines = [{"t": t - begin, "text": text} for t, text in sentences]
    if not lines:
        lines = [{"t": 0.0, "text": "Ready to take part, but not asked."}]
    return {
        "id": device,
        "lines": lines,
        "outcome": story.outcome,
        "bytes_down": sum(e.bytes_down for e in mine),
        "bytes_up": sum(e.bytes_up for e in mine),
        "seconds": math.fsum(e.seconds for e in mine),
        "joules": math.fsum(e.joules for e in mine),
        "battery": story.battery,
        "weight": math.fsum(e.weight for e in mine if e.kind == "used"),
        "text": _spent(story),
    }


def _spent(story: Story) -> str:
    if story.asked_at is None:
        return "This round cost it nothing."
    text = (
        f"Spent {story.seconds:.1f}{NBSP}s, {size(story.bytes_down)} down, "
        f"{size(story.bytes_up)} up, {story.joules:.1f}{NBSP}J"
    )
    if story.battery is not None:
        text += f"; battery {story.battery:.0f}{NBSP}%"
    return text + "."


# --------------------------------------------------------------- 4: arithmetic of the mean


@dataclass(frozen=True)
class Sample:
    """A few of the model's parameters in one round, as the server had and received them."""

    names: tuple[str, ...]
    before: tuple[float, ...]  # in the model that was sent out
    updates: Mapping[int, tuple[float, ...]]  # {device: its values}, for each report in the mean
    after: tuple[float, ...]  # in the model that came of the round


def mean_view(events: Sequence[Event], n_examples: Sequence[int], sample: Sample) -> dict[str, Any]:
    """{names, before, rows, sums, after, n_asked, n_used, weights_before, weights_after}.

    n_examples: of every device. rows: one for each device that was asked, with the times of its
    report and of its end, its examples, its weight among all asked ("before": as if nobody had
    dropped out), its weight in the mean ("after"), its values of the parameters and each value
    times its weight; None where no report was used. sums: of these products, summed in float64;
    ``after`` is what the model really holds.
    """
    told = [s for s in stories(events, len(n_examples)) if s.asked_at is not None]
    total = sum(n_examples[s.device] for s in told)
    rows = [_row(s, n_examples[s.device], total, sample.updates.get(s.device)) for s in told]
    used = [row for row in rows if row["values"] is not None]
    sums = [math.fsum(row["parts"][i] for row in used) for i in range(len(sample.names))]
    return {
        "names": list(sample.names),
        "before": list(sample.before),
        "rows": rows,
        "sums": sums if used else None,
        "after": list(sample.after),
        "n_asked": total,
        "n_used": sum(row["n"] for row in used),
        "participants": [row["id"] for row in used],
        "weights": [row["after"] for row in used],
        "text": _mean_text(rows, used),
    }


def _row(story: Story, n: int, total: int, values: Sequence[float] | None) -> dict[str, Any]:
    return {
        "id": story.device,
        "outcome": story.outcome,
        "arrived": story.arrived_at,
        "end": story.ended_at,
        "n": n,
        "before": n / total,
        "after": story.weight,
        "values": None if values is None else list(values),
        "parts": None if values is None else [story.weight * v for v in values],
    }


def _mean_text(rows: list[dict], used: list[dict]) -> str:
    if not rows:
        return "Nobody was asked: there is nothing to average."
    if not used:
        return "No report was used: there is nothing to average, and the model stays."
    missing = len(rows) - len(used)
    kept = math.fsum(row["before"] for row in used)
    if not all(math.isclose(row["after"], row["before"] / kept, rel_tol=1e-9) for row in used):
        return (
            "Each weight is the number of examples over the estimated chance that the device's "
            "report is used, divided by the sum of these: rare guests count more."
        )
    if not missing:
        return "Everybody asked is in the mean: the weights stay as they are."
    return (
        f"{count(missing, 'device')} with {percent(1 - kept)} of the examples "
        f"{'is' if missing == 1 else 'are'} missing: the weights of the others are divided by "
        f"{number(kept)}, so that they sum to 1 again."
    )
