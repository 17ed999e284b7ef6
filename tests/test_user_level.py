"""Halves, confidences and accuracies of users, each against a loop written out."""

import numpy as np
import pytest
from lab_data import toy

import fedcore as fc
from fedcore.user_level import halves, user_accuracies, user_confidences

TRAIN, TEST = toy()
MODEL = fc.models.Softmax(12, 4)
PARTS = [np.array([3, 1, 9]), np.array([20]), np.array([5, 7])]


def params(m):
    return np.random.default_rng(m).normal(size=MODEL.n_params).astype(np.float32)


def test_halves_are_halves_and_every_unit_is_in_half_of_the_models():
    member = halves(30, 8, seed=4)
    assert member.sum(axis=1).tolist() == [15] * 8
    assert member.sum(axis=0).tolist() == [4] * 30
    assert not (member[::2] == member[1::2]).any()
    assert (halves(30, 8, seed=4) == member).all()
    assert (halves(30, 8, seed=5) != member).any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((30, 7), "n_models must be even, got 7"),
        ((30, 2), "n_models must be at least 4, got 2"),
        ((1, 4), "n_units must be at least 2, got 1"),
    ],
)
def test_halves_names_what_is_wrong(arguments, message):
    with pytest.raises(ValueError, match=message):
        halves(*arguments)


def test_a_users_confidence_is_the_mean_over_their_examples():
    both = np.stack([params(0), params(1)])
    found = user_confidences(MODEL, both, TRAIN, PARTS)
    for m, w in enumerate(both):
        for k, part in enumerate(PARTS):
            p = MODEL.predict_proba(w, TRAIN.x[part])[np.arange(len(part)), TRAIN.y[part]]
            p = p.astype(float)
            assert found[m, k] == pytest.approx(np.log(p / (1 - p)).mean(), abs=1e-3)
    assert user_confidences(MODEL, both[0], TRAIN, PARTS) == pytest.approx(found[0])


def test_a_users_accuracy_weighs_classes_as_the_user_holds_them():
    w = params(2)
    right = MODEL.predict_proba(w, TEST.x).argmax(axis=1) == TEST.y
    expected = [np.mean([right[TEST.y == c].mean() for c in TRAIN.y[part]]) for part in PARTS]
    assert user_accuracies(MODEL, w, TRAIN, PARTS, TEST) == pytest.approx(expected)
