"""The cryptography of secure aggregation: keys that two clients share, masks, sealed boxes.

Nothing here is home-made: X25519 (RFC 7748), HKDF with SHA-256 (RFC 5869), ChaCha20 and
ChaCha20-Poly1305 (RFC 8439), all from the package ``cryptography``. Without it there is no secure
aggregation; nothing weaker takes its place.
"""

from __future__ import annotations

import numpy as np

from fedcore.secagg.setup import Setup

try:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF
except ImportError as error:
    raise ImportError(
        "secure aggregation needs the package `cryptography`, which is part of the extra `course`: "
        "pip install -e '.[course]'"
    ) from error

KEY_BYTES = 32
NONCE_BYTES = 12
TAG_BYTES = 16


class Tampered(ValueError):
    """A share or key does not fit what was promised: it was changed, replayed or misdirected."""


def private_key(data: bytes) -> X25519PrivateKey:
    """The X25519 key of these 32 bytes."""
    return X25519PrivateKey.from_private_bytes(data)


def public_key(private: X25519PrivateKey) -> bytes:
    """The public key (32 bytes) of a private one."""
    return private.public_key().public_bytes_raw()


def agree(private: X25519PrivateKey, public: bytes) -> bytes:
    """The secret that the owners of two X25519 keys share: agree(a, B) == agree(b, A)."""
    try:
        return private.exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError as error:
        raise Tampered(f"not an X25519 public key: {public.hex()}") from error


def derive(secret: bytes, purpose: str, session: bytes) -> bytes:
    """A key of 32 bytes for one purpose in one session, by HKDF; other purposes give others."""
    info = f"fedcore secagg {purpose}".encode()
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=session, info=info).derive(secret)


def expand(key: bytes, n_values: int, dtype: np.dtype) -> np.ndarray:
    """``n_values`` pseudo-random ring elements from a key that is used for nothing else."""
    stream = Cipher(algorithms.ChaCha20(key, bytes(16)), mode=None).encryptor()
    return np.frombuffer(stream.update(bytes(n_values * dtype.itemsize)), dtype=dtype)


def seal(key: bytes, nonce: bytes, text: bytes, label: bytes) -> bytes:
    """nonce, ``text`` encrypted, and a tag that also vouches for ``label`` (sender, receiver)."""
    return nonce + ChaCha20Poly1305(key).encrypt(nonce, text, label)


def unseal(key: bytes, box: bytes, label: bytes) -> bytes:
    """The text of a box; Tampered if it, its label or its key is not what the sender used."""
    try:
        return ChaCha20Poly1305(key).decrypt(box[:NONCE_BYTES], box[NONCE_BYTES:], label)
    except (InvalidTag, ValueError) as error:
        raise Tampered("the box does not open: changed, replayed or not meant for us") from error


def seed_digest(seed: bytes, session: bytes) -> bytes:
    """32 bytes that tell a false seed from the true one, and nothing else about its mask."""
    return derive(seed, "digest", session)


def self_mask(seed: bytes, setup: Setup) -> np.ndarray:
    """PRG(b_u), (n_values,) ring elements."""
    return expand(derive(seed, "self mask", setup.session), setup.n_values, setup.dtype)


def pairwise_mask(
    client: int, private: X25519PrivateKey, other: int, public: bytes, setup: Setup
) -> np.ndarray:
    """What ``client`` adds on account of ``other``: PRG(s_uv), the higher id its negative."""
    key = derive(agree(private, public), "pairwise mask", setup.session)
    mask = expand(key, setup.n_values, setup.dtype)
    return mask if client < other else -mask
