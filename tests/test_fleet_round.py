"""A simulated round: it reconciles, whatever the settings; oracles; every way to fail."""

import dataclasses
import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from fedcore import events as ev
from fedcore.devices import Fleet, Memory
from fedcore.fleet_round import estimated_propensity, simulate_round, totals
from fedcore.round_plan import RoundPlan

PAYLOAD = 1_400_000


def simulate(fleet, plan, n_rounds=1, epochs=3, seed=0, n_examples=None, memory=None):
    sizes = np.full(len(fleet), 200) if n_examples is None else n_examples
    memory = memory or Memory.fresh(len(fleet))
    outcomes = []
    for t in range(memory.rounds + 1, memory.rounds + 1 + n_rounds):
        out = simulate_round(fleet, plan, sizes, epochs, PAYLOAD, round=t, seed=seed, memory=memory)
        outcomes.append(out)
        memory = out.memory
    return outcomes


def check(out, plan, fleet, epochs, sizes):
    """The contract, added up anew in plain Python from the events."""
    events, kinds = out.events, [e.kind for e in out.events]
    assert set(kinds) <= set(ev.KINDS)
    assert kinds[0] == "round_begin"
    assert kinds[-1] == "evaluated"
    assert kinds.count("aggregated") + kinds.count("round_abandoned") == 1
    times = [e.time for e in events]
    assert times == sorted(times)
    assert times[-1] - times[0] <= plan.window * (1 + 1e-9) + 1e-6
    selected = [e.device for e in events if e.kind == "selected"]
    assert len(selected) == len(set(selected)) == min(plan.asked, events[0].eligible)
    assert events[0].asked == len(selected)
    for device in range(len(fleet)):
        story = [e for e in events if e.device == device]
        names = [e.kind for e in story]
        if device not in selected:
            assert names in ([], ["ineligible"])
            continue
        assert sum(name in ev.ENDS for name in names) == 1
        assert names[-1] in ev.ENDS
        path = ["selected", "downloaded", "trained", "uploaded"]
        assert names[:-1] == path[: len(names) - 1]
        assert (names[-1] in ("used", "unused")) == ("uploaded" in names)
        assert all(e.seconds >= 0 and e.joules >= 0 for e in story)
        assert sum(e.bytes_down for e in story) <= PAYLOAD
        assert sum(e.bytes_up for e in story) <= PAYLOAD
        worked = max(e.time for e in story if e.kind not in ("used", "unused"))
        assert sum(e.seconds for e in story) == pytest.approx(worked - times[0], abs=1e-6)
        for e in story:
            assert e.battery is None or 0 <= e.battery <= 100
            assert 0 <= e.epochs <= epochs
    used = {e.device: e.weight for e in events if e.kind == "used"}
    assert sorted(used) == out.clients.tolist()
    assert len(used) <= plan.target
    if out.abandoned:
        assert not used
    else:
        assert len(used) >= plan.min_reports
        assert math.fsum(used.values()) == pytest.approx(1)
        if plan.weighting == "examples":
            total = sum(int(sizes[k]) for k in used)
            assert all(w == pytest.approx(sizes[k] / total) for k, w in used.items())
    record = SimpleNamespace(
        round=events[0].round,
        events=events,
        clients=tuple(out.clients.tolist()),
        weights=tuple(out.weights.tolist()),
        abandoned=out.abandoned,
        **totals(events),
    )
    assert ev.disagreements(record) == []


plans = st.builds(
    RoundPlan,
    target=st.integers(1, 12),
    over_selection=st.floats(1, 2.5),
    window=st.sampled_from([0.5, 3.0, 10.0, 30.0, 600.0, math.inf]),
    min_reports=st.just(1),
    stragglers=st.sampled_from(["cut", "partial"]),
    require=st.sampled_from([(), ("charging",), ("charging", "wifi", "idle")]),
    min_battery=st.sampled_from([0.0, 30.0]),
    weighting=st.sampled_from(["examples", "inverse_propensity"]),
    pause=st.sampled_from([0.0, 5 * 3600.0]),
).flatmap(
    lambda plan: st.integers(1, plan.target).map(lambda m: dataclasses.replace(plan, min_reports=m))
)
fleets = st.builds(
    Fleet.mixed,
    st.integers(1, 30),
    charging=st.floats(0, 1),
    wifi=st.floats(0, 1),
    battery=st.floats(0.01, 1),
    speed_spread=st.floats(0, 1.5),
    dropout=st.floats(0, 1),
    start_hour=st.floats(0, 23),
    seed=st.integers(0, 10**6),
)


@settings(max_examples=60, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(fleets, plans, st.integers(0, 10**6), st.integers(1, 4))
def test_every_round_reconciles(fleet, plan, seed, epochs):
    sizes = np.random.default_rng(seed).integers(1, 400, len(fleet))
    for out in simulate(fleet, plan, 3, epochs, seed, sizes):
        check(out, plan, fleet, epochs, sizes)


def test_disagreements_bite():
    out = simulate(Fleet.simple(np.ones(5)), RoundPlan(target=5))[0]
    good = {
        "round": 1,
        "events": out.events,
        "clients": (0, 1, 2, 3, 4),
        "weights": (0.2,) * 5,
        "abandoned": False,
        **totals(out.events),
    }
    assert ev.disagreements(SimpleNamespace(**good)) == []
    for name, wrong in {
        "bytes_down": 1,
        "bytes_up": 1,
        "joules": 1.0,
        "sim_seconds": 1.0,
        "n_selected": 4,
        "clients": (0, 1, 2, 3),
        "weights": (0.2, 0.2, 0.2, 0.2, 0.1),
        "round": 2,
    }.items():
        assert ev.disagreements(SimpleNamespace(**{**good, name: wrong})), name
    without = tuple(e for e in out.events if not (e.kind == "used" and e.device == 0))
    assert "device 0 never ended" in ev.disagreements(
        SimpleNamespace(**{**good, "events": without})
    )


# ---------------------------------------------------------------------------- oracles


def test_over_selection_against_order_statistics():
    """Closing time = the target-th smallest of the asked devices' durations, the dead left out."""
    rng = np.random.default_rng(0)
    n, target = 130, 100
    speed = 20 * np.exp(-0.6 * rng.standard_normal(n))
    dropout = np.where(rng.random(n) < 0.08, 1.0, 0.0)
    fleet = Fleet.simple(np.ones(n), speed=speed, dropout=dropout, bandwidth=5.0)
    durations = 2 * PAYLOAD / 5e6 + 3 * 200 / speed
    alive = np.sort(durations[dropout == 0])
    plan = RoundPlan(target=target, over_selection=1.3, window=math.inf)
    first = simulate(fleet, plan)[0]
    assert totals(first.events)["sim_seconds"] == pytest.approx(alive[target - 1])
    assert set(first.clients) == set(np.argsort(np.where(dropout, np.inf, durations))[:target])
    everybody = simulate(fleet, dataclasses.replace(plan, target=n, over_selection=1.0))[0]
    last = totals(everybody.events)["sim_seconds"]
    assert alive[-1] <= last + 1e-9
    assert len(everybody.clients) == len(alive)


def test_the_window_cuts_exactly_those_that_take_longer():
    speed = np.array([100.0, 50.0, 20.0, 10.0])
    fleet = Fleet.simple(np.ones(4), speed=speed, bandwidth=1.4)
    durations = 2.0 + 600 / speed  # one second down, one second up
    out = simulate(fleet, RoundPlan(target=4, over_selection=1.0, window=32.0))[0]
    assert out.clients.tolist() == np.flatnonzero(durations <= 32).tolist() == [0, 1, 2]
    late = [e for e in out.events if e.kind == "late"]
    assert [(e.device, e.reason, e.time) for e in late] == [(3, "window", 32.0)]
    assert late[0].seconds == pytest.approx(31)  # of its 60 s of training
    assert late[0].epochs == 1  # of 3, of 20 s each
    assert late[0].joules == pytest.approx(31 * fleet.watts_train[3])


def test_partial_work_is_as_many_epochs_as_fit():
    speed = np.array([100.0, 20.0, 10.0, 5.0])
    fleet = Fleet.simple(np.ones(4), speed=speed, bandwidth=1.4)
    plan = RoundPlan(target=4, over_selection=1.0, window=33.0, stragglers="partial")
    out = simulate(fleet, plan)[0]
    # epochs of 2, 10, 20 and 40 s; 31 s are left for training: 3 (asked), 3, 1, and none fits
    assert dict(zip(out.clients.tolist(), out.epochs.tolist(), strict=True)) == {0: 3, 1: 3, 2: 1}
    assert [e.device for e in out.events if e.kind == "late"] == [3]


def test_energy_is_power_times_time_and_bytes_are_the_payload():
    fleet = Fleet.simple(np.ones(1), speed=10.0, bandwidth=0.7)
    out = simulate(fleet, RoundPlan(target=1), epochs=2)[0]
    spent = totals(out.events)
    assert spent["bytes_down"] == spent["bytes_up"] == PAYLOAD
    assert spent["sim_seconds"] == pytest.approx(2 + 40 + 2)
    radio, train = fleet.watts_radio[0], fleet.watts_train[0]
    assert spent["joules"] == pytest.approx(4 * radio + 40 * train)


def test_a_broken_step_counts_what_it_moved_until_then():
    fleet = Fleet.simple(np.ones(400), speed=100.0, dropout=1.0, bandwidth=0.7)
    out = simulate(fleet, RoundPlan(target=400, over_selection=1.0))[0]
    died = [e for e in out.events if e.kind == "died"]
    assert len(died) == 400
    assert {e.cause for e in died} == {"crash"}
    stages = {s: [e for e in died if e.reason == s] for s in ev.STAGES}
    # 2 s, 6 s and 2 s of 10: a moment chosen uniformly falls in them in these shares
    shares = [len(stages[s]) / 400 for s in ev.STAGES]
    assert shares == pytest.approx([0.2, 0.6, 0.2], abs=0.08)
    assert all(e.bytes_down == int(e.seconds / 2 * PAYLOAD) for e in stages["download"])
    assert all(e.bytes_up == int(e.seconds / 2 * PAYLOAD) for e in stages["upload"])
    assert all(e.bytes_up == e.bytes_down == 0 for e in stages["training"])


def test_work_on_battery_drains_it_and_the_next_round_knows():
    fleet = Fleet.mixed(40, shares={"phone": 1}, dropout=0, seed=1, start_hour=12)
    plan = RoundPlan(target=40, over_selection=1.0, require=(), window=math.inf)
    first = simulate(fleet, plan, epochs=20)[0]
    unplugged = ~fleet.conditions(0.0).charging
    begin = {e.device: e.battery for e in first.events if e.kind == "selected"}
    after = {e.device: e for e in first.events if e.kind == "trained"}
    checked = 0
    for k in np.flatnonzero(unplugged):
        if k in after:
            e = after[k]
            hours = (e.time - first.events[0].time) / 3600
            radio = next(x.joules for x in first.events if x.kind == "downloaded" and x.device == k)
            gone = fleet.habits.drain[k] * hours + 100 * (e.joules + radio) / fleet.capacity[k]
            assert begin[k] - e.battery == pytest.approx(min(gone, begin[k]), abs=1e-6)
            checked += 1
    assert checked > 10
    now = first.memory.clock
    with_memory = fleet.battery(now, memory=first.memory)
    assert (with_memory <= fleet.battery(now) + 1e-9)[unplugged].all()
    assert (with_memory < fleet.battery(now) - 0.5)[unplugged].any()


def test_a_nearly_empty_battery_kills():
    fleet = Fleet.mixed(20, shares={"phone": 1}, dropout=0, seed=1, start_hour=12)
    memory = Memory.fresh(20)
    memory.since[:], memory.level[:] = 0.0, 0.01
    plan = RoundPlan(target=20, over_selection=1.0, require=(), window=math.inf)
    out = simulate(fleet, plan, epochs=20, memory=memory)[0]
    died = {e.device: e for e in out.events if e.kind == "died"}
    unplugged = np.flatnonzero(~fleet.conditions(0.0).charging)
    assert set(died) == set(unplugged)
    assert {e.cause for e in died.values()} == {"battery"}
    assert all(e.battery == pytest.approx(0, abs=1e-6) for e in died.values())


def test_a_device_that_loses_a_condition_dies_of_it():
    """At seven in the morning phones are unplugged, and on long work it shows."""
    fleet = Fleet.mixed(200, shares={"phone": 1}, dropout=0, seed=1, start_hour=6)
    plan = RoundPlan(target=200, over_selection=1.0, window=math.inf)
    out = simulate(fleet, plan, epochs=2000)[0]
    causes = {e.cause for e in out.events if e.kind == "died"}
    assert causes == {"charging", "wifi", "idle"}
    for e in out.events:
        if e.kind == "died":
            assert not getattr(fleet.conditions(e.time, np.array([e.device])), e.cause)[0]


@pytest.mark.slow(seconds=4)
def test_known_propensities_make_the_mean_unbiased():
    """Horvitz and Thompson: sum of n_k x_k / p_k over the reports has the mean sum of n_k x_k."""
    rng = np.random.default_rng(1)
    n = 30
    p, sizes, x = rng.uniform(0.1, 0.9, n), rng.integers(50, 400, n), rng.standard_normal(n)
    fleet = Fleet.simple(p, seed=2)
    known = {"weighting": "inverse_propensity", "propensity": tuple(p)}
    plan = RoundPlan(target=n, over_selection=1.0, require=(), **known)
    sums, means, plain = [], [], []
    for out in simulate(fleet, plan, 1200, epochs=1, n_examples=sizes):
        k = out.clients
        raw = sizes[k] / p[k]
        assert out.weights == pytest.approx(raw / raw.sum())
        sums.append(np.sum(raw * x[k]))
        means.append(out.weights @ x[k])
        plain.append(sizes[k] @ x[k] / sizes[k].sum())
    error = np.std(sums) / np.sqrt(len(sums))
    assert abs(np.mean(sums) - sizes @ x) < 4 * error
    truth = sizes @ x / sizes.sum()
    assert abs(np.mean(means) - truth) < 0.5 * abs(np.mean(plain) - truth)


@pytest.mark.slow(seconds=4)
def test_counted_propensities_come_to_the_true_ones():
    p = np.array([0.1, 0.3, 0.5, 0.8, 1.0])
    plan = RoundPlan(target=5, over_selection=1.0)
    last = simulate(Fleet.simple(p, seed=3), plan, 1000, epochs=1)[-1]
    assert estimated_propensity(last.memory, 5) == pytest.approx(p, abs=0.06)
    assert estimated_propensity(Memory.fresh(50), 10) == pytest.approx(np.full(50, 0.2))


# ------------------------------------------------------------------------- edge cases


def test_the_whole_fleet_offline():
    plan = RoundPlan(target=5, window=60.0, pause=10.0)
    for t, out in enumerate(simulate(Fleet.simple(np.zeros(8)), plan, 3), 1):
        assert out.abandoned
        kinds = [e.kind for e in out.events]
        assert kinds == ["round_begin", *["ineligible"] * 8, "round_abandoned", "evaluated"]
        assert {e.reason for e in out.events if e.kind == "ineligible"} == {"offline"}
        assert out.events[-2].reason == "nobody"
        assert out.events[0].time == (t - 1) * 70.0  # the window passes, then the pause
        assert out.memory.clock == t * 70.0


def test_all_reports_lost():
    fleet = Fleet.simple(np.ones(8), dropout=1.0)
    out = simulate(fleet, RoundPlan(target=5, window=60.0))[0]
    assert out.abandoned
    assert ev.count_ends(out.events) == {"used": 0, "unused": 0, "died": 7, "late": 0}
    assert [e.reason for e in out.events if e.kind == "round_abandoned"] == ["too_few"]
    assert totals(out.events)["joules"] > 0


def test_too_few_reports_are_thrown_away():
    fleet = Fleet.simple(np.ones(4), dropout=np.array([0.0, 0.0, 1.0, 1.0]))
    out = simulate(fleet, RoundPlan(target=4, over_selection=1.0, min_reports=3))[0]
    assert out.abandoned
    assert len(out.clients) == len(out.weights) == 0
    assert [(e.device, e.reason) for e in out.events if e.kind == "unused"] == [
        (0, "abandoned"),
        (1, "abandoned"),
    ]
    assert (out.memory.used == 0).all()


def test_one_device_asked_for_ever():
    fleet = Fleet.simple(np.array([1.0, 0.0, 0.0]), dropout=np.array([0.5, 0, 0]), seed=1)
    outcomes = simulate(fleet, RoundPlan(target=2, weighting="inverse_propensity"), 200)
    assert {tuple(o.clients.tolist()) for o in outcomes} == {(0,), ()}
    assert all(o.weights.tolist() == [1.0] for o in outcomes if not o.abandoned)
    times = [o.events[0].time for o in outcomes]
    assert all(a < b for a, b in itertools.pairwise(times))


def test_waiting_for_ever_ends_with_the_last_device():
    fleet = Fleet.simple(np.ones(3), speed=np.array([100.0, 1.0, 1e-6]))
    out = simulate(fleet, RoundPlan(target=3, over_selection=1.0, window=math.inf))[0]
    assert len(out.clients) == 3
    assert totals(out.events)["sim_seconds"] > 6e8
    nobody = simulate(Fleet.simple(np.zeros(3)), RoundPlan(target=3, window=math.inf, pause=9.0))
    assert nobody[0].memory.clock == 9.0


def test_large_fleets_count_the_ineligible_instead_of_naming_them():
    out = simulate(Fleet.simple(np.full(1000, 0.5), seed=1), RoundPlan())[0]
    begin = out.events[0]
    assert begin.reason.startswith(f"offline={1000 - begin.eligible} ")
    assert not any(e.kind == "ineligible" for e in out.events)


def test_the_same_seed_gives_the_same_events_and_another_one_others():
    fleet, plan = Fleet.mixed(40, seed=1), RoundPlan(target=5)
    a, b, c = (simulate(fleet, plan, 4, seed=s) for s in (1, 1, 2))
    assert [o.events for o in a] == [o.events for o in b]
    assert [o.events for o in a] != [o.events for o in c]


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"target": 0}, ValueError, "target"),
        ({"over_selection": 0.9}, ValueError, "over_selection"),
        ({"window": 0}, ValueError, "window"),
        ({"window": float("nan")}, ValueError, "window"),
        ({"min_reports": 11}, ValueError, "min_reports"),
        ({"stragglers": "wait"}, ValueError, "stragglers"),
        ({"weighting": "none"}, ValueError, "weighting"),
        ({"require": "wifi"}, TypeError, "require"),
        ({"require": ("moon",)}, ValueError, "require"),
        ({"min_battery": 101}, ValueError, "min_battery"),
        ({"pause": -1}, ValueError, "pause"),
        ({"payload": 0}, ValueError, "payload"),
        ({"propensity": (0.5, 0.0)}, ValueError, "propensity\\[1\\]"),
    ],
)
def test_bad_plans_are_named(change, error, words):
    with pytest.raises(error, match=words):
        RoundPlan(**change)


def test_propensities_must_be_one_a_device():
    with pytest.raises(ValueError, match="propensity must hold 4"):
        simulate(Fleet.simple(np.ones(4)), RoundPlan(propensity=(0.5,) * 3))


def test_over_selection_is_rounded_up_but_not_by_rounding_errors():
    assert [RoundPlan(target=m).asked for m in (1, 10, 100)] == [2, 13, 130]


def test_a_day_of_a_thousand_devices():
    """Four rounds an hour, for a day, with nothing kept of the devices that were not asked."""
    fleet = Fleet.mixed(1000, seed=1, start_hour=0)
    plan = RoundPlan(target=20, pause=900.0)
    memory, by_hour = Memory.fresh(1000), {}
    while memory.clock < 86_400:
        out = simulate(fleet, plan, memory=memory)[0]
        memory = out.memory
        assert len(out.events) < 7 * plan.asked
        by_hour[int(out.events[0].time // 3600)] = out.events[0].eligible
    assert 80 <= memory.rounds <= 96
    assert sorted(by_hour) == list(range(24))
    assert min(by_hour[h] for h in range(5)) > 3 * max(by_hour[h] for h in range(10, 18))
