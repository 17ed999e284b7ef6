"""Where an update comes from: the score by hand, and languages told apart."""

import numpy as np
import pytest

import fedcore as fc
from fedcore import attacks
from fedcore.keyboard import load_keyboard


def test_scores_by_hand():
    params = np.ones(3)
    references = np.array([[2.0, 1, 0], [2.0, -1, 0]])  # in common: the first direction
    updates = np.array([[9, 3, 1], [1, -1, 1], [1, 3, 3]], dtype=np.float64)
    scores = attacks.source_scores(params, updates, references)
    half = 1 / np.sqrt(2)
    np.testing.assert_allclose(scores, [[1, -1], [-1, 1], [half, -half]], atol=1e-12)


def test_scores_do_not_change_with_a_deltas_length(rng):
    params, references = rng.normal(size=8), rng.normal(size=(3, 8))
    deltas = rng.normal(size=(5, 8))
    scores = attacks.source_scores(params, params + deltas, references)
    clipped = params + deltas * rng.uniform(0.01, 1, (5, 1))
    np.testing.assert_allclose(attacks.source_scores(params, clipped, references), scores)
    assert np.abs(scores).max() <= 1 + 1e-12


def test_references_are_what_a_client_of_that_group_would_send(rng):
    model = fc.models.Softmax(4, 3)
    data = fc.datasets.Dataset(rng.random((30, 4)), rng.integers(0, 3, 30), 3)
    groups = np.repeat([1, 0], 15)
    settings = {"epochs": 2, "batch_size": 5, "lr": 0.2}
    found = attacks.reference_deltas(
        model, model.init(), data, groups, n_repeats=2, seed=3, **settings
    )
    for g in (0, 1):
        x, y = data.x[groups == g], data.y[groups == g]
        sent = [
            fc.local_sgd(model, model.init(), x, y, seed=s, client=g, **settings) for s in (3, 4)
        ]
        np.testing.assert_allclose(found[g], np.mean(sent, axis=0), atol=1e-6)


def test_a_phones_language_shows_in_one_update():
    """Public words of each language against phones with other draws: far better than one in six."""
    keyboard = load_keyboard(n_letters=2, n_words=300, n_test_words=200)
    model = fc.models.Softmax(keyboard.train.n_features, keyboard.train.n_classes)
    parts = fc.partition.by_group(keyboard.train_language, 30)
    references = attacks.reference_deltas(
        model, model.init(), keyboard.test, keyboard.test_language
    )
    updates = fc.local_sgd_many(model, model.init(), keyboard.train.x, keyboard.train.y, parts)
    scores = attacks.source_scores(model.init(), updates, references)
    assert (scores.argmax(axis=1) == np.arange(30) % 6).mean() > 0.9


M = fc.models.Softmax(4, 3)
D = fc.datasets.Dataset(np.zeros((4, 4)), np.array([0, 1, 2, 0]), 3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: attacks.reference_deltas(M, M.init(), D, [0, 1]), "groups must hold 4 integers"),
        (lambda: attacks.reference_deltas(M, M.init(), D, [0, 2, 2, 2]), "at least one example"),
        (
            lambda: attacks.source_scores(np.zeros(3), np.zeros((1, 3)), np.zeros((1, 3))),
            "G >= 2",
        ),
        (
            lambda: attacks.source_scores(np.zeros(3), np.zeros((1, 4)), np.zeros((2, 3))),
            "must have 3 columns",
        ),
        (
            lambda: attacks.source_scores(np.zeros(3), np.full((1, 3), np.nan), np.ones((2, 3))),
            "updates must be finite",
        ),
    ],
)
def test_refuses(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()
