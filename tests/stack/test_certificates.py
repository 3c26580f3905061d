"""Certificates: signed by the authority, for localhost alone, readable by nobody else."""

from __future__ import annotations

import socket
import ssl
import threading
from pathlib import Path

import pytest

from counterfoil.stack.certificates import make_certificates, make_password


def shake_hands(folder: Path, authority: str, host: str) -> None:
    """Let a client and a server meet."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "server.pem")
    server.load_verify_locations(folder / "authority.pem")
    server.verify_mode = ssl.CERT_REQUIRED
    client = ssl.create_default_context(cafile=folder / authority)
    client.load_cert_chain(folder / "client.pem", folder / "client.key")
    ours, theirs = socket.socketpair()

    def serve() -> None:
        try:
            with server.wrap_socket(theirs, server_side=True) as wrapped:
                wrapped.recv(1)
        except OSError:
            theirs.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with ours, client.wrap_socket(ours, server_hostname=host) as wrapped:
            wrapped.send(b"x")
    finally:
        ours.close()
        thread.join()


def test_certificates_are_good_for_localhost_under_their_authority(tmp_path: Path) -> None:
    make_certificates(tmp_path)
    shake_hands(tmp_path, "authority.pem", "localhost")
    with pytest.raises(ssl.SSLCertVerificationError, match=r"127\.0\.0\.1"):
        shake_hands(tmp_path, "authority.pem", "127.0.0.1")
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(tmp_path, "stranger.pem", "localhost")


def test_nobody_else_reads_them(tmp_path: Path) -> None:
    make_certificates(tmp_path)
    make_password(tmp_path / "password")
    assert {path.stat().st_mode & 0o077 for path in tmp_path.iterdir()} == {0}
    assert len((tmp_path / "password").read_text()) == 32
