"""What a round was for each of its devices, gathered from the round's events."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from fedcore.events import ENDS, SERVER_KINDS, Event
from fedcore.fleet_round import LOG_ALL
from fedcore.lab.style import number

STEPS = {"downloaded": "download", "trained": "training", "uploaded": "upload"}
STAGES = ("download", "training", "upload")
WORK = ("selected", *STEPS, "died", "late")  # events of the device itself: they know its battery
MISSING = {  # why a device is not eligible
    "offline": "offline",
    "charging": "not charging",
    "wifi": "no Wi-Fi",
    "idle": "in use",
    "battery": "battery low",
}
LOST = {  # why a device died
    "charging": "it was unplugged",
    "wifi": "it lost Wi-Fi",
    "idle": "its owner began to use it",
    "battery": "its battery ran low",
    "offline": "it went offline",
    "crash": "it crashed",
}
CUT = {"enough": "enough reports were in", "window": "the deadline had come"}
OUTCOMES = {
    "used": "its report is in the mean",
    "unused": "its report was not needed",
    "late": "cut",
    "died": "died",
    "asked": "under way",
    "eligible": "could have been asked, was not",
    "ineligible": "not eligible",
}


@dataclass
class Story:
    """What a round was for one device."""

    device: int
    outcome: str = "eligible"  # one of OUTCOMES
    reason: str = ""  # the condition missing, the stage of death, why it was cut or not needed
    cause: str = ""
    stage: str = ""  # where it was when it died or was cut; "" once its report had arrived
    steps: list[tuple[str, float, float]] = field(default_factory=list)  # (stage, begin, end)
    asked_at: float | None = None
    ended_at: float | None = None
    seconds: float = 0.0
    bytes_down: int = 0
    bytes_up: int = 0
    joules: float = 0.0
    battery: float | None = None
    epochs: int = 0
    weight: float = 0.0

    @property
    def arrived_at(self) -> float | None:
        """When its report was with the server; None if it never was."""
        whole = len(self.steps) == len(STAGES) and not self.stage
        return self.steps[-1][2] if whole else None

    def take(self, event: Event, t: float) -> None:
        """Take in the device's next event, ``t`` seconds after the round began."""
        self.bytes_down += event.bytes_down
        self.bytes_up += event.bytes_up
        self.joules += event.joules
        self.seconds += event.seconds
        if event.kind in WORK:
            self.battery = event.battery
        self.epochs = max(self.epochs, event.epochs)
        if event.kind in STEPS:
            self._step(STEPS[event.kind], t - event.seconds, t)
        elif event.kind == "selected":
            self.outcome, self.asked_at = "asked", t
        elif event.kind == "ineligible":
            self.outcome, self.reason = "ineligible", event.reason
        elif event.kind in ENDS:
            self._end(event, t)

    def _step(self, stage: str, begin: float, end: float) -> None:
        self.steps.append((stage, begin, end))

    def _end(self, event: Event, t: float) -> None:
        self.outcome, self.reason, self.cause = event.kind, event.reason, event.cause
        self.ended_at, self.weight = t, event.weight
        done = [stage for stage, _, _ in self.steps]
        if event.kind in ("died", "late") and len(done) < len(STAGES):
            self.stage = event.reason if event.reason in STAGES else STAGES[len(done)]
            self._step(self.stage, t - event.seconds, t)


def stories(events: Iterable[Event], n_devices: int) -> list[Story]:
    """The Story of every device in a round, by id; those without an event could have been asked.

    ValueError if the events only count the devices that were not eligible, as those of fleets with
    more than ``fedcore.fleet_round.LOG_ALL`` devices do, or are those of another fleet.
    """
    events = tuple(events)
    eligible = next(event.eligible for event in events if event.kind == "round_begin")
    out = sum(event.kind == "ineligible" for event in events)
    if eligible + out != n_devices:
        raise ValueError(
            f"events must name each of the {n_devices - eligible} devices that were not eligible, "
            f"got {out}: fleets of more than {LOG_ALL} devices only count them"
        )
    begin, found = began(events), [Story(k) for k in range(n_devices)]
    for event in events:
        if event.device is not None:
            found[event.device].take(event, event.time - begin)
    return found


def began(events: Sequence[Event]) -> float:
    """The time at which the round of ``events`` began."""
    return next(event.time for event in events if event.kind == "round_begin")


def duration(events: Sequence[Event]) -> float:
    """Simulated seconds from the round's begin to the server's last word."""
    return max(e.time for e in events if e.kind in SERVER_KINDS) - began(events)


def outcome_text(story: Story) -> str:
    """How the round ended for a device, in a few words."""
    if story.outcome == "ineligible":
        return f"not eligible: {MISSING.get(story.reason, story.reason)}"
    if story.outcome == "died":
        why = f", {LOST[story.cause]}" if story.cause in LOST else ""
        return f"died in the {story.stage or story.reason}{why}"
    if story.outcome == "late":
        where = f" in the {story.stage}" if story.stage else ""
        return f"cut{where}: {CUT[story.reason]}"
    if story.outcome == "unused":
        why = "the round was abandoned" if story.reason == "abandoned" else "enough were in"
        return f"reported in vain: {why}"
    if story.outcome == "used":
        return f"its report has weight {number(story.weight)} in the mean"
    return OUTCOMES[story.outcome]
