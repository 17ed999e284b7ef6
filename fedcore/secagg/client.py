"""A device's side of the protocol."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping

import numpy as np

from fedcore._validate import as_int
from fedcore.secagg import masks, shamir
from fedcore.secagg.messages import (
    EncryptedShares,
    MaskedInput,
    PublicKeys,
    RevealedShares,
    UnmaskingRequest,
)
from fedcore.secagg.setup import Setup

Random = Callable[[int], bytes]


class Client:
    """One device: ``advertise``, ``share``, ``mask``, ``reveal``, each once and in this order.

    random_bytes(n) gives n random bytes; the default is the operating system's. Whoever can guess
    it can take off every mask: another one is for tests and for figures that must repeat.
    """

    def __init__(self, client: int, setup: Setup, random_bytes: Random = secrets.token_bytes):
        self.id = as_int("client", client, minimum=0, maximum=setup.n_clients - 1)
        self.setup = setup
        self._random = random_bytes
        self._step = 0
        self._encryption_key = masks.private_key(random_bytes(masks.KEY_BYTES))
        self._mask_secret = random_bytes(masks.KEY_BYTES)
        self._mask_key = masks.private_key(self._mask_secret)
        self._seed = random_bytes(shamir.SECRET_BYTES)
        self._roster: dict[int, PublicKeys] = {}
        self._box_keys: dict[int, bytes] = {}
        self._held: dict[int, tuple[int, int]] = {}  # {owner: its shares that I keep: key, seed}

    def advertise(self) -> PublicKeys:
        """Round 0: my two public keys."""
        self._once(0, "advertise")
        return self._public()

    def share(self, roster: Mapping[int, PublicKeys]) -> EncryptedShares:
        """Round 1: shares of my mask key and of my seed, sealed for each client of the roster."""
        self._check_roster(roster)
        self._once(1, "share")
        self._roster = dict(roster)
        points = [v + 1 for v in roster]
        mask_key, seed = (int.from_bytes(s, "big") for s in (self._mask_secret, self._seed))
        threshold = self.setup.threshold
        keys = shamir.split(mask_key, threshold, points, self._random)
        seeds = shamir.split(seed, threshold, points, self._random)
        self._held[self.id] = keys[self.id + 1], seeds[self.id + 1]
        boxes = {v: self._seal(v, keys[v + 1], seeds[v + 1]) for v in roster if v != self.id}
        return EncryptedShares(self.id, boxes, masks.seed_digest(self._seed, self.setup.session))

    def mask(self, values: np.ndarray, boxes: Mapping[int, bytes]) -> MaskedInput:
        """Round 2: ``values``, ring elements (n_values,), under all my masks.

        boxes: {sender: the box it sealed for me}; pairwise masks are made with these senders. Each
        is opened now, so that a false one ends the protocol before anything is sent.
        """
        values = self.setup.as_ring("values", values)
        self.setup.require_enough(len(boxes) + 1, "before masking")
        self._require_known(boxes)
        opened = {v: self._unseal(v, box) for v, box in boxes.items()}
        self._once(2, "mask")
        self._held |= opened
        masked = values + masks.self_mask(self._seed, self.setup)
        for v in opened:
            masked += masks.pairwise_mask(
                self.id, self._mask_key, v, self._roster[v].masking, self.setup
            )
        return MaskedInput(self.id, masked)

    def reveal(self, request: UnmaskingRequest) -> RevealedShares:
        """Round 3: for each client one share, of its seed or of its key, and never of both."""
        both = request.survivors & request.dropped
        if both:
            raise ValueError(
                f"refused: client {min(both)} is asked for as survivor and as dropped; both of its "
                "secrets would lay its vector open"
            )
        asked = request.survivors | request.dropped
        if self.id not in request.survivors:
            raise ValueError(f"survivors must hold client {self.id}, who is asked; it does not")
        if asked != set(self._held):
            odd = min(asked ^ set(self._held))
            raise ValueError(
                f"survivors and dropped must be those who shared; client {odd} differs"
            )
        self.setup.require_enough(len(request.survivors), "before unmasking")
        self._once(3, "reveal")
        return RevealedShares(
            self.id,
            seeds={u: self._held[u][1] for u in sorted(request.survivors)},
            keys={u: self._held[u][0] for u in sorted(request.dropped)},
        )

    def _once(self, step: int, name: str) -> None:
        if self._step != step:
            order = ("advertise", "share", "mask", "reveal")
            expected = order[self._step] if self._step < len(order) else "nothing more"
            raise RuntimeError(f"client {self.id}: {name} is not due; next: {expected}")
        self._step += 1

    def _public(self) -> PublicKeys:
        keys = (masks.public_key(key) for key in (self._encryption_key, self._mask_key))
        return PublicKeys(self.id, *keys)

    def _check_roster(self, roster: Mapping[int, PublicKeys]) -> None:
        self.setup.require_enough(len(roster), "before sharing")
        for v, keys in roster.items():
            as_int("roster", v, minimum=0, maximum=self.setup.n_clients - 1)
            if keys.sender != v:
                raise masks.Tampered(f"roster lists the keys of client {keys.sender} under {v}")
        if roster.get(self.id) != self._public():
            raise masks.Tampered(f"roster must hold the keys that client {self.id} sent")
        public = [key for keys in roster.values() for key in (keys.encryption, keys.masking)]
        if len(set(public)) != len(public):
            raise masks.Tampered("roster must hold keys that all differ; two are the same")

    def _require_known(self, boxes: Iterable[int]) -> None:
        unknown = set(boxes) - (set(self._roster) - {self.id})
        if unknown:
            raise ValueError(f"boxes must be from others in the roster, got client {min(unknown)}")

    def _box_key(self, other: int) -> bytes:
        if other not in self._box_keys:
            shared = masks.agree(self._encryption_key, self._roster[other].encryption)
            self._box_keys[other] = masks.derive(shared, "box", self.setup.session)
        return self._box_keys[other]

    def _seal(self, receiver: int, *shares: int) -> bytes:
        text = b"".join(share.to_bytes(shamir.NUMBER_BYTES, "big") for share in shares)
        nonce = self._random(masks.NONCE_BYTES)
        return masks.seal(self._box_key(receiver), nonce, text, f"{self.id}>{receiver}".encode())

    def _unseal(self, sender: int, box: bytes) -> tuple[int, int]:
        try:
            text = masks.unseal(self._box_key(sender), box, f"{sender}>{self.id}".encode())
        except masks.Tampered as error:
            raise masks.Tampered(f"client {self.id}: box from client {sender}: {error}") from None
        n = shamir.NUMBER_BYTES
        return int.from_bytes(text[:n], "big"), int.from_bytes(text[n:], "big")
