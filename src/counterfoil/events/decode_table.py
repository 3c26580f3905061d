"""Rows of a table (Parquet, a polars frame) to a batch, a column at a time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from counterfoil.events.batch import Batch, Texts, Words
from counterfoil.events.cards import TOKEN_SIZE, tokenise
from counterfoil.events.dead_letters import DeadLetter, ReasonCode
from counterfoil.events.decoding import ID_BYTES_MAX, Decoded, DecoderSettings
from counterfoil.events.frames import identities, read_texts
from counterfoil.events.identity import IdentityKey
from counterfoil.events.kinds import EventKind, FieldType, Schema, TimeUnit
from counterfoil.events.mapping import TIME_SCALES, check_names, detector_names
from counterfoil.events.rows import REASONS, reason_number
from counterfoil.events.table_columns import Flags, Reasons, WordColumn, read_column, text_of
from counterfoil.events.table_rows import rows_as_json, rows_of

_MISSING_KIND = reason_number(ReasonCode.MISSING_KIND)
_UNKNOWN_KIND = reason_number(ReasonCode.UNKNOWN_KIND)
_MISSING_ID = reason_number(ReasonCode.MISSING_ID)
_ID_TOO_LONG = reason_number(ReasonCode.ID_TOO_LONG)
_MISSING_TIME = reason_number(ReasonCode.MISSING_TIME)
_BAD_TIME = reason_number(ReasonCode.BAD_TIME)
_WRONG_TYPE = reason_number(ReasonCode.WRONG_TYPE)
_TIME_RANGE = reason_number(ReasonCode.TIME_RANGE)
_TIME_SKEW = reason_number(ReasonCode.TIME_SKEW)
_MISSING_FIELD = reason_number(ReasonCode.MISSING_FIELD)
_SHOWN_MAX = 80
"""How much of a wrong value a detail shows."""


class TableDecoder:
    """Decodes the rows of a table whose columns have types.

    Whole numbers may be ids (their decimal text), amounts (major units), times (epoch numbers) and truth values (0 and
    1). A float is an amount when it lies within a millionth of a minor unit of a whole one, or as near as its own
    precision can tell; it is then rounded to it, so that 57.16 is exactly 5716. NaN is null. Columns of text are read
    as the fields of a delimited line.

    Parameters
    ----------
    schema
        The kinds that the rows may hold.
    settings
        How the source names its columns.
    key
        The key of hashes and tokens.
    max_skew
        Microseconds by which an event's time may lie ahead of its arrival.

    Examples
    --------
    >>> from counterfoil.events.kinds import Field
    >>> payment = EventKind("payment", (Field("amount", FieldType.MONEY),), id="id", time="at", decide=True)
    >>> settings = DecoderSettings(mapping={"id": "TRANSACTION_ID", "at": "TX_TIME", "amount": "TX_AMOUNT"})
    >>> decoder = TableDecoder(Schema((payment,)), settings, IdentityKey(), max_skew=0)
    >>> frame = pl.DataFrame({"TRANSACTION_ID": [7], "TX_TIME": [1_522_540_831], "TX_AMOUNT": [57.16]})
    >>> decoder.decode(frame, first_position=0, arrival=1_800_000_000_000_000).batch.values
    array([[5716]])
    """

    def __init__(self, schema: Schema, settings: DecoderSettings, key: IdentityKey, max_skew: int) -> None:
        check_names(schema, settings)
        self.schema = schema
        self.settings = settings
        self.key = key
        self.max_skew = max_skew

    def decode(self, frame: pl.DataFrame, first_position: int, arrival: int) -> Decoded:
        """Decode rows; a row's position is ``first_position`` and its number."""
        return _Decoding(self, frame, first_position, arrival + self.max_skew).run()


class _Decoding:
    """The decoding of one frame."""

    def __init__(self, decoder: TableDecoder, frame: pl.DataFrame, first_position: int, latest: int) -> None:
        self.schema = decoder.schema
        self.settings = decoder.settings
        self.key = decoder.key
        self.frame = frame
        self.latest = latest
        self.first_position = first_position
        self.batch = Batch.empty(self.schema, frame.height)
        self.batch.position = np.arange(first_position, first_position + frame.height, dtype=np.int64)
        self.reasons = np.zeros(frame.height, np.uint8)
        self.blamed: list[str] = []
        self.blame = np.full(frame.height, -1, np.int64)
        self.texts = _TextColumns(self.key)

    def run(self) -> Decoded:
        kinds = self.read_kinds()
        of_kind = [(kind, (self.batch.kind == index) & (kinds >= 0)) for index, kind in enumerate(self.schema.kinds)]
        of_kind = [(kind, rows) for kind, rows in of_kind if rows.any()]
        for kind, rows in of_kind:
            self.read_id(kind, rows)
        for kind, rows in of_kind:
            self.read_time(kind, rows)
        for column, field in enumerate(self.schema.columns):
            owners = [
                (rows, each.required) for kind, rows in of_kind for each in kind.fields if each.name == field.name
            ]
            if owners:
                self.read_field(column, owners)
        self.store_texts()
        good = np.flatnonzero(self.reasons == 0)
        unknown = self.unknown_fields(of_kind)
        batch = self.batch if len(good) == self.frame.height else self.batch.take(good)
        return Decoded(batch, self.dead_letters(), unknown, self.frame.height, self.frame.height)

    def source(self, name: str) -> str:
        """Return what the source calls a field of the detector."""
        return self.settings.mapping.get(name, name)

    def refuse(self, rows: Flags, reason: int | Reasons, name: str) -> None:
        """Refuse rows that nothing was wrong with until now."""
        rows = rows & (self.reasons == 0)
        if rows.any():
            self.reasons[rows] = reason if isinstance(reason, int) else reason[rows]
            self.blame[rows] = len(self.blamed)
            self.blamed.append(name)

    def read_kinds(self) -> npt.NDArray[np.int64]:
        """Return each row's kind; -1 where it has none."""
        name = self.settings.kind_field
        if self.settings.kind is not None:
            kinds = np.full(self.frame.height, self.schema.kind_index[self.settings.kind], np.int64)
        elif name not in self.frame.columns:
            kinds = np.full(self.frame.height, 0 if len(self.schema.kinds) == 1 else -1, np.int64)
            self.refuse(kinds < 0, _MISSING_KIND, name)
        else:
            texts, _ = text_of(self.frame[name])
            numbers = texts.replace_strict(self.schema.kind_index, default=None, return_dtype=pl.Int64)
            kinds = numbers.fill_null(-1).to_numpy().copy()
            absent = (texts.is_null() | (texts == "").fill_null(True)).to_numpy()
            if len(self.schema.kinds) == 1:
                kinds[absent] = 0
            self.refuse(absent & (kinds < 0), _MISSING_KIND, name)
            self.refuse(kinds < 0, _UNKNOWN_KIND, name)
        self.batch.kind = np.maximum(kinds, 0).astype(np.int16)
        return kinds

    def read_id(self, kind: EventKind, rows: Flags) -> None:
        if kind.id is None:
            return
        name = self.source(kind.id)
        if name not in self.frame.columns:
            self.refuse(rows, _MISSING_ID, name)
            return
        length, wrong = self.texts.read(self.frame[name], 0, rows)
        self.refuse(rows & (wrong != 0), wrong, name)
        self.refuse(rows & (length <= 0), _MISSING_ID, name)
        self.refuse(rows & (length > ID_BYTES_MAX), _ID_TOO_LONG, name)

    def read_time(self, kind: EventKind, rows: Flags) -> None:
        name = self.source(kind.time)
        if name not in self.frame.columns:
            self.refuse(rows, _MISSING_TIME, name)
            return
        column = self.words(name, FieldType.TIME, 2, kind.time_unit)
        self.refuse(rows & column.nulls, _MISSING_TIME, name)
        self.refuse(rows & (column.reasons == _WRONG_TYPE), _BAD_TIME, name)
        self.refuse(rows & (column.reasons != 0), column.reasons, name)
        absurd = (column.words < self.settings.time_min) | (column.words > self.settings.time_max)
        self.refuse(rows & absurd, _TIME_RANGE, name)
        self.refuse(rows & (column.words > self.latest), _TIME_SKEW, name)
        self.batch.time[rows] = column.words[rows]

    def words(self, name: str, kind: FieldType, scale: int, unit: TimeUnit) -> WordColumn:
        scale = TIME_SCALES[unit] if kind is FieldType.TIME else scale
        return read_column(self.frame[name], kind, scale, self.settings.naive_utc)

    def read_field(self, column: int, owners: list[tuple[Flags, bool]]) -> None:
        """Fill one column of the schema in the rows of the kinds that have it."""
        field = self.schema.columns[column]
        name = self.source(field.name)
        rows = np.logical_or.reduce([each for each, _ in owners])
        required = np.logical_or.reduce([each for each, needed in owners if needed] or [np.zeros_like(rows)])
        if name not in self.frame.columns:
            self.refuse(required, _MISSING_FIELD, name)
            return
        if field.type.is_text:
            nulls = self.read_text(column, name, rows)
        else:
            words = self.words(name, field.type, field.scale, field.unit)
            self.refuse(rows & ~words.nulls & (words.reasons != 0), words.reasons, name)
            nulls = words.nulls
            present = rows & ~nulls
            self.batch.values[column, present] = words.words[present]
            self.batch.nulls[column, present] = 0
        self.refuse(required & nulls, _MISSING_FIELD, name)

    def read_text(self, column: int, name: str, rows: Flags) -> Flags:
        kind = self.schema.columns[column].type
        text = 1 + self.schema.text_columns.index(column)
        length, wrong = self.texts.read(self.frame[name], text, rows, kind)
        self.refuse(rows & (wrong != 0), wrong, name)
        if kind is not FieldType.CATEGORY:
            self.refuse(rows & (length > ID_BYTES_MAX), _ID_TOO_LONG, name)
        return length < 0

    def store_texts(self) -> None:
        batch = self.batch
        ids = np.zeros(len(batch), np.int64)
        batch.texts = self.texts.store(batch.texts.offset, batch.texts.length, ids, batch, self.schema)
        identities(batch.kind, ids, batch.texts.length[0], *self.key.words, batch.identity)

    def unknown_fields(self, of_kind: list[tuple[EventKind, Flags]]) -> dict[str, int]:
        """Count values in columns that the row's kind does not know; one that nobody knows counts for each event."""
        counts: dict[str, int] = {}
        somebody = {self.source(name) for kind in self.schema.kinds for name in detector_names(kind)}
        somebody.add(self.settings.kind_field)
        for name in self.frame.columns:
            count = 0
            for kind, rows in of_kind:
                if name not in {self.source(each) for each in detector_names(kind)} | {self.settings.kind_field}:
                    events = rows & (self.reasons == 0)
                    present = events & self.frame[name].is_not_null().to_numpy() if name in somebody else events
                    count += int(np.count_nonzero(present))
            if count:
                counts[name] = count
        return counts

    def dead_letters(self) -> list[DeadLetter]:
        """Return the refused rows, each as a line of JSON."""
        cards = {self.source(each.name) for each in self.schema.columns if each.type is FieldType.CARD}
        refused = np.flatnonzero(self.reasons).tolist()
        rows = rows_of(self.frame[refused])
        letters = []
        for row, values, record in zip(refused, rows, rows_as_json(rows), strict=True):
            name = self.blamed[self.blame[row]]
            if name in cards:
                found = "something that is not shown"
            elif name in values:
                found = repr(values[name])[:_SHOWN_MAX]
            else:
                found = "no such column"
            reason = REASONS[self.reasons[row] - 1]
            letters.append(DeadLetter.of(self.first_position + row, reason, f"{name}: found {found}", record))
        return letters


class _TextColumns:
    """The text columns of a frame, gathered so that all are copied into one heap at once."""

    def __init__(self, key: IdentityKey) -> None:
        self.key = key
        self.columns: list[tuple[pl.Series, int, Flags]] = []

    def read(
        self, series: pl.Series, text: int, rows: Flags, kind: FieldType = FieldType.ID
    ) -> tuple[npt.NDArray[np.int64], Reasons]:
        """Take note of a column; return the bytes of its texts, -1 for null, and why a value is no text."""
        texts, wrong = text_of(series)
        length = texts.str.len_bytes().cast(pl.Int64).fill_null(-1).to_numpy().copy()
        if kind is not FieldType.CATEGORY:
            # An empty id would make one hot entity of all who have none.
            length[length == 0] = -1
        self.columns.append((texts, text, rows & (length >= 0)))
        return length, wrong

    def store(self, offset: Words, length: npt.NDArray[np.int32], ids: Words, batch: Batch, schema: Schema) -> Texts:
        """Copy all texts to one heap and store their hashes; card numbers are replaced by their tokens."""
        heaps: list[npt.NDArray[np.uint8]] = []
        size = 0
        for series, text, rows in self.columns:
            card = text > 0 and schema.columns[schema.text_columns[text - 1]].type is FieldType.CARD
            count = len(series)
            starts, sizes = np.zeros((1, count), np.int64), np.full((1, count), -1, np.int32)
            hashes = np.zeros(count, np.int64)
            heap = read_texts([series], [hashes], starts, sizes, self.key)
            if card:
                present = np.flatnonzero(rows)
                places, lengths = starts[0, present], sizes[0, present].astype(np.int64)
                heap, starts[0, present], hashes[present] = tokenise(heap, places, lengths, self.key)
                sizes[0, present] = TOKEN_SIZE
            offset[text, rows] = starts[0, rows] + size
            length[text, rows] = sizes[0, rows]
            if text == 0:
                ids[rows] = hashes[rows]
            else:
                column = schema.text_columns[text - 1]
                batch.values[column, rows] = hashes[rows]
                batch.nulls[column, rows] = 0
            heaps.append(heap)
            size += len(heap)
        return Texts(np.concatenate(heaps) if heaps else np.zeros(0, np.uint8), offset, length)
