"""What a drop-out panel sends to the page for one round: its four views, its figures, its words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fedcore.events import Event
from fedcore.lab import dropout_settings
from fedcore.lab.dropout_runs import DropoutRound, DropoutRun
from fedcore.lab.round_story import OUTCOMES, Story, outcome_text, stories
from fedcore.lab.round_views import device_log, map_view, mean_view, server_log
from fedcore.lab.style import NBSP, count, number, percent, size

TILES = ("All test digits", "Worst digit", "Worst client", "Simulated time", "Sent", "Energy")


def views(done: DropoutRound, run: DropoutRun, device: int) -> dict[str, Any]:
    """The four views of one round as plain data: {map, server, device, mean}."""
    n = len(run.n_examples)
    told = run.fleet.sentences(done.events, device)
    return {
        "map": map_view(done.events, n),
        "server": server_log(done.events, n, done.record.accuracy),
        "device": device_log(done.events, device, told),
        "mean": mean_view(done.events, run.n_examples, done.sample),
    }


def frame(run: DropoutRun, index: int) -> dict[str, Any]:
    """Everything about round ``index`` (from 0) that the page shows, ready for JSON."""
    done, n = run.rounds[index], len(run.n_examples)
    told = stories(done.events, n)
    server = server_log(done.events, n, done.record.accuracy)
    own = _by_device(done.events, n)
    logs = [device_log(own[k], k, run.fleet.sentences(own[k], k)) for k in range(n)]
    on_map = map_view(done.events, n)
    shown = {
        "round": done.record.round,
        "map": {**on_map, "devices": [_slim(device) for device in on_map["devices"]]},
        "server": {"lines": server["lines"], "text": _traffic(server)},
        "logs": [_log(log, story) for log, story in zip(logs, told, strict=True)],
        "mean": mean_view(done.events, run.n_examples, done.sample),
        "table": [_table_row(s) for s in told if s.asked_at is not None],
        "point": point(done),
        "tiles": tiles(run, index),
        "chart_text": chart_text(run, index),
    }
    if index == 0:  # the same in every round
        shown["about"] = [about(run, k) for k in range(n)]
    return rounded(shown)


def _by_device(events: Sequence[Event], n: int) -> list[list[Event]]:
    """For each device the round's beginning and its own events: a device log needs no others."""
    begin = next(event for event in events if event.kind == "round_begin")
    own = [[begin] for _ in range(n)]
    for event in events:
        if event.device is not None:
            own[event.device].append(event)
    return own


def about(run: DropoutRun, device: int) -> str:
    """What a device is, whatever the round: its kind, its speed, its data."""
    name, speed = run.fleet.kind[device], run.fleet.speed[device]
    examples = count(run.n_examples[device], "example")
    return f"a {name}, trains {speed:,.0f} examples a second, holds {examples}"


def point(done: DropoutRound) -> dict[str, float]:
    """The accuracies after a round: on all test examples, of the worst class and client."""
    return {
        "accuracy": done.record.accuracy,
        "worst_class": float(np.nanmin(done.class_accuracy)),
        "worst_client": float(done.client_accuracy.min()),
    }


def tiles(run: DropoutRun, index: int) -> list[dict[str, str]]:
    """Key figures after round ``index``, as [{name, value, note}]; costs since the run began."""
    done, spent = run.rounds[index], run.rounds[index].spent
    worst = int(np.nanargmin(done.class_accuracy))
    last = int(done.client_accuracy.argmin())
    hour = float(run.fleet.local_hour(spent.seconds)[0])  # all in one time zone
    values = (
        (percent(done.record.accuracy), f"round {done.record.round}"),
        (percent(done.class_accuracy[worst]), f"digit {worst}"),
        (percent(done.client_accuracy[last]), f"client {last}"),
        (clock(spent.seconds), f"it is {int(hour):02d}:{int(hour * 60) % 60:02d}"),
        (size(spent.bytes_down + spent.bytes_up), f"{size(spent.bytes_up)} up"),
        (energy(spent.joules), f"{energy(done.record.joules)} this round"),
    )
    return [
        {"name": name, "value": value, "note": note}
        for name, (value, note) in zip(TILES, values, strict=True)
    ]


def clock(seconds: float) -> str:
    """Simulated time in words: '34 s', '12 min', '7 h 20 min', '2.5 days'."""
    if seconds < 60:
        return f"{seconds:.0f}{NBSP}s"
    if seconds < 3600:
        return f"{seconds / 60:.0f}{NBSP}min"
    if seconds < 172_800:
        minutes = round(seconds / 60)
        return f"{minutes // 60}{NBSP}h{NBSP}{minutes % 60:02d}{NBSP}min"
    return f"{seconds / 86_400:.1f}{NBSP}days"


def energy(joules: float) -> str:
    """'512 J', '12.3 kJ'."""
    if joules < 1000:
        return f"{joules:.0f}{NBSP}J"
    return f"{joules / 1000:.3g}{NBSP}kJ"


def chart_text(run: DropoutRun, index: int) -> str:
    """The curves up to round ``index`` in words."""
    done, now = run.rounds[index], point(run.rounds[index])
    worst = int(np.nanargmin(done.class_accuracy))
    return (
        f"Accuracy against rounds. After {count(index + 1, 'round')}: {percent(now['accuracy'])} "
        f"of all test digits (at the start {percent(run.start['accuracy'])}), "
        f"{percent(now['worst_class'])} of the worst, digit {worst}, and "
        f"{percent(now['worst_client'])} for the worst client."
    )


def status(phase: str, run: DropoutRun) -> str:
    """One sentence that says how far the run is and what came of it."""
    done, wanted = len(run.rounds), run.settings.n_rounds
    if phase == "running":
        return f"Training round {done + 1} of {wanted} ..."
    last = run.rounds[-1]
    now = point(last)
    worst = int(np.nanargmin(last.class_accuracy))
    abandoned = sum(r.record.abandoned for r in run.rounds)
    gone = f", {abandoned} of them abandoned" if abandoned else ""
    begin = {"done": "Done", "stopped": "Stopped by you", "diverged": "Stopped: it diverged"}[phase]
    return (
        f"{begin}: {count(done, 'round')}{gone}, {clock(last.spent.seconds)} of simulated time. "
        f"{percent(now['accuracy'])} of all test digits, {percent(now['worst_class'])} of the "
        f"worst, digit {worst}."
    )


def ghost(before: DropoutRun, now: dropout_settings.DropoutSettings) -> dict[str, Any]:
    """The run before, as a line for comparison."""
    told = dropout_settings.differences(before.settings, now)
    values = [before.start["accuracy"], *(r.record.accuracy for r in before.rounds)]
    return {"name": f"previous run: {told}", "accuracy": rounded(values)}


def rounded(value: Any) -> Any:
    """The same, with floats of six figures: the page shows no more, and less crosses the wire."""
    if isinstance(value, float):
        return float(f"{value:.7g}")
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item) for item in value]
    return value


def _traffic(server: dict[str, Any]) -> str:
    return (
        f"Sent {size(server['bytes_down'])}, received {size(server['bytes_up'])}; "
        f"{count(len(server['participants']), 'report')} in the mean; "
        f"{server['seconds']:.1f}{NBSP}s."
    )


def _slim(device: dict[str, Any]) -> dict[str, Any]:
    """Without what is empty."""
    return {key: value for key, value in device.items() if value not in (None, "", [])}


def _log(log: dict[str, Any], story: Story) -> dict[str, Any]:
    lines = [[line["t"], line["text"]] for line in log["lines"]]
    return {"lines": lines} if story.asked_at is None else {"lines": lines, "text": log["text"]}


def _table_row(story: Story) -> Sequence[str]:
    battery = "on mains" if story.battery is None else f"{story.battery:.0f}{NBSP}%"
    outcome = OUTCOMES["used"] if story.outcome == "used" else outcome_text(story)
    return [
        str(story.device),
        outcome,
        size(story.bytes_down),
        size(story.bytes_up),
        f"{story.seconds:.1f}{NBSP}s",
        f"{story.joules:.1f}{NBSP}J",
        battery,
        number(story.weight) if story.weight else "0",
    ]
