"""The attack panel: its numbers are those of the library, and nothing obsolete is shown."""

import base64
import threading

import numpy as np
import pytest

import fedcore as fc
from fedcore import attacks, lab
from fedcore.lab import attack_panel as panel_module
from fedcore.lab.attack_runs import ATTACKS, LR, AttackSettings, AttackWorld, attack_run

WAIT = 60  # seconds until a stuck test fails


@pytest.fixture(scope="module")
def world(mnist):
    train, test = mnist
    return AttackWorld(train.take(slice(0, 3000)), test.take(slice(0, 2000)))


def run(world, **changes):
    return world.run(AttackSettings(**changes))


def wait_until(condition):
    pause = threading.Event()
    for _ in range(int(WAIT / 0.005)):
        if condition():
            return
        pause.wait(0.005)
    raise AssertionError("it never came true")


# ------------------------------------------------------------------------- the plain function


def test_a_run_is_what_the_library_does_step_by_step(world):
    """Two clients of three digits, two steps, clipped: by hand, from the same digits."""
    settings = AttackSettings(batch_size=3, epochs=2, n_clients=2, clip_norm=0.1, seed=4)
    rows = np.random.default_rng(4).permutation(3000)[:6]
    model, deltas = fc.models.Softmax(784, 10), []
    for k in (0, 1):
        own = world.train.take(rows[3 * k : 3 * k + 3])
        update = fc.local_sgd(
            model, model.init(), own.x, own.y, epochs=2, batch_size=None, lr=LR, seed=4, client=k
        )
        deltas.append(update * min(1, 0.1 / np.linalg.norm(update)))
    candidates, _ = attacks.invert_units(model, -np.mean(deltas, axis=0))
    originals = world.train.x[rows[:3]].astype(np.float64)
    _, errors = attacks.best_match(originals, np.clip(candidates, 0, 1).astype(np.float64))
    result = world.run(settings)
    np.testing.assert_array_equal(result.originals, originals)
    np.testing.assert_allclose(result.psnr, -10 * np.log10(errors), rtol=1e-3)


def test_noise_is_that_of_the_setting(world):
    """Its standard deviation in the mean of K deltas is z S / sqrt(K)."""
    from fedcore.lab.attack_runs import _mean_delta

    model, parts = fc.models.Softmax(784, 10), np.arange(8).reshape(4, 2)
    quiet, loud = (
        _mean_delta(
            AttackSettings(n_clients=4, batch_size=2, clip_norm=0.5, noise_multiplier=z),
            model,
            model.init(),
            world.train,
            list(parts),
            np.random.default_rng(0),
        )[0]
        for z in (0.0, 0.1)
    )
    assert (loud - quiet).std() == pytest.approx(0.1 * 0.5 / 2, rel=0.05)


def test_what_the_lesson_says_of_each_condition(world):
    assert run(world).recovered == 1
    assert run(world, epochs=50).recovered == 1
    assert run(world, clip_norm=0.01).recovered == 1
    assert run(world, attack="separate", batch_size=4, clip_norm=0.01).recovered > 0
    noisy = run(world, noise_multiplier=0.1, clip_norm=1.0)
    assert noisy.recovered == 0
    assert noisy.psnr.mean() < noisy.baseline
    large = {name: run(world, attack=name, batch_size=32).recovered for name in ATTACKS}
    assert large["divide"] <= large["network"] < large["traps"] < large["imprint"]


def test_equal_settings_give_equal_results(world):
    settings = AttackSettings(attack="imprint", batch_size=4, noise_multiplier=1e-3, seed=3)
    one, two = world.run(settings), world.run(settings)
    np.testing.assert_array_equal(one.guesses, two.guesses)
    assert not np.array_equal(run(world, seed=1).originals, run(world, seed=2).originals)
    more = run(world, seed=1, batch_size=8, n_clients=4).originals[0]
    np.testing.assert_array_equal(more, run(world, seed=1).originals[0])  # the same digit stays


def test_the_baseline_needs_no_update(world):
    result = run(world, batch_size=2)
    x, y = world.public.x, world.public.y
    means = np.stack([x[y == label].mean(axis=0) for label in result.labels]).astype(float)
    assert result.baseline == pytest.approx(attacks.psnr(result.originals, means).mean())


def test_mnist_is_the_default_data(mnist):
    result = attack_run(batch_size=2, seed=1)
    rows = np.random.default_rng(1).permutation(60_000)[:2]
    assert result.labels.tolist() == mnist[0].y[rows].tolist()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"attack": "magic"}, "attack must be one of divide, separate"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"clip_norm": 0.0}, "clip_norm must be"),
        ({"noise_multiplier": -1.0}, "noise_multiplier must be"),
        ({"batch_size": 64, "n_clients": 64}, r"must be at most 3000 examples, got 4096"),
    ],
)
def test_refuses(world, changes, message):
    with pytest.raises(ValueError, match=message):
        run(world, **changes)


# ---------------------------------------------------------------------------------- the words


def test_what_is_said_of_a_result(world):
    exact = run(world)
    assert panel_module.verdict(exact) == "All copied"
    assert panel_module.tiles(exact)[0]["value"] == ">\xa0100\xa0dB"
    assert panel_module.tiles(exact)[2]["value"] == "100\xa0%"
    assert panel_module.verdict(run(world, noise_multiplier=1.0)) == "No better than a guess"
    assert panel_module.verdict(run(world, noise_multiplier=0.01)) == "Seen, not copied"
    assert "was clipped to 0.01" in panel_module.status(run(world, clip_norm=0.01))
    assert "clipped" not in panel_module.status(run(world, clip_norm=50.0))


def test_pictures_are_the_pixels(world):
    result = run(world, batch_size=16)
    shown = panel_module.pictures(result)
    assert len(shown) == 8
    pixels = np.frombuffer(base64.b64decode(shown[3]["original"]), np.uint8)
    np.testing.assert_allclose(pixels / 255, result.originals[3], atol=1 / 255)
    assert shown[3]["label"] == str(result.labels[3])


# ---------------------------------------------------------------------------------- the panel


@pytest.fixture
def panel(world):
    panel = lab.AttackPanel(world.train, world.public)
    yield panel
    panel.close()


def test_the_panel_ends_with_the_numbers_of_the_plain_function(panel, world):
    for changes in ({"batch_size": 4}, {"attack": "imprint", "epochs": 5}, {"clip_norm": 0.1}):
        panel.run(**changes)
    wait_until(lambda: panel.phase == "done")
    expected = world.run(panel.settings)
    assert panel.settings == AttackSettings("imprint", 4, 5, clip_norm=0.1)
    np.testing.assert_array_equal(panel.result.psnr, expected.psnr)
    assert panel.view["tiles"] == panel_module.tiles(expected)
    assert panel.view["pictures"] == panel_module.pictures(expected)
    panel.reset()
    wait_until(lambda: panel.phase == "done")
    assert panel.settings == AttackSettings()


def test_an_obsolete_result_is_never_shown(panel, monkeypatch):
    """The first attack is held in the middle while a newer one starts and ends."""
    held, go_on, run = threading.Event(), threading.Event(), AttackWorld.run

    def slow(self, settings):
        result = run(self, settings)
        if settings.batch_size == 2:
            held.set()
            assert go_on.wait(WAIT)
        return result

    monkeypatch.setattr(AttackWorld, "run", slow)
    panel.run(batch_size=2)
    assert held.wait(WAIT)
    assert panel.result is None
    panel.run(batch_size=8)
    wait_until(lambda: panel.phase == "done")
    shown = panel.view
    go_on.set()
    for thread in [t for t in threading.enumerate() if t.name == "federation"]:
        thread.join(WAIT)
    assert panel.view == shown
    assert len(panel.result.originals) == 8


def test_a_failure_is_told_in_words(mnist):
    small = mnist[0].take(slice(0, 100))
    panel = lab.AttackPanel(small, mnist[1].take(slice(0, 500)), batch_size=64)
    panel.run(n_clients=8)
    wait_until(lambda: panel.phase == "failed")
    assert "must be at most 100 examples, got 512" in panel.view["status"]
    assert panel.view["pictures"] == []
    panel.close()


def test_controls_hold_every_setting_and_their_extremes(panel, world):
    assert [c["name"] for c in panel.controls] == list(panel_module.CONTROLS)
    assert [c["symbol"] for c in panel.controls] == ["", "B", "E", "K", "S", "z", ""]
    for name, control in panel_module.CONTROLS.items():
        for value in (control.values[0], control.values[-1]):
            assert np.isfinite(run(world, **{name: value}).psnr).all()
    odd = lab.AttackPanel(world.train, world.public, show=("batch_size",), batch_size=3)
    assert odd.controls[0]["texts"] == ["1", "2", "3", "4", "8", "16", "32", "64"]
    odd.close()


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"speed": 3}, TypeError, "speed must be a setting"),
        ({"show": "attack"}, TypeError, "show must be a sequence"),
        ({"show": ("attack", "attack")}, ValueError, "each setting once"),
        ({"show": ("lr",)}, ValueError, "show must name settings"),
        ({"batch_size": 0}, ValueError, "batch_size must be at least 1"),
    ],
)
def test_the_panel_refuses(world, settings, error, message):
    with pytest.raises(error, match=message):
        lab.AttackPanel(world.train, world.public, **settings)
