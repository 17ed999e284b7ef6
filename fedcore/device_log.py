"""A device's log: its events told in sentences that a person reads."""

from __future__ import annotations

from collections.abc import Iterable

from fedcore._validate import as_int
from fedcore.devices import Fleet
from fedcore.events import Event

MB, KB = 1e6, 1e3
WAITING = {
    "charging": "power",
    "wifi": "Wi-Fi",
    "idle": "you to put it down",
    "battery": "a fuller battery",
    "offline": "a connection",
}
DEATHS = {
    "charging": "it was unplugged",
    "wifi": "it left the Wi-Fi",
    "idle": "somebody began to use it",
    "battery": "its battery ran empty",
    "offline": "it lost its connection",
    "crash": "the app was closed or the connection broke",
}
DOING = {"download": "downloading", "training": "training", "upload": "uploading"}


def sentences(fleet: Fleet, events: Iterable[Event], device: int) -> list[tuple[float, str]]:
    """[(simulated time, sentence)] for every event of ``device``, in their order.

    Waiting for the same thing round after round is said once, until something else happens.
    """
    device = as_int("device", device, minimum=0, maximum=len(fleet) - 1)
    told: list[tuple[float, str]] = []
    waiting = None
    for event in events:
        if event.device != device:
            continue
        if event.kind == "ineligible" and event.reason == waiting:
            continue
        waiting = event.reason if event.kind == "ineligible" else None
        told.append((event.time, sentence(event, fleet)))
    return told


def sentence(event: Event, fleet: Fleet) -> str:
    """One event of a device as a sentence; "" for a kind that has none."""
    tell = _TELL.get(event.kind)
    return tell(event, fleet) if tell else ""


def duration(seconds: float) -> str:
    """A length of time as a person says it: "0.3 s", "42 s", "3 min 5 s", "2 h 10 min"."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def size(n_bytes: int) -> str:
    """A number of bytes as a person says it: "31 kB", "1.4 MB"."""
    return f"{n_bytes / KB:.0f} kB" if n_bytes < MB else f"{n_bytes / MB:.1f} MB"


def _battery(event: Event) -> str:
    return "" if event.battery is None else f" Battery {event.battery:.0f} %."


def _ineligible(event: Event, fleet: Fleet) -> str:
    return f"Paused: waiting for {WAITING[event.reason]}."


def _selected(event: Event, fleet: Fleet) -> str:
    return f"Asked to take part in round {event.round}.{_battery(event)}"


def _downloaded(event: Event, fleet: Fleet) -> str:
    return f"Downloaded the model, {size(event.bytes_down)} in {duration(event.seconds)}."


def _trained(event: Event, fleet: Fleet) -> str:
    times = "once" if event.epochs == 1 else f"{event.epochs} times"
    return (
        f"Trained on its own data, {times} through it, in {duration(event.seconds)}, "
        f"{event.joules:.0f} J.{_battery(event)}"
    )


def _uploaded(event: Event, fleet: Fleet) -> str:
    return f"Sent its update, {size(event.bytes_up)} in {duration(event.seconds)}. No data left it."


def _died(event: Event, fleet: Fleet) -> str:
    spent = size(event.bytes_down + event.bytes_up)
    lost = f"{duration(event.seconds)} and {event.joules:.0f} J" + (
        f" and {spent}" if event.reason != "training" else ""
    )
    return f"Stopped while {DOING[event.reason]}: {DEATHS[event.cause]}. Lost: {lost}."


def _late(event: Event, fleet: Fleet) -> str:
    if event.reason == "enough":
        return "Told to stop: the server has enough reports. Its work is lost."
    return f"Too late: the window closed after {event.epochs} finished epochs. Its work is lost."


def _used(event: Event, fleet: Fleet) -> str:
    return f"Its update is in the mean, with weight {100 * event.weight:.1f} %."


def _unused(event: Event, fleet: Fleet) -> str:
    if event.reason == "abandoned":
        return "Its update was thrown away: too few reports arrived, the round was abandoned."
    if event.reason == "lost":
        return "Its update should have arrived, but the process behind the device did not send it."
    return "Its update arrived, but the server had enough already."


_TELL = {
    "ineligible": _ineligible,
    "selected": _selected,
    "downloaded": _downloaded,
    "trained": _trained,
    "uploaded": _uploaded,
    "died": _died,
    "late": _late,
    "used": _used,
    "unused": _unused,
}
