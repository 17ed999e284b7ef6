"""Four views of one round: made of its events alone, and in agreement about everything."""

import json
import math
import shutil
import subprocess

import numpy as np
import pytest
from lab_data import toy

import fedcore as fc
from fedcore.events import Event
from fedcore.lab import dropout_frames, style
from fedcore.lab.dropout_runs import DropoutWorld, follow
from fedcore.lab.dropout_settings import DropoutSettings
from fedcore.lab.round_story import OUTCOMES, stories
from fedcore.lab.round_views import Sample, device_log, map_view, mean_view, server_log

# One round told by hand: six devices, model of 1000 bytes. 0 and 1 report, 2 dies in the upload,
# 3 is cut while training, 4 is not on Wi-Fi, 5 could have been asked.
T = 500.0
EVENTS = (
    Event(T, 3, "round_begin", asked=4, target=3, eligible=5),
    Event(T, 3, "ineligible", 4, reason="wifi"),
    *[Event(T, 3, "selected", k, battery=50.0) for k in (0, 1, 2, 3)],
    *[
        Event(T + 1, 3, "downloaded", k, seconds=1.0, bytes_down=1000, joules=0.5, battery=50.0)
        for k in (0, 1, 2, 3)
    ],
    Event(T + 5, 3, "trained", 0, seconds=4.0, joules=16.0, battery=48.0, epochs=2),
    Event(T + 7, 3, "uploaded", 0, seconds=2.0, bytes_up=1000, joules=2.0, battery=47.0, epochs=2),
    Event(T + 8, 3, "trained", 2, seconds=7.0, joules=28.0, battery=46.0, epochs=2),
    Event(
        T + 9,
        3,
        "died",
        2,
        seconds=1.0,
        bytes_up=250,
        joules=1.0,
        battery=46.0,
        reason="upload",
        cause="wifi",
        epochs=2,
    ),
    Event(T + 10, 3, "trained", 1, seconds=9.0, joules=36.0, battery=45.0, epochs=2),
    Event(T + 12, 3, "uploaded", 1, seconds=2.0, bytes_up=1000, joules=2.0, battery=44.0),
    Event(T + 20, 3, "late", 3, seconds=19.0, joules=76.0, battery=40.0, reason="window"),
    Event(T + 20, 3, "used", 0, weight=0.25),
    Event(T + 20, 3, "used", 1, weight=0.75),
    Event(T + 20, 3, "aggregated", weight=1.0),
    Event(T + 20, 3, "evaluated"),
)
N_EXAMPLES = (10, 30, 40, 20, 99, 99)
SAMPLE = Sample(("a", "b"), (1.0, 0.0), {0: (2.0, -1.0), 1: (4.0, 1.0)}, (3.5, 0.5))


def spaced(text):
    return text.replace("\N{NO-BREAK SPACE}", " ")


# ------------------------------------------------------------------------- the round by hand


def test_every_device_has_its_story():
    told = stories(EVENTS, 6)
    outcomes = ["used", "used", "died", "late", "ineligible", "eligible"]
    assert [s.outcome for s in told] == outcomes
    assert [s.stage for s in told] == ["", "", "upload", "training", "", ""]
    assert told[2].steps == [("download", 0.0, 1.0), ("training", 1.0, 8.0), ("upload", 8.0, 9.0)]
    assert (told[2].ended_at, told[2].cause, told[2].joules) == (9.0, "wifi", 29.5)
    assert told[3].steps[-1] == ("training", 1.0, 20.0)
    assert (told[0].weight, told[0].battery, told[0].epochs) == (0.25, 47.0, 2)


def test_the_map_tells_who_was_asked_and_what_became_of_them():
    view = map_view(EVENTS, 6)
    assert view["seconds"] == 20.0
    assert view["participants"] == [0, 1]
    assert (view["bytes_down"], view["bytes_up"]) == (4000, 2250)
    assert view["devices"][2]["reach"] == 0.25  # a quarter of the model was sent
    assert spaced(view["devices"][2]["line"]) == "Device 2: died in the upload, it lost Wi-Fi"
    assert view["devices"][3]["line"] == "Device 3: cut in the training: the deadline had come"
    assert view["devices"][4]["line"] == "Device 4: not eligible: no Wi-Fi"
    assert spaced(view["text"]) == (
        "1 of 6 devices not eligible (1 no Wi-Fi). Asked 4: 2 in the mean, 1 cut since the "
        "deadline had come, 1 died in the upload."
    )


def test_the_server_does_not_know_why_a_device_died():
    view = server_log(EVENTS, 6, accuracy=0.5)
    lines = [(line["t"], spaced(line["text"])) for line in view["lines"]]
    assert lines == [
        (0.0, "5 of 6 devices eligible: asked 4 for 3 reports."),
        (7.0, "Device 0: report 1 of 3 is in, 1.00 kB."),
        (9.0, "Device 2: connection lost."),
        (12.0, "Device 1: report 2 of 3 is in, 1.00 kB."),
        (20.0, "Device 3: cut, the deadline had come."),
        (20.0, "Device 0: enters the mean with weight 0.25."),
        (20.0, "Device 1: enters the mean with weight 0.75."),
        (20.0, "Mean of 2 reports, weights 0.25 to 0.75, sum 1. New model."),
        (20.0, "Test accuracy of the model: 50.0 %."),
    ]


def test_a_device_log_holds_the_sentences_and_what_it_cost():
    view = device_log(EVENTS, 2, [(T, "Asked."), (T + 9, "Stopped.")])
    assert view["lines"] == [{"t": 0.0, "text": "Asked."}, {"t": 9.0, "text": "Stopped."}]
    assert (view["bytes_down"], view["bytes_up"], view["seconds"]) == (1000, 250, 9.0)
    expected = "Spent 9.0 s, 1.00 kB down, 250 B up, 29.5 J; battery 46 %."
    assert spaced(view["text"]) == expected
    idle = device_log(EVENTS, 5, [])
    assert "not asked" in idle["lines"][0]["text"]
    assert idle["text"] == "This round cost it nothing."


def test_weights_are_shown_before_and_after_the_drop():
    view = mean_view(EVENTS, N_EXAMPLES, SAMPLE)
    rows = {row["id"]: row for row in view["rows"]}
    assert list(rows) == [0, 1, 2, 3]
    assert [rows[k]["before"] for k in range(4)] == [0.1, 0.3, 0.4, 0.2]
    assert [rows[k]["after"] for k in range(4)] == [0.25, 0.75, 0.0, 0.0]
    assert rows[2]["values"] is rows[2]["parts"] is None
    assert rows[1]["parts"] == [3.0, 0.75]
    assert [rows[k]["arrived"] for k in range(4)] == [7.0, 12.0, None, None]
    assert [rows[k]["end"] for k in range(4)] == [20.0, 20.0, 9.0, 20.0]
    assert view["sums"] == list(SAMPLE.after)
    assert spaced(view["text"]) == (
        "2 devices with 60.0 % of the examples are missing: the weights of the others are divided "
        "by 0.4, so that they sum to 1 again."
    )


def test_other_weights_are_not_passed_off_as_renormalised_ones():
    changed = [
        e if e.kind != "used" else Event(e.time, 3, "used", e.device, weight=0.5) for e in EVENTS
    ]
    text = mean_view(changed, N_EXAMPLES, SAMPLE)["text"]
    assert "estimated chance" in text


def test_events_that_leave_devices_out_are_refused():
    with pytest.raises(ValueError, match=r"must name each of the 2 devices .* got 1"):
        stories(EVENTS, 7)


def test_a_battery_is_known_only_while_the_device_works():
    assert device_log(EVENTS, 0, [])["battery"] == 47.0
    assert device_log(EVENTS, 4, [])["battery"] is None


def test_a_round_without_anybody_is_told():
    events = (
        Event(T, 1, "round_begin", asked=0, target=3, eligible=0),
        Event(T, 1, "ineligible", 0, reason="offline"),
        Event(T + 60, 1, "round_abandoned", reason="nobody"),
        Event(T + 60, 1, "evaluated"),
    )
    empty = Sample(("a",), (1.0,), {}, (1.0,))
    assert (
        map_view(events, 1)["text"]
        == "1 of 1 device not eligible (1 offline). Asked 0: 0 in the mean."
    )
    lines = [line["text"] for line in server_log(events, 1)["lines"]]
    assert lines[0] == "0 of 1 device eligible: nobody to ask; 3 reports wanted."
    assert lines[1] == "Round abandoned after 0 reports: the model stays as it was."
    view = mean_view(events, [5], empty)
    assert (view["rows"], view["sums"]) == ([], None)
    assert "Nobody was asked" in view["text"]


# ------------------------------------------------------------------------------- real rounds


SETTINGS = {
    "default": {},
    "tight": {"window": 3.0, "speed_spread": 1.5, "over_selection": 3.0},
    "deadly": {"dropout": 0.7, "payload": 100_000_000, "window": math.inf},
    "all die": {"dropout": 1.0},
    "partial": {"stragglers": "partial", "window": 4.0, "epochs": 9},
    "importance": {"weighting": "importance", "over_selection": 1.0},
    "charging": {"power": "charging", "charging": 0.4},
    "nobody": {"wifi": 0.0, "charging": 0.0, "battery": 0.05},
}


def toy_run(**changes):
    train, test = toy(4000)
    settings = DropoutSettings(**{"n_devices": 40, "n_rounds": 8, "target": 6, **changes})
    *_, (phase, run) = follow(DropoutWorld(train, test), settings, lambda: False)
    assert phase == "done"
    return run


@pytest.fixture(scope="module", params=list(SETTINGS))
def run(request):
    return toy_run(**SETTINGS[request.param])


def test_the_settings_bring_about_every_outcome():
    """Otherwise the tests below would show less than they seem to."""
    seen, abandoned = set(), 0
    for changes in SETTINGS.values():
        run = toy_run(**changes)
        abandoned += sum(done.record.abandoned for done in run.rounds)
        for done in run.rounds:
            seen |= {(s.outcome, s.stage) for s in stories(done.events, 40)}
    assert abandoned > 0
    assert {outcome for outcome, _ in seen} >= set(OUTCOMES) - {"asked", "unused"}
    assert {stage for outcome, stage in seen if outcome == "died"} == {
        "download",
        "training",
        "upload",
    }


def test_the_views_agree_about_bytes(run):
    for done in run.rounds:
        views = [dropout_frames.views(done, run, k) for k in range(40)]
        for way in ("bytes_down", "bytes_up"):
            wire = getattr(done.record, way)
            assert views[0]["map"][way] == wire
            assert views[0]["server"][way] == wire
            assert sum(view["device"][way] for view in views) == wire


def test_the_views_agree_about_participants_and_weights(run):
    for done in run.rounds:
        views = [dropout_frames.views(done, run, k) for k in range(40)]
        clients, weights = list(done.record.clients), list(done.record.weights)
        assert views[0]["map"]["participants"] == clients
        assert views[0]["server"]["participants"] == clients
        assert views[0]["mean"]["participants"] == clients
        assert [k for k in range(40) if views[k]["device"]["outcome"] == "used"] == clients
        assert views[0]["server"]["weights"] == pytest.approx(weights, rel=1e-12)
        assert views[0]["mean"]["weights"] == pytest.approx(weights, rel=1e-12)
        assert [views[k]["device"]["weight"] for k in clients] == pytest.approx(weights, rel=1e-12)
        assert math.fsum(weights) == pytest.approx(1 if clients else 0)


def test_the_views_agree_about_seconds_and_joules(run):
    for done in run.rounds:
        views = [dropout_frames.views(done, run, k) for k in range(40)]
        assert views[0]["map"]["seconds"] == pytest.approx(done.record.sim_seconds, abs=1e-9)
        assert views[0]["server"]["seconds"] == pytest.approx(done.record.sim_seconds, abs=1e-9)
        ends = [device["end"] or 0 for device in views[0]["map"]["devices"]]
        assert max(ends) <= views[0]["server"]["seconds"] + 1e-9
        told = [line["t"] for view in views for line in view["device"]["lines"]]
        assert min(told) >= -1e-9
        assert max(told) <= done.record.sim_seconds + 1e-9
        joules = math.fsum(view["device"]["joules"] for view in views)
        assert joules == pytest.approx(done.record.joules)
        assert views[0]["map"]["joules"] == pytest.approx(done.record.joules)


def test_the_steps_of_a_device_follow_one_another(run):
    for done in run.rounds:
        for device in map_view(done.events, 40)["devices"]:
            times = [t for _, begin, end in device["steps"] for t in (begin, end)]
            assert times == pytest.approx(sorted(times))
            stages = [stage for stage, _, _ in device["steps"]]
            assert stages == ["download", "training", "upload"][: len(stages)]


@pytest.mark.skipif(shutil.which("node") is None, reason="the page's script needs node to run")
def test_the_map_and_the_server_agree_at_every_moment(run):
    """The page's own function, run outside a browser: reports in by t, dead by t, as logged."""
    views = [dropout_frames.views(done, run, 0) for done in run.rounds]
    moments = [sorted({line["t"] for line in view["server"]["lines"]}) for view in views]
    frames = [dropout_frames.frame(run, i)["map"]["devices"] for i in range(len(views))]
    script = (style.STATIC / "round_map.js").read_text(encoding="utf-8") + (
        f"\nconst frames = {json.dumps(frames)}, moments = {json.dumps(moments)};"
        "const at = (i, t) => frames[i].map((device) => stateAt(device, t).state);"
        "console.log(JSON.stringify(moments.map((ts, i) => ts.map((t) => at(i, t + 1e-4)))));"
    )
    done = subprocess.run(["node", "-"], input=script, capture_output=True, text=True, check=True)
    for view, ts, states in zip(views, moments, json.loads(done.stdout), strict=True):
        for t, now in zip(ts, states, strict=True):
            past = [line["kind"] for line in view["server"]["lines"] if line["t"] <= t + 1e-4]
            assert sum(s == "died" for s in now) == past.count("died")
            arrived = sum(s in ("arrived", "used", "unused") for s in now)
            assert arrived == past.count("uploaded")
            assert sum(s == "used" for s in now) == past.count("used")
            if "aggregated" in past or "round_abandoned" in past:
                assert not set(now) & {"asked", "download", "training", "upload", "arrived"}


def test_the_arithmetic_arrives_at_the_model(run):
    """Sum of weight times value, against the parameters that the federation handed out."""
    where = list(fc.lab.dropout_runs.sample_where(fc.models.Softmax(12, 4)).values())
    before = np.zeros(len(where))
    for done in run.rounds:
        view = mean_view(done.events, run.n_examples, done.sample)
        assert view["before"] == pytest.approx(before, abs=0)
        assert view["after"] == pytest.approx(done.params[where], abs=0)
        if view["sums"] is None:
            assert view["after"] == view["before"]
        else:
            assert view["sums"] == pytest.approx(view["after"], rel=1e-5, abs=1e-7)
        before = done.params[where]


def test_every_device_asked_is_in_the_table_once(run):
    for index, done in enumerate(run.rounds):
        frame = dropout_frames.frame(run, index)
        assert len(frame["table"]) == done.record.n_selected
        assert [row["id"] for row in frame["mean"]["rows"]] == [int(r[0]) for r in frame["table"]]
        assert len(frame["logs"]) == 40


def test_costs_add_up_over_the_run(run):
    last = run.rounds[-1].spent
    records = [done.record for done in run.rounds]
    assert last.bytes_up == sum(record.bytes_up for record in records)
    assert last.bytes_down == sum(record.bytes_down for record in records)
    assert last.joules == pytest.approx(math.fsum(record.joules for record in records))
    active = math.fsum(record.sim_seconds for record in records)
    assert last.seconds == pytest.approx(active + 1200.0 * (len(records) - 1))


def test_accuracies_are_those_of_the_model(run):
    _, test = toy(4000)
    model = fc.models.Softmax(12, 4)
    done = run.rounds[-1]
    predicted = model.predict(done.params, test.x)
    by_class = [(predicted[test.y == c] == c).mean() for c in range(4)]
    assert done.class_accuracy == pytest.approx(by_class)
    assert done.record.accuracy == pytest.approx((predicted == test.y).mean())
    now = dropout_frames.point(done)
    assert now["worst_class"] == pytest.approx(min(by_class))
    assert now["worst_class"] <= now["worst_client"] <= max(by_class)
