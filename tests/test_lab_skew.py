"""The panel of lesson 3: who holds what moves with the curves, the worst client, the challenge."""

import numpy as np
import pytest
from lab_data import toy
from test_lab_panel import WAIT, move, press, wait_until
from test_lab_panel import script as script  # the fixture

import fedcore as fc
from fedcore import lab
from fedcore.lab import progress
from fedcore.lab.holdings import SHOWN, Holdings
from fedcore.lab.runs import Curve, RunSettings, World, follow
from fedcore.lab.summary import differences

KNOBBED = {"show": ("split", "alpha", "shards_per_client", "epochs"), "holdings": True}


@pytest.fixture
def panel():
    panel = lab.FederationPanel(*toy(), n_clients=10, n_rounds=3, fraction=0.5, **KNOBBED)
    yield panel
    panel.close()


@pytest.fixture
def scripted(script):
    """A panel whose runs go on only when told to."""
    panel = lab.FederationPanel(*toy(), n_clients=10, **KNOBBED)
    yield panel
    panel.close()


@pytest.fixture(autouse=True)
def _no_points_from_elsewhere():
    progress.clear()
    yield
    progress.clear()


# ------------------------------------------------------------------------------- who holds what


def test_the_map_is_the_partition_that_is_trained_on(panel):
    train, _ = toy()
    panel.run(split="Dirichlet", alpha=0.1)
    wait_until(lambda: panel.phase == "done")
    parts = fc.partition.dirichlet(train.y, 10, alpha=0.1, seed=0)
    counts = [np.bincount(train.y[part], minlength=train.n_classes).tolist() for part in parts]
    assert panel.held["counts"] == counts
    assert panel.view["map"]["run"] == panel.held["run"]
    records = list(lab.panel_run(panel.settings, *toy()))
    assert panel.view["map"]["clients"] == list(records[-1].clients)
    assert panel.view["current"]["accuracy"][1:] == [r.accuracy for r in records]


def test_each_knob_turns_its_own_split():
    train, test = toy()
    world = World(train, test, splits=lab.runs.SKEWS)
    for knob, values in (("alpha", (0.05, 50.0)), ("shards_per_client", (1, 5))):
        split = {"alpha": "Dirichlet", "shards_per_client": "shards"}[knob]
        strong, weak = (
            fc.skew.emd(train.y, world.parts(RunSettings(n_clients=10, split=split, **{knob: v})))
            for v in values
        )
        assert strong.mean() > weak.mean() + 0.3
        one, two = (
            world.parts(RunSettings(n_clients=10, split="IID", **{knob: v})) for v in values
        )
        assert all((a == b).all() for a, b in zip(one, two, strict=True))


def test_the_worst_client_is_the_smallest_accuracy_met():
    train, test = toy()
    settings = RunSettings(n_clients=6, fraction=0.3, n_rounds=2, lr=0.001, split="1 shard")
    *_, (_, curve, _) = follow(World(train, test, holdings=True), settings)
    parts = fc.partition.shards(train.y, 6, shards_per_client=1)
    history = fc.run_federation(
        fc.models.Softmax(train.n_features, train.n_classes), train, parts, test,
        n_rounds=2, fraction=0.3, local=fc.LocalSGD(1, 10, 0.001), progress=False,
    )  # fmt: skip
    right = fc.models.Softmax(train.n_features, train.n_classes).predict(history.params, test.x)
    met = []
    for part in parts:  # count: each example of the client stands for its class in the test set
        met.append(np.mean([(right == test.y)[test.y == c].mean() for c in train.y[part]]))
    assert curve.worst == pytest.approx(min(met))
    assert min(met) < max(met)
    *_, (_, unwatched, _) = follow(World(train, test), settings)
    assert (unwatched.worst, unwatched.held) == (None, None)
    assert unwatched.accuracy == curve.accuracy


def test_a_class_without_test_examples_does_not_spoil_the_worst():
    train, test = toy()
    some = test.take(np.flatnonzero(test.y != 0))
    model = fc.models.Softmax(train.n_features, train.n_classes)
    held = Holdings(np.eye(train.n_classes, dtype=np.int64), 1.0)
    assert np.isfinite(held.worst(model, model.init(), some))
    only = Holdings(np.eye(train.n_classes, dtype=np.int64)[:1], 1.0)
    assert np.isnan(only.worst(model, model.init(), some))


def test_many_clients_are_told_but_not_all_drawn():
    y = np.arange(1200) % 4
    data = fc.datasets.Dataset(np.zeros((1200, 1), np.float32), y, 4)
    sent = Holdings.of(data, fc.partition.iid(y, 300)).as_dict()
    assert len(sent["counts"]) == SHOWN
    assert sent["text"].startswith("300 clients: 4 to 4 examples each, on average of ")
    assert sent["text"].endswith("Shown: the first 100.")


def test_without_holdings_nothing_is_sent():
    panel = lab.FederationPanel(*toy(), n_clients=10, n_rounds=1)
    panel.run(epochs=2)
    wait_until(lambda: panel.phase == "done")
    assert (panel.view["map"], panel.held, panel.holdings) == (None, {}, False)
    assert "Worst client" not in [tile["name"] for tile in panel.view["tiles"]]
    panel.close()


# ----------------------------------------------------------------------------- fast moves


def watched(run, accuracy, counts):
    """A result as ``follow`` makes it, with a map of its own."""
    curve = Curve(run.settings, accuracy, [1.0] * len(accuracy))
    curve.held = Holdings(np.array(counts), 1.0)
    return curve


def test_the_map_of_an_obsolete_run_never_comes_back(scripted, script):
    scripted.run()
    old = script.next_run()
    first = watched(old, [0.1, 0.2], [[9, 0]])
    old.commands.put(("running", first, None))
    assert old.told.get(timeout=WAIT)
    assert scripted.held["counts"] == [[9, 0]]
    move(scripted, alpha=0)
    new = script.next_run()
    new.commands.put(("running", watched(new, [0.1], [[1, 8]]), None))
    assert new.told.get(timeout=WAIT)
    old.commands.put(("running", watched(old, [0.1, 0.2, 0.3], [[7, 7]]), None))  # too late
    assert old.told.get(timeout=WAIT)
    assert scripted.held["counts"] == [[1, 8]]
    assert scripted.view["map"]["run"] == scripted.held["run"] == scripted.view["seq"]


def test_the_map_is_sent_once_a_run_and_stays_when_stopped(scripted, script):
    sent = []
    scripted.observe(lambda change: sent.append(change["new"]), names="held")
    scripted.run()
    run = script.next_run()
    curve = watched(run, [0.1], [[3, 4]])
    for clients in ((0, 1), (2, 5)):
        curve.clients = clients
        run.commands.put(("running", curve, None))
        assert run.told.get(timeout=WAIT)
        assert scripted.view["map"]["clients"] == list(clients)
    press(scripted, "stop")
    assert len(sent) == 1
    assert scripted.view["map"]["run"] == scripted.held["run"]
    assert scripted.phase == "stopped"


def test_a_failed_run_leaves_no_map(scripted, script):
    scripted.run()
    script.next_run().end(RuntimeError("no luck"))
    wait_until(lambda: scripted.view["phase"] == "failed")
    assert scripted.view["map"] is None


def test_controls_say_what_they_need(panel):
    needs = {control["name"]: control["needs"] for control in panel.controls}
    expected = {"split": "", "alpha": "Dirichlet", "shards_per_client": "shards", "epochs": ""}
    assert needs == expected
    texts = next(c["texts"] for c in panel.controls if c["name"] == "split")
    assert texts == ["IID", "Dirichlet", "shards"]
    assert "shards = " not in panel.fixed


def test_a_knob_that_does_nothing_is_no_difference():
    one, two = RunSettings(split="IID", alpha=0.1), RunSettings(split="IID", alpha=10)
    assert differences(one, two) == "same settings"
    one, two = (RunSettings(split="Dirichlet", alpha=a) for a in (0.1, 10))
    assert (
        differences(one, two).replace("\N{NO-BREAK SPACE}", " ")
        == "\N{GREEK SMALL LETTER ALPHA} = 0.1"
    )
    assert "\N{GREEK SMALL LETTER ALPHA}" not in lab.FederationPanel(*toy()).fixed


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"alpha": 0.0}, ValueError, r"alpha must be .*\(0, inf\), got 0"),
        ({"shards_per_client": 0}, ValueError, "shards_per_client must be at least 1, got 0"),
        ({"challenge": "easy"}, TypeError, "challenge must be a Challenge, got 'easy'"),
    ],
)
def test_bad_settings(change, error, message):
    with pytest.raises(error, match=message):
        lab.FederationPanel(*toy(), **change)


# ------------------------------------------------------------------------------ the challenge

GOAL = lab.Challenge("test", accuracy=(0.5, 0.9), max_mb=1, window=2)


def finished(*accuracy, bytes_up=1_000_000):
    return Curve(RunSettings(), [0.1, *accuracy], [1.0], bytes_up=bytes_up)


@pytest.mark.parametrize(
    ("accuracy", "points"),
    [([0.9, 0.9], 10), ([1, 1], 10), ([0.5, 0.5], 0), ([0.2, 0.1], 0), ([0.6, 0.8], 5),
     ([0.99, 0.5, 0.5], 0), ([0.7, 0.739], 5), ([0.7, 0.741], 5), ([0.74, 0.74], 6)],
)  # fmt: skip
def test_points_are_for_the_last_rounds(accuracy, points):
    assert GOAL.points(finished(*accuracy)) == points


def test_over_the_budget_nothing_is_earned():
    assert GOAL.points(finished(0.9, 0.9, bytes_up=1_000_001)) == 0
    assert "over the budget: 0 of 10 points" in GOAL.settle(finished(0.9, 0.9, bytes_up=2_000_000))


def test_only_the_best_run_counts():
    assert "5 of 10 points. Your best: 5." in GOAL.settle(finished(0.7, 0.7))
    assert "2 of 10 points. Your best: 5." in GOAL.settle(finished(0.6, 0.6))
    assert progress.total() == 5
    GOAL.settle(finished(0.9, 0.9))
    assert progress.total() == 10


def test_a_finished_run_on_the_panel_takes_part_and_a_stopped_one_does_not(script):
    panel = lab.FederationPanel(*toy(), challenge=GOAL)
    panel.run()
    run = script.next_run()
    run.publish("running", [0.1, 0.9])
    press(panel, "stop")
    assert progress.total() == 0
    panel.run(epochs=2)
    run = script.next_run()
    run.publish("done", [0.1, 0.7, 0.7])
    assert progress.total() == 5
    assert panel.view["status"].endswith("5 of 10 points. Your best: 5.")
    panel.close()


def test_an_obsolete_run_earns_nothing(script):
    panel = lab.FederationPanel(*toy(), challenge=GOAL)
    panel.run()
    old = script.next_run()
    move(panel, epochs=2)
    script.next_run()
    old.publish("done", [0.1, 0.9, 0.9])
    assert progress.total() == 0
    panel.close()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("", (0.5, 0.9), 1), TypeError, "key must be a non-empty name"),
        (("a", 0.9, 1), TypeError, r"accuracy must be \(none, all\), got 0.9"),
        (("a", (0.9, 0.5), 1), ValueError, r"accuracy\[1\] must be"),
        (("a", (0.5, 0.9), 0), ValueError, "max_mb must be"),
        (("a", (0.5, 0.9), 1, 0), ValueError, "window must be at least 1, got 0"),
    ],
)
def test_bad_challenges(arguments, error, message):
    with pytest.raises(error, match=message):
        lab.Challenge(*arguments)


def test_the_page_declares_what_it_draws_with():
    """A script must make its map before it uses it: a name lost in a merge stops the page."""
    script = lab.FederationPanel._esm
    made = script.index('const map = model.get("holdings") ? makeHoldings() : null;')
    assert script.index("function makeHoldings()") < made < script.index("map.set(")
