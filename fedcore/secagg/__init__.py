"""Secure aggregation: the server learns the sum of the clients' vectors, and no single one.

The protocol of Bonawitz et al. (2017), figure 4, against a server that is curious but follows it:

    round 0  advertise   each client sends two fresh X25519 public keys; the server sends all round
    round 1  share       each splits its mask key and its self-mask seed among all, in sealed boxes
    round 2  mask        y_u = x_u + PRG(b_u) + sum_{v > u} PRG(s_uv) - sum_{v < u} PRG(s_uv) mod R
    round 3  unmask      for who sent y_u, shares of b_u; for who died after round 1, of its key

s_uv is what u and v alone share, b_u is u's own seed. In the sum the pairwise masks cancel; those
with a dead device are recomputed from its rebuilt key, the self masks from the rebuilt seeds.

**Why two masks.** A device that was given up may only have been slow: with its key the server would
strip the pairwise masks off a message that arrives late. b_u still hides it, because a client that
gave a share of u's key never gives one of u's seed, and the threshold is above half of the clients.

**What it does not stop.** The sum itself tells things, the more the fewer take part. A server that
lies, the same to everybody, about who dropped out chooses whose sum it sees, down to ``threshold``
clients; one that invents public keys of its own can read everything. A poisoned update is as
invisible as an honest one, and Krum or a median, which must see single updates, are blinded.

**Left out of the paper's version for malicious servers:** the signatures on public keys and the key
infrastructure behind them, and the consistency check (signatures on the list of survivors) before
unmasking. Added to it: a digest of b_u, so that a false share is noticed when b_u is rebuilt.
"""

from fedcore.secagg.average import (
    STAGES,
    SecureAverage,
    SecureFedAvg,
    SecureSum,
    secure_average,
    secure_sum,
)
from fedcore.secagg.client import Client
from fedcore.secagg.fixed_point import FixedPoint
from fedcore.secagg.masks import Tampered
from fedcore.secagg.messages import (
    EncryptedShares,
    MaskedInput,
    PublicKeys,
    RevealedShares,
    UnmaskingRequest,
)
from fedcore.secagg.server import Server
from fedcore.secagg.setup import Aborted, Setup

__all__ = [
    "STAGES",
    "Aborted",
    "Client",
    "EncryptedShares",
    "FixedPoint",
    "MaskedInput",
    "PublicKeys",
    "RevealedShares",
    "SecureAverage",
    "SecureFedAvg",
    "SecureSum",
    "Server",
    "Setup",
    "Tampered",
    "UnmaskingRequest",
    "secure_average",
    "secure_sum",
]
