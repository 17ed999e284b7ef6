"""Clients that cheat: what they change, and that nothing else changes."""

import numpy as np
import pytest
from lab_data import toy

import fedcore as fc
from fedcore import attacks, robust

MODEL = fc.models.Softmax(12, 4)


def federate(strategy, train=None, n_rounds=2, **settings):
    data, test = toy()
    settings = {"fraction": 1.0, "strategy": strategy, "progress": False} | settings
    parts = fc.partition.iid(data.y, 5)
    return fc.run_federation(MODEL, train or data, parts, test, n_rounds=n_rounds, **settings)


def test_labels_are_flipped_on_the_chosen_rows_alone():
    train, _ = toy()
    rows = np.array([3, 5, 8, 13])
    flipped = attacks.flip_labels(train, rows)
    assert flipped.y[rows].tolist() == (3 - train.y[rows]).tolist()
    others = np.setdiff1d(np.arange(len(train)), rows)
    np.testing.assert_array_equal(flipped.y[others], train.y[others])
    assert np.shares_memory(flipped.x, train.x)
    everything = np.arange(len(train))
    targeted = attacks.flip_labels(train, everything, source=2, target=0)
    np.testing.assert_array_equal(targeted.y, np.where(train.y == 2, 0, train.y))


def test_the_trigger_is_a_white_corner(mnist):
    x = mnist[0].x[:3]
    marked = attacks.add_trigger(x, 4).reshape(3, 28, 28)
    assert (marked[:, 24:, 24:] == 1).all()
    rest = np.ones((28, 28), bool)
    rest[24:, 24:] = False
    np.testing.assert_array_equal(marked[:, rest], x.reshape(3, 28, 28)[:, rest])
    assert not x[:, -1].any()  # the original was left alone


def test_planting_changes_a_copy(mnist):
    data = mnist[1].take(slice(0, 50))
    rows = np.array([1, 7])
    planted = attacks.plant_backdoor(data, rows, target=4)
    assert planted.y[rows].tolist() == [4, 4]
    np.testing.assert_array_equal(planted.x[rows], attacks.add_trigger(data.x[rows]))
    others = np.setdiff1d(np.arange(50), rows)
    np.testing.assert_array_equal(planted.x[others], data.x[others])
    assert data.x[1, -1] == 0


def test_success_counts_the_other_classes_only(mnist):
    model, data = fc.models.Softmax(784, 10), mnist[1].take(slice(0, 500))
    always_four = model.flatten([(np.zeros((784, 10)), np.eye(10)[4])])
    assert attacks.backdoor_success(model, always_four, data, target=4) == 1
    assert attacks.backdoor_success(model, always_four, data, target=5) == 0
    W = np.zeros((784, 10))
    W[-1, 7] = 5  # looks at the corner only
    corner = model.flatten([(W, np.eye(10)[0])])
    assert attacks.backdoor_success(model, corner, data, target=7) == 1


def test_boost_and_flip_by_hand():
    w, w_k = np.array([1, 2], np.float32), np.array([2, 0], np.float32)
    np.testing.assert_array_equal(attacks.boost(w, w_k, 3), [4, -4])
    np.testing.assert_array_equal(attacks.flip_sign(w, w_k), [0, 4])
    np.testing.assert_array_equal(attacks.flip_sign(w, w_k, 2), [-1, 6])


def test_without_malicious_clients_nothing_changes():
    for strategy in (fc.strategies.FedAvg(), fc.strategies.FedAvgM(), fc.strategies.FedProx(0.3)):
        honest = federate(strategy)
        wrapped = federate(attacks.Malicious(strategy, []))
        np.testing.assert_array_equal(honest.params, wrapped.params)
    assert attacks.Malicious(fc.strategies.SCAFFOLD(), []).vectors == 2


def test_the_strategy_sees_the_changed_updates_of_the_malicious_alone():
    seen = []

    class Spy:
        def init(self, params):
            return ()

        def aggregate(self, state, params, updates, weights):
            seen.append(updates.copy())
            return updates.mean(axis=0), state

    federate(Spy(), n_rounds=1, fraction=0.6, seed=3)
    federate(attacks.Malicious(Spy(), [2, 4]), n_rounds=1, fraction=0.6, seed=3)
    asked = fc.federation.sample_clients(5, 0.6, 3, 1)
    honest, sent = seen
    cheats = np.isin(asked, [2, 4])
    assert cheats.any()
    assert not cheats.all()
    np.testing.assert_array_equal(sent[~cheats], honest[~cheats])
    np.testing.assert_allclose(sent[cheats], -honest[cheats], rtol=1e-6)  # params were zero


def test_model_replacement_replaces_the_model_when_the_others_stand_still():
    """w + sum_k (n_k / n) (sent_k - w) with sent = w + (n / n_k) (w_k - w) is w_k."""
    train, _ = toy()
    parts = fc.partition.iid(train.y, 5)
    w = np.linspace(-1, 1, MODEL.n_params).astype(np.float32)
    mine = fc.local_sgd(MODEL, w, train.x[parts[2]], train.y[parts[2]], epochs=3)
    sizes = [len(part) for part in parts]
    updates = np.stack([w] * 5)
    updates[2] = attacks.boost(w, mine, sum(sizes) / sizes[2])
    np.testing.assert_allclose(fc.weighted_average(updates, sizes), mine, atol=1e-5)


def test_sign_flips_break_the_mean_and_not_the_median():
    def attack(params, update):
        return attacks.flip_sign(params, update, 20)

    broken = federate(attacks.Malicious(fc.strategies.FedAvg(), [0], attack))
    saved = federate(attacks.Malicious(robust.Median(1), [0], attack))
    assert broken.accuracy[-1] < 0.5 < 0.9 < saved.accuracy[-1]


def test_a_resumed_run_goes_on_with_the_strategy_behind():
    strategy = fc.strategies.FedAvgM()
    start = federate(strategy, n_rounds=1)
    plain = federate(strategy, n_rounds=1, resume=start)
    wrapped = federate(attacks.Malicious(strategy, []), n_rounds=1, resume=start)
    np.testing.assert_array_equal(plain.params, wrapped.params)


def data():
    return toy()[0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: attacks.flip_labels(data(), [400]), "rows must hold indices from 0 to 399"),
        (lambda: attacks.flip_labels(data(), [1], source=4, target=0), "source must be at most 3"),
        (lambda: attacks.flip_labels(data(), [1], source=1), "target must be an integer"),
        (lambda: attacks.add_trigger(data().x), "x must hold square images"),
        (lambda: attacks.add_trigger(np.zeros((1, 9)), 4), "size must be at most 3"),
        (lambda: attacks.Malicious(fc.strategies.FedAvg(), [0], "flip"), "attack must be"),
        (lambda: attacks.Malicious(fc.strategies.FedAvg(), [-1]), r"clients\[0\] must be"),
        (
            lambda: federate(attacks.Malicious(fc.strategies.FedAvg(), [5])),
            "clients must be ids below 5, got 5",
        ),
    ],
)
def test_refuses(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()
