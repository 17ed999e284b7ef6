"""Shamir's secret sharing over the integers modulo the prime 2^521 - 1.

A secret is the value at 0 of a random polynomial of degree ``threshold - 1``; a share is its value
somewhere else. ``threshold`` shares fix the polynomial, fewer say nothing at all about the secret:
for every possible secret there is exactly one polynomial that fits them.
Source: Shamir (1979). 2^521 - 1 is a Mersenne prime with room for a key of 256 bits: a false share
moves the result to a random place among 2^521, which is practically never below 2^256.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

PRIME = 2**521 - 1
NUMBER_BYTES = 66  # of a number below PRIME on the wire
SECRET_BYTES = 32


def split(
    secret: int, threshold: int, points: Sequence[int], random_bytes: Callable[[int], bytes]
) -> dict[int, int]:
    """{point: share} for the ``points``, distinct and not 0, of a secret in [0, PRIME)."""
    coefficients = [secret, *(random_number(random_bytes) for _ in range(threshold - 1))]
    coefficients.reverse()
    shares = {}
    for x in points:
        value = 0
        for coefficient in coefficients:  # Horner's rule
            value = (value * x + coefficient) % PRIME
        shares[x] = value
    return shares


def random_number(random_bytes: Callable[[int], bytes]) -> int:
    """A uniform number in [0, PRIME): 521 random bits, drawn again if they are all ones."""
    while True:
        value = int.from_bytes(random_bytes(NUMBER_BYTES), "big") & PRIME
        if value != PRIME:
            return value


def coefficients_at_zero(points: Sequence[int]) -> dict[int, int]:
    """Lagrange's coefficients c_x for which f(0) = sum_x c_x f(x), degree below len(points).

    c_x = prod_{z != x} z / (z - x). They depend on the points only, so all secrets that the same
    clients hold shares of are rebuilt with the same ones.
    """
    result = {}
    for x in points:
        above, below = 1, 1
        for z in points:
            if z != x:
                above = above * z % PRIME
                below = below * (z - x) % PRIME
        result[x] = above * pow(below, -1, PRIME) % PRIME
    return result


def combine(shares: Mapping[int, int], coefficients: Mapping[int, int]) -> int:
    """The secret, from the shares at the points of ``coefficients``; further shares are unused."""
    return sum(c * shares[x] for x, c in coefficients.items()) % PRIME
