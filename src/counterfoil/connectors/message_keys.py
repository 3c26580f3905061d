"""The key of each message, out of its own bytes: messages with the same key keep their order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

Keys = Callable[[bytes], list[bytes | str | None]]
"""Returns the key of each line; None where a line has none, or cannot be read."""


def json_keys(name: str) -> Keys:
    r"""Return what takes a field of JSON lines as key: text as it is, everything else as it is written.

    Parameters
    ----------
    name
        The field's name at the top of each object.

    Examples
    --------
    >>> json_keys("card")(b'{"card":"K1"}\n{"card":7}\n{"card":null}\n{}\n{"car\n')
    ['K1', b'7', None, None, None]
    """
    record = msgspec.defstruct(
        "Record", [("found", msgspec.Raw, msgspec.field(name=name, default=msgspec.Raw(b"null")))], gc=False
    )
    # Nearly every key is text; what is not is rare enough to be looked at a second time.
    text_record = msgspec.defstruct(
        "TextRecord", [("found", str | None, msgspec.field(name=name, default=None))], gc=False
    )
    fast: msgspec.json.Decoder[Any] = msgspec.json.Decoder(text_record)
    slow: msgspec.json.Decoder[Any] = msgspec.json.Decoder(record)

    def one(line: bytes) -> bytes | str | None:
        try:
            found = bytes(slow.decode(line).found)
            return msgspec.json.decode(found, type=str) if found[:1] == b'"' else None if found == b"null" else found
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None

    def keys(lines: bytes) -> list[bytes | str | None]:
        texts = lines.removesuffix(b"\n")
        try:
            found: list[bytes | str | None] = [each.found for each in fast.decode_lines(texts)]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return [one(line) for line in texts.split(b"\n")]
        # Blank lines are messages, too, but no records.
        return found if len(found) == texts.count(b"\n") + 1 else [one(line) for line in texts.split(b"\n")]

    return keys


def delimited_keys(place: int, delimiter: str) -> Keys:
    r"""Return what takes one value of delimited lines as key.

    Parameters
    ----------
    place
        Which value, from 0.
    delimiter
        What stands between values; there are no quotes.

    Examples
    --------
    >>> delimited_keys(1, ";")(b"noon;66;26\nnoon;67;26\nnoon\n")
    [b'66', b'67', None]
    """
    mark = delimiter.encode()

    def one(line: bytes) -> bytes | None:
        values = line.split(mark, place + 1)
        return (values[place].strip() or None) if len(values) > place else None

    return lambda lines: [one(line) for line in lines.removesuffix(b"\n").split(b"\n")]


def split_lines(lines: bytes) -> list[bytes]:
    """Return the messages: each line without its newline."""
    return lines.removesuffix(b"\n").split(b"\n") if lines else []
