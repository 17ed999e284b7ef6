"""Certificates and keys for a federation on this machine: TLS, and nodes that prove who they are.

Made anew for each ``Loopback(tls=True)``, valid for a day and for loopback only. A federation of
institutions gets its certificate from an authority, and each node keeps its private key to itself.
"""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

CURVE = ec.SECP384R1()  # what Flower's documentation asks of a node's key
VALID = datetime.timedelta(days=1)


class Certificates(NamedTuple):
    """Three files: who is trusted (``ca``), the server's ``certificate``, and its ``key``."""

    ca: Path
    certificate: Path
    key: Path


def make_certificates(folder: Path, host: str) -> Certificates:
    """An authority, and by it a certificate for ``host``, an IP address; PEM files in ``folder``.

    The authority's own key is forgotten: nobody can make another certificate that it signs.
    """
    files = Certificates(*(folder / f"{name}.pem" for name in Certificates._fields))
    authority, server = ec.generate_private_key(CURVE), ec.generate_private_key(CURVE)
    ca = _certificate("fedcore loopback authority", authority, authority, None)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))])
    certificate = _certificate(host, server, authority, ca, address)
    files.ca.write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    files.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    _write_private(server, files.key, serialization.PrivateFormat.PKCS8)
    return files


def make_node_key(path: Path) -> Path:
    """A node's private key at ``path``; returns where its public half lies, for the server."""
    key = ec.generate_private_key(CURVE)
    _write_private(key, path, serialization.PrivateFormat.OpenSSH)
    public = path.with_suffix(".pub")
    encoding = serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    public.write_bytes(key.public_key().public_bytes(*encoding))
    return public


def _certificate(name, key, authority_key, authority, *extensions) -> x509.Certificate:
    """For ``name`` and ``key``, signed by ``authority``; None: by itself, and may sign."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(authority.subject if authority else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))  # clocks differ
        .not_valid_after(now + VALID)
        .add_extension(x509.BasicConstraints(ca=authority is None, path_length=None), True)
        .add_extension(_usage(signs_others=authority is None), True)  # Python 3.13 insists on it
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), False
        )
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(authority_key, hashes.SHA256())


def _usage(signs_others: bool) -> x509.KeyUsage:
    names = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    unused = dict.fromkeys((*names, "crl_sign", "encipher_only", "decipher_only"), False)
    return x509.KeyUsage(digital_signature=True, key_cert_sign=signs_others, **unused)


def _write_private(key: ec.EllipticCurvePrivateKey, path: Path, form) -> None:
    path.touch(mode=0o600)
    encoding = serialization.Encoding.PEM
    path.write_bytes(key.private_bytes(encoding, form, serialization.NoEncryption()))
