"""Sums and averages over the whole protocol in one call, with devices that die on the way."""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fedcore._validate import as_int, as_real, describe
from fedcore.secagg.client import Client
from fedcore.secagg.fixed_point import FixedPoint
from fedcore.secagg.messages import ID_BYTES
from fedcore.secagg.server import Server
from fedcore.secagg.setup import Setup

STAGES = ("advertise", "share", "mask", "reveal")
Random = Callable[[int], bytes]


@dataclass(frozen=True)
class SecureSum:
    """total: (P,) float64, the sum over ``survivors`` (ids, ascending); threshold used; bytes of
    all clients together, up and down, by stage of the protocol (see ``STAGES``).
    """

    total: np.ndarray
    survivors: tuple[int, ...]
    threshold: int
    bytes_up: Mapping[str, int]
    bytes_down: Mapping[str, int]


@dataclass(frozen=True)
class SecureAverage:
    """mean: (P,) float64, weighted; total_weight: of the survivors; the rest as in SecureSum."""

    mean: np.ndarray
    total_weight: float
    survivors: tuple[int, ...]
    threshold: int
    bytes_up: Mapping[str, int]
    bytes_down: Mapping[str, int]


def secure_sum(
    vectors: np.ndarray | Sequence[np.ndarray],
    *,
    bound: float,
    threshold: int | None = None,
    bits: int = 32,
    drop: Mapping[int, str] | None = None,
    random_bytes: Random = secrets.token_bytes,
) -> SecureSum:
    """sum_k vectors[k], as the server sees it after the protocol: the sum, nothing else.

    vectors: (K, P) or K arrays (P,), each number within [-bound, bound]. threshold: of clients that
    must last, default floor(2 K / 3) + 1. bits: of the ring, 32 or 64. drop: {client: stage before
    which it dies}, one of STAGES; the sum is then over those that sent their masked vector.

    Off by at most K * resolution / 2 from the sum of the floats, see ``FixedPoint``. Raises
    ValueError or TypeError that names the argument, and Aborted if too few clients are left.
    """
    n = _n_clients("vectors", vectors)
    fixed = FixedPoint(bound, n, bits)
    rows = [fixed.encode(v, f"vectors[{k}]") for k, v in enumerate(vectors)]
    total, rest = run_protocol(rows, threshold, bits, drop, random_bytes)
    return SecureSum(fixed.decode(total), *rest)


def secure_average(
    updates: np.ndarray | Sequence[np.ndarray],
    weights: Sequence[float],
    *,
    bound: float,
    max_weight: float,
    threshold: int | None = None,
    bits: int = 32,
    drop: Mapping[int, str] | None = None,
    random_bytes: Random = secrets.token_bytes,
) -> SecureAverage:
    """sum_k n_k w_k / sum_k n_k without showing the server any w_k or any n_k.

    Each client sends n_k w_k and, as one number more, n_k; the server divides the two sums.
    weights: numbers above 0, usually n_k, up to ``max_weight``, which is public like ``bound``, the
    largest |w_k|. Whole weights add up exactly. The rest is as in ``secure_sum``.
    """
    n = _n_clients("updates", updates)
    coder = WeightedRow(bound, max_weight, n, bits)
    if len(weights) != n:
        raise ValueError(f"weights must hold {n} numbers, one a client, got {len(weights)}")
    pairs = zip(updates, weights, strict=True)
    rows = [coder.encode(update, weight, f"[{k}]") for k, (update, weight) in enumerate(pairs)]
    total, rest = run_protocol(rows, threshold, bits, drop, random_bytes)
    return SecureAverage(*coder.decode(total), *rest)


class WeightedRow:
    """What a client adds to a secure average: n_k w_k, and n_k as one number more, in the ring.

    bound: largest |w_k|; max_weight: largest n_k; n_clients: rows that are added up at most.
    """

    def __init__(self, bound: float, max_weight: float, n_clients: int, bits: int = 32):
        self.max_weight = as_real("max_weight", max_weight, 0, include_low=False)
        bound = as_real("bound", bound, 0, include_low=False)
        self._products = FixedPoint(bound * self.max_weight, n_clients, bits)
        self._counts = FixedPoint(self.max_weight, n_clients, bits)

    def encode(self, update: np.ndarray, weight: float, which: str = "") -> np.ndarray:
        """(P + 1,) ring elements for ``update`` (P,); ``which`` tells it from others in errors."""
        weight = as_real(f"weights{which}", weight, 0, self.max_weight, include_low=False)
        scaled = weight * np.asarray(update, dtype=np.float64)
        row = self._products.encode(scaled, f"weights{which} * updates{which}")
        return np.append(row, self._counts.encode(np.array([weight])))

    def decode(self, total: np.ndarray) -> tuple[np.ndarray, float]:
        """(weighted mean (P,) float64, sum of the weights) from the sum of the rows (P + 1,)."""
        total_weight = float(self._counts.decode(total[-1:])[0])
        if total_weight <= 0:
            raise ValueError("weights must not vanish: their sum is below the ring's resolution")
        return self._products.decode(total[:-1]) / total_weight, total_weight


def run_protocol(rows, threshold, bits, drop, random_bytes) -> tuple[np.ndarray, tuple]:
    """(sum (n,) of ring vectors, (survivors, threshold, bytes up, bytes down)), all four rounds."""
    setup = Setup(len(rows), len(rows[0]), threshold, bits, random_bytes(16))
    alive = _Alive(drop or {}, len(rows))
    clients = [Client(k, setup, random_bytes) for k in range(len(rows))]
    server, wire = Server(setup), Traffic()
    for k in alive.until("advertise"):
        wire.up(server, "advertise", clients[k].advertise())
    roster = server.roster()
    roster_bytes = sum(keys.nbytes for keys in roster.values())
    for k in alive.until("share"):
        wire.down("share", roster_bytes)
        wire.up(server, "share", clients[k].share(roster))
    for k in alive.until("mask"):
        boxes = server.boxes_for(k)
        wire.down("mask", sum(ID_BYTES + len(box) for box in boxes.values()))
        wire.up(server, "mask", clients[k].mask(rows[k], boxes))
    request = server.unmasking_request()
    for k in alive.until("reveal"):
        wire.down("reveal", request.nbytes)
        wire.up(server, "reveal", clients[k].reveal(request))
    total = server.total()
    return total, (server.survivors, setup.threshold, wire.bytes_up, wire.bytes_down)


class Traffic:
    """Bytes by stage: what a client that died before a stage would have moved is not counted."""

    def __init__(self):
        self.bytes_up = dict.fromkeys(STAGES, 0)
        self.bytes_down = dict.fromkeys(STAGES, 0)

    def up(self, server: Server, stage: str, message: Any) -> None:
        """Deliver ``message`` and count it."""
        self.bytes_up[stage] += message.nbytes
        server.receive(message)

    def down(self, stage: str, nbytes: int) -> None:
        """Count what the server sends one client in ``stage``."""
        self.bytes_down[stage] += nbytes


class _Alive:
    """Who is still there at a stage."""

    def __init__(self, drop: Mapping[int, str], n_clients: int):
        for k, stage in drop.items():
            as_int("drop", k, minimum=0, maximum=n_clients - 1)
            if stage not in STAGES:
                raise ValueError(f"drop[{k}] must be one of {STAGES}, got {describe(stage)}")
        self._last = [STAGES.index(drop.get(k, "reveal")) - (k in drop) for k in range(n_clients)]

    def until(self, stage: str) -> list[int]:
        """Ids of those that still take part in ``stage``."""
        return [k for k, last in enumerate(self._last) if last >= STAGES.index(stage)]


def _n_clients(name: str, vectors: Any) -> int:
    is_list = isinstance(vectors, list | tuple)
    if not is_list and not (isinstance(vectors, np.ndarray) and vectors.ndim == 2):
        raise TypeError(f"{name} must be an array (K, P) or a list, got {describe(vectors)}")
    if len(vectors) < 2:
        raise ValueError(f"{name} must be of at least 2 clients: the sum of one hides nothing")
    if len({len(v) for v in vectors}) != 1 or len(vectors[0]) == 0:
        raise ValueError(f"{name} must all have the same length, at least 1")
    return len(vectors)


@dataclass(frozen=True)
class SecureFedAvg:
    """FedAvg whose server only ever sees sums: a strategy for ``run_federation``.

    The clients of a round run the protocol on n_k (w_k - w) and n_k. bound: largest |w_k - w| of a
    single parameter; max_examples: largest n_k, or other weight; both are public. A client that
    exceeds one ends the round with a ValueError. threshold: share of the round's clients that must
    last, above 1/2. bits, random_bytes: as in ``secure_average``. Needs two clients in each round.

    State: (bytes up, bytes down), (2,) int64, of the protocol in all rounds so far. The history's
    own bytes count the plain model.
    """

    bound: float
    max_examples: float
    threshold: float = 2 / 3
    bits: int = 32
    random_bytes: Random = field(default=secrets.token_bytes, repr=False)

    def __post_init__(self):
        as_real("bound", self.bound, 0, include_low=False)
        as_real("max_examples", self.max_examples, 0, include_low=False)
        as_real("threshold", self.threshold, 0.5, 1)

    def least(self, n: int) -> int:
        """How many of a round's ``n`` clients must last."""
        return min(n, math.floor(self.threshold * n + 1e-9) + 1)

    def init(self, params: np.ndarray) -> tuple[np.ndarray]:
        """No bytes yet."""
        return (np.zeros(2, dtype=np.int64),)

    def aggregate(
        self, state: tuple[np.ndarray], params: np.ndarray, updates: np.ndarray, weights: np.ndarray
    ) -> tuple[np.ndarray, tuple[np.ndarray]]:
        """(params plus the securely averaged delta (P,) float32, bytes so far)."""
        n = len(updates)
        done = secure_average(
            updates - params,
            weights.tolist(),
            bound=self.bound,
            max_weight=self.max_examples,
            threshold=self.least(n),
            bits=self.bits,
            random_bytes=self.random_bytes,
        )
        moved = [sum(done.bytes_up.values()), sum(done.bytes_down.values())]
        return (params + done.mean).astype(np.float32), (state[0] + moved,)
