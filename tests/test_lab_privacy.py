"""The privacy panel: its numbers from plain functions, and that nothing obsolete is ever shown."""

import json
import math
import queue

import numpy as np
import pytest
from lab_data import toy

import fedcore as fc
from fedcore import attacks, audit, lab
from fedcore.lab import live as live_module
from fedcore.lab import privacy_panel as panel_module
from fedcore.lab import privacy_words as words
from fedcore.lab.privacy_runs import (
    PrivacyResult,
    PrivacySettings,
    deal,
    follow_privacy,
    proven_epsilon,
    reconstruct,
)

WAIT = 60
TRAIN, TEST = toy(n=2000)
SMALL = {"n_users": 10, "n_rounds": 4, "n_models": 6, "n_examples": 4}


def run(**changes):
    return lab.privacy_run(None, TRAIN, TEST, **SMALL | changes)


# --------------------------------------------------------------------------------- the numbers


def test_a_run_is_a_private_federation_and_its_accountant():
    result = run(noise_multiplier=0.5)
    settings = result.settings
    parts = deal(TRAIN, settings)
    mine = [parts[k] for k in np.flatnonzero(result.member[0])]
    model = fc.models.Softmax(12, 4)
    history = fc.run_federation(
        model,
        TRAIN,
        mine,
        TEST,
        n_rounds=4,
        fraction=0.2,
        local=fc.LocalSGD(5, 4, 0.1),
        strategy=fc.privacy.DPFedAvg(0.5, 0.5),
        sampling="poisson",
        params=model.init(0),
    )
    assert result.accuracy[1:] == history.accuracy.tolist()
    assert result.accuracy[0] == history.initial_accuracy
    assert result.epsilon == fc.privacy.spent(history, settings.delta)
    worst = fc.user_level.user_accuracies(model, history.params, TRAIN, mine, TEST).min()
    assert result.worst_user == worst


def test_the_attack_is_lira_on_users():
    result = run(noise_multiplier=0)
    assert result.scores.shape == result.member.shape == (6, 20)
    assert result.auc == attacks.auc(result.scores.ravel(), result.member.ravel())
    assert result.tpr == attacks.tpr_at_fpr(result.scores.ravel(), result.member.ravel(), 0.01)
    assert result.epsilon == math.inf
    assert result.models == 6


def test_the_same_settings_give_the_same_numbers():
    one, two, other = run(), run(), run(seed=1)
    assert one.scores.tolist() == two.scores.tolist() != other.scores.tolist()
    assert one.accuracy == two.accuracy != other.accuracy


def test_noise_hides_a_digit_and_then_the_membership(mnist):
    """Reconstruction is gone long before membership is; and the floor lies below the ceiling."""
    settings = {"n_users": 60, "n_models": 12, "n_rounds": 20}
    quiet, some, loud = (
        lab.privacy_run(None, *mnist, noise_multiplier=z, **settings) for z in (0, 0.1, 5)
    )
    assert quiet.psnr > 100 > 20 > some.psnr
    assert quiet.auc > 0.75
    assert some.auc > 0.7
    assert loud.auc < 0.56
    assert quiet.accuracy[-1] > loud.accuracy[-1] + 0.2
    for result in (quiet, some, loud):
        assert 0 <= result.proven <= result.epsilon
    assert quiet.proven > 1


def test_clipping_alone_stops_nothing(mnist):
    model = fc.models.Softmax(784, 10)
    for clip_norm in (10, 0.01):
        settings = PrivacySettings(noise_multiplier=0, clip_norm=clip_norm)
        assert reconstruct(model, mnist[0], settings)[0] > 100


def test_the_users_hold_different_digits():
    parts = deal(TRAIN, PrivacySettings(n_users=50, n_examples=10))
    assert len(parts) == 100
    assert len(set(np.concatenate(parts).tolist())) == 1000
    with pytest.raises(ValueError, match="n_users must be at most 100 with 10 examples each"):
        deal(TRAIN, PrivacySettings(n_users=101))


def test_threshold_refutes_as_much_as_any_of_those_tried(rng):
    member = rng.random(400) < 0.5
    scores = rng.normal(size=400) + 2 * member
    threshold = audit.best_threshold(scores, member, 1e-5)

    def bound(at):
        said = scores >= at
        return audit.epsilon_lower_bound(
            true_positives=int((said & member).sum()),
            members=int(member.sum()),
            false_positives=int((said & ~member).sum()),
            nonmembers=int((~member).sum()),
            delta=1e-5,
        )

    assert bound(threshold) >= 0.9 * max(bound(at) for at in scores)


def test_threshold_is_not_fitted_to_the_answers_that_are_counted(rng):
    """Scores that know nothing prove nothing, in nearly every repetition."""
    proven = []
    for _ in range(60):
        member = fc.user_level.halves(40, 10, seed=int(rng.integers(1e6)))
        proven.append(proven_epsilon(rng.normal(size=member.shape), member, 1e-5))
    assert np.mean(np.array(proven) > 0) <= 0.1


def test_giving_up_ends_the_run():
    asked = iter([False] * 6 + [True] * 100)
    life = follow_privacy(TRAIN, TEST, PrivacySettings(**SMALL), lambda: next(asked))
    phases = [phase for phase, _ in life]
    assert "done" not in phases
    assert len(phases) < 10


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"noise_multiplier": -1}, "noise_multiplier must be a finite number"),
        ({"clip_norm": 0}, "clip_norm must be a finite number"),
        ({"sampling_rate": 1.2}, "sampling_rate must be a finite number"),
        ({"delta": 1}, "delta must be a finite number"),
        ({"n_models": 7}, "n_models must be even, got 7"),
        ({"n_users": 1}, "n_users must be at least 2, got 1"),
    ],
)
def test_bad_settings_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        run(**change)


# ------------------------------------------------------------------------------------ words


def test_words_for_numbers():
    assert words.epsilon_text(7.93412) == "7.93"
    assert words.epsilon_text(math.inf) == "\N{INFINITY}"
    assert words.epsilon_text(123_456) == ">\N{NO-BREAK SPACE}10,000"
    assert words.psnr_text(22.61) == "22.6\N{NO-BREAK SPACE}dB"
    assert words.psnr_text(164) == "exact"


def test_what_is_not_known_yet_is_a_dash():
    tiles = words.tiles(PrivacyResult(PrivacySettings(), accuracy=[0.1]), None)
    assert [tile["value"] for tile in tiles[1:]] == ["\N{EN DASH}"] * 5
    assert {tile["before"] for tile in tiles} == {""}


def test_a_finished_run_is_told_in_one_sentence():
    result = run()
    text = words.status("done", result).replace("\N{NO-BREAK SPACE}", " ")
    assert text.startswith(f"Done: ε is at most {result.epsilon:.3g} for one user (δ = 1e-05).")
    assert "With 1 % false alarms" in text
    assert f"finds {100 * result.tpr:.1f} % of those who took part" in text


# ------------------------------------------------------------------------------------ panel


class Script:
    """Stands for ``follow_privacy``: goes on only when told to."""

    def __init__(self, monkeypatch):
        self.begun = queue.Queue()
        monkeypatch.setattr(panel_module, "follow_privacy", self.follow)
        monkeypatch.setattr(live_module, "SETTLE", 0.0)

    def follow(self, train, test, settings, cancelled):
        commands, told = queue.Queue(), queue.Queue()
        self.begun.put((settings, commands, told))
        while (item := commands.get(timeout=WAIT)) is not None:
            if isinstance(item, Exception):
                told.put(False)
                raise item
            yield item
            told.put(True)

    def next(self):
        return self.begun.get(timeout=WAIT)


@pytest.fixture
def script(monkeypatch):
    return Script(monkeypatch)


def done(settings, accuracy=0.5):
    return "done", PrivacyResult(
        settings,
        accuracy=[0.1, accuracy],
        epsilon=2.0,
        worst_user=0.3,
        psnr=9.0,
        pictures=(np.zeros(144), np.ones(144)),
        models=32,
        tpr=0.04,
        auc=0.6,
        proven=0.5,
    )


def tell(command, run):
    _, commands, told = run
    commands.put(command)
    return told.get(timeout=WAIT)


def test_what_is_on_the_screen_is_what_was_computed(script):
    panel = lab.PrivacyPanel(TRAIN, TEST)
    panel.run(noise_multiplier=0.3)
    work = script.next()
    assert work[0].noise_multiplier == 0.3
    assert panel.result is None
    tell(done(work[0]), work)
    assert panel.result.epsilon == 2.0
    assert panel.phase == "done"
    values = {
        tile["name"]: tile["value"].replace("\N{NO-BREAK SPACE}", " ")
        for tile in panel.view["tiles"]
    }
    assert values == {
        "Test accuracy": "50.0 %",
        "Worst user": "30.0 %",
        "Reconstruction": "9.0 dB",
        "Members found": "4.0 %",
        "ε at most": "2",
        "ε at least": "0.50",
    }
    assert [len(picture["pixels"]) for picture in panel.view["pictures"]] == [144, 144]
    assert panel.view["pictures"][1]["pixels"][0] == 255
    json.dumps(panel.view)
    panel.close()


def test_an_obsolete_run_is_never_shown(script):
    panel = lab.PrivacyPanel(TRAIN, TEST)
    panel.run(noise_multiplier=0.3)
    old = script.next()
    panel.run(noise_multiplier=3)
    new = script.next()
    tell(done(old[0], 0.9), old)
    assert panel.result is None
    tell(done(new[0], 0.4), new)
    assert panel.result.accuracy[-1] == 0.4
    assert panel.result.settings.noise_multiplier == 3
    panel.close()


def test_the_run_before_stays_for_comparison(script):
    panel = lab.PrivacyPanel(TRAIN, TEST)
    panel.run()
    first = script.next()
    tell(done(first[0], 0.7), first)
    first[1].put(None)
    panel.run(noise_multiplier=3)
    second = script.next()
    tell(done(second[0], 0.4), second)
    assert panel.view["before"]["accuracy"] == [0.1, 0.7]
    assert panel.view["before"]["name"].replace("\N{NO-BREAK SPACE}", " ") == "previous run: z = 1"
    assert panel.view["tiles"][0]["before"] == "70.0\N{NO-BREAK SPACE}%"
    panel.close()


def test_a_failure_is_told_in_words(script):
    panel = lab.PrivacyPanel(TRAIN, TEST)
    panel.run()
    work = script.next()
    work[1].put(ValueError("epsilon needs a package"))
    assert work[2].get(timeout=WAIT) is False
    for _ in range(200 * WAIT):
        if panel.view["phase"] == "failed":
            break
        live_module.threading.Event().wait(0.005)
    assert panel.view["phase"] == "failed"
    assert panel.view["status"] == "Stopped: epsilon needs a package"
    panel.close()


def test_stopping_keeps_what_is_there(script):
    panel = lab.PrivacyPanel(TRAIN, TEST)
    panel.run()
    work = script.next()
    tell(("training", PrivacyResult(work[0], accuracy=[0.1, 0.6])), work)
    panel.stop()
    assert panel.phase == "stopped"
    assert panel.view["status"] == "Stopped by you. What is missing was not computed."
    assert panel.view["tiles"][0]["value"] == "60.0\N{NO-BREAK SPACE}%"
    panel.close()


def test_a_real_run_reaches_the_screen(monkeypatch):
    monkeypatch.setattr(live_module, "SETTLE", 0.0)
    panel = lab.PrivacyPanel(TRAIN, TEST, show=["noise_multiplier"], **SMALL)
    panel.run(noise_multiplier=3)
    for _ in range(100 * WAIT):
        if panel.phase in ("done", "failed"):
            break
        live_module.threading.Event().wait(0.01)
    assert panel.phase == "done"
    assert panel.result.epsilon == run(noise_multiplier=3).epsilon
    assert panel.result.scores.tolist() == run(noise_multiplier=3).scores.tolist()
    panel.close()


def test_controls_and_what_is_fixed():
    panel = lab.PrivacyPanel(TRAIN, TEST, show=("noise_multiplier", "n_users"), n_users=30)
    assert [control["name"] for control in panel.controls] == ["noise_multiplier", "n_users"]
    assert panel.controls[1]["texts"] == ["20", "30", "50", "100"]  # no more digits than that
    fixed = panel.fixed.replace("\N{NO-BREAK SPACE}", " ")
    assert "S = 0.5" in fixed
    assert "q = 0.2" in fixed
    assert "δ = 1e-05" in fixed
    panel.close()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"show": ["noise"]}, "show must name settings"),
        ({"show": ["n_users", "n_users"]}, "show must name each setting once"),
        ({"noise_multiplier": -1}, "noise_multiplier must be a finite number"),
        ({"n_users": 5000}, "n_users must be at most 100"),
    ],
)
def test_a_panel_refuses_by_name(arguments, message):
    with pytest.raises(ValueError, match=message):
        lab.PrivacyPanel(TRAIN, TEST, **arguments)


def test_a_panel_wants_datasets_and_known_settings():
    with pytest.raises(TypeError, match="test must be a Dataset"):
        lab.PrivacyPanel(TRAIN, TEST.x)
    with pytest.raises(TypeError, match="sigma must be a setting"):
        lab.PrivacyPanel(TRAIN, TEST, sigma=1)
