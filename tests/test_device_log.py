"""The device's log: every event has its sentence, and the story is the events'."""

import itertools

import numpy as np
import pytest

from fedcore.device_log import duration, sentence, size
from fedcore.devices import Fleet, Memory
from fedcore.events import CAUSES, CONDITIONS, DEVICE_KINDS, STAGES, Event
from fedcore.fleet_round import simulate_round
from fedcore.round_plan import RoundPlan

FLEET = Fleet.simple(np.ones(3))


def tell(kind, **more):
    return sentence(Event(0.0, 1, kind, 0, **more), FLEET)


def test_every_event_of_a_device_has_a_sentence():
    reasons = {
        "ineligible": CONDITIONS,
        "died": STAGES,
        "late": ("window", "enough"),
        "unused": ("abandoned", "enough"),
    }
    seen = set()
    for kind in DEVICE_KINDS:
        for reason in reasons.get(kind, ("",)):
            for cause in CAUSES if kind == "died" else ("",):
                text = tell(kind, reason=reason, cause=cause)
                assert text.endswith("."), (kind, reason)
                assert text[0].isupper()
                seen.add(text)
    assert len(seen) == 5 + 5 + 18 + 2 + 2
    assert sentence(Event(0.0, 1, "aggregated"), FLEET) == ""


def test_the_words_are_a_person_s():
    assert tell("ineligible", reason="wifi") == "Paused: waiting for Wi-Fi."
    assert tell("ineligible", reason="charging") == "Paused: waiting for power."
    assert tell("used", weight=0.125) == "Its update is in the mean, with weight 12.5 %."
    trained = tell("trained", epochs=1, seconds=65, joules=260.4, battery=81.6)
    assert trained == "Trained on its own data, once through it, in 1 min 5 s, 260 J. Battery 82 %."
    died = tell("died", reason="upload", cause="wifi", seconds=2, joules=2, bytes_up=700_000)
    assert died == ("Stopped while uploading: it left the Wi-Fi. Lost: 2.0 s and 2 J and 700 kB.")


def test_a_log_is_in_order_and_says_waiting_once():
    fleet = Fleet.mixed(30, seed=1, start_hour=12)
    memory, events = Memory.fresh(30), []
    for t in range(1, 25):
        out = simulate_round(
            fleet,
            RoundPlan(target=5, pause=3600),
            np.full(30, 50),
            2,
            10**6,
            round=t,
            seed=0,
            memory=memory,
        )
        memory = out.memory
        events += out.events
    for device in range(30):
        log = fleet.sentences(events, device)
        assert [t for t, _ in log] == sorted(t for t, _ in log)
        texts = [text for _, text in log]
        assert all(a != b or "Paused" not in a for a, b in itertools.pairwise(texts))
        asked = sum(e.kind == "selected" and e.device == device for e in events)
        assert sum(text.startswith("Asked") for text in texts) == asked
    with pytest.raises(ValueError, match="device must be at most 29"):
        fleet.sentences(events, 30)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (9.96, "10 s"),
        (59.6, "1 min 0 s"),
        (185, "3 min 5 s"),
        (7800, "2 h 10 min"),
    ],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_sizes():
    assert [size(31_400), size(1_400_000)] == ["31 kB", "1.4 MB"]
