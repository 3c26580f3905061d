"""Certificates and passwords for servers on this machine: made for each state folder, and good for nothing else."""

from __future__ import annotations

import os
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.x509 import Certificate, Name

_DAYS = 365


def make_password(path: Path) -> None:
    """Write a new password that only this user can read."""
    _write(path, secrets.token_hex(16).encode())


def make_certificates(folder: Path) -> None:
    """Write an authority (``authority.pem``) and what it has signed.

    ``server.pem`` holds key and certificate of ``localhost``; ``client.key`` and ``client.pem`` those of a client.
    ``stranger.pem`` is an authority that has signed nothing here, to see that it is refused.

    Parameters
    ----------
    folder
        Where they go; must exist.
    """
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - a tenth of a second, seldom needed

    pem = serialization.Encoding.PEM
    authority_key, authority = _sign("counterfoil test authority")
    _, stranger = _sign("another authority")
    server_key, server = _sign("localhost", by=(authority_key, authority))
    client_key, client = _sign("counterfoil", by=(authority_key, authority))
    _write(folder / "server.pem", _private(server_key) + server.public_bytes(pem) + authority.public_bytes(pem))
    _write(folder / "client.key", _private(client_key))
    _write(folder / "client.pem", client.public_bytes(pem))
    _write(folder / "stranger.pem", stranger.public_bytes(pem))
    # Last: whoever finds it finds the others, too.
    _write(folder / "authority.pem", authority.public_bytes(pem))


def _name(common: str) -> Name:
    from cryptography import x509  # noqa: PLC0415
    from cryptography.x509.oid import NameOID  # noqa: PLC0415

    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _sign(
    common: str, by: tuple[EllipticCurvePrivateKey, Certificate] | None = None
) -> tuple[EllipticCurvePrivateKey, Certificate]:
    """Return a key and its certificate; signed by itself, and so an authority, where nobody else signs it."""
    from cryptography import x509  # noqa: PLC0415
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

    key = ec.generate_private_key(ec.SECP256R1())
    signer = key if by is None else by[0]
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(common))
        .issuer_name(_name(common) if by is None else by[1].subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # A clock that was set back a little must not make it invalid.
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=_DAYS))
        .add_extension(x509.BasicConstraints(ca=by is None, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    if by is not None:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(common)]), critical=False)
    return key, builder.sign(signer, hashes.SHA256())


def _private(key: EllipticCurvePrivateKey) -> bytes:
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415

    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(path: Path, content: bytes) -> None:
    """Write a file that only this user can read, whole or not at all."""
    new = path.with_name(path.name + ".new")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
    new.replace(path)
