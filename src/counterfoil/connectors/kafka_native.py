"""Decisions handed to librdkafka itself: a loop of machine code calls it once a message, without the interpreter.

Through the Python client a message costs an object for each of its parts, a call that parses them, and a report of its
delivery that takes the interpreter's lock only to be thrown away. Without them all that a decision costs on its way to
librdkafka went from 2.2 to 0.8 µs of a core. The loop calls the same function on the same producer: the client gives
its address away as the first member of its object. So this is used only where everything is found as it was tested, see
``native_producer``; everywhere else the client is called as its manual says, and topics hold the same.

Nobody is told of single messages here, so it is for transactions only: librdkafka counts those that could not be
delivered, and refuses to commit where there is one.
"""

from __future__ import annotations

import ctypes
import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numba as nb
import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

if TYPE_CHECKING:
    from confluent_kafka import Producer

Bytes = npt.NDArray[np.uint8]
Words = npt.NDArray[np.int64]
Lengths = npt.NDArray[np.int32]
Texts = tuple[Bytes, Words, Lengths]
"""Heap, offsets and lengths."""

_VERSIONS = range(0x02000000, 0x03000000)
"""Of librdkafka: what is used here is the same in all of them."""
_PRODUCER = 0
_TOPIC, _VALUE, _KEY, _FLAGS, _HEADER = 1, 4, 5, 7, 9
"""Kinds of a message's parts (``rd_kafka_vtype_t``)."""
_COPY = 2
"""The flag that says that librdkafka shall copy value and key."""
_PART_WORDS = 9
"""A part (``rd_kafka_vu_t``): its kind, and up to 64 bytes of what it holds."""
_AT_VALUE, _AT_KEY, _AT_IDENTIFIER, _AT_SOURCE = (_PART_WORDS * place for place in (2, 3, 4, 5))
_PARTS = 6
_PRODUCER_BYTES = 16_384
"""A producer's own memory is searched for its name so far."""


@dataclass(frozen=True, slots=True)
class DecisionLines:
    """Messages that are lines of one buffer, each with its id as key, and id and source as headers.

    Parameters
    ----------
    data
        The lines, each with a newline behind it.
    ends
        (n,): where each ends, its newline included.
    identifiers, sources
        What each is and where it comes from; an id of length -1 is its source.
    """

    data: Bytes
    ends: Words
    identifiers: Texts
    sources: Texts

    def __len__(self) -> int:
        return len(self.ends)

    def rows(self, first: int, stop: int) -> tuple[list[bytes], list[bytes], list[bytes]]:
        """Return values, keys and sources of some of them one by one: for a client that takes them so."""
        start = int(self.ends[first - 1]) if first else 0
        values = self.data[start : int(self.ends[stop - 1]) if stop > first else start].tobytes().split(b"\n")[:-1]
        sources = _texts(self.sources, first, stop)
        keys = [
            source if length < 0 else key
            for key, source, length in zip(
                _texts(self.identifiers, first, stop), sources, self.identifiers[2][first:stop].tolist(), strict=True
            )
        ]
        return values, keys, sources


def _texts(texts: Texts, first: int, stop: int) -> list[bytes]:
    """Return some texts; of a length below 0 there is nothing."""
    heap, start, length = texts
    # Bytes are cut five times as fast as arrays, and this runs twice a message.
    data = heap.tobytes()
    places = zip(start[first:stop].tolist(), length[first:stop].tolist(), strict=True)
    return [data[place : place + size] if size > 0 else b"" for place, size in places]


class NativeFailure(Exception):  # noqa: N818 - what librdkafka said
    """A message was not taken.

    Parameters
    ----------
    code
        The number of librdkafka's error.
    reason
        It in words.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class NativeProducer:
    """A producer's own entrance; it may be used as long as the producer is not closed.

    Parameters
    ----------
    library
        librdkafka.
    address
        Of the producer.
    """

    def __init__(self, library: Any, address: int) -> None:
        self._address = address
        self._function = ctypes.cast(library.rd_kafka_produceva, ctypes.c_void_p).value or 0
        self._code = library.rd_kafka_error_code
        self._reason = library.rd_kafka_error_string
        self._destroy = library.rd_kafka_error_destroy
        self._names = tuple(ctypes.create_string_buffer(name) for name in (b"id", b"source"))

    def write(self, topic: str, lines: DecisionLines, first: int, stop: int) -> int:
        """Hand over the messages from ``first`` on; return the place behind the last.

        Raises
        ------
        NativeFailure
            If the first of them is not taken. Where a later one is not, those before it are, and its place is returned.
        """
        named = ctypes.create_string_buffer(topic.encode())
        parts = np.zeros(_PARTS * _PART_WORDS, np.int64)
        parts[::_PART_WORDS] = (_TOPIC, _FLAGS, _VALUE, _KEY, _HEADER, _HEADER)
        parts[1] = ctypes.addressof(named)
        parts[_PART_WORDS + 1] = _COPY
        parts[_AT_IDENTIFIER + 1], parts[_AT_SOURCE + 1] = (ctypes.addressof(name) for name in self._names)
        heaps = (lines.data, lines.identifiers[0], lines.sources[0])
        assert all(heap.flags.c_contiguous for heap in heaps), "heaps are buffers"
        done, error = _produce(
            self._function,
            self._address,
            parts,
            parts.ctypes.data,
            np.array([heap.ctypes.data for heap in heaps], np.int64),
            lines.ends,
            *lines.identifiers[1:],
            *lines.sources[1:],
            first,
            stop,
        )
        if error:
            code, reason = int(self._code(error)), self._reason(error).decode(errors="replace")
            self._destroy(error)
            if done == first:
                raise NativeFailure(code, reason)
        return int(done)


def native_producer(kafka: Any, producer: Producer, settings: Mapping[str, Any]) -> NativeProducer | None:
    """Return the entrance of a producer; None where anything is not as it was tested.

    Parameters
    ----------
    kafka
        The client library's module.
    producer
        Its producer, in use by nobody else.
    settings
        What it was made with.
    """
    if sys.platform != "linux" or sys.implementation.name != "cpython" or sys.byteorder != "little":
        return None
    try:
        # The client's own library leads to the librdkafka that it was linked with.
        library = ctypes.CDLL(kafka.cimpl.__file__)
        _declare(library)
        version = int(library.rd_kafka_version())
        if version not in _VERSIONS or version != int(kafka.libversion()[1]):
            return None
        address = int.from_bytes(_memory(id(producer) + object.__basicsize__, 8), "little")
        # Nothing is called with an address before it is seen that librdkafka's producer lies there.
        named = re.escape(str(settings.get("client.id", "rdkafka")).encode()) + rb"#producer-\d+"
        found = re.search(named + rb"(?=\0)", _memory(address, _PRODUCER_BYTES))
        if found is None or library.rd_kafka_name(address) != found.group():
            return None
    except (AttributeError, OSError, OverflowError, TypeError, ValueError):
        return None
    return NativeProducer(library, address) if library.rd_kafka_type(address) == _PRODUCER else None


def _memory(address: int, size: int) -> bytes:
    """Return some of this process's memory; an address that holds none is an error here and not a crash."""
    descriptor = os.open("/proc/self/mem", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.pread(descriptor, size, address)
    finally:
        os.close(descriptor)


def _declare(library: Any) -> None:
    """Tell ctypes what the functions take and return."""
    pointer = ctypes.c_void_p
    for name, result, arguments in (
        ("rd_kafka_version", ctypes.c_int, []),
        ("rd_kafka_name", ctypes.c_char_p, [pointer]),
        ("rd_kafka_type", ctypes.c_int, [pointer]),
        ("rd_kafka_error_code", ctypes.c_int, [pointer]),
        ("rd_kafka_error_string", ctypes.c_char_p, [pointer]),
        ("rd_kafka_error_destroy", None, [pointer]),
        ("rd_kafka_produceva", pointer, [pointer, pointer, ctypes.c_size_t]),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments


@intrinsic
def _called(_context: Any, _function: Any, _producer: Any, _parts: Any, _count: Any) -> Any:
    """Call ``rd_kafka_produceva``; return the address of its error, or 0."""

    def generate(_target: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        word = ir.IntType(64)
        function = builder.inttoptr(arguments[0], ir.FunctionType(word, [word] * 3).as_pointer())
        return builder.call(function, arguments[1:])

    return types.int64(types.int64, types.int64, types.int64, types.int64), generate


_call = cast("Callable[[int, int, int, int], int]", _called)


@nb.njit(nogil=True, cache=True)
def _produce(
    function: int,
    producer: int,
    parts: Words,
    parts_at: int,
    heaps: Words,
    ends: Words,
    identifier_start: Words,
    identifier_length: Lengths,
    source_start: Words,
    source_length: Lengths,
    first: int,
    stop: int,
) -> tuple[int, int]:
    """Hand over messages; return how far, and the error that ended it or 0."""
    data, identifiers, sources = heaps
    start = ends[first - 1] if first else 0
    for row in range(first, stop):
        parts[_AT_VALUE + 1] = data + start
        parts[_AT_VALUE + 2] = ends[row] - start - 1
        parts[_AT_SOURCE + 2] = sources + source_start[row]
        parts[_AT_SOURCE + 3] = source_length[row]
        if identifier_length[row] >= 0:
            parts[_AT_KEY + 1] = identifiers + identifier_start[row]
            parts[_AT_KEY + 2] = identifier_length[row]
        else:
            parts[_AT_KEY + 1] = parts[_AT_SOURCE + 2]
            parts[_AT_KEY + 2] = parts[_AT_SOURCE + 3]
        parts[_AT_IDENTIFIER + 2] = parts[_AT_KEY + 1]
        parts[_AT_IDENTIFIER + 3] = parts[_AT_KEY + 2]
        error = _call(function, producer, parts_at, _PARTS)
        if error:
            return row, error
        start = ends[row]
    return stop, 0
