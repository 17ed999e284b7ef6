"""Real numbers as integers in a ring, so that masks can hide them and sums stay exact."""

from __future__ import annotations

import math

import numpy as np

from fedcore._validate import as_int, as_real, describe, require_finite

RINGS = {32: np.dtype("<u4"), 64: np.dtype("<u8")}


class FixedPoint:
    """x is sent as round(x * 2^fraction_bits) mod 2^bits; negative numbers wrap to the upper half.

    bound: largest |x| a client may send. n_clients: how many are added up at most. bits: 32 or 64.
    margin: room that the sum needs beyond n_clients * bound, for example for noise.
    fraction_bits: default, the most for which no sum can wrap; 0 sends whole numbers.
    The sum of the integers is exact. Each x is off by at most ``resolution / 2``, so a sum of n by
    at most n * resolution / 2 (and, at 64 bits, the 53 bits of a Python float).

    Attributes: fraction_bits; resolution, the distance of neighbouring numbers; dtype of the ring.
    Raises TypeError or ValueError that names the argument, if the ring is too small for instance.
    """

    def __init__(
        self,
        bound: float,
        n_clients: int,
        bits: int = 32,
        *,
        margin: float = 0.0,
        fraction_bits: int | None = None,
    ):
        self.bound = as_real("bound", bound, 0, include_low=False)
        self.n_clients = as_int("n_clients", n_clients, minimum=1)
        if bits not in RINGS:
            raise ValueError(f"bits must be 32 or 64, got {describe(bits)}")
        self.bits, self.dtype = bits, RINGS[bits]
        self.margin = as_real("margin", margin, 0)
        if fraction_bits is None:
            room = (2 ** (bits - 1) - 1) / (self.n_clients * self.bound + self.margin)
            fraction_bits = math.floor(math.log2(room))
            fraction_bits -= self._largest_sum(fraction_bits) >= 2 ** (bits - 1)
        self.fraction_bits = as_int("fraction_bits", fraction_bits)
        self.resolution = 2.0**-fraction_bits
        if fraction_bits < 0 or self._largest_sum(fraction_bits) >= 2 ** (bits - 1):
            raise ValueError(
                f"bound must leave room in {bits} bits for the sum of {n_clients} clients, got "
                f"{bound:g}: take a smaller bound or bits=64"
            )

    def _largest_sum(self, fraction_bits: int) -> int:
        """Of the integers; each client's rounding included."""
        one = math.floor(self.bound * 2.0**fraction_bits + 0.5)
        return self.n_clients * one + math.ceil(self.margin * 2.0**fraction_bits)

    def encode(self, values: np.ndarray, name: str = "values") -> np.ndarray:
        """``values`` (n,) float or integer -> (n,) ring elements, rounded to the nearest.

        Raises ValueError that names the first value that is not finite or exceeds the bound: a
        number that wrapped around would silently become another.
        """
        values = np.asarray(values)
        if values.ndim != 1 or values.dtype.kind not in "iuf":
            raise TypeError(
                f"{name} must be a one-dimensional array of numbers, got {describe(values)}"
            )
        values = values.astype(np.float64)
        require_finite(name, values)
        too_large = np.flatnonzero(np.abs(values) > self.bound)
        if too_large.size:
            i = int(too_large[0])
            raise ValueError(
                f"{name} must lie within the fixed-point bound of {self.bound:g}, got "
                f"{values[i]:g} at index {i}: clip first, or agree on a larger bound"
            )
        return np.rint(values / self.resolution).astype(np.int64).astype(self.dtype)

    def decode(self, ring: np.ndarray) -> np.ndarray:
        """Ring elements (n,) -> float64 (n,): the upper half of the ring is negative."""
        if not isinstance(ring, np.ndarray) or ring.dtype != self.dtype:
            raise TypeError(f"ring must be an array of {self.dtype}, got {describe(ring)}")
        return ring.view(f"<i{self.bits // 8}") * self.resolution

    def noise_share(
        self, std: float, n_sharing: int, n_values: int, rng: np.random.Generator
    ) -> np.ndarray:
        """One client's part of Gaussian noise for the sum: (n_values,) ring elements to be added.

        Normal with variance std^2 / n_sharing, rounded to whole steps, whatever the data. If n of
        them are summed, the variance is n / n_sharing * std^2 (and n / 12 resolution^2 from the
        rounding): with n_sharing the smallest number of honest clients that can end up in the sum,
        it has at least the noise that was asked for. A sum of rounded normals is close to, but not
        exactly, one rounded normal: the epsilon of a central Gaussian is here an approximation,
        good while std / sqrt(n_sharing) is many resolutions. For exact accounts of discrete noise
        see Kairouz, Liu and Steinke (2021). ``margin`` must leave room for it.
        """
        std = as_real("std", std, 0)
        n_sharing = as_int("n_sharing", n_sharing, minimum=1)
        if self.margin < 6 * std * math.sqrt(self.n_clients / n_sharing):
            raise ValueError(
                f"margin must be at least 6 standard deviations of the summed noise, "
                f"{6 * std * math.sqrt(self.n_clients / n_sharing):g}, got {self.margin:g}"
            )
        n_values = as_int("n_values", n_values, minimum=1)
        noise = rng.normal(0.0, std / math.sqrt(n_sharing), n_values)
        return np.rint(noise / self.resolution).astype(np.int64).astype(self.dtype)
