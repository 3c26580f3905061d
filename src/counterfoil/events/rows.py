"""One record's raw values to one row of a batch: the step that all text decoders share.

A decoder notes where each slot's value stands (``Slots``); ``write_row`` then picks the kind, checks what the kind
requires and stores every value as its column's type. It either writes a whole row or says why not; it never leaves
half of one behind.
"""

from __future__ import annotations

from typing import NamedTuple

import numba as nb
import numpy as np
import numpy.typing as npt

from counterfoil.events.batch import Bytes, Words
from counterfoil.events.dead_letters import ReasonCode
from counterfoil.events.hashing import hash_padded
from counterfoil.events.identity import hash_pair
from counterfoil.events.kinds import MONEY_LIMIT, TIME_MAX, TIME_MIN
from counterfoil.events.mapping import (
    KIND_END_USE,
    KIND_FIRST_USE,
    KIND_ID_SLOT,
    KIND_TIME_SCALE,
    KIND_TIME_SLOT,
    LIMIT_ID,
    LIMIT_KIND,
    LIMIT_KIND_SLOT,
    LIMIT_NAIVE,
    LIMIT_TIME_MAX,
    LIMIT_TIME_MIN,
    TYPE_BOOL,
    TYPE_CARD,
    TYPE_CATEGORY,
    TYPE_FLOAT,
    TYPE_INTEGER,
    TYPE_MONEY,
    USE_COLUMN,
    USE_REQUIRED,
    USE_SCALE,
    USE_SLOT,
    USE_TEXT,
    USE_TYPE,
    FieldTables,
)
from counterfoil.events.numbers import (
    NUMBER_BAD,
    NUMBER_INEXACT,
    NUMBER_OK,
    NUMBER_RANGE,
    float_limbs,
    parse_float,
    parse_scaled,
)
from counterfoil.events.strings import unescape
from counterfoil.events.times import TIME_OK, parse_epoch, parse_time_text
from counterfoil.events.words import PADDING, copy_bytes, equal_bytes

REASONS = tuple(ReasonCode)


def reason_number(reason: ReasonCode) -> int:
    """Return a reason as the kernels name it; 0 is none."""
    return REASONS.index(reason) + 1


_UNKNOWN_KIND = reason_number(ReasonCode.UNKNOWN_KIND)
_MISSING_KIND = reason_number(ReasonCode.MISSING_KIND)
_MISSING_ID = reason_number(ReasonCode.MISSING_ID)
_ID_TOO_LONG = reason_number(ReasonCode.ID_TOO_LONG)
_MISSING_TIME = reason_number(ReasonCode.MISSING_TIME)
_BAD_TIME = reason_number(ReasonCode.BAD_TIME)
_TIME_RANGE = reason_number(ReasonCode.TIME_RANGE)
_TIME_SKEW = reason_number(ReasonCode.TIME_SKEW)
_MISSING_FIELD = reason_number(ReasonCode.MISSING_FIELD)
_WRONG_TYPE = reason_number(ReasonCode.WRONG_TYPE)
_NUMBER_RANGE = reason_number(ReasonCode.NUMBER_RANGE)
_MONEY_PRECISION = reason_number(ReasonCode.MONEY_PRECISION)
_MONEY_RANGE = reason_number(ReasonCode.MONEY_RANGE)
_NEGATIVE_AMOUNT = reason_number(ReasonCode.NEGATIVE_AMOUNT)

# What stands in a slot. ``RAW`` is the text of a delimited field, whose meaning is its column's.
NOTHING, NULL, FALSE, TRUE, NUMBER, STRING, ESCAPED_STRING, OBJECT, ARRAY, RAW = range(10)

# Places of ``Rows.counters``.
COUNT_ROWS, COUNT_FAULTS, COUNT_HEAP, COUNT_CARDS, COUNT_RECORDS = range(5)

# Columns of a fault: what a dead letter is made from.
(
    FAULT_REASON,
    FAULT_RECORD,
    FAULT_START,
    FAULT_END,
    FAULT_SLOT,
    FAULT_VALUE,
    FAULT_VALUE_START,
    FAULT_VALUE_END,
    FAULT_EXPECTED,
    FAULT_KIND,
) = range(10)
FAULT_SIZE = 10


class Slots(NamedTuple):
    """What stands in each slot of the record that is being read."""

    stamp: Words
    """(slots + 1,): the number of the record that last filled the slot; the last entry counts the records."""
    value: Bytes
    """(slots,): ``NULL`` to ``RAW``."""
    start: Words
    """(slots,): where the value begins, a string without its quote."""
    end: Words
    limbs: npt.NDArray[np.uint64]
    """Room for ``parse_float``."""

    @classmethod
    def of(cls, slots: int) -> Slots:
        """Return empty slots."""
        stamp, start, end = np.zeros(slots + 1, np.int64), np.zeros(slots, np.int64), np.zeros(slots, np.int64)
        return cls(stamp, np.zeros(slots, np.uint8), start, end, float_limbs())


class Rows(NamedTuple):
    """The arrays of the batch that is being filled: see ``Batch``."""

    kind: npt.NDArray[np.int16]
    position: Words
    time: Words
    identity: Words
    values: npt.NDArray[np.int64]
    nulls: npt.NDArray[np.uint8]
    offset: npt.NDArray[np.int64]
    length: npt.NDArray[np.int32]
    heap: Bytes
    cards: Bytes
    """Card numbers as they came; their offsets count in here until ``tokenise_cards`` has replaced them."""
    counters: Words
    """The ``COUNT_`` values."""
    faults: npt.NDArray[np.int64]
    """(records, 10): the ``FAULT_`` columns."""

    @classmethod
    def of(cls, columns: int, texts: int, records: int, heap: int, cards: int) -> Rows:
        """Return room for some records and as many bytes of texts and of card numbers."""
        return cls(
            np.empty(records, np.int16),
            np.empty(records, np.int64),
            np.empty(records, np.int64),
            np.empty(records, np.int64),
            np.empty((columns, records), np.int64),
            np.empty((columns, records), np.uint8),
            np.empty((texts, records), np.int64),
            np.empty((texts, records), np.int32),
            np.empty(heap + PADDING, np.uint8),
            np.empty(cards + PADDING, np.uint8),
            np.zeros(5, np.int64),
            np.empty((records, FAULT_SIZE), np.int64),
        )


@nb.njit(nogil=True, cache=True, _nrt=False)
def put_fault(
    rows: Rows,
    slots: Slots,
    reason: int,
    expected: int,
    record: int,
    start: int,
    end: int,
    at: int,
    slot: int,
    kind: int,
) -> None:
    """Note why a record is refused: at a place of its bytes, or on account of what stands in a slot."""
    fault = rows.counters[COUNT_FAULTS]
    rows.counters[COUNT_FAULTS] = fault + 1
    filled = slot >= 0 and slots.stamp[slot] == slots.stamp[-1]
    rows.faults[fault, FAULT_REASON] = reason
    rows.faults[fault, FAULT_RECORD] = record
    rows.faults[fault, FAULT_START] = start
    rows.faults[fault, FAULT_END] = end
    rows.faults[fault, FAULT_SLOT] = slot
    rows.faults[fault, FAULT_VALUE] = np.int64(slots.value[slot]) if filled else NOTHING
    rows.faults[fault, FAULT_VALUE_START] = slots.start[slot] if filled else at
    rows.faults[fault, FAULT_VALUE_END] = slots.end[slot] if filled else at
    rows.faults[fault, FAULT_EXPECTED] = expected
    rows.faults[fault, FAULT_KIND] = kind


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False)
def value_in(slots: Slots, slot: int) -> int:
    """Return what stands in a slot of the present record; ``NOTHING`` where the record lacks it or it is null."""
    if slots.stamp[slot] != slots.stamp[-1]:
        return NOTHING
    value = np.int64(slots.value[slot])
    # An empty delimited field says nothing, like a null.
    if value == NULL or (value == RAW and slots.start[slot] == slots.end[slot]):
        return NOTHING
    return value


@nb.njit(nogil=True, cache=True, _nrt=False)
def kind_of_name(data: Bytes, start: int, end: int, tables: FieldTables) -> int:
    """Return the number of the kind of a name, or a negative reason."""
    for kind in range(len(tables.kinds)):
        if tables.kind_name_length[kind] == end - start and equal_bytes(
            data, start, tables.kind_names, tables.kind_name_start[kind], end - start
        ):
            return kind
    return -_UNKNOWN_KIND


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False)
def find_kind(data: Bytes, slots: Slots, tables: FieldTables, scratch: Bytes, at: int) -> int:
    """Return the number of the record's kind, or a negative reason; the heap behind ``at`` is used as scratch."""
    bound = tables.limits[LIMIT_KIND]
    if bound >= 0:
        return bound
    slot = tables.limits[LIMIT_KIND_SLOT]
    value = value_in(slots, slot)
    if value == NOTHING:
        # A detector of one kind needs nobody to name it.
        return 0 if len(tables.kinds) == 1 else -_MISSING_KIND
    if value == ESCAPED_STRING:
        return kind_of_name(scratch, at, unescape(data, slots.start[slot], slots.end[slot], scratch, at), tables)
    if value == STRING or value == RAW:
        return kind_of_name(data, slots.start[slot], slots.end[slot], tables)
    return -_UNKNOWN_KIND


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False)
def copy_text(data: Bytes, start: int, end: int, value: int, heap: Bytes, at: int) -> int:
    """Copy the text of a value to a heap and return its length; -1 where the value is none."""
    if value == STRING or value == RAW:
        copy_bytes(data, start, end - start, heap, at)
        return end - start
    if value == ESCAPED_STRING:
        return unescape(data, start, end, heap, at) - at
    if value != NUMBER:
        return -1
    first = start + 1 if data[start] == 45 else start
    for place in range(first, end):
        if data[place] < 48 or data[place] > 57:
            return -1
    if end - start == 2 and data[start] == 45 and data[first] == 48:
        start = first
    copy_bytes(data, start, end - start, heap, at)
    return end - start


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False)
def hash_text(
    data: Bytes, start: int, value: int, heap: Bytes, at: int, length: int, key: tuple[np.uint64, np.uint64]
) -> int:
    """Return the hash of a text that was copied to a heap.

    It is read from where it came, where that holds the same bytes: words that were stored a moment ago at other
    places than they are loaded from make the processor wait.
    """
    if value == ESCAPED_STRING or value == NUMBER:
        return hash_padded(heap, at, length, key[0], key[1])
    return hash_padded(data, start, length, key[0], key[1])


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False)
def read_time(data: Bytes, start: int, end: int, value: int, scale: int, naive: bool) -> tuple[int, int]:
    """Return a reason or 0, and the instant that a value stands for."""
    if value == STRING or value == RAW:
        status, instant = parse_time_text(data, start, end, naive)
        if status == TIME_OK:
            return 0, instant
        if value == STRING:
            return _BAD_TIME, 0
    elif value != NUMBER:
        return _BAD_TIME, 0
    status, instant = parse_epoch(data, start, end, scale)
    if status == NUMBER_BAD:
        return _BAD_TIME, 0
    return (0, instant) if status == NUMBER_OK else (_TIME_RANGE, 0)


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False)
def read_money(data: Bytes, start: int, end: int, value: int, scale: int) -> tuple[int, int]:
    """Return a reason or 0, and an amount in minor units. A string may have no exponent."""
    if value != NUMBER and value != STRING and value != RAW:
        return _WRONG_TYPE, 0
    if value == STRING:
        for at in range(start, end):
            if data[at] | 32 == 101:
                return _WRONG_TYPE, 0
    status, amount = parse_scaled(data, start, end, scale, False)
    if status == NUMBER_BAD:
        return _WRONG_TYPE, 0
    if data[start] == 45 and (status != NUMBER_OK or amount != 0):
        return _NEGATIVE_AMOUNT, 0
    if status == NUMBER_INEXACT:
        return _MONEY_PRECISION, 0
    if status == NUMBER_RANGE or amount > MONEY_LIMIT:
        return _MONEY_RANGE, 0
    return 0, amount


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False)
def read_integer(data: Bytes, start: int, end: int, value: int) -> tuple[int, int]:
    """Return a reason or 0, and a whole number; ``5.0`` and ``5e0`` are whole, too."""
    if value != NUMBER and value != RAW:
        return _WRONG_TYPE, 0
    status, number = parse_scaled(data, start, end, 0, False)
    if status == NUMBER_BAD or status == NUMBER_INEXACT:
        return _WRONG_TYPE, 0
    return (0, number) if status == NUMBER_OK else (_NUMBER_RANGE, 0)


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False)
def read_float(data: Bytes, start: int, end: int, value: int, limbs: npt.NDArray[np.uint64]) -> tuple[int, int]:
    """Return a reason or 0, and the bits of a double."""
    if value != NUMBER and value != RAW:
        return _WRONG_TYPE, 0
    status, number = parse_float(data, start, end, limbs)
    if status == NUMBER_BAD:
        return _WRONG_TYPE, 0
    return (0, np.float64(number).view(np.int64)) if status == NUMBER_OK else (_NUMBER_RANGE, 0)


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False)
def read_bool(data: Bytes, start: int, end: int, value: int) -> tuple[int, int]:
    """Return a reason or 0, and a truth value; a delimited field may say true, false (in any case), 1 or 0."""
    if value == TRUE or value == FALSE:
        return 0, 1 if value == TRUE else 0
    if value != RAW:
        return _WRONG_TYPE, 0
    length = end - start
    if length == 1 and (data[start] == 48 or data[start] == 49):
        return 0, np.int64(data[start]) - 48
    word = 0
    for at in range(start, min(end, start + 6)):
        word = word << 8 | (np.int64(data[at]) | 32)
    if length == 4 and word == 0x74727565:
        return 0, 1
    if length == 5 and word == 0x66616C7365:
        return 0, 0
    return _WRONG_TYPE, 0


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False)
def read_word(data: Bytes, slots: Slots, slot: int, value: int, kind: int, scale: int, naive: bool) -> tuple[int, int]:
    """Return a reason or 0, and the word that a value of a column without text is stored as."""
    start, end, limbs = slots.start[slot], slots.end[slot], slots.limbs
    if kind == TYPE_MONEY:
        return read_money(data, start, end, value, scale)
    if kind == TYPE_FLOAT:
        return read_float(data, start, end, value, limbs)
    if kind == TYPE_BOOL:
        return read_bool(data, start, end, value)
    if kind == TYPE_INTEGER:
        return read_integer(data, start, end, value)
    reason, instant = read_time(data, start, end, value, scale, naive)
    if reason == 0 and (instant < TIME_MIN or instant > TIME_MAX):
        return _TIME_RANGE, 0
    return reason, instant


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False)
def event_time(data: Bytes, slots: Slots, tables: FieldTables, kind: int, latest: int) -> tuple[int, int]:
    """Return a reason or 0, and the time of the record; ``latest`` is its arrival and the skew that is allowed."""
    slot = tables.kinds[kind, KIND_TIME_SLOT]
    value = value_in(slots, slot)
    if value == NOTHING or (value == STRING and slots.start[slot] == slots.end[slot]):
        return _MISSING_TIME, 0
    naive = tables.limits[LIMIT_NAIVE] != 0
    scale = tables.kinds[kind, KIND_TIME_SCALE]
    reason, instant = read_time(data, slots.start[slot], slots.end[slot], value, scale, naive)
    if reason:
        return reason, 0
    if instant < tables.limits[LIMIT_TIME_MIN] or instant > tables.limits[LIMIT_TIME_MAX]:
        return _TIME_RANGE, 0
    return (_TIME_SKEW, 0) if instant > latest else (0, instant)


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False)
def clear_row(rows: Rows, row: int) -> None:
    """Make every value of a row null. Row by row, because its lines of the cache are about to be written anyway."""
    for column in range(len(rows.values)):
        rows.values[column, row] = 0
        rows.nulls[column, row] = 1
    for text in range(len(rows.length)):
        rows.offset[text, row] = 0
        rows.length[text, row] = -1


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False)
def write_row(
    data: Bytes,
    slots: Slots,
    tables: FieldTables,
    rows: Rows,
    position: int,
    latest: int,
    key: tuple[np.uint64, np.uint64],
) -> tuple[int, int, int]:
    """Write the present record as the next row.

    Returns
    -------
    tuple
        The reason why not, or 0; the slot that is to blame, or -1; the kind, or -1.
    """
    counters = rows.counters
    row = counters[COUNT_ROWS]
    heap_at = counters[COUNT_HEAP]
    cards_at = counters[COUNT_CARDS]
    kind = find_kind(data, slots, tables, rows.heap, heap_at)
    if kind < 0:
        return -kind, tables.limits[LIMIT_KIND_SLOT], -1
    clear_row(rows, row)
    reason, instant = event_time(data, slots, tables, kind, latest)
    identity = np.int64(0)
    slot = tables.kinds[kind, KIND_ID_SLOT]
    if slot >= 0:
        value = value_in(slots, slot)
        length = 0
        if value != NOTHING:
            length = copy_text(data, slots.start[slot], slots.end[slot], value, rows.heap, heap_at)
        if length == 0:
            return _MISSING_ID, slot, kind
        if length < 0:
            return _WRONG_TYPE, slot, kind
        if length > tables.limits[LIMIT_ID]:
            return _ID_TOO_LONG, slot, kind
        word = hash_text(data, slots.start[slot], value, rows.heap, heap_at, length, key)
        identity = hash_pair(kind + 1, word, key[0], key[1])
        rows.offset[0, row] = heap_at
        rows.length[0, row] = length
        heap_at += length
    if reason:
        return reason, tables.kinds[kind, KIND_TIME_SLOT], kind
    naive = tables.limits[LIMIT_NAIVE] != 0
    for index in range(tables.kinds[kind, KIND_FIRST_USE], tables.kinds[kind, KIND_END_USE]):
        slot = tables.uses[index, USE_SLOT]
        value = value_in(slots, slot)
        column = tables.uses[index, USE_COLUMN]
        kind_type = tables.uses[index, USE_TYPE]
        if value != NOTHING and kind_type <= TYPE_CARD:
            # Two branches, not one with either heap: an array chosen at run time is reference-counted at every use.
            if kind_type == TYPE_CARD:
                length = copy_text(data, slots.start[slot], slots.end[slot], value, rows.cards, cards_at)
            else:
                length = copy_text(data, slots.start[slot], slots.end[slot], value, rows.heap, heap_at)
            if length < 0:
                reason = _WRONG_TYPE
            elif length > tables.limits[LIMIT_ID] and kind_type != TYPE_CATEGORY:
                reason = _ID_TOO_LONG
            elif length == 0 and kind_type != TYPE_CATEGORY:
                # An empty id would make one hot entity of all who have none.
                value = NOTHING
            else:
                rows.nulls[column, row] = 0
                rows.length[tables.uses[index, USE_TEXT], row] = length
                if kind_type == TYPE_CARD:
                    rows.offset[tables.uses[index, USE_TEXT], row] = cards_at
                    cards_at += length
                else:
                    word = hash_text(data, slots.start[slot], value, rows.heap, heap_at, length, key)
                    rows.values[column, row] = word
                    rows.offset[tables.uses[index, USE_TEXT], row] = heap_at
                    heap_at += length
        elif value != NOTHING:
            scale = tables.uses[index, USE_SCALE]
            reason, word = read_word(data, slots, slot, value, kind_type, scale, naive)
            rows.values[column, row] = word
            rows.nulls[column, row] = 0
        if value == NOTHING and tables.uses[index, USE_REQUIRED]:
            reason = _MISSING_FIELD
        if reason:
            return reason, slot, kind
    rows.kind[row] = kind
    rows.position[row] = position
    rows.time[row] = instant
    rows.identity[row] = identity
    counters[COUNT_ROWS] = row + 1
    counters[COUNT_HEAP] = heap_at
    counters[COUNT_CARDS] = cards_at
    return 0, -1, kind
