"""How much privacy a training run has spent: epsilon, by Google's dp-accounting.

A mechanism is (epsilon, delta)-differentially private if for any two neighbouring data sets D, D'
and any set S of outputs, P[M(D) in S] <= exp(epsilon) P[M(D') in S] + delta. Neighbours differ in
one *unit*: one user (``privacy.DPFedAvg``) or one example (``privacy.dp_sgd``).

What is accounted for: in each round every unit takes part at random, a sum of vectors of norm at
most S is formed, and Gaussian noise of standard deviation noise_multiplier * S is added to it. How
units are drawn matters, so ``sampling`` must say what was done:

- "poisson": each unit on its own with probability ``sampling_rate``. Neighbours: one unit added or
  removed. The sum changes by at most S.
- "fixed": a set of fixed size, uniformly. Neighbours: one unit replaced by another. The sum changes
  by at most 2 S, so the same noise counts half. A different guarantee, not only another number.

dp-accounting brings SciPy and takes seconds to import, so it is imported when first needed.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, lru_cache

from fedcore._validate import as_int, as_real, describe
from fedcore.strategy_api import check_sampling

METHODS = ("pld", "rdp", "rdp-classic", "naive")
ORDERS = (*(1 + i / 10 for i in range(1, 100)), *range(11, 64), 128, 256, 512, 1024)
FINEST = 1e-4  # of the grid on which privacy losses are discretised; dp-accounting's default
RELATIVE = 4e-5  # the grid is no finer than this share of epsilon: memory stays bounded
MEANINGLESS = 1e4  # an epsilon beyond this promises nothing, and isn't worth a tight bound


@dataclass(frozen=True)
class Release:
    """``steps`` rounds with the same noise and the same sampling: what accounting needs to know.

    noise_multiplier: standard deviation of the noise on the sum over the clip norm, >= 0; 0 means
    no privacy. sampling_rate: in (0, 1], the chance of a unit to take part in a round. sampling:
    "poisson" or "fixed". Raises TypeError or ValueError that names the field.
    """

    noise_multiplier: float
    sampling_rate: float
    steps: int
    sampling: str = "poisson"

    def __post_init__(self):
        as_real("noise_multiplier", self.noise_multiplier, 0)
        as_real("sampling_rate", self.sampling_rate, 0, 1, include_low=False)
        as_int("steps", self.steps, minimum=0)
        check_sampling(self.sampling)


def epsilon(
    *,
    noise_multiplier: float,
    sampling_rate: float,
    steps: int,
    delta: float,
    sampling: str = "poisson",
    method: str = "pld",
) -> float:
    """The epsilon after ``steps`` rounds: an upper bound on what anybody can learn about one unit.

    Arguments as in ``Release``; delta in (0, 1), well below one over the number of units. method:

    - "pld": privacy loss distributions (Koskela et al. 2020; Gopi et al. 2021), numerically tight.
      Only for Poisson sampling. (Where "rdp" gives more than 10,000, that is returned.)
    - "rdp": Renyi DP (Mironov 2017; Mironov et al. 2019), converted by Proposition 12 of Canonne,
      Kamath and Steinke (2020).
    - "rdp-classic": the same Renyi curve, converted by Proposition 3 of Mironov (2017), as older
      tools did: rdp + log(1 / delta) / (order - 1), least over the orders.
    - "naive": the epsilons of the single rounds added up, each at delta / steps (basic composition,
      Dwork and Roth 2014, theorem 3.16). True, and far too pessimistic: the classic mistake.

    Returns a float >= 0, ``inf`` without noise. Raises ValueError that names the argument.
    """
    release = Release(noise_multiplier, sampling_rate, steps, sampling)
    return epsilon_of([release], delta, method)


def epsilon_of(releases: Iterable[Release], delta: float, method: str = "pld") -> float:
    """The epsilon of several ``Release``s together, one after the other; see ``epsilon``."""
    releases = _check_releases(releases)
    delta = as_real("delta", delta, 0, 1, include_low=False, include_high=False)
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, got {describe(method)}")
    releases = [r for r in releases if r.steps]
    if not releases:
        return 0.0
    if any(r.noise_multiplier == 0 for r in releases):
        return math.inf
    return _count(tuple(releases), delta, method)


@lru_cache(maxsize=1024)
def _count(releases: tuple[Release, ...], delta: float, method: str) -> float:
    if method == "naive":
        return _naive(releases, delta)
    if method == "pld":
        return _pld(releases, delta)
    return _rdp(releases, delta, classic=method == "rdp-classic")


def noise_for(
    target: float, *, sampling_rate: float, steps: int, delta: float, method: str = "pld"
) -> float:
    """The least noise_multiplier (to 0.001) with which ``steps`` rounds cost at most ``target``.

    target: the epsilon aimed at, > 0. Poisson sampling; the rest as in ``epsilon``.
    """
    target = as_real("target", target, 0, include_low=False)
    Release(1.0, sampling_rate, as_int("steps", steps, minimum=1))

    def spends(noise: float) -> float:
        return epsilon(
            noise_multiplier=noise,
            sampling_rate=sampling_rate,
            steps=steps,
            delta=delta,
            method=method,
        )

    low, high = 0.0, 1.0
    while spends(high) > target:
        low, high = high, 2 * high
    while high - low > 1e-3:
        middle = (low + high) / 2
        low, high = (low, middle) if spends(middle) <= target else (middle, high)
    return high


def _check_releases(releases: Iterable[Release]) -> list[Release]:
    releases = list(releases)
    for i, release in enumerate(releases):
        if not isinstance(release, Release):
            raise TypeError(f"releases[{i}] must be a Release, got {describe(release)}")
    if len({r.sampling for r in releases if r.steps}) > 1:
        raise ValueError(
            "releases must all be sampled the same way: 'poisson' protects against adding or "
            "removing a unit, 'fixed' against replacing one, and these epsilons don't add up"
        )
    return releases


def _naive(releases: Sequence[Release], delta: float) -> float:
    steps = sum(r.steps for r in releases)
    once = (Release(r.noise_multiplier, r.sampling_rate, 1, r.sampling) for r in releases)
    one = _pld if releases[0].sampling == "poisson" else _rdp
    return sum(
        r.steps * one([single], delta / steps) for r, single in zip(releases, once, strict=True)
    )


def _pld(releases: Sequence[Release], delta: float) -> float:
    if releases[0].sampling != "poisson":
        raise ValueError(
            "method must be 'rdp' or 'rdp-classic' with sampling='fixed': the accountant with "
            "privacy loss distributions knows Poisson sampling only, got 'pld'"
        )
    accounting = _dp_accounting()
    rough = _rdp(releases, delta)
    if rough == 0 or rough > MEANINGLESS:
        return rough
    grid = max(FINEST, RELATIVE * rough)
    accountant = accounting.pld.PLDAccountant(value_discretization_interval=grid)
    with _quiet():
        for release in releases:
            accountant.compose(_event(release), release.steps)
        return float(min(rough, accountant.get_epsilon(delta)))


def renyi(releases: Iterable[Release], order: float) -> float:
    """The Renyi divergence of ``order`` (> 1) between outputs on neighbouring data sets, at most.

    The package keeps its curve to itself, so this asks it for epsilon with a single order, at a
    delta so small that the conversion's cut-off at zero is far away, and undoes the conversion.
    """
    releases = _check_releases(releases)
    order = as_real("order", order, 1.01, include_low=False)
    tiny = 1e-200
    value = _rdp_accountant(releases, [order]).get_epsilon(tiny)
    return value - math.log1p(-1 / order) + (math.log(tiny) + math.log(order)) / (order - 1)


def _rdp(releases: Sequence[Release], delta: float, classic: bool = False) -> float:
    if not classic:
        return float(_rdp_accountant(releases, ORDERS).get_epsilon(delta))
    return min(renyi(releases, order) + math.log(1 / delta) / (order - 1) for order in ORDERS)


def _rdp_accountant(releases: Sequence[Release], orders: Iterable[float]):
    accounting = _dp_accounting()
    relation = accounting.NeighboringRelation.ADD_OR_REMOVE_ONE
    if releases and releases[0].sampling == "fixed":
        relation = accounting.NeighboringRelation.REPLACE_ONE
    accountant = accounting.rdp.RdpAccountant(list(orders), relation)
    with _quiet():
        for release in releases:
            accountant.compose(_event(release), release.steps)
    return accountant


def _event(release: Release):
    """What dp-accounting calls one round of ``release``."""
    accounting = _dp_accounting()
    noise = release.noise_multiplier
    if release.sampling == "poisson":
        once = accounting.GaussianDpEvent(noise)
        return accounting.PoissonSampledDpEvent(release.sampling_rate, once)
    share = Fraction(release.sampling_rate).limit_denominator(10**6)
    once = accounting.GaussianDpEvent(noise * _replacement_factor())
    return accounting.SampledWithoutReplacementDpEvent(share.denominator, share.numerator, once)


@cache
def _replacement_factor() -> float:
    """What to multiply the noise by so that replacing a unit counts as a change of 2 S.

    dp-accounting 0.6 takes noise over *sensitivity* for sampling without replacement, although it
    documents noise over norm (google/differential-privacy, issue 378): 0.5. Once that is mended: 1.
    Found by asking it about the whole data set, where the answer is known.
    """
    accounting = _dp_accounting()
    relation = accounting.NeighboringRelation.REPLACE_ONE
    accountant = accounting.rdp.RdpAccountant([2.0], relation)
    everybody = accounting.SampledWithoutReplacementDpEvent(1, 1, accounting.GaussianDpEvent(2.0))
    found = accountant.compose(everybody).get_epsilon(1e-6)
    for same_as, factor in ((2.0, 0.5), (1.0, 1.0)):
        plain = accounting.rdp.RdpAccountant([2.0]).compose(accounting.GaussianDpEvent(same_as))
        if math.isclose(found, plain.get_epsilon(1e-6)):
            return factor
    raise RuntimeError("this version of dp-accounting answers in a way that is not understood")


@cache
def _dp_accounting():
    try:
        import dp_accounting
    except ImportError as error:
        raise ImportError(
            "epsilon needs the package dp-accounting: pip install 'dp-accounting>=0.6'"
        ) from error
    return dp_accounting


class _Harmless(logging.Filter):
    """Renyi orders that don't converge are left out, which keeps the bound true: no need to say."""

    def filter(self, record: logging.LogRecord) -> bool:
        return "Excluding this order" not in record.getMessage()


@contextmanager
def _quiet() -> Iterator[None]:
    logger, harmless = logging.getLogger("absl"), _Harmless()
    logger.addFilter(harmless)
    try:
        yield
    finally:
        logger.removeFilter(harmless)
