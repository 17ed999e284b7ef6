"""Membership inference: likelihoods against scipy, no signal where there is none, LiRA ahead."""

import numpy as np
import pytest
from lab_data import toy
from scipy import stats

import fedcore as fc
from fedcore import attacks

MODEL = fc.models.Softmax(12, 4)


def noisy(n=200):
    """A pool with labels that can only be learned by heart."""
    train, _ = toy(n=n)
    y = np.random.default_rng(1).integers(0, 4, n)
    return fc.datasets.Dataset(train.x, y, 4)


@pytest.fixture(scope="module")
def attacked():
    pool = noisy()
    shadows = attacks.train_shadows(MODEL, pool, 32, epochs=60, lr=0.1)
    return pool, shadows, attacks.confidences(MODEL, shadows.params, pool)


def test_every_example_is_in_half_of_the_models_and_they_train_on_theirs_alone():
    pool = noisy(40)
    shadows = attacks.train_shadows(MODEL, pool, 6, epochs=2, lr=0.05, seed=4)
    assert shadows.member.sum(axis=0).tolist() == [3] * 40
    assert shadows.member.sum(axis=1).tolist() == [20] * 6
    mine = shadows.member[5]
    alone = fc.local_sgd(
        MODEL, MODEL.init(4), pool.x[mine], pool.y[mine], epochs=2, lr=0.05, seed=4, client=5
    )
    np.testing.assert_array_equal(shadows.params[5], alone)


def test_confidences_and_losses_from_the_definition(attacked):
    pool, shadows, confidence = attacked
    W, b = MODEL.unflatten(shadows.params[0].astype(np.float64))[0]
    z = pool.x @ W + b
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    true = p[np.arange(len(pool)), pool.y]
    np.testing.assert_allclose(confidence[0], np.log(true / (1 - true)), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(
        attacks.losses(MODEL, shadows.params, pool)[0], -np.log(true), rtol=1e-3, atol=1e-4
    )
    loss = attacks.losses(MODEL, shadows.params[0], pool)
    assert loss.mean() == pytest.approx(MODEL.loss(shadows.params[0], pool.x, pool.y), rel=1e-5)
    np.testing.assert_array_equal(attacks.loss_scores(MODEL, shadows.params[0], pool), -loss)


def test_confidences_stay_finite_where_a_probability_rounds_to_one():
    x, y = np.eye(12, dtype=np.float32)[:2], np.array([0, 1])
    data = fc.datasets.Dataset(x, y, 4)
    params = MODEL.flatten([(400 * np.eye(12, 4), np.zeros(4))])
    wrong = fc.datasets.Dataset(x, 1 - y, 4)
    for case in (data, wrong):
        assert np.isfinite(attacks.confidences(MODEL, params, case)).all()


@pytest.mark.parametrize("pooled", [True, False])
def test_scores_are_scipys_likelihood_ratios(rng, pooled):
    shadow, target = rng.normal(0, [1, 3, 0.5], (12, 3)), rng.normal(size=3)
    member = np.array([rng.permutation(12) < 5 for _ in range(3)]).T
    fits = []
    for chosen in (member, ~member):
        groups = [shadow[chosen[:, i], i] for i in range(3)]
        stds = np.array([np.std(group, ddof=1) for group in groups])
        if pooled:
            inside = [np.square(group - group.mean()) for group in groups]
            degrees = sum(len(group) - 1 for group in groups)
            stds = np.full(3, np.sqrt(np.concatenate(inside).sum() / degrees))
        fits.append(stats.norm([np.mean(group) for group in groups], stds))
    online = attacks.lira_scores(target, shadow, member, pooled=pooled)
    np.testing.assert_allclose(online, fits[0].logpdf(target) - fits[1].logpdf(target), rtol=1e-3)
    offline = attacks.lira_scores(target, shadow, member, pooled=pooled, online=False)
    np.testing.assert_allclose(stats.norm.cdf(offline), fits[1].cdf(target), atol=1e-4)


def test_leave_one_out_never_looks_at_the_target(attacked):
    _, shadows, confidence = attacked
    scores = attacks.lira_leave_one_out(confidence, shadows.member)
    others = np.arange(32) != 7
    expected = attacks.lira_scores(confidence[7], confidence[others], shadows.member[others])
    np.testing.assert_array_equal(scores[7], expected)
    lied = shadows.member.copy()
    lied[7] = ~lied[7]
    np.testing.assert_array_equal(attacks.lira_leave_one_out(confidence, lied)[7], expected)


def test_no_signal_gives_no_better_than_chance(rng):
    """Confidences that have nothing to do with membership: AUC 0.5 in both variants."""
    member = np.zeros((32, 400), dtype=bool)
    for m in range(0, 32, 2):
        member[m, rng.permutation(400)[:200]] = True
        member[m + 1] = ~member[m]
    confidence = rng.normal(size=member.shape) + rng.normal(0, 3, 400)
    for online in (True, False):
        scores = attacks.lira_leave_one_out(confidence, member, online=online)
        assert attacks.auc(scores.ravel(), member.ravel()) == pytest.approx(0.5, abs=0.02)


def test_lira_beats_the_loss_where_models_learn_by_heart(attacked):
    pool, shadows, confidence = attacked
    truth = shadows.member.ravel()
    loss = attacks.auc(attacks.loss_scores(MODEL, shadows.params, pool).ravel(), truth)
    lira = attacks.lira_leave_one_out(confidence, shadows.member)
    offline = attacks.lira_leave_one_out(confidence, shadows.member, online=False)
    assert attacks.auc(lira.ravel(), truth) > attacks.auc(offline.ravel(), truth) > 0.5
    assert attacks.auc(lira.ravel(), truth) > loss + 0.03
    assert attacks.tpr_at_fpr(lira.ravel(), truth, 0.01) > 0.03


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: attacks.train_shadows(MODEL, noisy(), 5), "n_models must be even"),
        (lambda: attacks.train_shadows(MODEL, noisy(), 2), "n_models must be at least 4"),
        (lambda: attacks.train_shadows(MODEL, np.zeros(3), 4), "pool a Dataset"),
        (
            lambda: attacks.lira_scores(np.zeros(3), np.zeros((4, 3)), np.ones((4, 3), bool)),
            'at least 2 "out" shadow models',
        ),
        (
            lambda: attacks.lira_scores(np.zeros(3), np.zeros((4, 3)), np.zeros((4, 3), bool)),
            'at least 2 "in" shadow models',
        ),
        (
            lambda: attacks.lira_scores(np.zeros(2), np.zeros((4, 3)), np.ones((4, 3), bool)),
            "must fit together",
        ),
        (
            lambda: attacks.lira_scores(np.zeros(3), np.zeros((4, 3)), np.ones((4, 3))),
            "member must hold True and False",
        ),
    ],
)
def test_refuses(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()


def test_the_offline_variant_needs_no_shadow_model_that_saw_the_example(rng):
    shadow, never = rng.normal(size=(6, 3)), np.zeros((6, 3), dtype=bool)
    scores = attacks.lira_scores(np.zeros(3), shadow, never, online=False)
    assert np.isfinite(scores).all()
