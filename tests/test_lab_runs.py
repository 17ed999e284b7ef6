"""What the live panel computes and says, tested without a widget."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from lab_data import toy

import fedcore as fc
from fedcore import lab
from fedcore.lab import runs, summary
from fedcore.lab.runs import Curve, RunSettings, World, follow

NBSP = "\N{NO-BREAK SPACE}"
SMALL = RunSettings(n_clients=8, fraction=0.5, n_rounds=3)


def spaced(text):
    return text.replace(NBSP, " ")


# ------------------------------------------------------------------------------- the numbers


@pytest.mark.parametrize(
    ("split", "parts"),
    [
        ("IID", lambda y: fc.partition.iid(y, 8, seed=3)),
        ("2 shards", lambda y: fc.partition.shards(y, 8, 2, seed=3)),
        ("1 shard", lambda y: fc.partition.shards(y, 8, 1, seed=3)),
    ],
)
def test_the_panel_runs_the_same_federation_as_the_lessons(split, parts):
    train, test = toy()
    settings = RunSettings(
        n_clients=8, fraction=0.4, epochs=2, batch_size=7, lr=0.05, split=split, n_rounds=4, seed=3
    )
    records = list(lab.panel_run(settings, train, test))
    history = fc.run_federation(
        fc.models.Softmax(12, 4),
        train,
        parts(train.y),
        test,
        n_rounds=4,
        fraction=0.4,
        local=fc.LocalSGD(2, 7, 0.05),
        seed=3,
    )
    assert records == history.rounds


def test_changes_replace_single_settings():
    train, test = toy()
    one = list(lab.panel_run(SMALL, train, test, epochs=3))
    assert one != list(lab.panel_run(SMALL, train, test))
    assert len(one) == 3


def test_the_second_model_is_the_2nn_of_the_paper():
    train, test = toy()
    record = next(iter(lab.panel_run(SMALL, train, test, model="2NN")))
    assert record.bytes_up == 4 * fc.models.MLP(12, 200, 200, 4).nbytes


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_clients": 0}, "n_clients must be at least 1, got 0"),
        ({"fraction": 0}, r"fraction must be a finite number in \(0, 1\], got 0"),
        ({"fraction": 1.5}, "fraction must be"),
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"lr": -1}, "lr must be"),
        ({"n_rounds": 0}, "n_rounds must be at least 1, got 0"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
        ({"split": 3}, "split must be a name, got 3"),
    ],
)
def test_wrong_settings_are_named(change, message):
    with pytest.raises((TypeError, ValueError), match=message):
        RunSettings(**change)


@pytest.mark.parametrize("name", ["split", "model", "strategy"])
def test_unknown_names_are_refused_with_the_known_ones(name):
    train, test = toy()
    with pytest.raises(ValueError, match=f"{name} must be one of '.*', got 'nonsense'"):
        list(lab.panel_run(SMALL, train, test, **{name: "nonsense"}))


# ------------------------------------------------------------------------- the life of a run


def test_a_run_begins_with_the_initial_model_and_ends_done():
    train, test = toy()
    seen = [(phase, curve.rounds) for phase, curve, _ in follow(World(train, test), SMALL)]
    assert seen == [("running", 0), ("running", 1), ("running", 2), ("done", 3)]


def test_the_curve_holds_what_the_records_say():
    train, test = toy()
    *_, (_, curve, _) = follow(World(train, test), SMALL)
    records = list(lab.panel_run(SMALL, train, test))
    assert curve.accuracy[1:] == [record.accuracy for record in records]
    assert curve.loss[1:] == [record.loss for record in records]
    assert curve.bytes_up == sum(record.bytes_up for record in records)
    assert curve.bytes_down == sum(record.bytes_down for record in records)
    model = fc.models.Softmax(12, 4)
    assert curve.accuracy[0] == model.accuracy(model.init(), test.x, test.y)


def test_nothing_follows_once_a_run_is_obsolete():
    train, test = toy()
    told = []
    life = follow(World(train, test), SMALL, cancelled=lambda: len(told) >= 2)
    for phase, _, _ in life:
        told.append(phase)
    assert told == ["running", "running"]


def test_a_run_is_given_up_between_two_clients_of_one_round(monkeypatch):
    """The longest wait is one client's training, not a whole round."""
    train, test = toy()
    asked = itertools.count(1)
    trained = []
    original = fc.training._Job.train
    monkeypatch.setattr(
        fc.training._Job,
        "train",
        lambda job, part, client, *rest: (
            original(job, part, client, *rest),
            trained.append(client),
        ),
    )
    settings = RunSettings(n_clients=50, fraction=1.0, n_rounds=1)
    steps = World(train, test).rounds(settings, cancelled=lambda: next(asked) > 20)
    with pytest.raises(runs.Cancelled):
        next(steps)
    assert 0 < len(trained) < 50


def test_watching_a_model_changes_nothing_about_it():
    model = fc.models.MLP(12, 5, 4)
    watched = runs._stoppable(model, lambda: False)
    assert watched == model
    assert (watched.n_params, watched.nbytes) == (model.n_params, model.nbytes)
    np.testing.assert_array_equal(watched.init(1), model.init(1))


@pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning")
def test_divergence_ends_the_run_and_keeps_its_rounds():
    train, test = toy()
    world = World(train, test, strategies={"FedAvg": _BreaksInRound(3)})
    *_, before_last, (phase, curve, error) = follow(world, RunSettings(n_clients=8, n_rounds=9))
    assert phase == "diverged"
    assert before_last[0] == "running"
    assert curve.rounds == 2
    assert isinstance(error, fc.FederationDiverged)
    assert spaced(summary.status(phase, curve, error)) == (
        "Stopped: diverged in round 3, \N{GREEK SMALL LETTER ETA} = 0.1; try a smaller learning "
        f"rate. The 2 completed rounds stay, at {100 * curve.accuracy[-1]:.1f} %."
    )


class _BreaksInRound:
    """A server whose model becomes infinite in a given round."""

    def __init__(self, bad_round):
        self.bad_round = bad_round

    def init(self, params):
        return (np.zeros(1),)

    def aggregate(self, state, params, updates, weights):
        round_ = state[0] + 1
        new = updates.mean(axis=0)
        return (np.full_like(new, np.inf) if round_[0] == self.bad_round else new), (round_,)


def test_a_client_that_diverges_is_named():
    train, test = toy()
    settings = RunSettings(lr=3e38, n_rounds=3, n_clients=10)
    *_, (phase, curve, error) = follow(World(train, test), settings)
    assert (phase, curve.rounds) == ("diverged", 0)
    text = summary.status(phase, curve, error)
    assert f"diverged in round 1, client {error.client}," in text
    assert "No round was completed." in text


@pytest.mark.parametrize("fraction", [0.01, 1.0])
@pytest.mark.parametrize("batch_size", [1, None])
@pytest.mark.parametrize("lr", [0.001, 10.0])
@pytest.mark.parametrize("split", ["IID", "2 shards", "1 shard"])
def test_the_extremes_of_every_slider_end_in_a_clear_state(fraction, batch_size, lr, split):
    train, test = toy()
    settings = RunSettings(
        n_clients=10, fraction=fraction, epochs=20, batch_size=batch_size, lr=lr, split=split
    )
    settings = replace(settings, n_rounds=2)
    *_, (phase, curve, error) = follow(World(train, test), settings)
    assert phase in ("done", "diverged")
    assert summary.status(phase, curve, error).startswith(("Done: ", "Stopped: diverged"))
    assert all(np.isfinite(curve.accuracy))


# ------------------------------------------------------------------------------- the words


def curve(accuracy, loss=None, **settings):
    made = Curve(RunSettings(**settings), accuracy, loss or [2.0] * len(accuracy))
    made.bytes_up, made.bytes_down, made.seconds = 6_280_000, 31_400, 0.84
    return made


def test_the_status_says_how_far_a_run_is():
    assert summary.status("running", curve([0.1])) == "Training round 1 of 20 ..."
    text = spaced(summary.status("running", curve([0.1, 0.5, 0.6251])))
    assert text == "Training round 3 of 20: 62.5 % so far."


def test_the_status_of_a_finished_run_tells_result_and_cost():
    done = curve([0.1] + [0.912] * 20)
    expected = "Done: 91.2 % after 20 rounds, 0.84 s, 6.28 MB up, 31.4 kB down."
    assert spaced(summary.status("done", done)) == expected


def test_a_finished_run_whose_loss_rose_is_flagged():
    text = summary.status("done", curve([0.1, 0.5], loss=[2.3, 25.0], n_rounds=1))
    assert "the loss rose from 2.3 to 25" in text
    assert "learning rate is too large" in text


def test_tiles_compare_with_the_run_before():
    shown = summary.tiles(curve([0.1, 0.91]), curve([0.1, 0.5, 0.6]), 0.9)
    by_name = {spaced(tile["name"]): tile for tile in shown}
    assert spaced(by_name["Test accuracy"]["value"]) == "91.0 %"
    assert spaced(by_name["Test accuracy"]["before"]) == "60.0 %"
    assert by_name["Rounds to 90 %"]["value"] == "1"
    assert spaced(by_name["Rounds to 90 %"]["before"]) == "> 2"
    assert "Rounds to 90 %" not in [
        tile["name"] for tile in summary.tiles(curve([0.1]), None, None)
    ]


@pytest.mark.parametrize(
    ("now", "before", "floor"),
    [
        ([0.1], None, 0),
        ([0.1, 0.85, 0.9], None, 80),
        ([0.1, 0.85], [0.1, 0.45, 0.9], 40),
        ([0.1, 0.05], [0.1, 0.9], 0),
        ([0.1, 1.0], None, 80),
    ],
)
def test_the_axis_begins_below_every_trained_model(now, before, floor):
    assert summary.axis_floor(curve(now), before and curve(before)) == floor


def test_only_differences_are_told():
    ours, theirs = RunSettings(epochs=5, batch_size=None), RunSettings()
    expected = "E = 5, B = all"
    assert spaced(summary.differences(ours, theirs)) == expected
    assert summary.differences(ours, ours) == "same settings"


def test_the_alternative_text_names_both_runs():
    text = spaced(summary.alternative(curve([0.1, 0.91]), curve([0.1, 0.6], epochs=5)))
    assert "from 10.0 % at the start to 91.0 % after 1 round" in text
    assert "Previous run (E = 5): 60.0 % after 1 round" in text


def test_a_round_is_predicted_once_whatever_is_told_of_it(monkeypatch):
    """Accuracy, and the worst client's, come of the same predictions."""
    train, test = toy()
    calls = []
    kernels = fc.models.kernels
    real = kernels.predict_proba
    monkeypatch.setattr(kernels, "predict_proba", lambda *args: calls.append(1) or real(*args))
    world = World(train, test, holdings=True)
    *_, (phase, curve, _) = follow(world, replace(SMALL, n_rounds=4))
    assert (phase, curve.rounds, curve.worst is None) == ("done", 4, False)
    assert len(calls) == 1 + 4
    rounds = list(lab.dropout_run(None, train, test, n_devices=20, n_rounds=3))
    assert len(calls) == 1 + 4 + len(rounds)
