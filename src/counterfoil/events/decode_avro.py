"""Avro straight to the arrays of a batch.

Each writer's schema is a table of operations (``avro_schema``), so records of any mixture of schemas are read by one
kernel, each by its own, into the slots of the fields that the detector knows. What stands in a slot is then stored as a
line of JSON would be (``encodings``, ``rows``), with the same checks.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numba as nb
import numpy as np

from counterfoil.events.avro_schema import (
    DEPTH_MAX,
    OP_ARRAY,
    OP_BOOLEAN,
    OP_BYTES,
    OP_CALL,
    OP_DOUBLE,
    OP_ENUM,
    OP_FIXED,
    OP_FLOAT,
    OP_INTEGER,
    OP_JUMP,
    OP_MARK,
    OP_NEXT,
    OP_STRING,
    OP_UNION,
    SERVES,
    Compiled,
    Path,
    SchemaError,
    compile_schema,
)
from counterfoil.events.batch import Bytes, Words
from counterfoil.events.changes import (
    CHANGE_PARTS,
    ENVELOPE,
    KIND_SLOT,
    OPERATION_PART,
    OPERATIONS,
    TABLE_PART,
    ChangeKinds,
    ChangeTables,
    kind_names,
    pick_change,
    tick_unit,
)
from counterfoil.events.dead_letters import ReasonCode
from counterfoil.events.decoding import Decoded, DecoderSettings
from counterfoil.events.encodings import (
    NATIVE_DOUBLE,
    NATIVE_FLOAT,
    RENDERED_MAX,
    Natives,
    Wants,
    patch_doubles,
    render_all,
    rendered_texts,
)
from counterfoil.events.identity import IdentityKey
from counterfoil.events.kinds import Schema
from counterfoil.events.mapping import (
    FIELD_TYPES,
    KIND_END_USE,
    KIND_FIRST_USE,
    KIND_ID_SLOT,
    KIND_TIME_SLOT,
    LIMIT_RECORD,
    TYPE_CATEGORY,
    TYPE_TIME,
    USE_REQUIRED,
    USE_SLOT,
    USE_TYPE,
    FieldMap,
    FieldTables,
)
from counterfoil.events.record_batch import RecordBatch
from counterfoil.events.refusals import (
    BAD_TEXT,
    BEHIND,
    DEEP,
    ENDLESS,
    LONG_NUMBER,
    NEGATIVE,
    NO_BOOLEAN,
    NO_BRANCH,
    NO_SYMBOL,
    SHORT,
    RecordDescriber,
)
from counterfoil.events.results import batch_of
from counterfoil.events.rows import (
    COUNT_HEAP,
    COUNT_ROWS,
    FALSE,
    STRING,
    TRUE,
    Rows,
    Slots,
    find_kind,
    put_fault,
    reason_number,
    write_row,
)
from counterfoil.events.schemas import FRAME_BYTES, NO_FRAME, RegisteredSchema, SchemaSource, schema_numbers
from counterfoil.events.strings import valid_utf8
from counterfoil.events.words import NEWLINE, PADDING

PROGRAMS_MAX = 1_000
"""Most schemas that are kept compiled; beyond it all are forgotten, and those in use are compiled anew."""
_STEPS_PER_BYTE = 64
_STEPS_MIN = 100_000
"""How many operations one record may take: arrays of nothing could otherwise go on for years in ten bytes."""

_INVALID_AVRO = reason_number(ReasonCode.INVALID_AVRO)
_INVALID_UTF8 = reason_number(ReasonCode.INVALID_UTF8)
_TOO_DEEP = reason_number(ReasonCode.TOO_DEEP)
_RECORD_TOO_LARGE = reason_number(ReasonCode.RECORD_TOO_LARGE)
_NO_SCHEMA_ID = reason_number(ReasonCode.NO_SCHEMA_ID)
_UNKNOWN_SCHEMA = reason_number(ReasonCode.UNKNOWN_SCHEMA)
_INCOMPATIBLE_SCHEMA = reason_number(ReasonCode.INCOMPATIBLE_SCHEMA)
_SCRATCH_FAULTS = 256
"""How many dead letters' rendered values there is room for at a time."""


class Programs(NamedTuple):
    """The operations of all schemas at hand, one behind the other."""

    operations: Words
    """(operations, 5)."""
    targets: Words
    entry: Words
    """(programs,)."""
    symbol_start: Words
    """Where each symbol of an enum begins, counted from the first."""
    symbol_length: Words


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False)
def _read_long(data: Bytes, at: int, end: int) -> tuple[int, int]:
    """Return the place behind a zigzag integer, and its value; -1 or -2 in the place where it is none."""
    bits = np.uint64(0)
    shift = np.uint64(0)
    while at < end:
        byte = np.uint64(data[at])
        at += 1
        bits |= (byte & np.uint64(127)) << shift
        if byte < 128:
            return at, np.int64(bits >> np.uint64(1)) ^ -np.int64(bits & np.uint64(1))
        shift += np.uint64(7)
        if shift > 63:
            return -2, 0
    return -1, 0


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False)
def _put(slots: Slots, slot: int, value: int, start: int, end: int) -> None:
    if slot >= 0:
        slots.stamp[slot] = slots.stamp[-1]
        slots.value[slot] = value
        slots.start[slot] = start
        slots.end[slot] = end


@nb.njit(nogil=True, cache=True, _nrt=False)
def _walk(
    data: Bytes,
    at: int,
    end: int,
    place: int,
    programs: Programs,
    symbols: int,
    slots: Slots,
    natives: Natives,
    stack: Words,
) -> tuple[int, int]:
    """Read one record into the slots; return the place behind it and 0, or the place of a fault and what it is."""
    operations = programs.operations
    depth = 0
    steps = _STEPS_MIN + _STEPS_PER_BYTE * (end - at)
    while True:
        steps -= 1
        if steps < 0:
            return at, ENDLESS
        operation = operations[place, 0]
        slot = operations[place, 1]
        first = operations[place, 2]
        start = at
        place += 1
        if operation == OP_STRING or operation == OP_BYTES:
            at, length = _read_long(data, at, end)
            if at < 0:
                return start, SHORT if at == -1 else LONG_NUMBER
            if length < 0:
                return start, NEGATIVE
            if length > end - at:
                return start, SHORT
            if operation == OP_STRING:
                if slot >= 0 and not valid_utf8(data, at, at + length):
                    return at, BAD_TEXT
                _put(slots, slot, STRING, at, at + length)
            else:
                _put(slots, slot, first, at, at + length)
                if slot >= 0:
                    natives.scale[slot] = operations[place - 1, 3]
            at += length
        elif operation == OP_INTEGER:
            at, value = _read_long(data, at, end)
            if at < 0:
                return start, SHORT if at == -1 else LONG_NUMBER
            if slot >= 0:
                _put(slots, slot, first, start, at)
                natives.word[slot] = value
        elif operation == OP_UNION:
            at, branch = _read_long(data, at, end)
            if at < 0:
                return start, SHORT if at == -1 else LONG_NUMBER
            if branch < 0 or branch >= operations[place - 1, 3]:
                return start, NO_BRANCH
            place = programs.targets[first + branch]
        elif operation == OP_JUMP:
            place = first
        elif operation == OP_MARK:
            _put(slots, slot, first, at, at)
        elif operation == OP_DOUBLE or operation == OP_FLOAT:
            size = 8 if operation == OP_DOUBLE else 4
            if size > end - at:
                return at, SHORT
            if slot >= 0:
                if size == 8:
                    natives.word[slot] = data[at : at + 8].view(np.int64)[0]
                else:
                    single = np.float64(data[at : at + 4].view(np.float32)[0])
                    natives.word[slot] = single.view(np.int64)
                _put(slots, slot, NATIVE_DOUBLE if size == 8 else NATIVE_FLOAT, at, at + size)
            at += size
        elif operation == OP_BOOLEAN:
            if at == end:
                return at, SHORT
            if data[at] > 1:
                return at, NO_BOOLEAN
            _put(slots, slot, TRUE if data[at] else FALSE, at, at + 1)
            at += 1
        elif operation == OP_ENUM:
            at, symbol = _read_long(data, at, end)
            if at < 0:
                return start, SHORT if at == -1 else LONG_NUMBER
            if symbol < 0 or symbol >= operations[place - 1, 3]:
                return start, NO_SYMBOL
            text = symbols + programs.symbol_start[first + symbol]
            _put(slots, slot, STRING, text, text + programs.symbol_length[first + symbol])
        elif operation == OP_FIXED:
            if first > end - at:
                return at, SHORT
            _put(slots, slot, operations[place - 1, 3], at, at + first)
            if slot >= 0:
                natives.scale[slot] = operations[place - 1, 4]
            at += first
        elif operation == OP_ARRAY or operation == OP_NEXT:
            array = place - 1
            if operation == OP_NEXT:
                array = first
                stack[2 * depth - 1] -= 1
                if stack[2 * depth - 1] > 0:
                    place = array + 1
                    continue
                depth -= 1
            # The next block: so many elements, or minus so many and the bytes that they have together.
            count = np.int64(0)
            while True:
                start = at
                at, count = _read_long(data, at, end)
                if at < 0:
                    return start, SHORT if at == -1 else LONG_NUMBER
                if count >= 0:
                    break
                at, size = _read_long(data, at, end)
                if at < 0 or size > end - at:
                    return start, SHORT if at != -2 else LONG_NUMBER
                if size < 0:
                    return start, NEGATIVE
                at += size
            if count == 0:
                place = operations[array, 2]
            else:
                if 2 * depth + 2 > len(stack):
                    return at, DEEP
                stack[2 * depth] = array
                stack[2 * depth + 1] = count
                depth += 1
                place = array + 1
        elif operation == OP_CALL:
            if 2 * depth + 2 > len(stack):
                return at, DEEP
            stack[2 * depth] = place
            depth += 1
            place = first
        else:
            # OP_RETURN
            if depth == 0:
                return at, 0
            depth -= 1
            place = stack[2 * depth]


@nb.njit(nogil=True, cache=True, _nrt=False)
def _count_records(
    data: Bytes,
    at: int,
    end: int,
    count: int,
    programs: Programs,
    slots: Slots,
    natives: Natives,
    stack: Words,
    ends: Words,
) -> int:
    """Find where each record of a block ends; return how many could be told apart."""
    for record in range(count):
        at, wrong = _walk(data, at, end, programs.entry[0], programs, 0, slots, natives, stack)
        if wrong:
            return record
        ends[record] = at
    return count


@nb.njit(nogil=True, cache=True, _nrt=False)
def _decode_records(
    data: Bytes,
    starts: Words,
    lengths: Words,
    positions: Words,
    program_of: Words,
    frame: int,
    record: int,
    latest: int,
    key: tuple[np.uint64, np.uint64],
    tables: FieldTables,
    wants: Wants,
    programs: Programs,
    changes: ChangeTables,
    slots: Slots,
    natives: Natives,
    stack: Words,
    rows: Rows,
    places: tuple[int, int, int],
    counts: Words,
) -> int:
    """Decode records from ``record`` on; return where the room for rendered texts ran out, or how many there are."""
    symbols, scratch, scratch_end = places
    for each in range(record, len(starts)):
        length = lengths[each]
        if length < 0:
            continue
        if scratch_end - scratch < len(slots.start) * RENDERED_MAX:
            return each
        start, end = starts[each], starts[each] + length
        program = program_of[each]
        slots.stamp[-1] += 1
        reason, expected, at, slot, kind, rendered = 0, 0, start, -1, -1, scratch
        if length > tables.limits[LIMIT_RECORD]:
            reason = _RECORD_TOO_LARGE
        elif program < 0:
            reason = -program
        else:
            at, expected = _walk(
                data, start + frame, end, programs.entry[program], programs, symbols, slots, natives, stack
            )
            if expected == 0 and at != end:
                expected = BEHIND
            if expected:
                reason = _INVALID_AVRO
                if expected == DEEP:
                    reason = _TOO_DEEP
                elif expected == BAD_TEXT:
                    reason = _INVALID_UTF8
        if reason == 0 and changes.active:
            reason, expected, ignored = pick_change(data, slots, natives, tables, changes)
            if ignored:
                continue
        if reason == 0:
            kind = find_kind(data, slots, tables, rows.heap, rows.counters[COUNT_HEAP])
            if kind >= 0:
                rendered = render_all(data, slots, natives, wants, kind, scratch)
            reason, slot, kind = write_row(data, slots, tables, rows, positions[each], latest, key)
        if reason == 0:
            counts[program, kind] += 1
            patch_doubles(
                rows,
                natives,
                tables.uses,
                tables.kinds[kind, KIND_FIRST_USE],
                tables.kinds[kind, KIND_END_USE],
                rows.counters[COUNT_ROWS] - 1,
            )
        else:
            # What was rendered stays for the dead letter, which shows it.
            scratch = rendered
            put_fault(rows, slots, reason, expected, each, start, end, at, slot, kind)
    return len(starts)


@dataclass(frozen=True, slots=True)
class _Known:
    """A schema of the registry, as far as this decoder is concerned."""

    program: int
    """Its number among the programs; minus a reason where its records cannot be read."""
    detail: str = ""


@dataclass(slots=True)
class _Library:
    """The compiled schemas, and the arrays made from them."""

    known: dict[int, _Known] = field(default_factory=dict)
    compiled: list[Compiled] = field(default_factory=list)
    programs: Programs | None = None
    symbols: bytes = b""

    def arrays(self) -> tuple[Programs, bytes]:
        """Return the programs of all schemas and the texts of their enums."""
        if self.programs is None:
            operations, targets = [np.zeros((0, 5), np.int64)], [np.zeros(0, np.int64)]
            entries: list[int] = []
            symbols: list[bytes] = []
            place = target = 0
            for each in self.compiled:
                rows = each.operations.copy()
                codes = rows[:, 0]
                jumps = (codes == OP_JUMP) | (codes == OP_ARRAY) | (codes == OP_NEXT) | (codes == OP_CALL)
                rows[jumps, 2] += place
                rows[codes == OP_UNION, 2] += target
                rows[codes == OP_ENUM, 2] += len(symbols)
                operations.append(rows)
                targets.append(each.targets + place)
                entries.append(each.entry + place)
                symbols.extend(text.encode() for text in each.symbols)
                place, target = place + len(rows), target + len(each.targets)
            lengths = np.array([len(text) for text in symbols], np.int64)
            self.symbols = b"".join(symbols)
            self.programs = Programs(
                np.concatenate(operations),
                np.concatenate(targets),
                np.array(entries, np.int64),
                np.cumsum(lengths) - lengths,
                lengths,
            )
        return self.programs, self.symbols


class AvroDecoder:
    r"""Decodes records of Avro, each by the schema it was written with.

    The fields of a record are found by name; a mapping may name a field of a record inside by its path, such as
    ``address.country``. Fields that the detector does not know are skipped, fields that the record lacks are null. A
    decimal is exact; a float is an amount under the rule of ``TableDecoder``; NaN is null. Times may be ``date`` and
    all ``timestamp`` types, numbers of the field's own unit, or text.

    Decoders may be shared by threads; the kernel runs without the interpreter's lock.

    Parameters
    ----------
    schema
        The kinds that the records may hold.
    settings
        How the source writes them.
    key
        The key of hashes and tokens.
    max_skew
        Microseconds by which an event's time may lie ahead of its arrival.
    schemas
        Where the writers' schemas come from.
    changes
        Where the records are Debezium's changes of rows: which event each change is.
    framed
        Whether each record begins with its schema's number, as Confluent's serializers write it.

    Examples
    --------
    >>> from counterfoil.events.kinds import EventKind, Field, FieldType
    >>> from counterfoil.events.schemas import OneSchema
    >>> payment = EventKind("payment", (Field("amount", FieldType.MONEY),), id="id", time="at", decide=True)
    >>> text = '''{"type": "record", "name": "Payment", "fields": [
    ...     {"name": "id", "type": "string"}, {"name": "at", "type": "long"},
    ...     {"name": "amount", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}}]}'''
    >>> source = OneSchema(RegisteredSchema("AVRO", text))
    >>> decoder = AvroDecoder(Schema((payment,)), DecoderSettings(kind="payment"), IdentityKey(), 0, source)
    >>> record = b"\0\0\0\0\1" + b"\4p1" + b"\x80\xa0\xc0\xae\x0d" + b"\4\x16\x54"
    >>> decoder.decode_records(RecordBatch.of([record]), arrival=1_800_000_000_000_000).batch.values
    array([[5716]])
    """

    def __init__(
        self,
        schema: Schema,
        settings: DecoderSettings,
        key: IdentityKey,
        max_skew: int,
        schemas: SchemaSource,
        changes: ChangeKinds | None = None,
        framed: bool = True,
    ) -> None:
        self.schema = schema
        self.settings = settings
        self.key = key
        self.max_skew = max_skew
        self._words = key.words
        self._schemas = schemas
        self._frame = FRAME_BYTES if framed else 0
        if changes is not None:
            settings = replace(settings, kind=None, kind_field=KIND_SLOT)
        self._fields = FieldMap.of(schema, settings)
        self._wants = Wants.of(self._fields)
        self._wanted, copies = wanted_paths(self._fields, changes is not None)
        ticks = {tuple(name.removeprefix(ENVELOPE).split(".")): tick_unit(name) for name in self._fields.slots}
        self._units = {path: int(unit) for path, unit in ticks.items() if unit is not None} if changes else {}
        none = ChangeTables.none()
        self._changes = none if changes is None else ChangeTables.of(self._fields, changes, copies)
        self._library = _Library()
        self._lock = threading.Lock()

    def decode_records(self, records: RecordBatch, arrival: int) -> Decoded:
        """Decode records: see ``RecordDecoder.decode_records``.

        Raises
        ------
        InputError
            A schema is needed and its registry does not answer.
        """
        with self._lock:
            numbers, known = self._look_up(records)
            programs, symbols = self._library.arrays()
            compiled = tuple(self._library.compiled)
        program_of = np.array([known[number].program for number in numbers.tolist()], np.int64)
        names = kind_names(self.schema) if self._changes.active else b""
        room = len(self._wants.want[0]) * 2 + CHANGE_PARTS if self._changes.active else len(self._fields.slots)
        slots, natives = Slots.of(room), Natives.of(room)
        size, count = len(records.data), len(records)
        static = np.frombuffer(symbols + names, np.uint8)
        symbols_at = size + PADDING
        scratch = symbols_at + len(static) + PADDING
        data = np.empty(scratch + room * RENDERED_MAX * _SCRATCH_FAULTS + PADDING, np.uint8)
        data[:size] = np.frombuffer(records.data, np.uint8)
        data[size:scratch] = NEWLINE
        data[symbols_at : symbols_at + len(static)] = static
        longest = max((len(text.encode()) for each in compiled for text in each.symbols), default=0)
        rendered = count * rendered_texts(self.schema) * max(RENDERED_MAX, longest)
        heap = size * self._fields.copies + rendered
        rows = Rows.of(
            len(self.schema.columns),
            1 + len(self.schema.text_columns),
            count,
            heap,
            heap if self._fields.cards else 0,
        )
        counts = np.zeros((max(1, len(compiled)), len(self.schema.kinds)), np.int64)
        refused = {each: known[numbers[each]].detail for each in np.flatnonzero(program_of < 0).tolist()}
        describe = RecordDescriber(self._fields, data, refused, OPERATIONS)
        dead = []
        record = 0
        while record < count:
            record = _decode_records(
                data,
                records.start,
                records.length,
                records.position,
                program_of,
                self._frame,
                record,
                arrival + self.max_skew,
                self._words,
                self._fields.tables,
                self._wants,
                programs,
                self._changes._replace(names_at=symbols_at + len(symbols)),
                slots,
                natives,
                np.zeros(2 * DEPTH_MAX, np.int64),
                rows,
                (symbols_at, scratch, len(data) - PADDING),
                counts,
            )
            dead += describe.letters(rows, records)
        batch = batch_of(self._fields, rows, self.key)
        return Decoded(batch, dead, self._unknown_fields(compiled, counts), size, count)

    def split(self, data: bytes, count: int, position: int) -> RecordBatch:
        """Return the records of a block, which lie one behind the other without a mark between them.

        What follows a record that cannot be read cannot be told apart: that record has all the rest of the bytes, and
        those behind it have none.
        """
        with self._lock:
            self._find(0)
            programs, _ = self._library.arrays()
        ends = np.full(count, len(data), np.int64)
        if len(programs.entry):
            buffer = np.frombuffer(data + bytes(PADDING), np.uint8)
            room = len(self._fields.slots)
            slots, natives, stack = (
                Slots.of(2 * room + CHANGE_PARTS),
                Natives.of(2 * room + CHANGE_PARTS),
                np.zeros(2 * DEPTH_MAX, np.int64),
            )
            _count_records(buffer, 0, len(data), count, programs, slots, natives, stack, ends)
        if count:
            # Bytes behind the last record belong to it, so that they are found wrong with it.
            ends[-1] = len(data)
        start = np.concatenate([np.zeros(1, np.int64), ends[:-1]])[:count]
        return RecordBatch(data, start, ends - start, np.arange(position, position + count, dtype=np.int64))

    def _look_up(self, records: RecordBatch) -> tuple[Words, dict[int, _Known]]:
        """Return the number of each record's schema, and what is known of each."""
        if not self._frame:
            return np.zeros(len(records), np.int64), {0: self._find(0)}
        numbers = schema_numbers(records)
        new = [number for number in np.unique(numbers).tolist() if number not in self._library.known]
        if self._library.known and len(self._library.known) + len(new) > PROGRAMS_MAX:
            self._library = _Library()
        return numbers, {number: self._find(number) for number in np.unique(numbers).tolist()}

    def _find(self, number: int) -> _Known:
        library = self._library
        if number == NO_FRAME:
            return _Known(
                -_NO_SCHEMA_ID, f"allowed: a zero byte and a schema's number in the first {FRAME_BYTES} bytes"
            )
        found = library.known.get(number)
        if found is None:
            registered = self._schemas.get(number)
            if registered is None:
                # Not kept here: it may be registered a moment later.
                return _Known(-_UNKNOWN_SCHEMA, f"schema {number}: the registry does not know it")
            found = library.known[number] = self._resolve(number, registered)
        return found

    def _resolve(self, number: int, registered: RegisteredSchema) -> _Known:
        try:
            if registered.type != "AVRO":
                raise SchemaError(f"is of the type {registered.type}; allowed: AVRO")
            compiled = compile_schema(registered.text, self._wanted, registered.references, self._units)
            problem = _incompatibility(compiled, self._fields, self._changes)
            if problem:
                raise SchemaError(problem)
        except SchemaError as error:
            return _Known(-_INCOMPATIBLE_SCHEMA, f"schema {number}: {error}" if self._frame else str(error))
        self._library.compiled.append(compiled)
        self._library.programs = None
        return _Known(len(self._library.compiled) - 1)

    def _unknown_fields(self, compiled: tuple[Compiled, ...], counts: Words) -> dict[str, int]:
        """Count the fields that an event's kind does not know: a schema's fields stand in each of its records."""
        found: dict[str, int] = {}
        if self._changes.active:
            return found
        for program, kind in np.argwhere(counts).tolist():
            known = self._fields.tables.known[kind]
            names = [self._fields.slots[slot] for slot in compiled[program].types if not known[slot]]
            for name in [*compiled[program].unknown, *names]:
                found[name] = found.get(name, 0) + int(counts[program, kind])
        return found


def wanted_paths(fields: FieldMap, changes: bool) -> tuple[dict[Path, int], list[tuple[int, int]]]:
    """Return the slot of each field by its path, and the slots of which another one wants the same."""
    if not changes:
        return {tuple(name.split(".")): slot for slot, name in enumerate(fields.slots)}, []
    count = len(fields.slots)
    named: list[tuple[Path, int]] = []
    for slot, name in enumerate(fields.slots):
        if name.startswith(ENVELOPE):
            named.append((tuple(name.removeprefix(ENVELOPE).split(".")), slot))
        else:
            named += [(("after", name), slot), (("before", name), count + slot)]
    named += [(("op",), 2 * count + OPERATION_PART), (("source", "table"), 2 * count + TABLE_PART)]
    wanted: dict[Path, int] = {}
    copies = []
    # The envelope's own come first: what they copy to is complete before a deletion copies the row before.
    for path, slot in reversed(named):
        if path in wanted:
            copies.append((wanted[path], slot))
        else:
            wanted[path] = slot
    return wanted, copies


def _incompatibility(compiled: Compiled, fields: FieldMap, changes: ChangeTables) -> str:
    """Return why no record of a schema can be an event; nothing where one can."""
    tables, names = fields.tables, fields.slots
    if changes.active:
        if 2 * len(names) + OPERATION_PART not in compiled.types:
            return "found no field op; allowed: a change event of Debezium"
        return ""
    if fields.settings.kind is None:
        return ""
    kind = tables.kinds[fields.schema.kind_index[fields.settings.kind]]
    uses = [(int(kind[KIND_ID_SLOT]), TYPE_CATEGORY, True), (int(kind[KIND_TIME_SLOT]), TYPE_TIME, True)]
    of_kind = tables.uses[kind[KIND_FIRST_USE] : kind[KIND_END_USE]]
    uses += [(int(use[USE_SLOT]), int(use[USE_TYPE]), bool(use[USE_REQUIRED])) for use in of_kind]
    for slot, field_type, required in uses:
        types = compiled.types.get(slot)
        if slot < 0 or (not types and not required):
            continue
        if not types:
            return f"{names[slot]}: found nothing; allowed: a field, because every {fields.settings.kind} needs one"
        if not types & SERVES[FIELD_TYPES[field_type]]:
            allowed = ", ".join(sorted(SERVES[FIELD_TYPES[field_type]]))
            return f"{names[slot]}: found {' or '.join(sorted(types))}; allowed: {allowed}"
    return ""
