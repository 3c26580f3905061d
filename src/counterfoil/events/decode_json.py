"""Lines of JSON straight to the arrays of a batch.

One pass checks a line against RFC 8259 and notes where the value of each known field stands; a second one, over the
fields of the event's kind only, stores the values. Nothing is built in between, and no line needs a Python object
unless it is refused.
"""

from __future__ import annotations

import threading

import numba as nb
import numpy as np

from counterfoil.events.batch import Bytes, Words
from counterfoil.events.dead_letters import ReasonCode
from counterfoil.events.decoding import Decoded, DecoderSettings, EncodedRecords
from counterfoil.events.identity import IdentityKey
from counterfoil.events.json_scan import NO_END, scan_object, skip_spaces
from counterfoil.events.kinds import Schema
from counterfoil.events.mapping import LIMIT_RECORD, FieldMap, FieldTables
from counterfoil.events.results import batch_of, dead_letters_of
from counterfoil.events.rows import COUNT_RECORDS, Rows, Slots, put_fault, reason_number, write_row
from counterfoil.events.strings import find_bad_utf8
from counterfoil.events.unknown_fields import COUNT_SEEN, UnknownFields, count_unknown
from counterfoil.events.words import count_newlines, find_newline, padded, skip_mark

_INVALID_JSON = reason_number(ReasonCode.INVALID_JSON)
_TRUNCATED = reason_number(ReasonCode.TRUNCATED)
_INVALID_UTF8 = reason_number(ReasonCode.INVALID_UTF8)
_RECORD_TOO_LARGE = reason_number(ReasonCode.RECORD_TOO_LARGE)

_NEWLINE, _RETURN = 10, 13


@nb.njit(nogil=True, cache=True, _nrt=False)
def _decode_lines(
    data: Bytes,
    size: int,
    first_position: int,
    latest: int,
    key: tuple[np.uint64, np.uint64],
    tables: FieldTables,
    slots: Slots,
    unknown: UnknownFields,
    rows: Rows,
    unknown_slots: Words,
    follow: Words,
    scratch: Bytes,
) -> None:
    """Decode the lines of a padded buffer, whose content has ``size`` bytes."""
    record = 0
    at = 0
    while at < size:
        start = at
        at = skip_spaces(data, skip_mark(data, at))
        if data[at] == _NEWLINE and at - start <= tables.limits[LIMIT_RECORD]:
            at += 1
            record += 1
            continue
        slots.stamp[-1] += 1
        unknown.counters[COUNT_SEEN] = 0
        kind = -1
        at, outcome, slot = scan_object(data, at, tables, slots, unknown, follow, scratch)
        if outcome == 0:
            at = skip_spaces(data, at)
            if data[at] != _NEWLINE:
                outcome = NO_END
        value_start = at
        end = at if data[at] == _NEWLINE else find_newline(data, at)
        reason = (-outcome) % 100
        if reason == _INVALID_JSON and (data[at] == _NEWLINE or (data[at] == _RETURN and at + 1 == end)):
            reason = _TRUNCATED
        if end - start > tables.limits[LIMIT_RECORD]:
            reason = _RECORD_TOO_LARGE
        elif reason:
            # Bytes that are no text at all are what is wrong, wherever they stand.
            bad = find_bad_utf8(data, start, end)
            if bad < end:
                reason, value_start, slot = _INVALID_UTF8, bad, -1
        if reason == 0:
            reason, slot, kind = write_row(data, slots, tables, rows, first_position + record, latest, key)
        if reason == 0:
            count_unknown(unknown)
            for each in range(len(slots.start)):
                if slots.stamp[each] == slots.stamp[-1] and not tables.known[kind, each]:
                    unknown_slots[each] += 1
        else:
            if outcome:
                # The record's slots are half filled: only the place counts.
                slots.stamp[-1] += 1
            put_fault(rows, slots, reason, (-outcome) // 100, record, start, end, value_start, slot, kind)
        at = end + 1
        record += 1
    rows.counters[COUNT_RECORDS] = record


class JsonDecoder:
    """Decodes lines of JSON (NDJSON): one object a line, by RFC 8259 to the letter.

    A byte order mark before a line is skipped (files that were joined have one inside), blank lines are no events, and
    lines may end in CRLF. Decoders may be shared by threads; the kernel runs without the interpreter's lock.

    Parameters
    ----------
    schema
        The kinds that the lines may hold.
    settings
        How the source writes them.
    key
        The key of hashes and tokens.
    max_skew
        Microseconds by which an event's time may lie ahead of its arrival.

    Examples
    --------
    >>> from counterfoil.events.kinds import EventKind, Field, FieldType
    >>> payment = EventKind("payment", (Field("amount", FieldType.MONEY),), id="id", time="at", decide=True)
    >>> decoder = JsonDecoder(Schema((payment,)), DecoderSettings(), IdentityKey(), max_skew=0)
    >>> line = b'{"id": "p1", "at": "2026-01-01T00:00:00Z", "amount": 57.16}'
    >>> decoder.decode(line, first_position=0, arrival=1_800_000_000_000_000).batch.values
    array([[5716]])
    """

    def __init__(self, schema: Schema, settings: DecoderSettings, key: IdentityKey, max_skew: int) -> None:
        self.schema = schema
        self.settings = settings
        self.key = key
        self.max_skew = max_skew
        self._words = key.words
        self._fields = FieldMap.of(schema, settings)
        self._local = threading.local()

    def decode(self, data: EncodedRecords, first_position: int, arrival: int) -> Decoded:
        """Decode whole lines: see ``Decoder.decode``."""
        buffer = padded(data)
        size = len(data)
        records = int(count_newlines(buffer, size)) + 1
        fields = self._fields
        texts = 1 + len(self.schema.text_columns)
        heap = size * fields.copies
        rows = Rows.of(len(self.schema.columns), texts, records, heap, heap if fields.cards else 0)
        slots, unknown, unknown_slots, follow = self._scratch()
        scratch = np.empty(len(buffer), np.uint8)
        latest = arrival + self.max_skew
        _decode_lines(
            buffer,
            size,
            first_position,
            latest,
            self._words,
            fields.tables,
            slots,
            unknown,
            rows,
            unknown_slots,
            follow,
            scratch,
        )
        unknown_fields = unknown.take()
        if unknown_slots.any():
            for slot in np.flatnonzero(unknown_slots).tolist():
                unknown_fields[fields.slots[slot]] = int(unknown_slots[slot])
            unknown_slots[:] = 0
        dead = dead_letters_of(fields, rows, buffer, buffer, first_position)
        batch = batch_of(fields, rows, self.key)
        return Decoded(batch, dead, unknown_fields, size, int(rows.counters[COUNT_RECORDS]))

    def _scratch(self) -> tuple[Slots, UnknownFields, Words, Words]:
        """Return this thread's notes: they only carry over which names are known and which order fields have."""
        try:
            return self._local.scratch
        except AttributeError:
            slots = len(self._fields.slots)
            follow = np.zeros(slots + 2, np.int64)
            self._local.scratch = (Slots.of(slots), UnknownFields.empty(), np.zeros(slots, np.int64), follow)
            return self._local.scratch
