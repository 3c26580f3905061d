"""What leaves Python: results as frames, which ``java/Splitter.java`` takes apart into messages or lines.

So the messages of a batch are never objects of Python.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from counterfoil.runtimes.engine.job import place_of
from counterfoil.runtimes.engine.results import alert_messages, letter_messages, packed_messages
from counterfoil.runtimes.local.messages import Messages

if TYPE_CHECKING:
    from counterfoil.runtimes.engine.episodes import Alert
    from counterfoil.runtimes.engine.results import Result, Splits

LINES, MESSAGES, TEXT = 0, 1, 2
"""What is in a frame."""
_HEAD = struct.Struct("<qqq")
_LINES = struct.Struct("<qq")
_MESSAGE = struct.Struct("<iii")
_HEADER = struct.Struct("<ii")


def decision_frame(sink: int, result: Result, splits: Splits) -> bytes:
    """Return a frame of which every decision becomes a message.

    Parameters
    ----------
    sink
        The number of the sink.
    result
        The decisions.
    splits
        How splits of the source are called.
    """
    positions = result.positions
    prefix, offsets = b"", positions
    if splits.topics and len(positions):
        first = int(positions[0])
        _, offset = place_of(first)
        prefix = splits.name(first).removesuffix(b"%d" % offset)
        offsets = positions - (first - offset)
    heap, lengths = result.texts
    parts = [
        _HEAD.pack(sink, LINES, len(positions)),
        _LINES.pack(len(prefix), len(heap)),
        np.ascontiguousarray(offsets, "<i8").tobytes(),
        np.ascontiguousarray(lengths, "<i4").tobytes(),
        prefix,
        heap,
        result.data,
    ]
    return b"".join(parts)


def message_frame(sink: int, messages: Messages) -> bytes:
    """Return a frame of a few messages."""
    parts = [_HEAD.pack(sink, MESSAGES, len(messages))]
    for key, value, headers in zip(messages.keys, messages.values, messages.headers, strict=True):
        parts += [_MESSAGE.pack(len(key), len(value), len(headers)), key, value]
        for name, content in headers:
            encoded = name.encode()
            parts += [_HEADER.pack(len(encoded), len(content)), encoded, content]
    return b"".join(parts)


def packed_frame(sink: int, result: Result, splits: Splits) -> bytes:
    """Return a frame of which many decisions share a message."""
    return message_frame(sink, packed_messages(result, splits))


def text_frame(sink: int, text: bytes) -> bytes:
    """Return a frame of lines; the newline at their end is the sink's."""
    return _HEAD.pack(sink, TEXT, 1) + text.removesuffix(b"\n")


def count_frame(sink: int, result: Result) -> bytes:
    """Return a frame of what a batch had, for the summary of a run."""
    return text_frame(sink, msgspec.json.encode(result.counts))


def opened_frame(sink: int, alerts: Sequence[Alert], batch: int) -> bytes:
    """Return a frame of how many alerts a batch opened, for the summary of a run."""
    split = place_of(batch)[0]
    opened = sum(each["position"] >= batch and place_of(each["position"])[0] == split for each in alerts)
    return text_frame(sink, msgspec.json.encode({"opened": opened}))


def alert_frame(sink: int, alerts: Sequence[Alert], splits: Splits) -> bytes:
    """Return a frame of alerts."""
    return message_frame(sink, alert_messages(alerts, splits))


def letter_frame(sink: int, result: Result, splits: Splits) -> bytes:
    """Return a frame of dead letters."""
    return message_frame(sink, letter_messages(result.dead, splits))
