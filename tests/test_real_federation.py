"""Lesson 7's federation: its record, its panels, and that its processes always end."""

import contextlib
import json
import re
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import psutil
import pytest

import fedcore as fc
from fedcore import flower_saved, lab, scale, wiretap
from fedcore.flower_saved import SavedFederation
from fedcore.lab import processes, scale_panel
from fedcore.wiretap import Stream


@pytest.fixture
def without_flower(monkeypatch):
    monkeypatch.setitem(sys.modules, "flwr", None)  # the import then fails, as if it were missing


@pytest.fixture(scope="module")
def saved():
    return SavedFederation.load()


@pytest.fixture(scope="module")
def simulated(mnist):
    """run_federation's three rounds, and the data: the oracle of the record."""
    train, test = mnist
    parts = fc.partition.iid(train.y, 3, seed=0)
    local = fc.LocalSGD(epochs=1, batch_size=10, lr=0.05)
    model = fc.models.Softmax(784, 10)
    settings = {"fraction": 1.0, "local": local, "progress": False}
    return fc.run_federation(model, train, parts, test, n_rounds=2, **settings)


# --------------------------------------------------------------------------------- the record


def test_the_record_holds_what_the_simulation_gives(simulated):
    saved = SavedFederation.load()
    history = saved.run(n_rounds=2)
    np.testing.assert_allclose(history.params, simulated.params, atol=1e-5)
    assert [r.clients for r in history.rounds] == [(0, 1, 2)] * 2
    assert not any("round 3" in line.text for line in saved.lines)
    last = saved.run(n_rounds=3, kill=2).rounds[-1]
    assert (last.clients, last.weights, last.n_selected) == ((0, 1), (0.5, 0.5), 3)
    assert saved.killed == {2}
    assert any("SIGKILL" in line.text for line in saved.lines)
    assert len(saved.processes()) >= 4


def test_the_recorded_wire_holds_the_updates_and_under_tls_does_not(saved, simulated):
    traffic = saved.traffic(runs=1)
    assert sorted(traffic) == [0, 1, 2]
    sent = [
        array
        for streams in traffic.values()
        for stream in streams
        for exchange in wiretap.exchanges(stream)
        for array in wiretap.arrays(exchange.request)
    ]
    assert [array.shape for array in sent] == [(7850,)] * 6
    everything = b"".join(way for streams in traffic.values() for s in streams for way in s)
    secret = b"".join(
        way for streams in saved.tls["traffic"].values() for s in streams for way in s
    )
    first = fc.models.Softmax(784, 10).init(0).tobytes()
    assert first in everything
    assert len(secret) > 3 * 2 * len(first)
    assert first not in secret
    assert wiretap.NPY not in secret
    with pytest.raises(ValueError, match="plain HTTP"):
        list(wiretap.exchanges(saved.tls["traffic"][0][0]))


def test_traffic_ends_where_a_run_ended(saved):
    first, both = saved.traffic(runs=1), saved.traffic()
    for node, streams in first.items():
        for early, late in zip(streams, both[node], strict=False):
            assert late.up.startswith(early.up)
            assert late.down.startswith(early.down)
    cut = flower_saved.until({0: [Stream(b"abc", b"de"), Stream(b"x", b"")]}, {0: [(2, 1)]})
    assert cut == {0: [Stream(b"ab", b"d")]}


def test_a_run_that_was_not_recorded_is_refused():
    with pytest.raises(ValueError, match=r"one of \[\(2, None\), \(3, 2\)\].*got \(4, None\)"):
        SavedFederation.load().run(n_rounds=4)


def test_the_record_survives_a_round_trip(tmp_path, saved):
    packed = flower_saved.pack_traffic({1: [Stream(b"\x00up", b"down")]})
    assert flower_saved.unpack_traffic(json.loads(json.dumps(packed))) == {
        1: [Stream(b"\x00up", b"down")]
    }
    history = saved.last_run()
    again = flower_saved.unpack_history(flower_saved.pack_history(history))
    np.testing.assert_array_equal(again.params, history.params)
    assert again.rounds == history.rounds
    flower_saved.save({}, tmp_path / "a.gz")
    flower_saved.save({}, tmp_path / "b.gz")
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()


def test_nobody_can_read_a_name_of_this_machine_in_the_record(saved):
    text = " ".join(line.text for line in saved.all_lines)
    assert not re.search(r"/(home|root|tmp|work|Users)/", text)


def test_without_flower_the_record_is_shown_and_said(without_flower, capsys):
    federation = lab.start_federation(n_nodes=3)
    assert federation.saved
    said = capsys.readouterr().out
    assert "Flower is not installed" in said
    assert "RECORD of a real" in said
    assert "make .venv/.flower" in said
    with pytest.raises(ValueError, match="n_nodes must be 3, as recorded, got 5"):
        lab.start_federation(n_nodes=5)


# --------------------------------------------------------------------------------- the panels


def wait_until(true, seconds=60):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_the_panel_replays_the_record(without_flower, monkeypatch):
    monkeypatch.setattr(processes, "HASTE", 1e9)
    panel = lab.ProcessPanel(n_nodes=3)
    assert "Press Start" in panel.status.value
    panel.kills[1].click()
    assert "nothing is running" in panel.status.value
    panel.start.click()
    wait_until(lambda: "The record has ended" in panel.status.value)
    assert "killed from here" in panel.output.value
    assert len(panel.map.frames) == 3
    last = panel.map.frames[-1]
    assert [(c["id"], c["down"], c["up"]) for c in last["clients"]] == [
        (0, 31_400, 31_400),
        (1, 31_400, 31_400),
        (2, 31_400, 0),
    ]
    assert "0 and 1 sent it back, trained, and nothing came from 2" in last["text"]
    panel.close()


def test_the_panel_stops_a_replay(without_flower, monkeypatch):
    monkeypatch.setattr(processes, "HASTE", 1e-9)
    panel = lab.ProcessPanel(n_nodes=3)
    panel.start.click()
    wait_until(lambda: "replayed" in panel.status.value)
    panel.end.click()
    wait_until(lambda: not panel._work.is_alive())
    assert "Stopped" in panel.status.value
    panel.close()


def test_the_panel_shows_a_federation_that_a_cell_runs():
    federation = SavedFederation.load()
    panel = lab.ProcessPanel(federation)
    federation.run(2)
    assert len(panel.map.frames) == 2
    assert "round 2 of 2" in panel.output.value
    assert "<script" not in panel.output.value
    panel.close()


def test_a_failing_start_is_said_in_the_panel(monkeypatch):
    def refuse(n_nodes):
        raise RuntimeError("no port is free\nsecond line")

    monkeypatch.setattr(flower_saved, "start_federation", refuse)
    panel = lab.ProcessPanel(n_nodes=3)
    panel.start.click()
    wait_until(lambda: "Ended: no port is free" in panel.status.value)
    panel.close()


def test_stop_while_a_federation_starts_ends_it(monkeypatch):
    starting, go_on, done = threading.Event(), threading.Event(), []

    class Slow(contextlib.AbstractContextManager):
        saved = open = False

        def run(self, *_, **__):
            done.append("run")

        def __exit__(self, *_):
            done.append("closed")

    def start(n_nodes):
        starting.set()
        assert go_on.wait(60)
        return Slow()

    monkeypatch.setattr(flower_saved, "start_federation", start)
    panel = lab.ProcessPanel(n_nodes=3)
    panel.start.click()
    assert starting.wait(60)
    panel.end.click()
    go_on.set()
    wait_until(lambda: not panel._work.is_alive())
    assert done == ["closed"]
    assert "Stopped" in panel.status.value
    panel.close()


def test_scale_panel_follows_its_sliders():
    panel = lab.ScalePanel(aggregation=5e9, requests_per_report=30)
    assert scale.bottleneck(panel.found) == "requests"
    assert "First to break: requests" in panel.table.value
    panel.sliders["requests"].value = 10**6
    panel.sliders["params"].value = 10**8
    assert "First to break: bytes" in panel.table.value
    assert panel.found["bytes up"].need == 10**6 * 4 * 10**8
    panel.streaming.value = False
    assert panel.found["memory"].need == 10**6 * 4 * 10**8
    assert "400.0 TB" in panel.table.value
    for slider in panel.sliders.values():  # the extremes, too
        for value in (slider.options[0][1], slider.options[-1][1]):
            slider.value = value
            assert "one server" in panel.table.value.lower()
    with pytest.raises(ValueError, match=r"one of .* got 3"):
        panel.sliders["memory"].value = 3


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (31_400, "B", "31.4\xa0kB"),
        (5.6e12, "B", "5.6 TB"),
        (49_200, "1/s", "49,200 1/s"),
        (2, "s", "2 s"),
    ],
)
def test_amounts_are_told_in_words(value, unit, text):
    assert scale_panel.amount(value, unit) == text


# ---------------------------------------------------------------------------------- the limits

SERVER = scale.Server(bandwidth=1e9, aggregation=4e9, memory=1e9, requests=1000)


def test_demands_by_hand():
    found = scale.demands(1000, 250_000, 10, SERVER, requests_per_report=20)
    assert found["bytes down"] == found["bytes up"] == scale.Demand(1e9, 1e10, "B")
    assert found["averaging"] == scale.Demand(0.25, 10, "s")
    assert found["memory"] == scale.Demand(250_000 * 8 + 1e6, 1e9, "B")
    assert found["requests"] == scale.Demand(2000, 1000, "1/s")
    assert scale.bottleneck(found) == "requests"
    assert scale.most_devices(found, 1000) == 500
    kept = scale.demands(2000, 250_000, 10, SERVER, streaming=False)
    assert kept["memory"].share == 2
    assert scale.bottleneck(kept) == "memory"


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({"n_devices": 0}, "n_devices must be at least 1"),
        ({"n_params": 1.5}, "n_params must be an integer"),
        ({"round_seconds": 0}, "round_seconds"),
        ({"requests_per_report": -1}, "requests_per_report"),
    ],
)
def test_bad_demands_are_named(changed, match):
    good = {"n_devices": 10, "n_params": 10, "round_seconds": 1.0, "server": SERVER}
    with pytest.raises((ValueError, TypeError), match=match):
        scale.demands(**{**good, **changed})


def test_bad_server_is_named():
    with pytest.raises(ValueError, match="bandwidth"):
        scale.Server(bandwidth=0, aggregation=1, memory=1, requests=1)


# ------------------------------------------------------------------- the processes always end

STARTS = """
import sys
from fedcore.flower_live import RealFederation
real = RealFederation(n_nodes=1)
print(real._loopback.folder, flush=True)
real.run(n_rounds=2)
"""


def name(process):
    """Its command line, or "" if it has just ended."""
    with contextlib.suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=["interrupted", "killed"])
def test_processes_end_with_whoever_started_them(how):
    """The stop button, and a kernel that is killed, in the middle of ``run``."""
    pytest.importorskip("flwr", reason="Flower is missing; make test installs it (Python 3.11)")
    from pathlib import Path

    from fedcore.flower_guard import marked
    from fedcore.flower_processes import MARK

    kernel = subprocess.Popen([sys.executable, "-c", STARTS], stdout=subprocess.PIPE, text=True)
    try:
        folder = kernel.stdout.readline().strip()
        names = lambda: {name(process) for process in marked(MARK, folder)}  # noqa: E731
        wait_until(lambda: any("flwr run" in name or "/flwr " in name for name in names()), 300)
        kernel.send_signal(how)
        kernel.wait(300)
        wait_until(lambda: not marked(MARK, folder) and not Path(folder).exists(), 300)
        assert kernel.returncode != 0
    finally:
        kernel.kill()
        kernel.wait()
        kernel.stdout.close()
