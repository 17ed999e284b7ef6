"""What server and clients agree on before a secure sum."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fedcore._validate import as_int, describe
from fedcore.secagg.fixed_point import RINGS


class Aborted(RuntimeError):
    """The protocol ended without a sum: fewer clients than the threshold were left."""


@dataclass(frozen=True)
class Setup:
    """What server and clients know before they begin.

    n_clients: ids are 0 to n_clients - 1. n_values: length of the vectors. threshold: clients that
    must last to the end; default floor(2 n / 3) + 1. It must exceed n / 2, or a server that tells
    two halves different stories gets both secrets of a client; with c clients on its side it needs
    2 * threshold <= n + c. bits: the ring is 2^32 or 2^64. session: 16 bytes, new for each run.
    """

    n_clients: int
    n_values: int
    threshold: int | None = None
    bits: int = 32
    session: bytes = field(default_factory=lambda: secrets.token_bytes(16))

    def __post_init__(self):
        n = as_int("n_clients", self.n_clients, minimum=2)
        as_int("n_values", self.n_values, minimum=1)
        if self.bits not in RINGS:
            raise ValueError(f"bits must be 32 or 64, got {describe(self.bits)}")
        if not isinstance(self.session, bytes) or len(self.session) != 16:
            raise ValueError(f"session must be 16 bytes, got {describe(self.session)}")
        if self.threshold is None:
            object.__setattr__(self, "threshold", 2 * n // 3 + 1)
        threshold = as_int("threshold", self.threshold)
        if threshold > n:
            raise ValueError(f"threshold must be at most n_clients = {n}, got {threshold}")
        if 2 * threshold <= n:
            raise ValueError(
                f"threshold must be more than half of the {n} clients, got {threshold}: a server "
                "could get both secrets of a client from two halves"
            )

    @property
    def dtype(self) -> np.dtype:
        """Of a ring element: arithmetic in it is modulo 2^bits."""
        return RINGS[self.bits]

    def require_enough(self, n: int, when: str) -> None:
        """Aborted if fewer than ``threshold`` clients are left."""
        if n < self.threshold:
            raise Aborted(
                f"secure aggregation aborted {when}: {n} of {self.n_clients} clients left, "
                f"the threshold is {self.threshold}"
            )

    def as_ring(self, name: str, values: Any) -> np.ndarray:
        """``values`` if they are (n_values,) ring elements."""
        if not isinstance(values, np.ndarray) or values.dtype != self.dtype:
            raise TypeError(f"{name} must be an array of {self.dtype}, got {describe(values)}")
        if values.shape != (self.n_values,):
            raise ValueError(f"{name} must have shape ({self.n_values},), got {values.shape}")
        return values
