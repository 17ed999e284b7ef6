"""Strategies inside a federation: local terms, bytes, and a state that is kept."""

import numpy as np
import pytest

import fedcore as fc
from fedcore.federation import round_seed, sample_clients
from fedcore.strategies import SCAFFOLD, FedAdam, FedAvg, FedAvgM, FedNova, FedProx
from fedcore.training import epoch_orders

SIZES = [40, 5, 21, 33, 8]
LOCAL = fc.LocalSGD(2, 7, 0.05)
MODEL = fc.models.MLP(12, 6, 3)
LONG = [FedAvgM(0.5), FedAdam(0.1), SCAFFOLD(0.8), FedNova(), FedProx(0.5)]


@pytest.fixture
def world(rng):
    x = rng.normal(size=(sum(SIZES), 12)).astype(np.float32)
    data = fc.datasets.Dataset(x, rng.integers(0, 3, len(x)), 3)
    return data, fc.partition.by_sizes(data.y, SIZES, seed=2)


def run(world, strategy, **changes):
    data, parts = world
    usual = {"n_rounds": 4, "fraction": 0.6, "local": LOCAL, "seed": 3, "progress": False}
    return fc.run_federation(MODEL, data, parts, data, strategy=strategy, **(usual | changes))


def by_hand(world, n_rounds, rule):
    """FedProx, SCAFFOLD or FedNova as their papers write them, in float64 and without our core."""
    data, parts = world
    w, K = MODEL.init(3).astype(np.float64), len(parts)
    c, c_k = np.zeros_like(w), {k: np.zeros_like(w) for k in range(K)}
    for t in range(1, n_rounds + 1):
        chosen, sent, steps = sample_clients(K, 0.6, 3, t).tolist(), {}, {}
        for k in chosen:
            x, y = data.x[parts[k]].astype(np.float64), data.y[parts[k]]
            v, steps[k] = w.copy(), 0
            for order in epoch_orders(len(y), 2, round_seed(3, t), k):
                for start in range(0, len(y), 7):
                    batch = order[start : start + 7]
                    g = MODEL.gradient(v, x[batch], y[batch])
                    if rule == "prox":
                        g = g + 0.5 * (v - w)
                    elif rule == "scaffold":
                        g = g - c_k[k] + c
                    v, steps[k] = v - 0.05 * g, steps[k] + 1
            sent[k] = v - w
        n = {k: SIZES[k] / sum(SIZES[j] for j in chosen) for k in chosen}
        if rule == "prox":
            w = w + sum(n[k] * sent[k] for k in chosen)
        elif rule == "nova":
            tau = sum(n[k] * steps[k] for k in chosen)
            w = w + tau * sum(n[k] * sent[k] / steps[k] for k in chosen)
        else:
            plus = {k: c_k[k] - c - sent[k] / (steps[k] * 0.05) for k in chosen}
            c = c + sum(plus[k] - c_k[k] for k in chosen) / K
            c_k = c_k | plus
            w = w + 0.8 * np.mean([sent[k] for k in chosen], axis=0)
    return w


@pytest.mark.parametrize(
    ("strategy", "rule"), [(FedProx(0.5), "prox"), (SCAFFOLD(0.8), "scaffold"), (FedNova(), "nova")]
)
def test_a_federation_by_hand(world, strategy, rule):
    """Unequal sizes, a smaller last batch, absent clients, six rounds."""
    found = run(world, strategy, n_rounds=6).params
    np.testing.assert_allclose(found, by_hand(world, 6, rule), rtol=1e-3, atol=2e-5)
    assert np.abs(found - run(world, FedAvg(), n_rounds=6).params).max() > 1e-3


def test_scaffold_with_one_local_step_is_fedavg(world):
    """All clients, equal sizes, one full batch: the corrections cancel in the mean."""
    data, _ = world
    parts = fc.partition.iid(data.y.size - data.y.size % 5, 5)
    step = {"fraction": 1, "local": fc.LocalSGD(1, None, 0.3), "n_rounds": 8}
    plain, corrected = (run((data, parts), s, **step) for s in (FedAvg(), SCAFFOLD()))
    np.testing.assert_allclose(corrected.params, plain.params, atol=1e-5)
    longer = step | {"local": fc.LocalSGD(10, None, 0.3)}
    plain, corrected = (run((data, parts), s, **longer) for s in (FedAvg(), SCAFFOLD()))
    assert np.abs(corrected.params - plain.params).max() > 1e-3


def test_fedprox_holds_the_clients_back(world):
    far = {"local": fc.LocalSGD(20, 7, 0.05), "n_rounds": 1}
    norms = [max(run(world, FedProx(mu), **far).rounds[0].update_norms) for mu in (0, 1, 5)]
    assert norms == sorted(norms, reverse=True)
    assert norms[-1] < 0.5 * norms[0]
    assert run(world, FedProx(0)).rounds == run(world, FedAvg()).rounds


def test_bytes(world):
    for strategy in (*LONG, FedAvg()):
        record = run(world, strategy, n_rounds=1).rounds[0]
        vectors = 2 if isinstance(strategy, SCAFFOLD) else 1
        assert record.bytes_up == record.bytes_down == 3 * vectors * MODEL.nbytes


@pytest.mark.parametrize("strategy", LONG, ids=lambda s: type(s).__name__)
def test_resumed_equals_uninterrupted_on_any_number_of_threads(world, strategy, tmp_path):
    whole = run(world, strategy, n_rounds=6, threads=1)
    first = run(world, strategy, n_rounds=2, threads=2)
    saved = fc.History.load(first.save(tmp_path / "first.npz"))
    for beginning in (first, saved):
        resumed = run(world, strategy, n_rounds=4, resume=beginning, threads=2)
        assert resumed.rounds == whole.rounds
        np.testing.assert_array_equal(resumed.params, whole.params)
        for mine, its in zip(resumed.strategy_state, whole.strategy_state, strict=True):
            np.testing.assert_array_equal(mine, its)


def test_resuming_with_another_strategy_is_refused(world):
    with pytest.raises(ValueError, match="resume a run with the kind of strategy"):
        run(world, SCAFFOLD(), resume=run(world, FedAvg()))


def test_shared_rows_are_trained_on_by_everybody(world):
    """Client k with shared rows S is the client that holds its rows and S."""
    data, parts = world
    shared = np.sort(parts[-1])
    history = run((data, parts[:-1]), FedAvg(), fraction=1, n_rounds=1, shared=shared)
    updates = fc.local_sgd_many(
        MODEL, MODEL.init(3), data.x, data.y, [np.concatenate([p, shared]) for p in parts[:-1]],
        epochs=2, batch_size=7, lr=0.05, seed=round_seed(3, 1),
    )  # fmt: skip
    sizes = [len(part) + len(shared) for part in parts[:-1]]
    np.testing.assert_allclose(history.params, fc.weighted_average(updates, sizes), rtol=1e-6)
    assert history.rounds[0].n_examples == tuple(sizes)
    with pytest.raises(ValueError, match="shared must name rows that no client holds"):
        run(world, FedAvg(), shared=shared)
