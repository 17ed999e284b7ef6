"""Fleets: marginals, correlation with the data, eligibility, errors."""

import numpy as np
import pytest
from scipy import stats

from fedcore.device_kinds import KINDS
from fedcore.devices import Fleet, Memory, rarity


def test_a_fleet_has_the_kinds_it_was_asked_for():
    fleet = Fleet.mixed(200, shares={"phone": 2, "sensor": 1, "hospital": 1}, seed=1)
    names, counts = np.unique(fleet.kind, return_counts=True)
    assert dict(zip(names, counts, strict=True)) == {"hospital": 50, "phone": 100, "sensor": 50}
    assert repr(fleet) == "Fleet(50 hospital, 100 phone, 50 sensor)"
    assert (fleet.habits.mains == (fleet.kind == "hospital")).all()


@pytest.mark.parametrize("spread", [0.0, 0.3, 0.6])
def test_speeds_are_lognormal_with_the_given_spread(spread):
    fleet = Fleet.mixed(4000, shares={"phone": 1}, speed_spread=spread, seed=2)
    logs = np.log(fleet.speed)
    assert np.median(fleet.speed) == pytest.approx(KINDS["phone"].speed, rel=0.05)
    assert logs.std() == pytest.approx(spread, abs=0.03)
    if spread:
        assert stats.kstest((logs - logs.mean()) / logs.std(), "norm").pvalue > 0.001


@pytest.mark.parametrize("charging", [0.0, 0.4, 0.85, 1.0])
def test_charging_is_the_mean_share_of_days(charging):
    fleet = Fleet.mixed(2000, shares={"phone": 1}, charging=charging, seed=3)
    p = fleet.habits.p_charge
    assert p.mean() == pytest.approx(charging, abs=0.01)
    assert ((p >= 0) & (p <= 1)).all()


def test_no_wifi_no_eligible_phone_at_night():
    fleet = Fleet.mixed(100, shares={"phone": 1}, wifi=0.0, seed=3)
    why = fleet.missing(3 * 3600, 1)
    assert set(why) <= {"charging", "wifi"}
    anyway = fleet.missing(3 * 3600, 1, require=("charging", "idle"))
    assert (anyway == "").any()


def test_correlation_changes_who_gets_which_device_never_which_devices_there_are():
    rare = np.linspace(0, 1, 400)
    fleets = [
        Fleet.mixed(400, seed=5, rarity=rare, correlation=c, shares={"phone": 1})
        for c in (0.0, 0.5, 1.0)
    ]
    for fleet in fleets[1:]:
        for name in ("speed", "down", "up"):
            assert (np.sort(getattr(fleet, name)) == np.sort(getattr(fleets[0], name))).all()
        assert (np.sort(fleet.habits.p_charge) == np.sort(fleets[0].habits.p_charge)).all()
    rho = [stats.spearmanr(rare, fleet.handicap).statistic for fleet in fleets]
    assert abs(rho[0]) < 0.15
    assert rho[1] == pytest.approx(6 / np.pi * np.arcsin(0.25), abs=0.1)  # of a Gaussian copula
    assert rho[2] > 0.999
    assert stats.spearmanr(rare, fleets[2].speed).statistic < -0.8  # rare data: slow
    assert stats.spearmanr(rare, fleets[2].habits.p_charge).statistic < -0.8  # and rarely charged


def test_the_seed_decides_everything():
    a, b, c = (Fleet.mixed(50, seed=s) for s in (1, 1, 2))
    assert (a.speed == b.speed).all()
    assert (a.missing(7e4, 3) == b.missing(7e4, 3)).all()
    assert (a.speed != c.speed).any()


def test_an_empty_battery_makes_ineligible_even_where_charging_is_not_required():
    fleet = Fleet.mixed(30, shares={"phone": 1}, seed=0, start_hour=12)
    memory = Memory.fresh(30)
    memory.since[:], memory.level[:] = 0.0, 0.0
    unplugged = ~fleet.conditions(0.0).charging
    why = fleet.missing(0.0, 1, require=(), memory=memory)
    assert (why[unplugged] == "battery").all()
    high = fleet.missing(0.0, 1, require=(), min_battery=100.0)
    assert (high[fleet.battery(0.0) < 100] == "battery").all()


def test_a_worn_battery_holds_less_and_drains_faster():
    new, worn = (Fleet.mixed(50, seed=0, battery=b) for b in (1.0, 0.5))
    assert worn.capacity == pytest.approx(new.capacity / 2)
    assert worn.habits.drain == pytest.approx(2 * new.habits.drain)


def test_rarity_counts_rare_classes():
    y = np.array([0, 8, 8, 9, 1, 1])
    parts = [np.array([0, 1]), np.array([2, 3]), np.array([4, 5])]
    assert rarity(y, parts).tolist() == [0.5, 1.0, 0.0]
    assert rarity(y, parts, rare=(1,)).tolist() == [0.0, 0.0, 1.0]


def test_memory_survives_the_trip_through_arrays():
    memory = Memory(12.5, np.arange(3.0), np.ones(3), np.arange(3), 4)
    back = Memory.from_arrays(memory.arrays())
    assert (back.clock, back.rounds) == (12.5, 4)
    assert (back.since == memory.since).all()
    assert (back.used == memory.used).all()


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"n": 0}, ValueError, "n must be at least 1"),
        ({"charging": 1.2}, ValueError, "charging"),
        ({"wifi": -0.1}, ValueError, "wifi"),
        ({"battery": 0}, ValueError, "battery"),
        ({"dropout": "no"}, TypeError, "dropout"),
        ({"speed_spread": -1}, ValueError, "speed_spread"),
        ({"correlation": 0.5}, ValueError, "rarity must be given"),
        ({"correlation": 0.5, "rarity": np.ones(3)}, ValueError, "rarity must hold 5"),
        ({"shares": {"toaster": 1}}, ValueError, "toaster"),
        ({"shares": {"phone": 0}}, ValueError, "must not all be zero"),
        ({"zones": ()}, ValueError, "zones"),
    ],
)
def test_bad_settings_are_named(change, error, words):
    with pytest.raises(error, match=words):
        Fleet.mixed(**{"n": 5, **change})


def test_bad_availability_is_named():
    with pytest.raises(ValueError, match="availability"):
        Fleet.simple([0.5, 1.5])


def test_many_devices_take_no_memory_to_speak_of():
    """Nothing is stored per device and moment: only the arrays of the fleet itself."""
    fleet = Fleet.simple(np.full(100_000, 0.5))
    stored = sum(
        v.nbytes
        for v in [*vars(fleet).values(), *vars(fleet.habits).values()]
        if isinstance(v, np.ndarray)
    )
    assert stored < 300 * len(fleet)
    assert 0.49 < np.mean(fleet.missing(0.0, 1) == "") < 0.51
