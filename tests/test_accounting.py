"""Epsilon against published numbers, other formulas, numerical integrals, and exact cases."""

import logging
import math
import subprocess
import sys

import numpy as np
import pytest
from scipy import integrate, optimize, stats

import fedcore as fc
from fedcore import accounting
from fedcore.accounting import Release

ABADI = {"sampling_rate": 256 / 60000, "noise_multiplier": 1.1, "steps": 14_062, "delta": 1e-5}
QUIET = {"sampling_rate": 0.01, "noise_multiplier": 4, "steps": 10_000, "delta": 1e-5}
USERS = {"sampling_rate": 0.1, "noise_multiplier": 1, "steps": 30, "delta": 1e-3}


# ------------------------------------------------------------------------------ known values


@pytest.mark.parametrize(
    ("setting", "classic", "newer", "tight"),
    [(ABADI, 3.01, 2.60, 2.38), (QUIET, 1.26, 1.04, 0.95)],
    ids=["tutorial of TensorFlow Privacy", "q = 0.01"],
)
def test_the_conversion_decides_the_number(setting, classic, newer, tight):
    assert round(fc.accounting.epsilon(**setting, method="rdp-classic"), 2) == classic
    assert round(fc.accounting.epsilon(**setting, method="rdp"), 2) == newer
    assert round(fc.accounting.epsilon(**setting, method="pld"), 2) == tight
    assert fc.accounting.epsilon(**setting) == fc.accounting.epsilon(**setting, method="pld")


def gaussian_delta(epsilon, sigma):
    """Balle and Wang (2018), theorem 8, with sensitivity 1."""
    a, b = 1 / (2 * sigma), epsilon * sigma
    return stats.norm.cdf(a - b) - math.exp(epsilon) * stats.norm.cdf(-a - b)


@pytest.mark.parametrize("noise", [0.7, 2.0, 9.0])
def test_without_sampling_it_is_the_exact_gaussian_mechanism(noise):
    """T rounds on everybody are one round with noise over sqrt(T): epsilon is known exactly."""
    steps, delta = 4, 1e-4
    exact = optimize.brentq(lambda e: gaussian_delta(e, noise / math.sqrt(steps)) - delta, 0, 200)
    setting = {"noise_multiplier": noise, "sampling_rate": 1, "steps": steps, "delta": delta}
    assert accounting.epsilon(**setting) == pytest.approx(exact, rel=2e-3)
    assert accounting.epsilon(**setting) >= exact * (1 - 1e-9)  # an upper bound
    assert accounting.epsilon(**setting, method="rdp") > exact


def mixture_renyi(order, q, noise):
    """The Renyi divergence of (1-q) N(0, z^2) + q N(1, z^2) from N(0, z^2), by quadrature."""

    def density(x):
        ratio = np.logaddexp(math.log1p(-q), math.log(q) + (2 * x - 1) / (2 * noise**2))
        return math.exp(stats.norm.logpdf(x, 0, noise) + order * ratio)

    ends = (-12 * noise, order + 12 * noise)
    moment, _ = integrate.quad(density, *ends, points=[0, order], epsabs=0, limit=400)
    return math.log(moment) / (order - 1)


@pytest.mark.parametrize("order", [1.5, 2, 8, 32])
@pytest.mark.parametrize(("q", "noise"), [(0.01, 1.0), (0.2, 2.0)])
def test_renyi_curve_against_the_integral(order, q, noise):
    """Exact at whole orders; between them the package gives a bound (it adds up moduli)."""
    expected = 7 * mixture_renyi(order, q, noise)
    found = accounting.renyi([Release(noise, q, 7)], order)
    if order == int(order):
        assert found == pytest.approx(expected, rel=1e-6)
    else:
        assert expected < found < 2 * expected


def test_fixed_size_sampling_of_everybody_is_the_gaussian_with_half_the_noise():
    """Replacing one of all: the sum changes by up to 2 S, and nothing is hidden by sampling."""
    setting = {"sampling_rate": 1, "steps": 3, "delta": 1e-5, "method": "rdp"}
    fixed = accounting.epsilon(noise_multiplier=4, sampling="fixed", **setting)
    assert fixed == pytest.approx(accounting.epsilon(noise_multiplier=2, **setting))


@pytest.mark.parametrize("order", [2, 3])
def test_fixed_size_sampling_never_promises_more_than_the_truth(order):
    """Against the mixture of N(1, z^2) and N(0, z^2) with weight q, and the same for -1."""
    q, noise = 0.2, 3.0

    def moment(x):
        swapped = (1 - q) * stats.norm.pdf(x, 0, noise) + q * stats.norm.pdf(x, 1, noise)
        other = (1 - q) * stats.norm.pdf(x, 0, noise) + q * stats.norm.pdf(x, -1, noise)
        return swapped**order * other ** (1 - order)

    value, _ = integrate.quad(moment, -60, 60, points=[0], epsabs=0, limit=400)
    truth = math.log(value) / (order - 1)
    assert accounting.renyi([Release(noise, q, 1, "fixed")], order) >= truth


def test_fixed_size_is_dearer_than_poisson():
    setting = {**USERS, "method": "rdp"}
    assert accounting.epsilon(**setting, sampling="fixed") > 3 * accounting.epsilon(**setting)


# ------------------------------------------------------------------------------- how it moves


def test_more_noise_fewer_steps_less_sampling_cost_less():
    base = accounting.epsilon(**USERS)
    for change in ({"noise_multiplier": 2}, {"steps": 10}, {"sampling_rate": 0.05}):
        assert accounting.epsilon(**USERS | change) < base
    assert accounting.epsilon(**USERS | {"delta": 1e-6}) > base


def test_the_naive_sum_is_the_single_rounds_times_their_number():
    once = accounting.epsilon(**USERS | {"steps": 1, "delta": 1e-3 / 30})
    assert accounting.epsilon(**USERS, method="naive") == pytest.approx(30 * once)
    assert accounting.epsilon(**USERS, method="naive") > 10 * accounting.epsilon(**USERS)


@pytest.mark.slow(seconds=4)
def test_releases_compose():
    halves = [Release(1, 0.1, 12), Release(1, 0.1, 0), Release(1, 0.1, 18)]
    for method in accounting.METHODS:
        whole = accounting.epsilon(**USERS, method=method)
        assert accounting.epsilon_of(halves, 1e-3, method) == pytest.approx(whole, rel=1e-6)
    mixed = accounting.epsilon_of([Release(1, 0.1, 30), Release(2, 0.3, 30)], 1e-3)
    assert mixed > accounting.epsilon(**USERS)


def test_extremes():
    assert accounting.epsilon(**USERS | {"noise_multiplier": 0}) == math.inf
    assert accounting.epsilon(**USERS | {"steps": 0}) == 0
    assert accounting.epsilon_of([], 1e-5) == 0
    assert accounting.epsilon(**USERS | {"noise_multiplier": 1e6}) == 0
    assert 1e5 < accounting.epsilon(**USERS | {"noise_multiplier": 0.001}) < math.inf


def test_noise_for_meets_its_target_and_no_more():
    rest = {"sampling_rate": 0.1, "steps": 30, "delta": 1e-3, "method": "rdp"}
    noise = accounting.noise_for(2, **rest)
    assert accounting.epsilon(noise_multiplier=noise, **rest) <= 2
    assert accounting.epsilon(noise_multiplier=noise - 0.002, **rest) > 2
    with pytest.raises(ValueError, match="target must be a finite number"):
        accounting.noise_for(0, **rest)


def test_nothing_is_logged(caplog):
    with caplog.at_level(logging.DEBUG):
        accounting.epsilon(**USERS, method="rdp")
    assert caplog.records == []


# --------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"noise_multiplier": -0.1}, r"noise_multiplier must be a finite number in \[0, inf\)"),
        ({"noise_multiplier": math.nan}, "noise_multiplier must be a finite number"),
        ({"sampling_rate": 1.01}, r"sampling_rate must be a finite number in \(0, 1\], got 1.01"),
        ({"sampling_rate": 0}, r"sampling_rate must be a finite number in \(0, 1\], got 0"),
        ({"delta": 0}, r"delta must be a finite number in \(0, 1\), got 0"),
        ({"delta": 1}, r"delta must be a finite number in \(0, 1\), got 1"),
        ({"steps": -1}, "steps must be at least 0, got -1"),
        ({"sampling": "shuffle"}, "sampling must be 'poisson' or 'fixed', got 'shuffle'"),
        ({"method": "moments"}, "method must be one of pld, rdp, rdp-classic, naive"),
        ({"sampling": "fixed"}, "method must be 'rdp' or 'rdp-classic' with sampling='fixed'"),
    ],
)
def test_bad_settings_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        accounting.epsilon(**USERS | change)


def test_types_are_named():
    with pytest.raises(TypeError, match=r"steps must be an integer, got 2\.5"):
        accounting.epsilon(**USERS | {"steps": 2.5})
    with pytest.raises(TypeError, match=r"releases\[0\] must be a Release, got 3"):
        accounting.epsilon_of([3], 1e-5)


def test_two_ways_of_sampling_do_not_add_up():
    mixed = [Release(1, 0.1, 3), Release(1, 0.1, 3, "fixed")]
    with pytest.raises(ValueError, match="must all be sampled the same way"):
        accounting.epsilon_of(mixed, 1e-5, "rdp")


def test_the_package_is_imported_only_when_needed():
    program = (
        "import sys, fedcore as fc; assert 'dp_accounting' not in sys.modules; "
        "assert 'scipy' not in sys.modules; sys.modules['dp_accounting'] = None; "
        "fc.accounting.epsilon(noise_multiplier=1, sampling_rate=1, steps=1, delta=.1)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "ImportError: epsilon needs the package dp-accounting: pip install" in done.stderr
