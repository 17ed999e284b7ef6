"""The drop-out panel: rounds of an obsolete run never reach the page, and a code replays a run."""

import json
import math
import threading

import pytest
from lab_data import toy

from fedcore import lab
from fedcore.lab import dropout_panel as module
from fedcore.lab import dropout_settings
from fedcore.lab.dropout_runs import DropoutWorld, follow
from fedcore.lab.dropout_settings import DropoutSettings

WAIT = 60  # seconds until a stuck test fails; no test needs that long
SMALL = {"n_devices": 20, "n_rounds": 4, "target": 5, "lr": 0.1}


class Page:
    """Stands for the browser: what it is sent, and what it sends."""

    def __init__(self, panel):
        self.panel, self.got = panel, []
        panel.send = lambda content, buffers=None: self.got.append(content)

    def move(self, **positions):
        request = self.panel.request
        values = {**request["values"], **positions}
        new = {"seq": request["seq"] + 1, "action": "run", "values": values}
        self.panel.set_state({"request": new})

    def say(self, **content):
        self.panel._handle_custom_msg(content, [])

    def rounds(self, seq):
        return [m["index"] for m in self.got if m["kind"] == "round" and m["seq"] == seq]


@pytest.fixture
def panel():
    panel = lab.DropoutPanel(*toy(2000), **SMALL)
    yield panel
    panel.close()


@pytest.fixture
def page(panel):
    return Page(panel)


def wait_until(condition):
    pause = threading.Event()
    for _ in range(int(WAIT / 0.005)):
        if condition():
            return
        pause.wait(0.005)
    raise AssertionError("it never came true")


def finish(panel):
    wait_until(lambda: panel.phase not in ("running", "idle"))
    with panel._lock:  # whoever changes the view keeps it until all observers have heard
        pass


# --------------------------------------------------------------------------------- the run


def test_the_rounds_are_those_of_the_plain_function(panel, page):
    panel.run(window=30.0)
    finish(panel)
    expected = [done.record for done in lab.dropout_run(panel.settings, *toy(2000))]
    assert [done.record for done in panel.current.rounds] == expected
    assert page.rounds(panel.request["seq"]) == [0, 1, 2, 3]
    points = [m["frame"]["point"]["accuracy"] for m in page.got]
    assert points == pytest.approx([record.accuracy for record in expected], rel=1e-6)
    assert panel.view["status"].startswith("Done: 4 rounds")


def test_the_same_settings_give_the_same_rounds_and_another_seed_others():
    train, test = toy(2000)
    one, two, other = (
        [done.record for done in lab.dropout_run(train=train, test=test, seed=seed, **SMALL)]
        for seed in (0, 0, 1)
    )
    assert one == two
    assert one != other


def test_frames_can_be_sent(panel, page):
    for window in (5.0, math.inf):
        panel.run(window=window)
        finish(panel)
    for message in page.got:
        json.dumps(message, allow_nan=False)
    assert len(page.got) == 8


def test_the_view_never_claims_a_round_that_was_not_sent(panel, page):
    """Otherwise the page would ask for it again."""
    seen = []
    panel.observe(lambda change: seen.append((change["new"]["round"], len(page.got))), "view")
    panel.run()
    finish(panel)
    assert [claimed for claimed, _ in seen] == [1, 2, 3, 4]
    assert all(claimed <= sent for claimed, sent in seen)


def test_after_a_move_nothing_of_the_old_run_is_sent(panel, page):
    for i in range(30):
        with panel._lock:  # nothing is published meanwhile
            page.move(window=i % 9, dropout=i % 8)
            assert panel.current is None
    finish(panel)
    last = panel.request["seq"]
    seqs = [m["seq"] for m in page.got]
    assert seqs == sorted(seqs)
    assert page.rounds(last) == [0, 1, 2, 3]
    expected = [done.record for done in lab.dropout_run(panel.settings, *toy(2000))]
    assert [done.record for done in panel.current.rounds] == expected


def test_a_run_held_in_the_middle_is_given_up_and_never_sent(monkeypatch, panel, page):
    held, go_on, lives = threading.Event(), threading.Event(), []

    def slow(world, settings, cancelled):
        lives.append(settings)
        first = len(lives) == 1
        for phase, run in follow(world, settings, lambda: False):  # deaf: it must not matter
            if first and len(run.rounds) == 2:
                held.set()
                assert go_on.wait(WAIT)
            yield phase, run

    monkeypatch.setattr(module, "follow", slow)
    panel.run()
    assert held.wait(WAIT)
    old = panel.request["seq"]
    panel.run(dropout=0.4)
    finish(panel)
    before = list(page.got)
    go_on.set()
    for thread in threading.enumerate():
        if thread.name == "federation":
            thread.join(WAIT)
            assert not thread.is_alive()
    assert page.got == before
    assert page.rounds(old) == [0]
    assert panel.current.settings.dropout == 0.4


def test_what_goes_wrong_is_told_in_the_panel(monkeypatch, panel):
    def broken(world, settings, cancelled):
        raise RuntimeError("the fleet has sunk")
        yield

    monkeypatch.setattr(module, "follow", broken)
    panel.run()
    finish(panel)
    assert (panel.phase, panel.view["status"]) == ("failed", "Stopped: the fleet has sunk")
    assert panel.current is None


@pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning")
def test_divergence_is_told_too():
    panel = lab.DropoutPanel(*toy(2000), **{**SMALL, "lr": 3e38})
    panel.run()
    finish(panel)
    assert panel.phase == "failed"
    assert "diverged in round 1" in panel.view["status"]
    panel.close()


def test_closing_ends_the_run():
    panel = lab.DropoutPanel(*toy(2000), **{**SMALL, "n_rounds": 100_000})
    panel.run()
    wait_until(lambda: panel.view["round"] > 0)
    panel.close()
    for thread in threading.enumerate():
        if thread.name == "federation":
            thread.join(WAIT)
            assert not thread.is_alive()


def test_every_slider_survives_its_extremes(panel):
    for control in panel._controls:
        for value in (control.values[0], control.values[-1]):
            panel.reset()
            panel.run(**{control.name: value})
            finish(panel)
            assert panel.phase == "done", panel.view["status"]


def test_stop_keeps_the_rounds_done():
    panel = lab.DropoutPanel(*toy(2000), **{**SMALL, "n_rounds": 100_000})
    panel.run()
    wait_until(lambda: panel.view["round"] > 0)
    panel.stop()
    assert panel.phase == "stopped"
    assert panel.view["status"].startswith("Stopped by you: ")
    panel.close()


def test_the_run_before_is_drawn_for_comparison(panel):
    panel.run()
    finish(panel)
    accuracy = [done.record.accuracy for done in panel.current.rounds]
    panel.run(dropout=0.4)
    finish(panel)
    assert panel.view["before"]["name"] == "previous run: chance to die 10\N{NO-BREAK SPACE}%"
    assert panel.view["before"]["accuracy"][1:] == pytest.approx(accuracy, rel=1e-6)


# -------------------------------------------------------------------------- a page opened late


def test_a_page_that_comes_later_gets_the_rounds_again(panel, page):
    panel.run()
    finish(panel)
    seq = panel.request["seq"]
    first = [m for m in page.got if m["kind"] == "round"]
    page.got.clear()
    page.say(kind="replay", seq=seq, **{"from": 1})
    assert page.got == first[1:]
    page.got.clear()
    page.say(kind="replay", seq=seq - 1, **{"from": 0})  # of an obsolete run
    assert page.got == []


# --------------------------------------------------------------------------------- share codes


def test_a_code_replays_the_run(panel, page):
    page.move(window=2, dropout=5, seed=7, correlation=5, weighting=1)
    finish(panel)
    code, records = panel.code, [done.record for done in panel.current.rounds]
    panel.reset()
    finish(panel)
    assert panel.code != code
    page.say(kind="code", code=f"  {code.lower()} ")
    assert page.got[-1]["kind"] == "code"
    page.move(**page.got[-1]["values"])  # the page moves its sliders itself
    finish(panel)
    assert (panel.code, panel.settings.seed) == (code, 7)
    assert [done.record for done in panel.current.rounds] == records


def test_a_code_holds_every_control(panel):
    codes = {panel.code}
    for control in panel._controls:
        for value in control.values:
            if value != getattr(panel.settings, control.name):
                changed = {control.name: control.position(value)}
                settings = dropout_settings.with_positions(
                    panel.settings,
                    panel._controls,
                    {**panel.request["values"], **changed},
                )
                code = dropout_settings.encode(settings, panel._controls, panel._scheme)
                codes.add(code)
                at = dropout_settings.decode(code, panel._controls, panel._scheme)
                assert at == {**panel.request["values"], **changed}
    assert len(codes) == 1 + sum(len(c.values) - 1 for c in panel._controls)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("", "No code to read"),
        ("hello", "must have"),
        ("what?", "can't be in one"),
    ],
)
def test_a_bad_code_is_told_and_moves_nothing(panel, page, code, message):
    before = panel.request
    page.say(kind="code", code=code)
    assert message in page.got[-1]["text"]
    assert "values" not in page.got[-1]
    assert panel.request == before
    with pytest.raises(ValueError, match=message):
        panel.use(code)


def test_a_typing_error_is_noticed(panel, page):
    code = panel.code
    page.say(kind="code", code=("1" if code[0] != "1" else "2") + code[1:])
    assert "typing error" in page.got[-1]["text"]


@pytest.mark.parametrize("change", [{"epochs": 7}, {"window": 33.0}, {"n_devices": 21}])
def test_a_code_of_another_panel_is_refused(panel, change):
    other = lab.DropoutPanel(*toy(2000), **{**SMALL, **change})
    with pytest.raises(ValueError, match=r"other sliders, settings or data|whole code"):
        panel.use(other.code)
    other.close()


def test_a_code_of_other_data_is_refused(panel):
    other = lab.DropoutPanel(*toy(2000, seed=1), **SMALL)
    with pytest.raises(ValueError, match="other sliders, settings or data"):
        panel.use(other.code)
    other.close()


# ------------------------------------------------------------------------------- construction


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"speed": 3}, "speed must be a setting .*, got 'speed'"),
        ({"charging": 1.5}, "charging must be"),
        ({"wifi": -0.1}, "wifi must be"),
        ({"battery": 0}, "battery must be"),
        ({"speed_spread": -1}, "speed_spread must be"),
        ({"dropout": 2}, "dropout must be"),
        ({"window": 0}, "window must be"),
        ({"over_selection": 0.5}, "over_selection must be"),
        ({"correlation": 1.1}, "correlation must be"),
        ({"power": "sun"}, "power must be one of .*, got 'sun'"),
        ({"stragglers": "wait"}, "stragglers must be one of 'cut', 'partial', got 'wait'"),
        ({"payload": 0}, "payload must be"),
        ({"pause": -1}, "pause must be"),
        ({"target": 0}, "target must be"),
        ({"n_rounds": 0}, "n_rounds must be"),
        ({"seed": -1}, "seed must be"),
        ({"epochs": 0}, "epochs must be"),
        ({"n_devices": 201}, "n_devices must be .* 200, got 201"),
        ({"n_devices": 0}, "n_devices must be"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises((TypeError, ValueError), match=message):
        lab.DropoutPanel(*toy(2000), **{**SMALL, **arguments})


def test_more_devices_than_examples_are_refused_at_once():
    with pytest.raises(ValueError, match="n_clients must be at most"):
        lab.DropoutPanel(*toy(50), **{**SMALL, "n_devices": 60})


def test_the_sliders_of_the_issue_are_there(panel):
    names = {control["name"] for control in panel.controls}
    assert names >= {
        "charging",
        "wifi",
        "battery",
        "speed_spread",
        "dropout",
        "window",
        "over_selection",
        "correlation",
        "seed",
    }


def test_each_condition_changes_who_takes_part():
    """A slider that moves nothing would be a lie."""
    train, test = toy(4000)
    base = {"n_devices": 60, "n_rounds": 6, "target": 8}

    def events(**changes):
        settings = DropoutSettings(**{**base, **changes})
        *_, (_, run) = follow(DropoutWorld(train, test), settings, lambda: False)
        return [(e.kind, e.device, e.reason, e.cause) for done in run.rounds for e in done.events]

    usual = events()
    for changes in (
        {"charging": 0.1},
        {"wifi": 0.2},
        {"battery": 0.1},
        {"speed_spread": 1.5},
        {"dropout": 0.7},
        {"window": 5.0},
        {"over_selection": 3.0},
        {"correlation": 0.0},
        {"payload": 100_000_000},
        {"power": "charging"},
        {"seed": 1},
    ):
        assert events(**changes) != usual, changes
