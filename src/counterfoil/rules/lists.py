"""The values of a list as sorted words, as the kernel searches them."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, InvalidOperation

import numba as nb
import numpy as np

from counterfoil.errors import DefinitionError, Problem
from counterfoil.events.batch import Bytes, Words
from counterfoil.events.identity import IdentityKey, hash_bytes
from counterfoil.rules.constants import interval_of, time_of
from counterfoil.rules.definition import ValueList
from counterfoil.rules.operation import LARGEST_LITERAL, exact_word, float_word
from counterfoil.rules.parsing import shorten
from counterfoil.rules.types import Base, ValueType

LIST_LIMIT = 1_000_000
"""Values in a list."""


def list_words(values: ValueList, value_type: ValueType, key: IdentityKey) -> Words:
    """Return a list's values as sorted words of a type, each once.

    Raises
    ------
    DefinitionError
        Where a value is none of that type, or the list is too long.
    """
    if len(values.values) > LIST_LIMIT:
        found = f"{len(values.values):,} values"
        raise DefinitionError([Problem(f"lists.{values.name}", found, f"at most {LIST_LIMIT:,} values")])
    if value_type.base is Base.TEXT:
        return sorted_words(hash_texts(values.values, key))
    words: list[int] = []
    problems: list[Problem] = []
    for index, text in enumerate(values.values):
        word = _word_of(text, value_type)
        if word is None:
            allowed = f"a value of {value_type}, as {values.of} is"
            problems.append(Problem(f"lists.{values.name}[{index}]", f'"{shorten(text)}"', allowed))
        else:
            words.append(word)
    if problems:
        raise DefinitionError(problems)
    return sorted_words(np.array(words, np.int64))


def sorted_words(words: Words) -> Words:
    """Return words in order, each once: what ``Code.MEMBER`` searches.

    Sorting first is forty times as fast as ``np.unique`` over a million words, which numpy puts in a hash table.
    """
    words = np.sort(words)
    return words[np.concatenate([np.ones(min(len(words), 1), np.bool_), words[1:] != words[:-1]])]


def hash_texts(texts: tuple[str, ...], key: IdentityKey) -> Words:
    """Return the keyed hash of each text."""
    # Half a surrogate pair is in no event either, but it must not stop a list that holds one.
    encoded = [text.encode(errors="surrogatepass") for text in texts]
    lengths = np.array([len(each) for each in encoded], np.int64)
    heap = np.frombuffer(b"".join(encoded), np.uint8).copy()
    return _hash_slices(heap, lengths, *key.words)


@nb.njit(nogil=True, cache=True)
def _hash_slices(heap: Bytes, lengths: Words, key0: np.uint64, key1: np.uint64) -> Words:
    hashes = np.empty(len(lengths), np.int64)
    start = np.int64(0)
    for index in range(len(lengths)):
        hashes[index] = hash_bytes(heap, start, lengths[index], key0, key1)
        start += lengths[index]
    return hashes


def _number_of(text: str) -> Decimal | None:
    try:
        value = Decimal(text.strip())
    except InvalidOperation:
        return None
    return value if value.is_finite() and abs(value) <= LARGEST_LITERAL else None


def _exact_of(text: str, value_type: ValueType) -> int | None:
    value = _number_of(text)
    return None if value is None else exact_word(value, value_type.scale)


def _float_of(text: str, value_type: ValueType) -> int | None:  # noqa: ARG001 - one signature for all types
    value = _number_of(text)
    return None if value is None else float_word(float(value) + 0.0)


_READERS: dict[Base, Callable[[str, ValueType], int | None]] = {
    Base.INT: _exact_of,
    Base.MONEY: _exact_of,
    Base.FLOAT: _float_of,
    Base.BOOL: lambda text, _: {"true": 1, "false": 0}.get(text.strip().lower()),
    Base.TIME: lambda text, _: time_of(text),
    Base.INTERVAL: lambda text, _: interval_of(text),
}


def _word_of(text: str, value_type: ValueType) -> int | None:
    return _READERS[value_type.base](text, value_type)
