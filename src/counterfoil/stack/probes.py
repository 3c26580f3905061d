"""Asking a server whether it serves."""

from __future__ import annotations

import http.client
import socket

from counterfoil.stack.service import HOST

_SECONDS = 3.0


def listens(port: int) -> bool:
    """Return whether somebody listens on a port."""
    with socket.socket() as client:
        client.settimeout(_SECONDS)
        return client.connect_ex((HOST, port)) == 0


def answers(port: int, path: str, text: str = "") -> bool:
    """Return whether an HTTP server answers with 200 and a text in it."""
    connection = http.client.HTTPConnection(HOST, port, timeout=_SECONDS)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status == http.client.OK and text in answer.read().decode("utf-8", "replace")
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
