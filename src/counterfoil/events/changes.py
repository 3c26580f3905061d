"""Change data capture: which event a change of a row is.

Debezium says of each change whether the row was created, updated, deleted or only read for a snapshot, and how it was
before and after. A row that is deleted or updated is an event of its own kind: what a detector counts as a payment must
not count twice because somebody corrected it, and a deleted row is never an event of nulls.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numba as nb
import numpy as np
import numpy.typing as npt

from counterfoil.errors import ConfigurationError, nearest
from counterfoil.events.batch import Bytes, Words
from counterfoil.events.dead_letters import ReasonCode
from counterfoil.events.encodings import Encoding, Natives
from counterfoil.events.kinds import Schema
from counterfoil.events.mapping import FieldMap, FieldTables
from counterfoil.events.refusals import NO_OPERATION, NO_ROW, NO_TABLE
from counterfoil.events.rows import NULL, STRING, Slots, kind_of_name, reason_number, value_in
from counterfoil.events.words import equal_bytes, padded

OPERATIONS = ("create", "snapshot", "update", "delete", "truncate", "message")
"""What may happen to a row, or beside it; a snapshot reads a row that was there before."""
_LETTERS = np.frombuffer(b"crudtm", np.uint8)
CREATE, SNAPSHOT, UPDATE, DELETE, TRUNCATE, MESSAGE = range(6)

IGNORE = "ignore"
"""Stands in the place of a kind for changes that are no events."""

NO_KIND = -1
IGNORED = -2

ENVELOPE = "payload."
"""How the name of something beside the row begins: ``payload.ts_ms``, ``payload.source.lsn``, ``payload.before.id``."""

KIND_SLOT = "payload.(kind)"
"""The slot that holds the kind's name once the change is understood. No field can be called so."""

OPERATION_PART, TABLE_PART = 0, 1
CHANGE_PARTS = 2
"""Slots of the envelope itself: they follow those of the row afterwards and those of the row before."""

_UNAVAILABLE = padded(b"__debezium_unavailable_value")
_UNAVAILABLE_SIZE = len(b"__debezium_unavailable_value")
"""What Debezium writes for a large value that PostgreSQL did not log because it had not changed: as good as null."""

_INVALID_ENVELOPE = reason_number(ReasonCode.INVALID_ENVELOPE)
_UNMAPPED_OPERATION = reason_number(ReasonCode.UNMAPPED_OPERATION)
_UNKNOWN_KIND = reason_number(ReasonCode.UNKNOWN_KIND)


@dataclass(frozen=True, slots=True)
class ChangeKinds:
    """Which kind of event each change is.

    Without a word on it, the creation or the reading of a row is an event of the row's own kind, an update one of the
    kind ``<kind>_update``, a deletion one of the kind ``<kind>_delete``, where the detector has such a kind. A change
    without a kind is a dead letter.

    Parameters
    ----------
    kind
        The row's kind; None where it has the name of the row's table.
    operations
        Of some of ``OPERATIONS``, the kind, or ``ignore`` for changes that are no events.
    """

    kind: str | None = None
    operations: Mapping[str, str] = field(default_factory=dict)

    def check(self, schema: Schema) -> None:
        """Check that the detector has these kinds.

        Raises
        ------
        ConfigurationError
            It does not, or there is no such operation.
        """
        for operation, kind in self.operations.items():
            if operation not in OPERATIONS:
                hint = nearest(operation, OPERATIONS)
                message = f"operations.{operation}: found no change; allowed: {', '.join(OPERATIONS)}; {hint}"
                raise ConfigurationError(message.rstrip("; "))
            if kind != IGNORE and kind not in schema.kind_index:
                hint = nearest(kind, [*schema.kind_index, IGNORE])
                allowed = ", ".join([*schema.kind_index, IGNORE])
                message = f"operations.{operation}: found {kind!r}; allowed: {allowed}; {hint}"
                raise ConfigurationError(message.rstrip("; "))


class ChangeTables(NamedTuple):
    """What the kernels know about changes."""

    active: int
    """1 where records are changes at all."""
    base: int
    """The number of the rows' kind; -1 where their table names it."""
    explicit: Words
    """(operations,): the kind that was said; ``IGNORED``, or ``NO_KIND`` where none was."""
    implied: npt.NDArray[np.int64]
    """(kinds, operations): the kind that follows from the row's."""
    of_row: Bytes
    """(slots,): 1 where the slot is a column of the row."""
    copies: npt.NDArray[np.int64]
    """(n, 2): what stands in the first slot stands in the second, too."""
    kind_slot: int
    names: Words
    """(kinds,): where the names of kinds begin, counted from ``names_at``."""
    name_lengths: Words
    names_at: int
    """Where in the buffer the names of kinds stand."""

    @classmethod
    def none(cls) -> ChangeTables:
        """Return the tables of records that are no changes."""
        nothing = np.zeros(0, np.int64)
        square = np.zeros((0, 2), np.int64)
        return cls(0, -1, nothing, square, np.zeros(0, np.uint8), square, 0, nothing, nothing, 0)

    @classmethod
    def of(cls, fields: FieldMap, kinds: ChangeKinds, copies: list[tuple[int, int]]) -> ChangeTables:
        """Return the tables of a source whose ``kind_field`` is ``KIND_SLOT``.

        Raises
        ------
        ConfigurationError
            The detector lacks a kind.
        """
        schema = fields.schema
        kinds.check(schema)
        numbers = {**schema.kind_index, IGNORE: IGNORED}
        explicit = [numbers[kinds.operations[each]] if each in kinds.operations else NO_KIND for each in OPERATIONS]
        implied = [
            [
                index,
                index,
                schema.kind_index.get(f"{kind.name}_update", NO_KIND),
                schema.kind_index.get(f"{kind.name}_delete", NO_KIND),
                NO_KIND,
                NO_KIND,
            ]
            for index, kind in enumerate(schema.kinds)
        ]
        of_row = [0 if name.startswith(ENVELOPE) else 1 for name in fields.slots]
        lengths = np.array([len(kind.name.encode()) for kind in schema.kinds], np.int64)
        return cls(
            1,
            -1 if kinds.kind is None else schema.kind_index[kinds.kind],
            np.array(explicit, np.int64),
            np.array(implied, np.int64).reshape(-1, len(OPERATIONS)),
            np.array(of_row, np.uint8),
            np.array(copies, np.int64).reshape(-1, 2),
            fields.slots.index(KIND_SLOT),
            np.cumsum(lengths) - lengths,
            lengths,
            0,
        )


def kind_names(schema: Schema) -> bytes:
    """Return the names of all kinds, one behind the other."""
    return b"".join(kind.name.encode() for kind in schema.kinds)


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False)
def operation_of(data: Bytes, slots: Slots, slot: int) -> int:
    """Return the number of the operation that a slot's letter stands for; -1 where it is none."""
    if value_in(slots, slot) != STRING or slots.end[slot] - slots.start[slot] != 1:
        return -1
    letter = data[slots.start[slot]]
    for operation in range(6):
        if letter == _LETTERS[operation]:
            return operation
    return -1


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False)
def _copy_slot(slots: Slots, natives: Natives, source: int, target: int) -> None:
    slots.stamp[target] = slots.stamp[source]
    slots.value[target] = slots.value[source]
    slots.start[target] = slots.start[source]
    slots.end[target] = slots.end[source]
    natives.word[target] = natives.word[source]
    natives.scale[target] = natives.scale[source]


@nb.njit(nogil=True, cache=True, _nrt=False)
def kind_of_change(
    data: Bytes, slots: Slots, tables: FieldTables, changes: ChangeTables, operation: int
) -> tuple[int, int, int]:
    """Return the reason why a change has no kind, or 0; what is wrong in detail; and the kind, or ``IGNORED``."""
    kind = changes.explicit[operation]
    if kind == NO_KIND:
        base = changes.base
        if base < 0:
            table = 2 * len(changes.of_row) + TABLE_PART
            if value_in(slots, table) != STRING:
                return _INVALID_ENVELOPE, NO_TABLE, 0
            base = kind_of_name(data, slots.start[table], slots.end[table], tables)
            if base < 0:
                return _UNKNOWN_KIND, NO_TABLE, 0
        kind = changes.implied[base, operation]
    if kind == NO_KIND:
        return _UNMAPPED_OPERATION, operation, 0
    return 0, 0, kind


@nb.njit(nogil=True, cache=True, _nrt=False)
def name_kind(slots: Slots, changes: ChangeTables, kind: int) -> None:
    """Put a kind's name where ``find_kind`` looks for it."""
    slot = changes.kind_slot
    slots.stamp[slot] = slots.stamp[-1]
    slots.value[slot] = STRING
    slots.start[slot] = changes.names_at + changes.names[kind]
    slots.end[slot] = slots.start[slot] + changes.name_lengths[kind]


@nb.njit(nogil=True, cache=True, _nrt=False)
def forget_unavailable(data: Bytes, slots: Slots, count: int) -> None:
    """Make values null that the database did not tell."""
    for slot in range(count):
        if (
            slots.stamp[slot] == slots.stamp[-1]
            and slots.value[slot] == STRING
            and slots.end[slot] - slots.start[slot] == _UNAVAILABLE_SIZE
            and equal_bytes(data, slots.start[slot], _UNAVAILABLE, 0, _UNAVAILABLE_SIZE)
        ):
            slots.value[slot] = NULL


@nb.njit(nogil=True, cache=True, _nrt=False)
def pick_change(
    data: Bytes, slots: Slots, natives: Natives, tables: FieldTables, changes: ChangeTables
) -> tuple[int, int, bool]:
    """Make of the slots of an envelope those of one event.

    Returns
    -------
    tuple
        The reason why not, or 0; what is wrong in detail; and whether the change is to be ignored.
    """
    columns = len(changes.of_row)
    operation = operation_of(data, slots, 2 * columns + OPERATION_PART)
    if operation < 0:
        return _INVALID_ENVELOPE, NO_OPERATION, False
    reason, detail, kind = kind_of_change(data, slots, tables, changes, operation)
    if reason:
        return reason, detail, False
    if kind == IGNORED:
        return 0, 0, True
    for copy in range(len(changes.copies)):
        _copy_slot(slots, natives, changes.copies[copy, 0], changes.copies[copy, 1])
    found = operation >= TRUNCATE
    for slot in range(columns):
        if changes.of_row[slot]:
            if operation == DELETE:
                _copy_slot(slots, natives, columns + slot, slot)
            found = found or slots.stamp[slot] == slots.stamp[-1]
    if not found:
        return _INVALID_ENVELOPE, NO_ROW, False
    forget_unavailable(data, slots, columns)
    name_kind(slots, changes, kind)
    return 0, 0, False


_TICKS = {"ts_ms": Encoding.MILLIS, "ts_us": Encoding.MICROS, "ts_ns": Encoding.NANOS}


def tick_unit(name: str) -> Encoding | None:
    """Return what a number beside the row counts, as its name says; None for everything else.

    Examples
    --------
    >>> tick_unit("payload.source.ts_us")
    <Encoding.MICROS: 26>
    """
    part, _, last = name.removeprefix(ENVELOPE).rpartition(".")
    return _TICKS.get(last) if name.startswith(ENVELOPE) and part in {"", "source"} else None
