"""The server's side of the protocol."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fedcore._validate import describe
from fedcore.secagg import masks, shamir
from fedcore.secagg.messages import (
    EncryptedShares,
    MaskedInput,
    PublicKeys,
    RevealedShares,
    UnmaskingRequest,
)
from fedcore.secagg.setup import Setup

ROUNDS = (PublicKeys, EncryptedShares, MaskedInput, RevealedShares)


class Server:
    """Collects a round's messages with ``receive``, then ends the round by asking for its result:

    ``roster``, ``boxes_for``, ``unmasking_request``, ``total``. What comes after that is refused
    as late, and who missed a round is out. Each raises Aborted if too few have answered.

    The server holds public keys, sealed boxes and masked vectors, and in the end, for each client
    that sent shares, *either* its seed or its mask key: a share of the other kind is refused.
    """

    def __init__(self, setup: Setup):
        self.setup = setup
        self._round = 0
        self._got: tuple[dict[int, Any], ...] = ({}, {}, {}, {})  # {sender: message}, per round

    @property
    def survivors(self) -> tuple[int, ...]:
        """Ids, ascending, of those whose masked input is here."""
        return tuple(sorted(self._got[2]))

    @property
    def dropped(self) -> tuple[int, ...]:
        """Ids of those that sent shares, so that others masked with them, but no masked input."""
        return tuple(sorted(set(self._got[1]) - set(self._got[2])))

    def receive(self, message: Any) -> None:
        """Take one message of the round under way.

        ValueError for one that is late, early, sent twice, or from a client that is not in.
        """
        if not isinstance(message, ROUNDS):
            raise TypeError(f"message must be one of secagg's messages, got {describe(message)}")
        round, u = ROUNDS.index(type(message)), message.sender
        kind = type(message).__name__
        if round != self._round:
            when = "late" if round < self._round else "early"
            raise ValueError(f"{kind} of client {u} is refused: it is {when}")
        if u in self._got[round]:
            raise ValueError(f"{kind} of client {u} is refused: there is one already (a replay?)")
        allowed = self._got[round - 1] if round else range(self.setup.n_clients)
        if u not in allowed:
            raise ValueError(f"{kind} of client {u} is refused: it missed the round before")
        self._check(message)
        self._got[round][u] = message

    def roster(self) -> dict[int, PublicKeys]:
        """Ends round 0: everybody's public keys, for everybody."""
        self._end(0, "after the keys")
        return dict(sorted(self._got[0].items()))

    def boxes_for(self, client: int) -> dict[int, bytes]:
        """Ends round 1: {sender: its sealed box for ``client``}."""
        self._end(1, "after the shares")
        if client not in self._got[1]:
            raise ValueError(f"client must have sent shares itself, got {describe(client)}")
        return {v: m.boxes[client] for v, m in sorted(self._got[1].items()) if v != client}

    def masked_sum(self) -> np.ndarray:
        """The sum of the masked inputs here, (n_values,) ring elements: noise, whatever they hold.

        Self masks are still on it, and pairwise masks with dropped devices.
        """
        total = np.zeros(self.setup.n_values, dtype=self.setup.dtype)
        for message in self._got[2].values():
            total += message.values
        return total

    def unmasking_request(self) -> UnmaskingRequest:
        """Ends round 2: whose seed, and whose key, is asked for."""
        self._end(2, "after the masked inputs")
        return UnmaskingRequest(frozenset(self.survivors), frozenset(self.dropped))

    def total(self) -> np.ndarray:
        """Ends round 3: the sum of the survivors' vectors, (n_values,) ring elements.

        Raises Tampered if the shares of a client don't give what it has promised.
        """
        self._end(3, "before the sum was unmasked")
        points = sorted(u + 1 for u in self._got[3])[: self.setup.threshold]
        coefficients = shamir.coefficients_at_zero(points)
        total = self.masked_sum()
        for u in self.survivors:
            total -= masks.self_mask(self._seed(u, coefficients), self.setup)
        for u in self.dropped:
            total += self._masks_of(u, self._key(u, coefficients))
        return total

    def _end(self, round: int, when: str) -> None:
        if self._round < round:
            raise RuntimeError(f"round {round} has not begun: end round {self._round} first")
        if self._round == round:
            self.setup.require_enough(len(self._got[round]), when)
            self._round += 1

    def _check(self, message: Any) -> None:
        if isinstance(message, EncryptedShares):
            expected = set(self._got[0]) - {message.sender}
            if set(message.boxes) != expected:
                odd = min(set(message.boxes) ^ expected)
                raise ValueError(f"boxes must be for all others of the roster; client {odd} is not")
        if isinstance(message, MaskedInput):
            self.setup.as_ring("values", message.values)
        if isinstance(message, RevealedShares):
            _check_revealed(message, set(self.survivors), set(self.dropped))

    def _rebuilt(
        self, shares: Mapping[int, int], coefficients: Mapping[int, int], whose: str
    ) -> bytes:
        secret = shamir.combine(shares, coefficients)
        if secret >= 2 ** (8 * shamir.SECRET_BYTES):
            raise masks.Tampered(f"the shares of {whose} don't fit together: one is false")
        return secret.to_bytes(shamir.SECRET_BYTES, "big")

    def _seed(self, u: int, coefficients: Mapping[int, int]) -> bytes:
        shares = {v + 1: m.seeds[u] for v, m in self._got[3].items()}
        seed = self._rebuilt(shares, coefficients, f"client {u}'s seed")
        if masks.seed_digest(seed, self.setup.session) != self._got[1][u].digest:
            raise masks.Tampered(f"the shares of client {u}'s seed give another one: one is false")
        return seed

    def _key(self, u: int, coefficients: Mapping[int, int]) -> masks.X25519PrivateKey:
        shares = {v + 1: m.keys[u] for v, m in self._got[3].items()}
        key = masks.private_key(self._rebuilt(shares, coefficients, f"client {u}'s key"))
        if masks.public_key(key) != self._got[0][u].masking:
            raise masks.Tampered(f"the shares of client {u}'s key give another one: one is false")
        return key

    def _masks_of(self, u: int, key: masks.X25519PrivateKey) -> np.ndarray:
        """What the dead client u would have added on account of the survivors."""
        total = np.zeros(self.setup.n_values, dtype=self.setup.dtype)
        for v in self.survivors:
            total += masks.pairwise_mask(u, key, v, self._got[0][v].masking, self.setup)
        return total


def _check_revealed(message: RevealedShares, survivors: set[int], dropped: set[int]) -> None:
    both = set(message.seeds) & set(message.keys)
    if both or set(message.seeds) & dropped or set(message.keys) & survivors:
        odd = both or (set(message.seeds) & dropped) or (set(message.keys) & survivors)
        raise ValueError(
            f"refused: client {message.sender} sent a share that was not asked for, of client "
            f"{min(odd)}; both secrets of one client would lay its vector open"
        )
    if set(message.seeds) != survivors or set(message.keys) != dropped:
        raise ValueError(f"client {message.sender} must send one share for each client asked for")
    for share in (*message.seeds.values(), *message.keys.values()):
        if not isinstance(share, int) or not 0 <= share < shamir.PRIME:
            raise ValueError(f"a share must be a number below 2^521 - 1, got {describe(share)}")
