"""Card numbers to tokens, before anything else sees them."""

from __future__ import annotations

import hmac

import numpy as np

from counterfoil.events.batch import Bytes, Words
from counterfoil.events.identity import IdentityKey

TOKEN_PREFIX = "tok_"  # noqa: S105
TOKEN_SIZE = len(TOKEN_PREFIX) + 32


def card_token(card: bytes, key: IdentityKey) -> str:
    """Return the token of a card number: the first 128 bits of its HMAC-SHA-256, after ``tok_``.

    The number is taken as it is written: spaces make another card of it.

    Examples
    --------
    >>> card_token(b"4111111111111111", IdentityKey())
    'tok_744be3d7ef83780a770b86f6020aa587'
    """
    return TOKEN_PREFIX + hmac.digest(key.secret, card, "sha256").hex()[:32]


def tokenise(cards: Bytes, start: Words, length: Words, key: IdentityKey) -> tuple[Bytes, Words, Words]:
    """Return the tokens of some card numbers.

    Parameters
    ----------
    cards
        A heap of card numbers.
    start, length
        Where each lies in it.
    key
        The secret of the tokens.

    Returns
    -------
    tuple
        The tokens of the different cards one after the other, each ``TOKEN_SIZE`` bytes; for each card its offset
        there; and the hash of its token.
    """
    tokens: dict[bytes, int] = {}
    numbers = np.empty(len(start), np.int64)
    view = cards.tobytes()
    for index, (begin, size) in enumerate(zip(start.tolist(), length.tolist(), strict=True)):
        numbers[index] = tokens.setdefault(view[begin : begin + size], len(tokens))
    texts = [card_token(card, key) for card in tokens]
    hashes = np.array([key.hash(text) for text in texts], np.int64)
    heap = np.frombuffer("".join(texts).encode(), np.uint8)
    return heap, numbers * TOKEN_SIZE, hashes[numbers] if len(hashes) else numbers
