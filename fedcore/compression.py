"""Updates in fewer bytes: quantisation and sparsification, with every byte really packed.

A compressor turns a vector into ``bytes`` and back: what ``decode`` returns is made of these bytes
and of what both sides know (the length), so ``len`` of them is what crosses the network.

``Compressed`` puts one between the clients and the server of a federation. Compressors that are
wrong on average need its *error feedback*: what one message left out is added to the next. That
only works if a message takes away more than it adds, ||x - decode(x)|| < ||x||, as those of
``Sign`` and ``TopK`` do. ``Quantize`` is right on average and does without; at one bit its error is
longer than the vector, and error feedback would pile it up.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from fedcore import strategy_api
from fedcore._validate import as_float_array, as_int, as_real, describe, require_finite
from fedcore.strategies import FedAvg
from fedcore.strategy_api import LocalTerms, LocalWork

BITS = (1, 2, 4, 8)
_FEDAVG = FedAvg()


class Compressor(Protocol):
    """What ``Compressed`` expects."""

    def encode(self, delta: np.ndarray, rng: np.random.Generator) -> bytes:
        """The message for ``delta`` (P,) float32; ``rng`` for what is decided by lot."""

    def decode(self, message: bytes, n_values: int) -> np.ndarray:
        """(P,) float32, from the message alone."""

    def nbytes(self, n_values: int) -> int:
        """Length of every message for ``n_values`` numbers."""


@dataclass(frozen=True)
class Quantize:
    """Each number as one of 2^bits levels, drawn so that it is right on average.

    A chunk's levels lie evenly from its smallest to its largest number; a number between two levels
    becomes one of them, the nearer the likelier: E[decode(encode(x))] = x. The error of one number
    is below a step, (largest - smallest) / (2^bits - 1), its variance at most step^2 / 4.

    bits: 1, 2, 4 or 8. chunk: numbers that share a range, which costs 8 bytes; None: all of them.
    Source: stochastic k-level quantization, Suresh et al. (2017), section 2; QSGD, Alistarh et al.
    (2017), is the same idea with levels scaled by the norm.
    """

    bits: int = 8
    chunk: int | None = None

    def __post_init__(self):
        if self.bits not in BITS or isinstance(self.bits, bool):
            raise ValueError(f"bits must be one of {BITS}, got {describe(self.bits)}")
        _check_chunk(self.chunk)

    def encode(self, delta: np.ndarray, rng: np.random.Generator) -> bytes:
        """Smallest and step of each chunk as float32, then the level numbers, packed."""
        rows, n = _in_chunks(_checked(delta), self.chunk)
        low = np.nanmin(rows, axis=1)
        top = 2**self.bits - 1
        step = ((np.nanmax(rows, axis=1).astype(np.float64) - low) / top).astype(np.float32)
        grid = np.where(step > 0, step, 1).astype(np.float64)
        place = (rows.astype(np.float64) - low[:, None]) / grid[:, None]
        below = np.floor(np.nan_to_num(place))
        codes = below + (rng.random(rows.shape) < place - below)  # nan, the padding, is never above
        codes = np.clip(codes, 0, top).astype(np.uint8).ravel()[:n]
        return low.tobytes() + step.tobytes() + pack(codes, self.bits)

    def decode(self, message: bytes, n_values: int) -> np.ndarray:
        """smallest + level number * step."""
        _check_length(message, self.nbytes(n_values))
        chunks = _n_chunks(n_values, self.chunk)
        low, step = np.frombuffer(message, "<f4", 2 * chunks).reshape(2, chunks)
        codes = unpack(message[8 * chunks :], self.bits, n_values)
        rows, _ = _in_chunks(codes.astype(np.float64), self.chunk)
        values = low[:, None].astype(np.float64) + rows * step[:, None].astype(np.float64)
        return values.ravel()[:n_values].astype(np.float32)

    def nbytes(self, n_values: int) -> int:
        """8 a chunk, and ``bits`` for each number."""
        return 8 * _n_chunks(n_values, self.chunk) + math.ceil(n_values * self.bits / 8)


@dataclass(frozen=True)
class Sign:
    """One bit a number, the sign, and one scale a chunk, the mean of |x|. Wrong on average.

    Zero counts as positive. With error feedback it converges where plain SGD does, without it need
    not: Karimireddy et al. (2019). chunk: numbers that share a scale of 4 bytes; None: all of them.
    """

    chunk: int | None = None

    def __post_init__(self):
        _check_chunk(self.chunk)

    def encode(self, delta: np.ndarray, rng: np.random.Generator) -> bytes:
        """The scales as float32, then the signs, packed. Nothing is decided by lot."""
        rows, n = _in_chunks(_checked(delta), self.chunk)
        scale = np.nanmean(np.abs(rows), axis=1, dtype=np.float64).astype("<f4")
        return scale.tobytes() + pack((rows.ravel()[:n] >= 0).astype(np.uint8), 1)

    def decode(self, message: bytes, n_values: int) -> np.ndarray:
        """sign * scale."""
        _check_length(message, self.nbytes(n_values))
        chunks = _n_chunks(n_values, self.chunk)
        scale = np.frombuffer(message, "<f4", chunks)
        signs = 2.0 * unpack(message[4 * chunks :], 1, n_values) - 1
        rows, _ = _in_chunks(signs, self.chunk)
        return (rows * scale[:, None]).ravel()[:n_values].astype(np.float32)

    def nbytes(self, n_values: int) -> int:
        """4 a chunk, and a bit for each number."""
        return 4 * _n_chunks(n_values, self.chunk) + math.ceil(n_values / 8)


@dataclass(frozen=True)
class TopK:
    """The ``share`` of numbers with the largest |x|, as they are; the others count as 0.

    k = max(1, round(share * P)) values of 4 bytes, each with its place in ceil(log2 P) bits; of
    equal ones the first. Small numbers are never sent, so it is wrong on average and wants error
    feedback: Stich et al. (2018), Karimireddy et al. (2019).
    """

    share: float = 0.01

    def __post_init__(self):
        as_real("share", self.share, 0, 1, include_low=False)

    def encode(self, delta: np.ndarray, rng: np.random.Generator) -> bytes:
        """The values as float32, then their places, packed. Nothing is decided by lot."""
        delta = _checked(delta)
        k = self.k(len(delta))
        places = np.sort(np.argsort(-np.abs(delta), kind="stable")[:k])
        packed = pack(places.astype(np.uint32), _place_bits(len(delta)))
        return delta[places].astype("<f4").tobytes() + packed

    def decode(self, message: bytes, n_values: int) -> np.ndarray:
        """The values at their places, 0 elsewhere."""
        _check_length(message, self.nbytes(n_values))
        k = self.k(n_values)
        places = unpack(message[4 * k :], _place_bits(n_values), k)
        if k and places.max() >= n_values:
            raise ValueError(f"message must hold places below {n_values}, got {places.max()}")
        values = np.zeros(n_values, dtype=np.float32)
        values[places] = np.frombuffer(message, "<f4", k)
        return values

    def k(self, n_values: int) -> int:
        """How many of ``n_values`` numbers are sent."""
        return max(1, round(self.share * as_int("n_values", n_values, minimum=1)))

    def nbytes(self, n_values: int) -> int:
        """4 for each value sent, and its place in ceil(log2 P) bits."""
        k = self.k(n_values)
        return 4 * k + math.ceil(k * _place_bits(n_values) / 8)


@dataclass(frozen=True)
class Compressed:
    """A strategy whose clients send compressed deltas: what the server averages is what it decodes.

    compressor: of w_k - w. strategy: what the server then does, ``FedAvg`` or another.
    error_feedback: each client remembers what its last message left out, e_k <- x - decode(x) with
    x = w_k - w + e_k, and sends x instead of w_k - w. seed: of what is decided by lot.

    The history's bytes up are those of the messages. State: (rounds so far, memory (K, P) float32,
    or (0, P) without error feedback, then the inner strategy's). A client strategy, since the
    memory belongs to clients. Source: Algorithm 2 of Karimireddy et al. (2019), by client.
    """

    compressor: Compressor
    strategy: Any = _FEDAVG
    error_feedback: bool = False
    seed: int = 0

    def __post_init__(self):
        for method in ("encode", "decode", "nbytes"):
            if not callable(getattr(self.compressor, method, None)):
                raise TypeError(
                    "compressor must have encode, decode and nbytes, got "
                    f"{describe(self.compressor)}"
                )
        as_int("seed", self.seed, minimum=0)
        if strategy_api.vectors_sent(self.strategy) != 1:
            raise ValueError(
                f"strategy must send one vector, got {describe(self.strategy)}: compressing "
                "correction terms is another algorithm"
            )
        if getattr(self.strategy, "sampling", None) is not None:
            raise ValueError(
                f"strategy must not keep a privacy ledger, got {describe(self.strategy)}: "
                "its epsilon is stated for uncompressed updates"
            )

    def upload_bytes(self, n_params: int) -> int:
        """Of one client's message."""
        return self.compressor.nbytes(n_params)

    def init(self, params: np.ndarray, n_clients: int) -> tuple[np.ndarray, ...]:
        """No rounds, nothing left out yet, the inner strategy's first state."""
        rows = n_clients if self.error_feedback else 0
        memory = np.zeros((rows, len(params)), dtype=np.float32)
        inner = strategy_api.first_state(self.strategy, params, n_clients)
        return (np.zeros(1, dtype=np.int64), memory, *inner)

    def local_terms(self, state: tuple[np.ndarray, ...], clients: np.ndarray) -> LocalTerms:
        """Those of the inner strategy."""
        return strategy_api.local_terms(self.strategy, tuple(state[2:]), clients)

    def aggregate(
        self,
        state: tuple[np.ndarray, ...],
        params: np.ndarray,
        updates: np.ndarray,
        weights: np.ndarray,
        work: LocalWork,
    ) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
        """(new parameters (P,), new state); see ``ClientStrategy``."""
        t = int(state[0][0]) + 1
        memory = state[1].copy()
        received = np.empty_like(updates)
        for row, (k, update) in enumerate(zip(work.clients.tolist(), updates, strict=True)):
            delta = update - params
            if self.error_feedback:
                delta += memory[k]
            decoded = self._send(delta, np.random.default_rng([self.seed, t, k]))
            if self.error_feedback:
                memory[k] = delta - decoded
            received[row] = params + decoded
        inner = tuple(state[2:])
        params, inner = strategy_api.aggregate(
            self.strategy, inner, params, received, weights, work
        )
        return params, (np.array([t], dtype=np.int64), memory, *inner)

    def _send(self, delta: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        message = self.compressor.encode(delta, rng)
        _check_length(message, self.compressor.nbytes(len(delta)))
        return self.compressor.decode(message, len(delta))


def pack(codes: np.ndarray, bits: int) -> bytes:
    """Whole numbers below 2^bits (n,), ``bits`` each, most significant first; 0 fills the end."""
    shifts = np.arange(bits - 1, -1, -1, dtype=codes.dtype)
    return np.packbits((codes[:, None] >> shifts) & 1).tobytes()


def unpack(data: bytes, bits: int, n_values: int) -> np.ndarray:
    """The ``n_values`` numbers of ``pack``, (n_values,) int64."""
    ones = np.unpackbits(np.frombuffer(data, np.uint8), count=n_values * bits)
    return ones.reshape(n_values, bits).astype(np.int64) @ (1 << np.arange(bits - 1, -1, -1))


def _checked(delta: np.ndarray) -> np.ndarray:
    delta = as_float_array("delta", delta, ndim=1, dtypes=(np.float32,))
    if len(delta) == 0:
        raise ValueError("delta must hold at least one number, got none")
    require_finite("delta", delta)
    return delta


def _check_chunk(chunk: int | None) -> None:
    if chunk is not None:
        as_int("chunk", chunk, minimum=1)


def _n_chunks(n_values: int, chunk: int | None) -> int:
    n_values = as_int("n_values", n_values, minimum=1)
    return 1 if chunk is None else math.ceil(n_values / chunk)


def _in_chunks(values: np.ndarray, chunk: int | None) -> tuple[np.ndarray, int]:
    """((chunks, size) with nan at the end of the last, how many numbers there really are)."""
    n = len(values)
    chunks = _n_chunks(n, chunk)
    padded = np.full(chunks * (n if chunk is None else chunk), np.nan, dtype=values.dtype)
    padded[:n] = values
    return padded.reshape(chunks, -1), n


def _place_bits(n_values: int) -> int:
    return max(1, math.ceil(math.log2(n_values)))


def _check_length(message: bytes, expected: int) -> None:
    if not isinstance(message, bytes):
        raise TypeError(f"message must be bytes, got {describe(message)}")
    if len(message) != expected:
        raise ValueError(f"message must be {expected} bytes long, got {len(message)}")
