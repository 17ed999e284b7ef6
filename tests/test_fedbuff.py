"""FedBuff: the event queue, the staleness, the step against an independent calculation."""

import math

import numpy as np
import pytest

import fedcore as fc
from fedcore import events as ev
from fedcore.devices import Fleet
from fedcore.fedbuff import AsyncQueue, FedBuff, staleness_scale
from fedcore.federation import round_seed


@pytest.fixture(scope="module")
def world():
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(3, 8))

    def data(n):
        y = rng.integers(0, 3, n)
        x = (centres[y] + 0.7 * rng.normal(size=(n, 8))).astype(np.float32)
        return fc.datasets.Dataset(x, y, 3)

    train, test = data(400), data(200)
    return fc.models.Softmax(8, 3), train, fc.partition.iid(train.y, 20, seed=0), test


def run(world, fleet, plan, n_rounds=12, **more):
    model, train, parts, test = world
    local = fc.LocalSGD(epochs=2, batch_size=10, lr=0.1)
    settings = {"n_rounds": n_rounds, "local": local, "progress": False, **more}
    return fc.run_federation(model, train, parts, test, fleet=fleet, plan=plan, **settings)


def uneven(n=20, **more):
    return Fleet.simple(np.ones(n), speed=np.geomspace(2, 200, n), seed=1, **more)


def test_it_learns_and_depends_on_the_seed_alone(world):
    plan = FedBuff(buffer=4, concurrency=8)
    a, b = (run(world, uneven(dropout=0.2), plan, 30, threads=k) for k in (1, 3))
    assert a.accuracy[-1] > 0.85 > a.initial_accuracy
    assert a.rounds == b.rounds
    assert (a.params == b.params).all()
    assert run(world, uneven(dropout=0.2), plan, 30, seed=1).rounds != a.rounds


def test_every_step_against_the_formula(world):
    """Replays the events: w += lr / K * sum of s(tau) (w_k - base), each from its own version."""
    model, train, parts, test = world
    plan = FedBuff(buffer=4, concurrency=9, server_lr=0.7)
    history = run(world, uneven(), plan)
    versions, tasks, started, queued = [model.init(0)], {}, 0, []
    taus = []
    for record in history.rounds:
        for e in record.events:
            if e.kind == "selected":
                tasks[e.device] = (e.version, started)
                started += 1
            elif e.kind == "uploaded":
                queued.append((e.device, *tasks.pop(e.device)))
        reports, queued = queued[:4], queued[4:]
        new = versions[-1].astype(np.float64)
        for device, version, task in reports:
            base = versions[version]
            rows = parts[device]
            after = fc.local_sgd(
                model,
                base,
                train.x[rows],
                train.y[rows],
                epochs=2,
                batch_size=10,
                lr=0.1,
                seed=round_seed(0, 1),
                client=task,
            )
            tau = len(versions) - 1 - version
            taus.append(tau)
            new += 0.7 / 4 / math.sqrt(1 + tau) * (after.astype(np.float64) - base)
        versions.append(new.astype(np.float32))
        accuracy = model.accuracy(versions[-1], test.x, test.y)
        assert record.accuracy == pytest.approx(accuracy, abs=0.011)
        length = [e.weight for e in record.events if e.kind == "aggregated"]
        scales = [1 / math.sqrt(1 + t) for t in taus[-4:]]
        assert length == pytest.approx([0.7 * sum(scales) / 4])
    assert max(taus) > 2  # slow devices really were stale
    assert history.params == pytest.approx(versions[-1], abs=1e-5)


def test_events_reconcile_over_the_whole_run(world):
    history = run(world, uneven(dropout=0.3), FedBuff(buffer=3, concurrency=8), 20)
    events = history.events
    assert sum(e.bytes_up for e in events) == history.bytes_up.sum()
    assert sum(e.bytes_down for e in events) == history.bytes_down.sum()
    assert math.fsum(e.joules for e in events) == pytest.approx(history.joules.sum())
    assert [e.time for e in events] == sorted(e.time for e in events)
    assert events[-1].time == pytest.approx(history.sim_seconds.sum())
    counts = {kind: sum(e.kind == kind for e in events) for kind in ev.KINDS}
    assert counts["used"] == 3 * 20
    under_way = counts["selected"] - counts["died"] - counts["uploaded"]
    assert 0 <= under_way <= 8
    assert counts["uploaded"] - counts["used"] in (0, 1, 2)  # in the buffer
    for record in history.rounds:
        used = [e for e in record.events if e.kind == "used"]
        assert math.fsum(e.weight for e in used) == pytest.approx(1)
        assert sorted(e.device for e in used) == list(record.clients)
        by_device = sorted((e.device, e.weight) for e in used)
        assert sorted(w for _, w in by_device) == pytest.approx(sorted(record.weights))


def test_never_more_at_work_than_allowed_and_nobody_twice():
    queue = AsyncQueue(uneven(), FedBuff(buffer=3, concurrency=7), np.full(20, 30), 2, 1000, seed=0)
    busy = set()
    for t in range(1, 40):
        for e in queue.step(t).events:
            if e.kind == "selected":
                assert e.device not in busy
                busy.add(e.device)
                assert len(busy) <= 7
            elif e.kind in ("died", "uploaded"):
                busy.remove(e.device)


def test_fast_devices_report_more_often(world):
    history = run(world, uneven(), FedBuff(buffer=4, concurrency=8), 60)
    times = np.array(list(history.participation().values()))
    assert times[10:].sum() > 2 * times[:10].sum()
    assert times.sum() == 240


def test_a_fleet_that_is_offline_costs_windows_and_changes_nothing(world):
    history = run(world, Fleet.simple(np.zeros(20)), FedBuff(window=600.0), 3)
    assert [r.abandoned for r in history.rounds] == [True] * 3
    assert history.sim_seconds.tolist() == [600.0] * 3
    assert (history.params == world[0].init(0)).all()


def test_a_buffer_that_does_not_fill_in_time_is_kept():
    fleet = Fleet.simple(np.ones(4), speed=1.0)
    queue = AsyncQueue(
        fleet, FedBuff(buffer=6, concurrency=4, window=50.0), np.full(4, 20), 2, 1, seed=0
    )
    steps = [queue.step(t) for t in (1, 2, 3)]
    assert [len(s.reports) for s in steps] == [0, 6, 6]  # of 4, 8 and 12 after 40, 80 and 120 s
    assert [s.events[-1].time for s in steps] == pytest.approx([50, 80, 120], abs=0.1)


def test_scale():
    assert staleness_scale([0, 3, 8]) == pytest.approx([1, 1 / 2, 1 / 3])


def test_what_does_not_go_together_is_refused(world):
    history = run(world, uneven(), FedBuff(buffer=2), 2)
    with pytest.raises(ValueError, match="resume does not work with FedBuff"):
        run(world, uneven(), FedBuff(buffer=2), 2, resume=history)
    with pytest.raises(ValueError, match="strategy must be FedAvg"):
        run(world, uneven(), FedBuff(), 2, strategy=fc.strategies.FedProx(1.0))
    for change in ({"buffer": 0}, {"concurrency": 0}, {"server_lr": 0}, {"window": -1}):
        with pytest.raises(ValueError, match=next(iter(change))):
            FedBuff(**change)
