"""How dead letters are kept: bounded, and encrypted where they may hold a card number."""

from __future__ import annotations

import os

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from counterfoil.errors import StorageError
from counterfoil.events.dead_letters import DeadLetter
from counterfoil.events.identity import IdentityKey
from counterfoil.events.kinds import FieldType, Schema
from counterfoil.runtimes.local.store import NewDeadLetter, StoredDeadLetter

_NONCE_BYTES = 12


class DeadLetterVault:
    """Seals the bytes of dead letters, and opens them again.

    Parameters
    ----------
    schema
        Where it has a card field, any record may hold a card number, so all bytes are encrypted with AES-256-GCM.
    key
        The installation's key; the vault's is derived from it.
    most_bytes
        How much of a record is kept.
    """

    def __init__(self, schema: Schema, key: IdentityKey, most_bytes: int) -> None:
        self._seals = any(column.type is FieldType.CARD for column in schema.columns)
        derived = HKDF(SHA256(), 32, salt=None, info=b"counterfoil dead letters").derive(key.secret)
        self._cipher = AESGCM(derived)
        self._most_bytes = most_bytes

    def keep(self, letter: DeadLetter) -> NewDeadLetter:
        """Return a dead letter as it is stored."""
        data = letter.record[: self._most_bytes]
        cut = letter.size > len(data)
        if self._seals:
            nonce = os.urandom(_NONCE_BYTES)
            data = nonce + self._cipher.encrypt(nonce, data, _place(letter.position))
        return NewDeadLetter(letter.position, letter.reason.value, letter.detail, data, self._seals, cut)

    def open(self, letter: StoredDeadLetter) -> bytes:
        """Return the record's bytes.

        Raises
        ------
        StorageError
            If they were sealed with another key.
        """
        if not letter.sealed:
            return letter.bytes
        nonce, data = letter.bytes[:_NONCE_BYTES], letter.bytes[_NONCE_BYTES:]
        try:
            return self._cipher.decrypt(nonce, data, _place(letter.position))
        except Exception as error:
            raise StorageError(
                f"dead letter {letter.letter}: cannot be decrypted; give the secret that the run had"
            ) from error


def _place(position: int) -> bytes:
    """Bind the ciphertext to its position, so that two letters cannot be swapped."""
    return position.to_bytes(8, "little", signed=True)
