"""The live panel: its numbers without a widget, and that an older run is never shown as current."""

import threading
import time

import numpy as np
import pytest

import fedcore as fc
from fedcore import lab
from fedcore.lab.runs import RunSettings, World, follow


@pytest.fixture
def data(rng):
    """(train, test): 400 and 100 examples of a problem with 3 classes that can be learned."""
    centres = rng.normal(size=(3, 8))
    y = rng.integers(0, 3, 500)
    x = (centres[y] + 0.3 * rng.normal(size=(500, 8))).astype(np.float32)
    return fc.datasets.Dataset(x[:400], y[:400], 3), fc.datasets.Dataset(x[400:], y[400:], 3)


@pytest.fixture
def panel(data):
    shown = ("epochs", "lr", "n_clients")
    made = lab.FederationPanel(*data, show=shown, n_clients=10, n_rounds=3, fraction=0.5)
    yield made
    made.close()


ENDS = ("done", "diverged", "failed")  # failed: more clients than this small data has examples


def wait_for(condition, what, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s for {what}"
        time.sleep(0.005)


def test_panel_run_is_run_federation(data):
    settings = {"n_clients": 10, "fraction": 0.5, "epochs": 2, "lr": 0.2, "n_rounds": 4, "seed": 3}
    records = list(lab.panel_run(None, *data, **settings))
    parts = fc.partition.iid(data[0].y, n_clients=10, seed=3)
    history = fc.run_federation(
        fc.models.Softmax(8, 3), data[0], parts, data[1],
        n_rounds=4, fraction=0.5, local=fc.LocalSGD(2, 10, 0.2), seed=3, progress=False,
    )  # fmt: skip
    assert records == history.rounds


def test_a_finished_run_shows_the_numbers_of_panel_run(panel, data):
    panel.run(epochs=5)
    wait_for(lambda: panel.phase == "done", "the run")
    expected = [record.accuracy for record in lab.panel_run(panel.settings, *data)]
    assert panel.settings.epochs == 5
    assert panel.curve.accuracy[1:] == expected
    assert panel.view["current"]["accuracy"] == panel.curve.accuracy
    assert (panel.view["round"], panel.view["n_rounds"]) == (3, 3)
    assert f"{100 * expected[-1]:.1f}" in panel.view["status"]


def test_moving_on_gives_up_the_old_run_and_never_shows_it(data):
    """The first run is held in the middle of a round while a newer one starts and ends."""
    held, go_on, begun = threading.Event(), threading.Event(), []

    def slow_parts(y, n_clients, seed):
        begun.append(n_clients)
        if len(begun) == 1:
            held.set()
            assert go_on.wait(60)
        return fc.partition.iid(y, n_clients, seed)

    panel = lab.FederationPanel(
        *data, show=("epochs", "split"), splits={"slow": slow_parts}, split="slow", n_rounds=3
    )
    panel.run()
    assert held.wait(60)
    panel.run(epochs=5)
    wait_for(lambda: panel.phase == "done", "the newer run")
    shown = []
    panel.observe(lambda change: shown.append(change["new"]["seq"]), names="view")
    before = dict(panel.view)
    go_on.set()  # the old run goes on now, and finds that it is obsolete
    for thread in threading.enumerate():
        if thread.name == "federation":
            thread.join(60)
    assert shown == []
    assert panel.view == before
    assert panel.settings.epochs == 5
    panel.close()


def test_many_fast_moves_end_with_the_last_one(panel, data):
    seen = []
    panel.observe(lambda change: seen.append(change["new"]), names="view")
    for epochs in (1, 2, 5, 10, 5, 2, 1, 2, 5):
        panel.run(epochs=epochs)
    wait_for(lambda: panel.phase == "done", "the last run")
    assert panel.curve.settings.epochs == 5
    sequence = [view["seq"] for view in seen]
    assert sequence == sorted(sequence)
    final = [record.accuracy for record in lab.panel_run(panel.settings, *data)]
    assert panel.curve.accuracy[1:] == final


def test_while_a_run_is_pending_nothing_old_counts_as_current(panel):
    panel.run(epochs=2)
    wait_for(lambda: panel.phase == "done", "the run")
    with panel._lock:  # the new run can't publish yet
        panel.run(epochs=5)
        assert panel.phase == "running"
        assert panel.curve is None
    wait_for(lambda: panel.phase == "done", "the second run")
    assert panel.view["before"]["name"].startswith("previous run")


def test_diverging_says_so_and_keeps_the_rounds(data):
    phases = list(follow(World(*data), RunSettings(lr=3e38, n_rounds=3, n_clients=10)))
    phase, curve, error = phases[-1]
    assert phase == "diverged"
    assert isinstance(error, fc.FederationDiverged)
    assert curve.rounds == error.round - 1
    text = lab.panel.summary.status(phase, curve, error)
    assert f"round {error.round}" in text
    assert "client" in text


def test_every_slider_survives_its_extremes(panel):
    for control in panel._controls:
        for value in (control.values[0], control.values[-1]):
            panel.reset()
            panel.run(**{control.name: value})
            wait_for(lambda: panel.phase in ENDS, f"{control.name}={value}")
            assert panel.view["status"]


def test_stop_keeps_what_is_there(panel):
    panel.run()
    panel.stop()
    wait_for(lambda: panel.phase in ("stopped", "done"), "the stop")
    panel.run()
    wait_for(lambda: panel.phase == "done", "a run after the stop")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"show": "epochs"}, TypeError, "show must be a sequence of names"),
        ({"show": ("speed",)}, ValueError, "show must name settings .* got 'speed'"),
        ({"show": ("lr", "lr")}, ValueError, "show must name each setting once"),
        ({"speed": 1}, TypeError, "speed must be a setting"),
        ({"epochs": 0}, ValueError, "epochs must be at least 1"),
        ({"split": "by moon"}, ValueError, "split must be one of .* got 'by moon'"),
        ({"target": 2}, ValueError, "target must be"),
    ],
)
def test_refuses(data, arguments, error, message):
    with pytest.raises(error, match=message):
        lab.FederationPanel(*data, **arguments)
