"""Delimited lines to the arrays of a batch: CSV (RFC 4180), and lines such as the classic demo's transfers.

A field means what its column's type says: there are no types in the text. An empty field is null.
"""

from __future__ import annotations

import threading

import numba as nb
import numpy as np

from counterfoil.errors import ConfigurationError, InputError
from counterfoil.events.batch import Bytes, Words
from counterfoil.events.dead_letters import ReasonCode
from counterfoil.events.decoding import Decoded, DecoderSettings, EncodedRecords
from counterfoil.events.identity import IdentityKey
from counterfoil.events.kinds import Schema
from counterfoil.events.mapping import LIMIT_RECORD, FieldMap, FieldTables
from counterfoil.events.results import Expected, batch_of, dead_letters_of
from counterfoil.events.rows import COUNT_RECORDS, RAW, Rows, Slots, put_fault, reason_number, write_row
from counterfoil.events.strings import valid_utf8
from counterfoil.events.words import PaddedBytes, count_newlines, find_newline, padded, skip_mark

_INVALID_LINE = reason_number(ReasonCode.INVALID_LINE)
_INVALID_UTF8 = reason_number(ReasonCode.INVALID_UTF8)
_RECORD_TOO_LARGE = reason_number(ReasonCode.RECORD_TOO_LARGE)
_FIELDS = int(Expected.FIELDS)
_CLOSING_QUOTE = int(Expected.QUOTE)
_DELIMITER = int(Expected.DELIMITER)
_NEWLINE, _RETURN = 10, 13
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@nb.njit(nogil=True, cache=True, _nrt=False)
def _is_blank(data: Bytes, start: int, end: int) -> bool:
    for at in range(start, end):
        if data[at] != 32 and data[at] != 9:
            return False
    return True


@nb.njit(nogil=True, cache=True, _nrt=False)
def _close_quote(data: Bytes, at: int, end: int, quote: int) -> tuple[int, int]:
    """Return the place of a quoted field's closing quote and the end of its text; -1 where it does not close.

    Doubled quotes are made single where they stand, so the text may end before the quote does.
    """
    target = at
    while at < end:
        if data[at] == quote:
            if at + 1 == end or data[at + 1] != quote:
                return at, target
            at += 1
        data[target] = data[at]
        target += 1
        at += 1
    return -1, at


@nb.njit(nogil=True, cache=True, _nrt=False)
def _split_line(
    data: Bytes, at: int, end: int, delimiter: int, quote: int, columns: Words, slots: Slots
) -> tuple[int, int, int]:
    """Note what stands in each slot of a line.

    Returns
    -------
    tuple
        What was expected, or 0; the place where; and how many fields there are.
    """
    count = 0
    while True:
        if at < end and data[at] == quote:
            start = at + 1
            close, text_end = _close_quote(data, start, end, quote)
            if close < 0:
                return _CLOSING_QUOTE, end, count
            at = close + 1
            if at < end and data[at] != delimiter:
                return _DELIMITER, at, count
        else:
            start = at
            while at < end and data[at] != delimiter:
                at += 1
            text_end = at
        if count < len(columns) and columns[count] >= 0:
            slot = columns[count]
            slots.stamp[slot] = slots.stamp[-1]
            slots.value[slot] = RAW
            slots.start[slot] = start
            slots.end[slot] = text_end
        count += 1
        if at >= end:
            return (0 if count == len(columns) else _FIELDS), end, count
        at += 1


@nb.njit(nogil=True, cache=True, _nrt=False)
def _decode_lines(
    data: Bytes,
    start: int,
    size: int,
    record: int,
    first_position: int,
    latest: int,
    key: tuple[np.uint64, np.uint64],
    tables: FieldTables,
    slots: Slots,
    rows: Rows,
    delimiter: int,
    quote: int,
    columns: Words,
    unknown_slots: Words,
) -> None:
    """Decode the lines of a padded buffer from ``start`` on, whose number in the buffer is ``record``."""
    while start < size:
        line_end = find_newline(data, start)
        end = line_end - 1 if line_end > start and data[line_end - 1] == _RETURN else line_end
        reason, expected, at, slot, kind = 0, 0, start, -1, -1
        slots.stamp[-1] += 1
        if line_end - start > tables.limits[LIMIT_RECORD]:
            reason = _RECORD_TOO_LARGE
        elif _is_blank(data, skip_mark(data, start), end):
            start = line_end + 1
            record += 1
            continue
        elif not valid_utf8(data, start, end):
            reason = _INVALID_UTF8
        else:
            expected, at, count = _split_line(data, skip_mark(data, start), end, delimiter, quote, columns, slots)
            if expected:
                reason, kind = _INVALID_LINE, count
            else:
                reason, slot, kind = write_row(data, slots, tables, rows, first_position + record, latest, key)
        if reason:
            put_fault(rows, slots, reason, expected, record, start, line_end, at, slot, kind)
        else:
            for column in range(len(columns)):
                slot = columns[column]
                if slot >= 0 and slots.start[slot] < slots.end[slot] and not tables.known[kind, slot]:
                    unknown_slots[slot] += 1
        start = line_end + 1
        record += 1
    rows.counters[COUNT_RECORDS] = record


class DelimitedDecoder:
    r"""Decodes delimited lines.

    With ``settings.header`` the line at position 0 names the fields; who begins further on gives it to ``read_header``
    first. Without it ``settings.fields`` names them. A quoted field may hold the delimiter and doubled quotes, but no
    newline: a line whose quote does not close is a dead letter. Every line must have as many fields as there are names.

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
    >>> fields = (Field("sender", FieldType.ID), Field("receiver", FieldType.ID), Field("amount", FieldType.MONEY))
    >>> schema = Schema((EventKind("transfer", fields, id=None, time="time", decide=True),))
    >>> settings = DecoderSettings(delimiter=";", quote=None, fields=("time", "sender", "receiver", "amount"))
    >>> decoder = DelimitedDecoder(schema, settings, IdentityKey(), max_skew=0)
    >>> lines = b"Sunday, 23-Jul-17 01:06:47 UTC;66;26;7810\n2017-07-23T01:06:47Z;66;26;7810.5\n"
    >>> decoder.decode(lines, first_position=0, arrival=1_800_000_000_000_000).batch.values[2]
    array([781000, 781050])
    """

    def __init__(self, schema: Schema, settings: DecoderSettings, key: IdentityKey, max_skew: int) -> None:
        if settings.header == bool(settings.fields):
            message = "fields: a delimited source needs the names of its fields, or header: true, and not both"
            raise ConfigurationError(message)
        self.schema = schema
        self.settings = settings
        self.key = key
        self.max_skew = max_skew
        self._words = key.words
        self._fields = FieldMap.of(schema, settings)
        self._names: tuple[str, ...] = ()
        self._columns = np.zeros(0, np.int64)
        self._local = threading.local()
        if settings.fields:
            self._set_names(settings.fields)

    def read_header(self, line: bytes) -> None:
        """Take the names of the fields from a file's first line.

        Raises
        ------
        InputError
            The line is no list of different names.
        """
        text = line.removeprefix(_BYTE_ORDER_MARK).rstrip(b"\r\n")
        try:
            names = _split_header(text.decode(), self.settings.delimiter, self.settings.quote)
        except UnicodeDecodeError as error:
            message = f"the header is no UTF-8: {error}"
            raise InputError(message) from error
        self._set_names(tuple(names))

    def _set_names(self, names: tuple[str, ...]) -> None:
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            message = f"the fields {', '.join(map(repr, twice))} stand in the header twice"
            raise InputError(message)
        slots = {name: slot for slot, name in enumerate(self._fields.slots)}
        self._names = names
        self._columns = np.array([slots.get(name, -1) for name in names], np.int64)

    def decode(self, data: EncodedRecords, first_position: int, arrival: int) -> Decoded:
        """Decode whole lines: see ``Decoder.decode``.

        Raises
        ------
        InputError
            The header was not read, and these are not the first lines.
        """
        if isinstance(data, PaddedBytes):
            data = data.content
        # The kernel writes into its copy: quotes that were doubled become single ones.
        original = data if isinstance(data, np.ndarray) else np.frombuffer(data, np.uint8)
        buffer = padded(original)
        size = len(original)
        start, record = self._begin(buffer, size, first_position)
        records = int(count_newlines(buffer, size)) + 1
        fields = self._fields
        heap = size * fields.copies
        texts = 1 + len(self.schema.text_columns)
        rows = Rows.of(len(self.schema.columns), texts, records, heap, heap if fields.cards else 0)
        slots, unknown_slots = self._scratch()
        quote = -1 if self.settings.quote is None else ord(self.settings.quote)
        latest = arrival + self.max_skew
        _decode_lines(
            buffer,
            start,
            size,
            record,
            first_position,
            latest,
            self._words,
            fields.tables,
            slots,
            rows,
            ord(self.settings.delimiter),
            quote,
            self._columns,
            unknown_slots,
        )
        batch = batch_of(fields, rows, self.key)
        dead = dead_letters_of(fields, rows, original, buffer, first_position, len(self._columns))
        unknown_fields = self._unknown_fields(unknown_slots, len(batch))
        return Decoded(batch, dead, unknown_fields, size, int(rows.counters[COUNT_RECORDS]))

    def _begin(self, buffer: Bytes, size: int, first_position: int) -> tuple[int, int]:
        """Return where the first line with values begins, and its number in the buffer."""
        if not self.settings.header:
            return 0, 0
        if first_position == 0 and size:
            end = min(int(find_newline(buffer, 0)), size)
            self.read_header(buffer[:end].tobytes())
            return min(end + 1, size), 1
        if not self._names and size:
            message = "the header was not read: give the file's first line to read_header before later lines"
            raise InputError(message)
        return 0, 0

    def _unknown_fields(self, unknown_slots: Words, events: int) -> dict[str, int]:
        """Return the counts; a column that no kind knows counts once for each event."""
        counts = {name: events for name, slot in zip(self._names, self._columns, strict=True) if slot < 0 and events}
        for slot in np.flatnonzero(unknown_slots).tolist():
            counts[self._fields.slots[slot]] = int(unknown_slots[slot])
        unknown_slots[:] = 0
        return counts

    def _scratch(self) -> tuple[Slots, Words]:
        try:
            return self._local.scratch
        except AttributeError:
            slots = len(self._fields.slots)
            self._local.scratch = (Slots.of(slots), np.zeros(slots, np.int64))
            return self._local.scratch


def _split_header(text: str, delimiter: str, quote: str | None) -> list[str]:
    """Return the names in a header."""
    names: list[str] = []
    at = 0
    while True:
        if quote is not None and text.startswith(quote, at):
            name, at = "", at + 1
            while True:
                close = text.find(quote, at)
                if close < 0:
                    message = f"the header's quote does not close: {text[:80]!r}"
                    raise InputError(message)
                name += text[at:close]
                at = close + 1
                if not text.startswith(quote, at):
                    break
                name, at = name + quote, at + 1
        else:
            end = text.find(delimiter, at)
            end = len(text) if end < 0 else end
            name, at = text[at:end], end
        names.append(name)
        if at >= len(text):
            return names
        if not text.startswith(delimiter, at):
            message = f"the header has something behind a closing quote: {text[:80]!r}"
            raise InputError(message)
        at += 1
