"""JSON that names its schema in a registry: a zero byte, the schema's number, and the object.

What the fields may hold is checked as for all JSON, against the detector. The schema is looked at once: where it does
not allow what the detector requires, every record of it is a dead letter with that reason.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import msgspec
import numba as nb
import numpy as np

from counterfoil.events.batch import Bytes, Words
from counterfoil.events.dead_letters import DeadLetter, ReasonCode
from counterfoil.events.decoding import Decoded, DecoderSettings
from counterfoil.events.kinds import FieldType, Schema
from counterfoil.events.record_batch import RecordBatch, RecordDecoder
from counterfoil.events.schemas import FRAME_BYTES, NO_FRAME, RegisteredSchema, SchemaSource, schema_numbers
from counterfoil.events.words import NEWLINE

SCHEMAS_MAX = 1_000
"""Most schemas whose check is remembered."""

_NUMBERS = frozenset({"integer", "number"})
_SERVES = {
    FieldType.ID: _NUMBERS | {"string"},
    FieldType.CATEGORY: _NUMBERS | {"string"},
    FieldType.CARD: _NUMBERS | {"string"},
    FieldType.MONEY: _NUMBERS | {"string"},
    FieldType.INTEGER: _NUMBERS,
    FieldType.FLOAT: _NUMBERS,
    FieldType.BOOL: frozenset({"boolean"}),
    FieldType.TIME: _NUMBERS | {"string"},
}


@nb.njit(nogil=True, cache=True, _nrt=False)
def _unframe(data: Bytes, start: Words, length: Words, kept: Bytes, frame: int, target: Bytes, places: Words) -> int:
    """Copy what follows the frames, each with a newline behind it; return how many bytes were written."""
    at = 0
    for record in range(len(start)):
        places[record] = at
        if kept[record]:
            for offset in range(frame, length[record]):
                byte = data[start[record] + offset]
                # As blank between values, and as wrong inside a string.
                target[at] = 13 if byte == NEWLINE else byte
                at += 1
        target[at] = NEWLINE
        at += 1
    return at


class JsonSchemaDecoder:
    """Decodes records of JSON whose schemas stand in a registry.

    Parameters
    ----------
    schema
        The kinds that the records may hold.
    settings
        How the source writes them.
    schemas
        Where the writers' schemas come from.
    inner
        Decodes what follows the frames.
    """

    def __init__(self, schema: Schema, settings: DecoderSettings, schemas: SchemaSource, inner: RecordDecoder) -> None:
        self._schema = schema
        self._settings = settings
        self._schemas = schemas
        self._inner = inner
        self._known: OrderedDict[int, str] = OrderedDict()
        self._lock = threading.Lock()

    def decode_records(self, records: RecordBatch, arrival: int) -> Decoded:
        """Decode records: see ``RecordDecoder.decode_records``.

        Raises
        ------
        InputError
            A schema is needed and its registry does not answer.
        """
        numbers = schema_numbers(records)
        problems = {number: self._problem(number) for number in np.unique(numbers).tolist()}
        good = [number for number, problem in problems.items() if problem is None]
        kept = np.isin(numbers, good)
        dead = []
        for index in np.flatnonzero(~kept & (records.length >= 0)).tolist():
            problem = problems[int(numbers[index])]
            assert problem is not None
            dead.append(DeadLetter.of(int(records.position[index]), *problem, records.get(index) or b""))
        inner = self._inner.decode_records(_unframed(records, kept), arrival)
        first = int(records.position[0]) if len(records) else 0
        for letter in inner.dead:
            whole = records.get(letter.position - first) or b""
            dead.append(DeadLetter.of(letter.position, letter.reason, letter.detail, whole))
        dead.sort(key=lambda letter: letter.position)
        return Decoded(inner.batch, dead, inner.unknown_fields, len(records.data), len(records))

    def _problem(self, number: int) -> tuple[ReasonCode, str] | None:
        """Return why records of a schema cannot be read; None where they can."""
        if number == NO_FRAME:
            allowed = f"allowed: a zero byte and a schema's number in the first {FRAME_BYTES} bytes"
            return ReasonCode.NO_SCHEMA_ID, allowed
        with self._lock:
            found = self._known.get(number)
            if found is None:
                registered = self._schemas.get(number)
                if registered is None:
                    # Not kept here: it may be registered a moment later.
                    return ReasonCode.UNKNOWN_SCHEMA, f"schema {number}: the registry does not know it"
                found = self._known[number] = self._incompatibility(registered)
                if len(self._known) > SCHEMAS_MAX:
                    self._known.popitem(last=False)
        return (ReasonCode.INCOMPATIBLE_SCHEMA, f"schema {number}: {found}") if found else None

    def _incompatibility(self, registered: RegisteredSchema) -> str:
        if registered.type != "JSON":
            return f"is of the type {registered.type}; allowed: JSON"
        try:
            content = msgspec.json.decode(registered.text)
        except (msgspec.DecodeError, RecursionError):
            return "the schema is no JSON"
        return _incompatibility(content, self._schema, self._settings) if isinstance(content, dict) else ""


def _unframed(records: RecordBatch, kept: Any) -> RecordBatch:
    """Return what follows the frames of the records that are kept; the others become blank."""
    target = np.empty(len(records.data) + len(records) + 1, np.uint8)
    places = np.zeros(len(records), np.int64)
    data = np.frombuffer(records.data, np.uint8)
    flags = kept.astype(np.uint8)
    size = int(_unframe(data, records.start, records.length, flags, FRAME_BYTES, target, places))
    length = np.where(kept, records.length - FRAME_BYTES, 0)
    return RecordBatch(target[: max(size - 1, 0)].tobytes(), places, length, records.position)


def _incompatibility(content: Mapping[str, Any], schema: Schema, settings: DecoderSettings) -> str:
    """Return why no record of a schema can be an event of the source's kind; nothing where one can, or may."""
    own = _types(content)
    if own and "object" not in own:
        return f"found a schema of the type {' or '.join(sorted(own))}; allowed: an object"
    if settings.kind is None:
        return ""
    kind = schema.kinds[schema.kind_index[settings.kind]]
    wanted = [(kind.time, FieldType.TIME, True), *((each.name, each.type, each.required) for each in kind.fields)]
    if kind.id is not None:
        wanted.insert(0, (kind.id, FieldType.ID, True))
    properties = content.get("properties")
    properties = properties if isinstance(properties, dict) else {}
    # Without this word a schema allows fields that it does not name.
    closed = content.get("additionalProperties") is False and not {"allOf", "anyOf", "oneOf", "$ref"} & content.keys()
    for detector_name, field_type, required in wanted:
        name = settings.mapping.get(detector_name, detector_name)
        if name not in properties:
            if closed and required:
                return f"{name}: found nothing; allowed: a field, because every {kind.name} needs one"
            continue
        types = _types(properties[name]) - {"null"}
        if types and not types & _SERVES[field_type]:
            allowed = ", ".join(sorted(_SERVES[field_type]))
            return f"{name}: found {' or '.join(sorted(types))}; allowed: {allowed}"
    return ""


def _types(content: object) -> frozenset[str]:
    """Return the types that a schema allows; empty where it does not say so plainly."""
    if not isinstance(content, dict):
        return frozenset()
    for word in ("oneOf", "anyOf"):
        branches = content.get(word)
        if isinstance(branches, list) and "type" not in content:
            found = [_types(branch) for branch in branches]
            return frozenset().union(*found) if all(found) else frozenset()
    types = content.get("type")
    if isinstance(types, str):
        return frozenset({types})
    return frozenset(types) if isinstance(types, list) and all(isinstance(each, str) for each in types) else frozenset()
