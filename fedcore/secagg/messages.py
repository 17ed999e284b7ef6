"""What crosses the network in a secure sum. ``nbytes``: a client's id 4 bytes, a share 66."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fedcore.secagg import shamir

ID_BYTES = 4


@dataclass(frozen=True)
class PublicKeys:
    """Round 0. For sealed boxes, and for pairwise masks: 32 bytes each."""

    sender: int
    encryption: bytes
    masking: bytes

    @property
    def nbytes(self) -> int:
        """Size on the wire."""
        return ID_BYTES + len(self.encryption) + len(self.masking)


@dataclass(frozen=True)
class EncryptedShares:
    """Round 1. {receiver: sealed box}, and the digest of the self-mask seed."""

    sender: int
    boxes: Mapping[int, bytes]
    digest: bytes

    @property
    def nbytes(self) -> int:
        """Size on the wire."""
        return ID_BYTES + len(self.digest) + sum(ID_BYTES + len(b) for b in self.boxes.values())


@dataclass(frozen=True)
class MaskedInput:
    """Round 2. Ring elements (n_values,)."""

    sender: int
    values: np.ndarray

    @property
    def nbytes(self) -> int:
        """Size on the wire."""
        return ID_BYTES + self.values.nbytes


@dataclass(frozen=True)
class UnmaskingRequest:
    """Round 3, from the server: whose masked input arrived, and who shared but sent none."""

    survivors: frozenset[int]
    dropped: frozenset[int]

    @property
    def nbytes(self) -> int:
        """Size on the wire."""
        return ID_BYTES * (len(self.survivors) + len(self.dropped))


@dataclass(frozen=True)
class RevealedShares:
    """Round 3, to the server. {owner: share} of survivors' seeds, of dead devices' keys."""

    sender: int
    seeds: Mapping[int, int]
    keys: Mapping[int, int]

    @property
    def nbytes(self) -> int:
        """Size on the wire."""
        shares = len(self.seeds) + len(self.keys)
        return ID_BYTES + shares * (ID_BYTES + shamir.NUMBER_BYTES)
