"""The fields of a source as tables for the decoding kernels.

A **slot** is one field name of the source that the detector knows. What a slot means depends on the event kind:
``transaction_id`` is the id of one kind and an ordinary column of another. So a kernel first notes what stands in each
slot, and gives it a meaning when the whole record is read and its kind is known.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from counterfoil.errors import ConfigurationError, nearest
from counterfoil.events.batch import Bytes, Words
from counterfoil.events.decoding import ID_BYTES_MAX, DecoderSettings
from counterfoil.events.kinds import EventKind, FieldType, Schema, TimeUnit
from counterfoil.events.words import name_hash, padded

FIELD_TYPES = tuple(FieldType)
TYPE_ID = FIELD_TYPES.index(FieldType.ID)
TYPE_CATEGORY = FIELD_TYPES.index(FieldType.CATEGORY)
TYPE_CARD = FIELD_TYPES.index(FieldType.CARD)
TYPE_MONEY = FIELD_TYPES.index(FieldType.MONEY)
TYPE_INTEGER = FIELD_TYPES.index(FieldType.INTEGER)
TYPE_FLOAT = FIELD_TYPES.index(FieldType.FLOAT)
TYPE_BOOL = FIELD_TYPES.index(FieldType.BOOL)
TYPE_TIME = FIELD_TYPES.index(FieldType.TIME)

# Columns of ``FieldTables.kinds``.
KIND_FIRST_USE, KIND_END_USE, KIND_ID_SLOT, KIND_TIME_SLOT, KIND_TIME_SCALE = range(5)
# Columns of ``FieldTables.uses``.
USE_SLOT, USE_COLUMN, USE_TYPE, USE_SCALE, USE_REQUIRED, USE_TEXT = range(6)
# Places of ``FieldTables.limits``.
LIMIT_KIND_SLOT, LIMIT_KIND, LIMIT_DEPTH, LIMIT_RECORD, LIMIT_TIME_MIN, LIMIT_TIME_MAX, LIMIT_NAIVE, LIMIT_ID = range(8)

TIME_SCALES = {
    TimeUnit.SECONDS: 6,
    TimeUnit.MILLISECONDS: 3,
    TimeUnit.MICROSECONDS: 0,
    TimeUnit.NANOSECONDS: -3,
}
"""The power of ten that turns an epoch number into microseconds."""


class FieldTables(NamedTuple):
    """What the kernels know about a source's fields."""

    names: Bytes
    """Padded: every slot's name as it stands in JSON, with the quote behind it."""
    name_start: Words
    name_length: Words
    """In bytes, without the quote."""
    name_plain: Bytes
    """(slots,): 1 where the name holds nothing that JSON must escape, so that its bytes may be compared as they are."""
    table: Words
    """Open hash table of ``name_hash``: slot + 1, or 0."""
    kinds: npt.NDArray[np.int64]
    """(kinds, 5): the ``KIND_`` columns."""
    uses: npt.NDArray[np.int64]
    """(uses, 6): the ``USE_`` columns; one row for each column of each kind."""
    known: npt.NDArray[np.uint8]
    """(kinds, slots): 1 where the kind has a use for the slot or ignores it on purpose."""
    kind_names: Bytes
    """Padded."""
    kind_name_start: Words
    kind_name_length: Words
    limits: Words
    """The ``LIMIT_`` values."""


@dataclass(frozen=True, slots=True)
class FieldMap:
    """The slots of a source, and the tables made from them."""

    schema: Schema
    settings: DecoderSettings
    slots: tuple[str, ...]
    tables: FieldTables
    cards: tuple[tuple[int, int], ...]
    """Row of the texts and column of each card field."""
    copies: int
    """How often one text may have to be copied: in how many places of one event a slot's text stands at most."""

    @classmethod
    def of(cls, schema: Schema, settings: DecoderSettings) -> FieldMap:
        """Return the map of a source.

        Raises
        ------
        ConfigurationError
            The settings name a kind or field that the detector does not have.
        """
        check_names(schema, settings)
        return _Builder(schema, settings).build()


def detector_names(kind: EventKind) -> list[str]:
    """Return every field name that a kind knows: id, time, columns and those that it ignores."""
    names = [] if kind.id is None else [kind.id]
    return [*names, kind.time, *(each.name for each in kind.fields), *kind.ignore]


def check_names(schema: Schema, settings: DecoderSettings) -> None:
    """Check that the settings name nothing that the detector does not have.

    Raises
    ------
    ConfigurationError
        They do.
    """
    if settings.kind is not None and settings.kind not in schema.kind_index:
        hint = nearest(settings.kind, schema.kind_index)
        message = f"kind: found {settings.kind!r}; allowed: {', '.join(schema.kind_index)}; {hint}".rstrip("; ")
        raise ConfigurationError(message)
    names = {name for kind in schema.kinds for name in detector_names(kind)}
    for name in settings.mapping:
        if name not in names:
            hint = nearest(name, names) or "mapping goes from the detector's name to the source's"
            message = f"mapping.{name}: found a name that the detector does not have; {hint}"
            raise ConfigurationError(message)


class _Builder:
    """Gives every source name its slot while the tables are filled."""

    def __init__(self, schema: Schema, settings: DecoderSettings) -> None:
        self.schema = schema
        self.settings = settings
        self.slots: dict[str, int] = {}

    def slot(self, name: str) -> int:
        """Return the slot of a detector's field name."""
        return self.source_slot(self.settings.mapping.get(name, name))

    def source_slot(self, name: str) -> int:
        return self.slots.setdefault(name, len(self.slots))

    def build(self) -> FieldMap:
        settings, schema = self.settings, self.schema
        kind_slot = self.source_slot(settings.kind_field)
        kinds, uses = self.kind_tables()
        for kind in schema.kinds:
            for name in kind.ignore:
                self.slot(name)
        known = np.zeros((len(schema.kinds), len(self.slots)), np.uint8)
        known[:, kind_slot] = 1
        for index, kind in enumerate(schema.kinds):
            known[index, [self.slot(name) for name in detector_names(kind)]] = 1
        names, start, length = _texts([name + '"' for name in self.slots])
        kind_names, kind_start, kind_length = _texts([kind.name for kind in schema.kinds])
        bound = -1 if settings.kind is None else schema.kind_index[settings.kind]
        limits = [kind_slot, bound, settings.depth_max, settings.record_bytes_max]
        limits += [settings.time_min, settings.time_max, int(settings.naive_utc), ID_BYTES_MAX]
        plain = [not any(character in '"\\' or character < " " for character in name) for name in self.slots]
        tables = FieldTables(
            names,
            start,
            length - 1,
            np.array(plain, np.uint8),
            _hash_table(names, start, length - 1),
            kinds,
            uses,
            known,
            kind_names,
            kind_start,
            kind_length,
            np.array(limits, np.int64),
        )
        cards = [
            (text, column)
            for text, column in enumerate(schema.text_columns, start=1)
            if schema.columns[column].type is FieldType.CARD
        ]
        return FieldMap(schema, settings, tuple(self.slots), tables, tuple(cards), self.copies(kinds, uses))

    def kind_tables(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        schema = self.schema
        text_rows = {column: 1 + row for row, column in enumerate(schema.text_columns)}
        kinds: list[list[int]] = []
        uses: list[list[int]] = []
        for kind in schema.kinds:
            first = len(uses)
            for each in kind.fields:
                column = schema.column_index[each.name]
                shared = schema.columns[column]
                scale = TIME_SCALES[each.unit] if shared.type is FieldType.TIME else shared.scale
                kind_type = FIELD_TYPES.index(shared.type)
                text = text_rows.get(column, -1)
                uses.append([self.slot(each.name), column, kind_type, scale, int(each.required), text])
            id_slot = -1 if kind.id is None else self.slot(kind.id)
            kinds.append([first, len(uses), id_slot, self.slot(kind.time), TIME_SCALES[kind.time_unit]])
        return np.array(kinds, np.int64).reshape(-1, 5), np.array(uses, np.int64).reshape(-1, 6)

    def copies(self, kinds: npt.NDArray[np.int64], uses: npt.NDArray[np.int64]) -> int:
        most = 1
        for kind in kinds:
            of_kind = uses[kind[KIND_FIRST_USE] : kind[KIND_END_USE]]
            slots = [*of_kind[of_kind[:, USE_TEXT] >= 0, USE_SLOT].tolist(), int(kind[KIND_ID_SLOT])]
            most = max(most, *(slots.count(slot) for slot in slots))
        return most


def _texts(texts: list[str]) -> tuple[Bytes, Words, Words]:
    """Return some texts as one padded heap with starts and lengths."""
    encoded = [text.encode() for text in texts]
    length = np.array([len(each) for each in encoded], np.int64)
    return padded(b"".join(encoded)), np.cumsum(length) - length, length


def _hash_table(names: Bytes, start: Words, length: Words) -> Words:
    """Return an open table of at least four places a name, so that most look-ups hit at once."""
    size = 16
    while size < 4 * len(start):
        size *= 2
    table = np.zeros(size, np.int64)
    for slot in range(len(start)):
        place = int(name_hash(names, int(start[slot]), int(length[slot]))) & (size - 1)
        while table[place]:
            place = (place + 1) & (size - 1)
        table[place] = slot + 1
    return table
