"""The live panel: an obsolete run is given up at once and never shown as current.

The runs here are fakes that go on only when told to, so that every order of events can be forced.
"""

import queue
import subprocess
import sys
import threading

import nbformat
import pytest
from conftest import ROOT
from lab_data import toy

import fedcore as fc
from fedcore import lab
from fedcore.lab import live as live_module
from fedcore.lab import panel as panel_module
from fedcore.lab.controls import CONTROLS
from fedcore.lab.runs import Curve

WAIT = 60  # seconds until a stuck test fails; no test needs that long


class Script:
    """Stands for ``follow``: each run waits for commands and can be asked what became of it."""

    def __init__(self, monkeypatch):
        self.runs = []
        self.begun = queue.Queue()
        monkeypatch.setattr(panel_module, "follow", self._follow)
        monkeypatch.setattr(live_module, "SETTLE", 0.0)

    def _follow(self, world, settings, cancelled):
        run = _ScriptedRun(settings, cancelled)
        self.runs.append(run)
        self.begun.put(run)
        return run.life()

    def next_run(self):
        return self.begun.get(timeout=WAIT)


class _ScriptedRun:
    def __init__(self, settings, cancelled):
        self.settings, self.cancelled = settings, cancelled
        self.commands, self.told = queue.Queue(), queue.Queue()

    def life(self):
        """Publish what the test says, even where a real run would have noticed that it is stale."""
        try:
            while True:
                item = self.commands.get(timeout=WAIT)
                if isinstance(item, Exception):
                    raise item
                if item is None:
                    return
                yield item
                self.told.put(True)
        finally:
            self.told.put(False)

    def publish(self, phase, accuracy):
        curve = Curve(self.settings, accuracy, [1.0] * len(accuracy))
        self.commands.put((phase, curve, None))
        assert self.told.get(timeout=WAIT)

    def end(self, error=None):
        self.commands.put(error)
        assert not self.told.get(timeout=WAIT)


@pytest.fixture
def script(monkeypatch):
    script = Script(monkeypatch)
    yield script
    for run in script.runs:
        run.commands.put(None)


@pytest.fixture
def panel():
    panel = lab.FederationPanel(*toy(), n_clients=10)
    yield panel
    panel.close()


def move(panel, **positions):
    """What the page does when a slider moves."""
    request = panel.request
    values = {**request["values"], **positions}
    panel.set_state({"request": {"seq": request["seq"] + 1, "action": "run", "values": values}})


def press(panel, action):
    request = panel.request
    panel.set_state({"request": {**request, "seq": request["seq"] + 1, "action": action}})


def wait_until(condition):
    done = threading.Event()
    for _ in range(int(WAIT / 0.005)):
        if condition():
            return
        done.wait(0.005)
    raise AssertionError("it never came true")


# --------------------------------------------------------------------------------- real runs


def test_a_real_run_ends_with_the_numbers_of_the_plain_function():
    train, test = toy()
    panel = lab.FederationPanel(train, test, n_clients=10, fraction=0.5, n_rounds=5)
    panel.run(epochs=2)
    wait_until(lambda: panel.phase == "done")
    records = list(lab.panel_run(panel.settings, train, test))
    assert panel.settings.epochs == 2
    assert panel.view["current"]["accuracy"][1:] == [r.accuracy for r in records]
    assert panel.view["round"] == 5


def test_real_runs_moved_fast_end_with_the_last_settings():
    train, test = toy()
    panel = lab.FederationPanel(train, test, n_clients=10, fraction=0.5, n_rounds=5)
    for i in range(60):
        move(panel, epochs=i % 6, lr=i % 9, fraction=i % 7)
    wait_until(lambda: panel.phase == "done")
    assert panel.view["seq"] == panel.request["seq"] == 60
    expected = [r.accuracy for r in lab.panel_run(panel.settings, train, test)]
    assert panel.view["current"]["accuracy"][1:] == expected
    alive = [t for t in threading.enumerate() if t.name == "federation"]
    for thread in alive:
        thread.join(WAIT)
        assert not thread.is_alive()


def test_a_setting_that_the_data_can_not_bear_is_told_in_the_panel():
    panel = lab.FederationPanel(*toy(), n_clients=10)
    panel.run(n_clients=1000)
    wait_until(lambda: panel.phase == "failed")
    assert "n_clients must be at most the number of examples, 400, got 1000" in panel.view["status"]
    assert panel.view["current"] is None
    panel.reset()
    wait_until(lambda: panel.phase == "done")
    assert panel.settings.n_clients == 10


def test_a_real_run_held_in_the_middle_is_given_up_and_never_shown():
    """The first run is held before its first round while a newer one starts and ends."""
    held, go_on, begun = threading.Event(), threading.Event(), []

    def slow_parts(y, n_clients, seed):
        begun.append(n_clients)
        if len(begun) == 1:
            held.set()
            assert go_on.wait(WAIT)
        return fc.partition.iid(y, n_clients, seed)

    panel = lab.FederationPanel(
        *toy(), n_clients=10, n_rounds=3, splits={"slow": slow_parts}, split="slow"
    )
    panel.run()
    assert held.wait(WAIT)
    panel.run(epochs=5)
    wait_until(lambda: panel.phase == "done")
    before, shown = dict(panel.view), []
    with panel._lock:  # whoever changes the view keeps it until all observers have heard
        panel.observe(lambda change: shown.append(change["new"]), names="view")
    go_on.set()
    for thread in threading.enumerate():
        if thread.name == "federation":
            thread.join(WAIT)
    assert shown == []
    assert panel.view == before


def test_every_slider_of_the_panel_survives_its_extremes():
    panel = lab.FederationPanel(
        *toy(), show=tuple(CONTROLS), n_clients=10, n_rounds=5, fraction=0.2
    )
    for control in panel._controls:
        for value in (control.values[0], control.values[-1]):
            panel.reset()
            panel.run(**{control.name: value})
            wait_until(lambda: panel.phase in ("done", "diverged", "failed"))
            if (control.name, value) != ("n_clients", 1000):  # more than there are examples
                assert panel.phase == "done", panel.view["status"]


# ------------------------------------------------------------------------------ obsolete runs


def test_a_move_makes_the_run_under_way_obsolete_at_once(script, panel):
    move(panel, epochs=1)
    first = script.next_run()
    first.publish("running", [0.1, 0.2])
    assert not first.cancelled()
    move(panel, epochs=2)
    assert first.cancelled()
    assert not script.next_run().cancelled()


def test_between_a_move_and_the_new_run_nothing_counts_as_current(script, panel):
    move(panel, epochs=1)
    script.next_run().publish("done", [0.1, 0.9])
    assert panel.phase == "done"
    move(panel, epochs=2)
    assert panel.phase == "running"
    assert panel.curve is None
    assert panel.view["seq"] < panel.request["seq"]  # the page draws no view with an old number


def test_what_an_obsolete_run_says_late_is_never_shown(script, panel):
    move(panel, epochs=1)
    old = script.next_run()
    old.publish("running", [0.1, 0.2])
    move(panel, epochs=2)
    new = script.next_run()
    old.publish("running", [0.1, 0.2, 0.3])  # late, before the new run's first word
    assert panel.view["current"]["accuracy"] == [0.1, 0.2]
    assert panel.view["seq"] < panel.request["seq"]
    new.publish("running", [0.1, 0.7])
    old.publish("done", [0.1, 0.2, 0.3, 0.4])  # late, after it
    assert panel.view["current"]["accuracy"] == [0.1, 0.7]
    assert panel.view["seq"] == panel.request["seq"]
    assert panel.phase == "running"
    new.publish("done", [0.1, 0.7, 0.8])
    assert panel.view["current"]["accuracy"] == [0.1, 0.7, 0.8]


def test_of_many_moves_only_the_last_is_shown_whatever_the_order_of_answers(script, panel):
    runs = []
    for i in range(6):
        move(panel, epochs=i)
        runs.append(script.next_run())
    assert [run.cancelled() for run in runs] == [True] * 5 + [False]
    runs[5].publish("done", [0.1, 0.95])
    for run in reversed(runs[:5]):
        run.publish("done", [0.1, 0.2])
    assert panel.view["current"]["accuracy"] == [0.1, 0.95]
    assert panel.curve.settings.epochs == panel.settings.epochs == 20


def test_an_obsolete_run_that_fails_is_not_reported(script, panel):
    move(panel, epochs=1)
    old = script.next_run()
    move(panel, epochs=2)
    new = script.next_run()
    new.publish("running", [0.1, 0.5])
    old.end(RuntimeError("too late to matter"))
    assert panel.phase == "running"
    assert "too late" not in panel.view["status"]


def test_the_run_before_is_the_last_finished_one(script, panel):
    move(panel, epochs=1)
    script.next_run().publish("done", [0.1, 0.5])
    move(panel, epochs=2)
    script.next_run().publish("running", [0.1, 0.6])  # never finishes
    move(panel, epochs=3)
    script.next_run().publish("running", [0.1, 0.7])
    assert panel.view["before"]["accuracy"] == [0.1, 0.5]
    assert "E\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}2" in panel.view["before"]["name"]


# ------------------------------------------------------------------------------------ buttons


def test_stop_keeps_the_rounds_done(script, panel):
    move(panel, epochs=1)
    run = script.next_run()
    run.publish("running", [0.1, 0.5])
    press(panel, "stop")
    assert run.cancelled()
    assert panel.phase == "stopped"
    assert panel.view["current"]["accuracy"] == [0.1, 0.5]
    run.publish("running", [0.1, 0.5, 0.6])
    assert panel.view["current"]["accuracy"] == [0.1, 0.5]
    assert "Stopped by you after round 1 of 20" in panel.view["status"]


def test_stop_before_the_first_word_does_not_bring_back_the_old_curve(script, panel):
    move(panel, epochs=1)
    script.next_run().publish("done", [0.1, 0.5])
    move(panel, epochs=2)
    script.next_run()
    press(panel, "stop")
    assert panel.phase == "stopped"
    assert panel.view["current"] is None


def test_stop_after_the_end_leaves_the_result(script, panel):
    move(panel, epochs=1)
    script.next_run().publish("done", [0.1, 0.5])
    press(panel, "stop")
    assert panel.phase == "done"
    assert panel.view["current"]["accuracy"] == [0.1, 0.5]


def test_reset_moves_the_sliders_back_and_runs(script, panel):
    move(panel, epochs=4)
    script.next_run()
    move(panel, **panel.defaults)  # the page's button; panel.reset() is the same from Python
    run = script.next_run()
    assert run.settings == panel.settings
    assert panel.settings.epochs == 1


# ------------------------------------------------------------------------------- construction


def test_only_the_settings_asked_for_get_a_control():
    panel = lab.FederationPanel(*toy(), show=("epochs", "seed"), lr=0.03, n_clients=20)
    assert [control["name"] for control in panel.controls] == ["epochs", "seed"]
    fixed = panel.fixed.replace("\N{NO-BREAK SPACE}", " ")
    assert "K = 20" in fixed
    assert "= 0.03" in fixed
    assert "E =" not in fixed


def test_a_default_between_two_stops_gets_its_own():
    panel = lab.FederationPanel(*toy(), show=("lr", "n_clients"), lr=0.02, n_clients=7)
    texts = {control["name"]: control["texts"] for control in panel.controls}
    assert texts["lr"][:5] == ["0.001", "0.003", "0.01", "0.02", "0.03"]
    assert texts["n_clients"][0] == "7"
    assert (panel.settings.lr, panel.settings.n_clients) == (0.02, 7)


def test_own_splits_servers_and_stops(script):
    train, test = toy()
    panel = lab.FederationPanel(
        train,
        test,
        show=("split", "strategy", "epochs"),
        splits={"one big": lambda y, n_clients, seed: fc.partition.by_sizes(y, [300, 50, 50])},
        strategies={"again": fc.strategies.FedAvg()},
        stops={"epochs": (1, 7)},
        split="one big",
    )
    panel.run(strategy="again", epochs=7)
    settings = script.next_run().settings
    assert (settings.split, settings.strategy, settings.epochs) == ("one big", "again", 7)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"show": "epochs"}, "show must be a sequence of names, got 'epochs'"),
        ({"show": ("speed",)}, "show must name settings .*, got 'speed'"),
        ({"show": ("lr", "lr")}, "show must name each setting once"),
        ({"speed": 3}, "speed must be a setting .*, got 'speed'"),
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"split": "iid"}, "split must be one of 'IID', '2 shards', '1 shard', got 'iid'"),
        ({"target": 2}, "target must be"),
        ({"stops": {"speed": (1,)}}, "stops must name settings .*, got 'speed'"),
        ({"stops": {"epochs": (0, 1)}}, "epochs must be at least 1, got 0"),
        ({"stops": {"epochs": ()}}, "stops must hold at least one value for epochs"),
        ({"stops": {"split": ("nobody",)}}, "stops must hold values of split"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises((TypeError, ValueError), match=message):
        lab.FederationPanel(*toy(), **arguments)


def test_controls_move_only_to_their_stops():
    panel = lab.FederationPanel(*toy())
    with pytest.raises(ValueError, match="epochs must be one of 1, 2, 3, 5, 10, 20, got 4"):
        panel.run(epochs=4)
    with pytest.raises(ValueError, match="seed must be one of the panel's controls"):
        panel.run(seed=4)


# ----------------------------------------------------------------------------------- headless


@pytest.mark.slow(seconds=6)
def test_a_notebook_without_a_browser_neither_blocks_nor_leaves_a_trace(tmp_path):
    """The kernel is closed while a long run is under way: nothing is printed, nothing hangs."""
    notebook = nbformat.v4.new_notebook()
    source = (
        f"import sys; sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / 'tests')!r}]\n"
        "from fedcore import lab; from lab_data import toy\n"
        "train, test = toy(20_000)\n"
        "panel = lab.FederationPanel(train, test, fraction=1.0, epochs=20, batch_size=1)\n"
        "panel.run(); panel"
    )
    notebook.cells = [nbformat.v4.new_code_cell(source), nbformat.v4.new_code_cell("panel.phase")]
    path = tmp_path / "headless.ipynb"
    nbformat.write(notebook, path)
    command = [sys.executable, "-m", "jupyter", "execute", "--inplace", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    first, second = nbformat.read(path, 4).cells
    kinds = [output["output_type"] for output in first.outputs + second.outputs]
    assert "error" not in kinds
    assert "stream" not in kinds
    assert second.outputs[0]["data"]["text/plain"] == "'running'"
