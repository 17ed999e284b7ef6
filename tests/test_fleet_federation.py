"""A federation on a fleet: records reconcile, edge cases, resuming, and what it equals."""

import dataclasses

import numpy as np
import pytest

import fedcore as fc
from fedcore.devices import Fleet
from fedcore.events import disagreements


@pytest.fixture(scope="module")
def world():
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(3, 8))

    def data(n):
        y = rng.integers(0, 3, n)
        x = (centres[y] + 0.7 * rng.normal(size=(n, 8))).astype(np.float32)
        return fc.datasets.Dataset(x, y, 3)

    train, test = data(400), data(200)
    parts = fc.partition.by_sizes(train.y, list(range(6, 26)), seed=0)
    return fc.models.Softmax(8, 3), train, parts, test


def run(world, fleet, plan=None, n_rounds=6, **more):
    model, train, parts, test = world
    local = fc.LocalSGD(epochs=2, batch_size=10, lr=0.1)
    settings = {"n_rounds": n_rounds, "local": local, "progress": False, **more}
    return fc.run_federation(model, train, parts, test, fleet=fleet, plan=plan, **settings)


@pytest.mark.parametrize("weighting", ["examples", "inverse_propensity"])
@pytest.mark.parametrize("stragglers", ["cut", "partial"])
def test_records_and_events_agree(world, stragglers, weighting):
    fleet = Fleet.mixed(20, seed=2, dropout=0.2)
    plan = fc.RoundPlan(
        target=6, window=1.0, pause=7200, stragglers=stragglers, weighting=weighting, payload=10**6
    )
    for record in run(world, fleet, plan, 20).rounds:
        assert disagreements(record) == []


def test_with_everybody_there_it_is_the_federation_without_a_fleet(world):
    plan = fc.RoundPlan(target=20, over_selection=1.0)
    with_fleet = run(world, Fleet.simple(np.ones(20)), plan)
    without = run(world, None, fraction=1.0)
    assert (with_fleet.params == without.params).all()
    for a, b in zip(with_fleet.rounds, without.rounds, strict=True):
        assert dataclasses.replace(a, events=(), joules=0.0, sim_seconds=0.0) == b


def test_partial_work_is_trained_for_as_many_epochs_as_reported(world):
    model, train, parts, _ = world
    fleet = Fleet.simple(np.ones(20), speed=np.linspace(1, 8, 20))
    plan = fc.RoundPlan(target=20, over_selection=1.0, window=15.0, stragglers="partial")
    local = fc.LocalSGD(epochs=5, batch_size=None, lr=0.1)
    history = run(world, fleet, plan, 1, local=local)
    record = history.rounds[0]
    done = {e.device: e.epochs for e in record.events if e.kind == "trained"}
    assert len({done[k] for k in record.clients}) >= 3
    total, expected = sum(record.n_examples), np.zeros(model.n_params)
    for k, n in zip(record.clients, record.n_examples, strict=True):
        w = model.init(0).astype(np.float64)  # whole-batch steps: the order does not matter
        for _ in range(done[k]):
            w = w - 0.1 * model.gradient(w, train.x[parts[k]], train.y[parts[k]])
        expected += n / total * w
    assert history.params == pytest.approx(expected, abs=1e-4)


def test_inverse_propensity_weights_reach_the_mean(world):
    model, train, parts, _ = world
    p = np.linspace(0.2, 1, 20)
    known = {"weighting": "inverse_propensity", "propensity": tuple(p)}
    plan = fc.RoundPlan(target=20, over_selection=1.0, **known)
    local = fc.LocalSGD(epochs=1, batch_size=None, lr=0.1)
    history = run(world, Fleet.simple(p, seed=5), plan, 1, local=local)
    w = model.init(0).astype(np.float64)
    clients = history.rounds[0].clients
    assert 5 < len(clients) < 20
    raw = np.array([len(parts[k]) / p[k] for k in clients])
    steps = [w - 0.1 * model.gradient(w, train.x[parts[k]], train.y[parts[k]]) for k in clients]
    assert history.params == pytest.approx(raw @ np.array(steps) / raw.sum(), abs=1e-5)
    assert history.rounds[0].weights == pytest.approx(raw / raw.sum())


@pytest.mark.parametrize(
    "fleet", [Fleet.simple(np.zeros(20)), Fleet.simple(np.ones(20), dropout=1.0)]
)
@pytest.mark.parametrize("strategy", ["FedAvg", "FedAvgM", "FedAdam", "SCAFFOLD"])
def test_lost_rounds_leave_model_and_strategy_as_they_were(world, fleet, strategy):
    strategy = getattr(fc.strategies, strategy)()
    history = run(world, fleet, fc.RoundPlan(target=4, window=60.0), 3, strategy=strategy)
    assert [r.abandoned for r in history.rounds] == [True] * 3
    assert [r.clients for r in history.rounds] == [()] * 3
    assert (history.params == world[0].init(0)).all()
    assert history.accuracy.tolist() == [history.initial_accuracy] * 3
    assert sum(history.participation().values()) == 0
    assert all(disagreements(record) == [] for record in history.rounds)


def test_after_a_lost_round_the_next_goes_on(world):
    """Everybody is asked in vain at noon; at night the same fleet trains."""
    fleet = Fleet.mixed(20, shares={"phone": 1}, seed=0, start_hour=12)
    plan = fc.RoundPlan(target=5, min_reports=5, pause=3 * 3600.0)
    history = run(world, fleet, plan, 8)
    lost = [r.abandoned for r in history.rounds]
    assert lost[0]
    assert not all(lost)
    assert history.accuracy[-1] > history.initial_accuracy


@pytest.mark.parametrize("threads", [1, 4])
def test_the_number_of_threads_changes_nothing(world, threads):
    fleet = Fleet.mixed(20, seed=2, dropout=0.2)
    again = run(world, fleet, fc.RoundPlan(target=6, pause=7200), threads=threads)
    assert again.rounds == run(world, fleet, fc.RoundPlan(target=6, pause=7200)).rounds


def test_resumed_and_saved_it_is_the_same_run(world, tmp_path):
    fleet = Fleet.mixed(20, seed=2, dropout=0.2, start_hour=12)
    plan = fc.RoundPlan(target=6, require=(), pause=1800, weighting="inverse_propensity")
    whole = run(world, fleet, plan, 10)
    half = run(world, fleet, plan, 5)
    half.save(tmp_path / "half.npz")
    loaded = fc.History.load(tmp_path / "half.npz")
    assert loaded.rounds == half.rounds
    resumed = run(world, fleet, plan, 5, resume=loaded)
    assert resumed.rounds == whole.rounds
    assert (resumed.params == whole.params).all()


def test_the_plan_without_one_takes_fraction_as_target(world):
    history = run(world, Fleet.simple(np.ones(20)), fraction=0.25)
    assert [len(r.clients) for r in history.rounds] == [5] * 6
    assert [r.n_selected for r in history.rounds] == [7] * 6


def test_a_payload_of_another_size_is_what_travels(world):
    plan = fc.RoundPlan(target=20, over_selection=1.0, payload=1_000_000)
    history = run(world, Fleet.simple(np.ones(20)), plan, 1)
    assert history.bytes_up.tolist() == history.bytes_down.tolist() == [20_000_000]
    own = run(world, Fleet.simple(np.ones(20)), fc.RoundPlan(target=20, over_selection=1.0), 1)
    assert own.bytes_up.tolist() == [20 * world[0].nbytes]


def test_bad_arguments_are_named(world):
    with pytest.raises(ValueError, match="plan needs a fleet"):
        run(world, None, fc.RoundPlan())
    with pytest.raises(ValueError, match="one device for each of the 20 clients, got 19"):
        run(world, Fleet.simple(np.ones(19)))
    with pytest.raises(TypeError, match="fleet must be a Fleet"):
        run(world, [1, 2])
    with pytest.raises(TypeError, match="plan must be a RoundPlan"):
        run(world, Fleet.simple(np.ones(20)), "cut")
    with pytest.raises(ValueError, match="run with a fleet of 20 devices"):
        run(world, Fleet.simple(np.ones(20)), resume=run(world, None))
