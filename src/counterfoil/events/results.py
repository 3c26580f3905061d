"""What a decoding kernel left behind, as a batch and dead letters."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import IntEnum
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from counterfoil.events.batch import Batch, Bytes, Texts
from counterfoil.events.cards import TOKEN_SIZE, tokenise
from counterfoil.events.dead_letters import DeadLetter, ReasonCode
from counterfoil.events.decoding import ID_BYTES_MAX
from counterfoil.events.identity import IdentityKey
from counterfoil.events.kinds import MONEY_LIMIT, TIME_MAX, TIME_MIN, Field, FieldType
from counterfoil.events.mapping import FieldMap
from counterfoil.events.rows import (
    COUNT_CARDS,
    COUNT_FAULTS,
    COUNT_HEAP,
    COUNT_ROWS,
    FAULT_END,
    FAULT_EXPECTED,
    FAULT_KIND,
    FAULT_REASON,
    FAULT_RECORD,
    FAULT_SLOT,
    FAULT_START,
    FAULT_VALUE,
    FAULT_VALUE_END,
    FAULT_VALUE_START,
    NOTHING,
    NULL,
    REASONS,
    Rows,
)


class Expected(IntEnum):
    """What a decoder looked for where it gave up."""

    NOTHING = 0
    NAME = 1
    COLON = 2
    MORE = 3
    VALUE = 4
    END = 5
    ESCAPE = 6
    CHARACTER = 7
    FIELDS = 8
    QUOTE = 9
    DELIMITER = 10


_EXPECTED_TEXT = {
    Expected.NAME: "a field's name in double quotes",
    Expected.COLON: "a colon",
    Expected.MORE: "a comma or the closing bracket",
    Expected.VALUE: "a value",
    Expected.END: "the end of the line",
    Expected.ESCAPE: "an escape that JSON knows",
    Expected.QUOTE: "a closing quote on the same line",
    Expected.DELIMITER: "a delimiter behind the closing quote",
    Expected.CHARACTER: "a character that JSON allows in a string",
}
_Scalar = TypeVar("_Scalar", np.int16, np.int32, np.int64, np.uint8)
_SHOWN_MAX = 60
"""How much of a wrong value a detail shows."""


def batch_of(fields: FieldMap, rows: Rows, key: IdentityKey) -> Batch:
    """Return the rows that were written, with card numbers replaced by their tokens."""
    schema = fields.schema
    count = int(rows.counters[COUNT_ROWS])
    heap = rows.heap[: rows.counters[COUNT_HEAP]].copy()
    values, offset, length = _first(rows.values, count), _first(rows.offset, count), _first(rows.length, count)
    for text, column in fields.cards:
        heap = _replace_cards(rows, heap, values[column], offset[text], length[text], key)
    return Batch(
        schema,
        _first(rows.kind, count),
        _first(rows.position, count),
        _first(rows.time, count),
        _first(rows.identity, count),
        values,
        _first(rows.nulls, count),
        Texts(heap, offset, length),
    )


def _first(array: npt.NDArray[_Scalar], count: int) -> npt.NDArray[_Scalar]:
    return array if array.shape[-1] == count else np.ascontiguousarray(array[..., :count])


def _replace_cards(
    rows: Rows,
    heap: Bytes,
    values: npt.NDArray[np.int64],
    offset: npt.NDArray[np.int64],
    length: npt.NDArray[np.int32],
    key: IdentityKey,
) -> Bytes:
    """Put tokens in the place of one column's card numbers and return the heap with the tokens behind it."""
    present = np.flatnonzero(length >= 0)
    cards = rows.cards[: rows.counters[COUNT_CARDS]]
    tokens, places, hashes = tokenise(cards, offset[present], length[present].astype(np.int64), key)
    values[present] = hashes
    offset[present] = places + len(heap)
    length[present] = TOKEN_SIZE
    return np.concatenate([heap, tokens])


def dead_letters_of(
    fields: FieldMap,
    rows: Rows,
    records: Bytes,
    values: Bytes,
    first_position: int,
    columns: int = 0,
    describe: Describer | None = None,
) -> list[DeadLetter]:
    """Return the dead letters of the records that a kernel refused.

    Parameters
    ----------
    fields
        The source's fields.
    rows
        What the kernel left behind.
    records, values
        The records as they came, and as the kernel left them.
    first_position
        The position of the first record.
    columns
        How many fields a delimited line must have.
    describe
        Says what is wrong, where the format has more to say than the text formats.
    """
    if not rows.counters[COUNT_FAULTS]:
        return []
    describe = describe or Describer(fields, values, columns)
    letters = []
    for fault in rows.faults[: rows.counters[COUNT_FAULTS]].tolist():
        reason = REASONS[fault[FAULT_REASON] - 1]
        record = records[fault[FAULT_START] : fault[FAULT_END]]
        if len(record) and record[-1] == 13:
            record = record[:-1]
        position = first_position + fault[FAULT_RECORD]
        letters.append(DeadLetter.of(position, reason, describe(reason, fault), record.data))
    return letters


def _instant_text(micros: int) -> str:
    """Return an instant in RFC 3339."""
    instant = datetime(1970, 1, 1) + timedelta(microseconds=micros)
    return f"{instant.isoformat()}Z"


class Describer:
    """Says in words what is wrong with a record.

    Parameters
    ----------
    fields
        The source's fields.
    data
        The buffer that faults refer to.
    columns
        How many fields a delimited line must have.
    """

    def __init__(self, fields: FieldMap, data: Bytes, columns: int) -> None:
        self.fields = fields
        self.settings = settings = fields.settings
        self.data = data
        self.fields_wanted = columns
        cards = {each.name for each in fields.schema.columns if each.type is FieldType.CARD}
        self.cards = {settings.mapping.get(name, name) for name in cards}

    def __call__(self, reason: ReasonCode, fault: list[int]) -> str:
        """Return what is wrong, for people."""
        where = f"byte {fault[FAULT_VALUE_START] - fault[FAULT_START]}"
        expected = Expected(fault[FAULT_EXPECTED])
        size = fault[FAULT_END] - fault[FAULT_START]
        if size and self.data[fault[FAULT_END] - 1] == 13:
            size -= 1
        name = self.fields.slots[fault[FAULT_SLOT]] if fault[FAULT_SLOT] >= 0 else ""
        match reason:
            case ReasonCode.INVALID_UTF8:
                return f"{where}: no valid UTF-8"
            case ReasonCode.TRUNCATED:
                return f"the line ends where {_EXPECTED_TEXT.get(expected, 'more')} should stand"
            case ReasonCode.INVALID_JSON:
                return f"{where}: expected {_EXPECTED_TEXT.get(expected, 'JSON')}"
            case ReasonCode.NOT_AN_OBJECT:
                return "the line holds no JSON object"
            case ReasonCode.TOO_DEEP:
                return f"{where}: nested deeper than depth_max, which is {self.settings.depth_max}"
            case ReasonCode.DUPLICATE_KEY:
                return f"{name or where}: the field stands there twice"
            case ReasonCode.RECORD_TOO_LARGE:
                return f"{size} bytes; record_bytes_max is {self.settings.record_bytes_max}"
            case ReasonCode.INVALID_LINE:
                if expected == Expected.FIELDS:
                    return f"found {fault[FAULT_KIND]} fields; allowed: {self.fields_wanted}"
                return f"{where}: expected {_EXPECTED_TEXT[expected]}"
            case ReasonCode.MISSING_KIND | ReasonCode.MISSING_ID | ReasonCode.MISSING_TIME | ReasonCode.MISSING_FIELD:
                return f"{name}: missing, null or empty"
            case _:
                return f"{name}: found {self._found(name, fault)}; {self._allowed(reason, name, fault)}"

    def _found(self, name: str, fault: list[int]) -> str:
        """Return what stood there, cut short; never what stood in a card field."""
        if name in self.cards:
            return "something that is not shown"
        if fault[FAULT_VALUE] in (NOTHING, NULL):
            return "nothing"
        start, end = fault[FAULT_VALUE_START], fault[FAULT_VALUE_END]
        text = bytes(self.data[start : min(end, start + _SHOWN_MAX)]).decode(errors="replace")
        # The escapes of JSON stand there as they were written.
        return repr(text + "…" if end - start > _SHOWN_MAX else text).replace("\\\\", "\\")

    def _allowed(self, reason: ReasonCode, name: str, fault: list[int]) -> str:
        match reason:
            case ReasonCode.UNKNOWN_KIND:
                return f"allowed: {', '.join(self.fields.schema.kind_index)}"
            case ReasonCode.ID_TOO_LONG:
                return f"allowed: no more than {ID_BYTES_MAX} bytes"
            case ReasonCode.BAD_TIME:
                return "allowed: RFC 3339 with a zone, RFC 850 or an epoch number"
            case ReasonCode.TIME_RANGE:
                return f"allowed: {self._times(name, fault)}"
            case ReasonCode.TIME_SKEW:
                return "allowed: no further ahead of its arrival than max_skew"
            case ReasonCode.NUMBER_RANGE:
                return "allowed: integers between -2^63 and 2^63, floats that a double can hold"
            case ReasonCode.MONEY_RANGE:
                return f"allowed: no more than {MONEY_LIMIT} minor units"
            case ReasonCode.MONEY_PRECISION:
                return f"allowed: no fraction of the minor unit{self._scale(name, fault)}"
            case ReasonCode.NEGATIVE_AMOUNT:
                return "allowed: zero or more"
            case _:
                return f"allowed: {self._type_of(name, fault)}"

    def _times(self, name: str, fault: list[int]) -> str:
        """Return the bounds of a time as dates; the last one is included."""
        own = self.fields.schema.kinds[fault[FAULT_KIND]].time
        low, high = TIME_MIN, TIME_MAX
        if self.settings.mapping.get(own, own) == name:
            low, high = self.settings.time_min, self.settings.time_max
        return f"{_instant_text(low)} to {_instant_text(high)}"

    def _scale(self, name: str, fault: list[int]) -> str:
        for each in self._columns(name, fault):
            return f", which has {each.scale} digits"
        return ""

    def _type_of(self, name: str, fault: list[int]) -> str:
        types = sorted({each.type.value for each in self._columns(name, fault)})
        return " or ".join(types) or "an id: a string or a whole number"

    def _columns(self, name: str, fault: list[int]) -> list[Field]:
        kind = self.fields.schema.kinds[fault[FAULT_KIND]]
        mapping = self.settings.mapping
        shared = self.fields.schema.column_index
        return [
            self.fields.schema.columns[shared[each.name]]
            for each in kind.fields
            if mapping.get(each.name, each.name) == name
        ]
