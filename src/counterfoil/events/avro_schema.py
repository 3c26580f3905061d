"""Avro schemas, and the operations that read what they describe.

A writer's schema is resolved once against the fields that the detector knows: into a table of operations that a kernel
runs over the bytes. Fields that nobody knows become operations that skip. So a schema with fields added, removed, put
in another order or widened is only another table, and records of different schemas may lie side by side.

References
----------
Apache Avro specification 1.12: schema declaration, binary encoding, logical types.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from counterfoil.events.encodings import (
    DECIMAL_SCALE_MAX,
    NATIVE_DAYS,
    NATIVE_DECIMAL,
    NATIVE_INTEGER,
    NATIVE_LOCAL_MICROS,
    NATIVE_LOCAL_MILLIS,
    NATIVE_LOCAL_NANOS,
    NATIVE_MICROS,
    NATIVE_MILLIS,
    NATIVE_NANOS,
    NATIVE_UUID,
)
from counterfoil.events.kinds import FieldType
from counterfoil.events.rows import ARRAY, NULL, OBJECT

(
    OP_RETURN,
    OP_MARK,
    OP_BOOLEAN,
    OP_INTEGER,
    OP_FLOAT,
    OP_DOUBLE,
    OP_STRING,
    OP_BYTES,
    OP_FIXED,
    OP_ENUM,
    OP_UNION,
    OP_JUMP,
    OP_ARRAY,
    OP_NEXT,
    OP_CALL,
) = range(15)

OPERATIONS_MAX = 50_000
"""Most operations of one schema: a few hundred fields need a few thousand."""
DEPTH_MAX = 60
"""Deepest nesting of records, arrays, maps and unions."""

Path = tuple[str, ...]

_TIMES = {
    "date": NATIVE_DAYS,
    "timestamp-millis": NATIVE_MILLIS,
    "timestamp-micros": NATIVE_MICROS,
    "timestamp-nanos": NATIVE_NANOS,
    "local-timestamp-millis": NATIVE_LOCAL_MILLIS,
    "local-timestamp-micros": NATIVE_LOCAL_MICROS,
    "local-timestamp-nanos": NATIVE_LOCAL_NANOS,
}
_CONNECT = {
    "org.apache.kafka.connect.data.Date": NATIVE_DAYS,
    "org.apache.kafka.connect.data.Timestamp": NATIVE_MILLIS,
    "io.debezium.time.Date": NATIVE_DAYS,
    "io.debezium.time.Timestamp": NATIVE_MILLIS,
    "io.debezium.time.MicroTimestamp": NATIVE_MICROS,
    "io.debezium.time.NanoTimestamp": NATIVE_NANOS,
}
"""What Kafka Connect and Debezium call the meaning of an integer, beside or instead of Avro's logical type."""

_NUMBERS = frozenset({"int", "long", "float", "double", "decimal"})
SERVES = {
    FieldType.ID: frozenset(
        {"int", "long", "float", "double", "decimal", "string", "uuid", "enum", "date", "timestamp"}
    ),
    FieldType.MONEY: _NUMBERS | {"string"},
    FieldType.INTEGER: _NUMBERS | {"date", "timestamp"},
    FieldType.FLOAT: _NUMBERS,
    FieldType.BOOL: frozenset({"boolean", "int", "long"}),
    FieldType.TIME: _NUMBERS | {"string", "date", "timestamp"},
}
"""Which types of a schema a field can be made of."""
SERVES[FieldType.CATEGORY] = SERVES[FieldType.CARD] = SERVES[FieldType.ID]


class SchemaError(Exception):
    """A schema cannot be read, or is beyond the limits."""


@dataclass(slots=True)
class Compiled:
    """A schema as operations."""

    operations: npt.NDArray[np.int64]
    """(operations, 5): the operation, the slot or -1, and three arguments."""
    targets: npt.NDArray[np.int64]
    """Where the branches of unions begin."""
    symbols: tuple[str, ...]
    """Of all enums."""
    entry: int
    """Where it begins."""
    types: Mapping[int, frozenset[str]]
    """What may stand in each slot, without null."""
    unknown: tuple[str, ...]
    """The record's own fields that nobody asked for."""


def compile_schema(
    text: str,
    wanted: Mapping[Path, int],
    references: tuple[str, ...] = (),
    units: Mapping[Path, int] | None = None,
) -> Compiled:
    """Return the operations that read a record of a schema.

    Parameters
    ----------
    text
        The schema, as JSON.
    wanted
        The slot of each field, by its path: one name, or several for a field of a record inside.
    references
        Schemas of types that it names without declaring them, in an order in which each only needs those before it.
    units
        What plain integers count, where the field's place says it and the schema does not: the ``NATIVE_`` codes.

    Raises
    ------
    SchemaError
        It is no schema of a record, or too large.
    """
    compiler = _Compiler(wanted, units or {})
    try:
        for each in references:
            compiler.declare(msgspec.json.decode(each), "")
        content = msgspec.json.decode(text)
        compiler.declare(content, "")
        return compiler.compile(content)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise SchemaError(f"the schema is no JSON: {error}") from error


_PRIMITIVES = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})


@dataclass(slots=True)
class _Compiler:
    wanted: Mapping[Path, int]
    units: Mapping[Path, int]
    operations: list[list[int]] = field(default_factory=list)
    targets: list[int] = field(default_factory=list)
    symbols: list[str] = field(default_factory=list)
    types: dict[int, set[str]] = field(default_factory=dict)
    named: dict[str, tuple[dict[str, Any], str]] = field(default_factory=dict)
    """Full name to the declaration and the namespace that holds inside."""
    routines: dict[str, int] = field(default_factory=dict)
    waiting: list[tuple[int, str]] = field(default_factory=list)
    prefixes: set[Path] = field(default_factory=set)

    def compile(self, content: Any) -> Compiled:
        record, namespace = self.resolve(content, "")
        if not isinstance(record, dict) or record.get("type") not in {"record", "error"}:
            raise SchemaError(f"found a schema of the type {_type_name(record)}; allowed: a record")
        self.prefixes = {path[:length] for path in self.wanted for length in range(1, len(path))}
        entry = len(self.operations)
        self.record(record, namespace, (), 0)
        self.emit(OP_RETURN)
        while self.waiting:
            self.routine(*self.waiting.pop())
        unknown = tuple(
            each["name"]
            for each in record["fields"]
            if (each["name"],) not in self.wanted and (each["name"],) not in self.prefixes
        )
        return Compiled(
            np.array(self.operations, np.int64).reshape(-1, 5),
            np.array(self.targets, np.int64),
            tuple(self.symbols),
            entry,
            {slot: frozenset(types - {"null"}) for slot, types in self.types.items()},
            unknown,
        )

    def declare(self, content: Any, namespace: str, depth: int = 0) -> None:
        """Note every named type, so that it may be used before, or far from, where it is declared."""
        if depth > DEPTH_MAX:
            raise SchemaError(f"nested deeper than {DEPTH_MAX}")
        if isinstance(content, list):
            for each in content:
                self.declare(each, namespace, depth + 1)
        elif isinstance(content, dict):
            kind = content.get("type")
            if kind in {"record", "error", "enum", "fixed"}:
                name = content.get("name")
                if not isinstance(name, str):
                    raise SchemaError(f"a {kind} has no name")
                full, namespace = _full_name(name, content.get("namespace"), namespace)
                self.named.setdefault(full, (content, namespace))
                fields = content.get("fields")
                if kind in {"record", "error"} and not _are_fields(fields):
                    raise SchemaError(f"the record {full} has no list of fields with names and types")
                for each in content["fields"] if kind in {"record", "error"} else ():
                    self.declare(each["type"], namespace, depth + 1)
            else:
                for key in ("type", "items", "values"):
                    if isinstance(content.get(key), dict | list):
                        self.declare(content[key], namespace, depth + 1)

    def resolve(self, content: Any, namespace: str) -> tuple[Any, str]:
        """Return a type with its names looked up, and the namespace inside it."""
        for _ in range(DEPTH_MAX):
            if isinstance(content, str) and content not in _PRIMITIVES:
                full = content if "." in content or not namespace else f"{namespace}.{content}"
                found = self.named.get(full) or self.named.get(content)
                if found is None:
                    raise SchemaError(f"names the type {content!r}, which nothing declares")
                return found
            if isinstance(content, dict) and isinstance(content.get("type"), dict | list):
                content = content["type"]
            elif isinstance(content, dict) and content.get("type") in {"record", "error", "enum", "fixed"}:
                return content, _full_name(content["name"], content.get("namespace"), namespace)[1]
            elif (
                isinstance(content, dict)
                and isinstance(content.get("type"), str)
                and content["type"] not in _PRIMITIVES | {"array", "map"}
            ):
                content = content["type"]
            else:
                return content, namespace
        raise SchemaError("a type refers to itself")

    def emit(self, operation: int, slot: int = -1, *arguments: int) -> int:
        if len(self.operations) >= OPERATIONS_MAX:
            raise SchemaError(f"needs more than {OPERATIONS_MAX:,} operations")
        first, second, third = (*arguments, 0, 0, 0)[:3]
        self.operations.append([operation, slot, first, second, third])
        return len(self.operations) - 1

    def record(self, record: dict[str, Any], namespace: str, path: Path, depth: int) -> None:
        for each in record["fields"]:
            self.value(each["type"], namespace, (*path, each["name"]), depth + 1)

    def routine(self, operation: int, name: str) -> None:
        """Compile the skipping of a record once, however often it is named."""
        if name not in self.routines:
            self.routines[name] = len(self.operations)
            content, namespace = self.named[name]
            # No path begins with an empty name, so nothing in it is wanted.
            self.record(content, namespace, ("",), 0)
            self.emit(OP_RETURN)
        self.operations[operation][2] = self.routines[name]

    def value(self, content: Any, namespace: str, path: Path, depth: int) -> None:
        if depth > DEPTH_MAX:
            raise SchemaError(f"nested deeper than {DEPTH_MAX}")
        found, inside = self.resolve(content, namespace)
        slot = self.wanted.get(path, -1)
        if isinstance(found, list):
            self.union(found, inside, path, depth)
            return
        details = found if isinstance(found, dict) else {}
        kind = details.get("type") if details else found
        match kind:
            case "record" | "error":
                self.note(slot, "record", OBJECT)
                if path in self.prefixes:
                    self.record(found, inside, path, depth)
                else:
                    full = _full_name(found["name"], found.get("namespace"), inside)[0]
                    self.waiting.append((self.emit(OP_CALL), full))
            case "array" | "map":
                self.note(slot, kind, ARRAY if kind == "array" else OBJECT)
                start = self.emit(OP_ARRAY)
                if kind == "map":
                    self.emit(OP_STRING)
                self.value(details.get("items" if kind == "array" else "values"), inside, (*path, ""), depth + 1)
                self.emit(OP_NEXT, -1, start)
                self.operations[start][2] = len(self.operations)
            case "enum":
                symbols = details.get("symbols")
                if not isinstance(symbols, list) or not all(isinstance(each, str) for each in symbols):
                    raise SchemaError(f"the enum {details.get('name')} has no symbols")
                self.see(slot, "enum")
                self.emit(OP_ENUM, slot, len(self.symbols), len(symbols))
                self.symbols.extend(symbols)
            case "fixed":
                self.fixed(details, slot)
            case str():
                self.primitive(kind, details, path)
            case _:
                raise SchemaError(f"{'.'.join(path)}: found no type")

    def union(self, branches: list[Any], namespace: str, path: Path, depth: int) -> None:
        first = len(self.targets)
        self.emit(OP_UNION, -1, first, len(branches))
        self.targets.extend([0] * len(branches))
        jumps = []
        for index, branch in enumerate(branches):
            self.targets[first + index] = len(self.operations)
            self.value(branch, namespace, path, depth + 1)
            jumps.append(self.emit(OP_JUMP))
        for jump in jumps:
            self.operations[jump][2] = len(self.operations)

    def see(self, slot: int, kind: str) -> None:
        if slot >= 0:
            self.types.setdefault(slot, set()).add(kind)

    def note(self, slot: int, kind: str, value: int) -> None:
        """Remember that a slot may hold something that no field is made of."""
        self.see(slot, kind)
        if slot >= 0:
            self.emit(OP_MARK, slot, value)

    def fixed(self, details: dict[str, Any], slot: int) -> None:
        size = details.get("size")
        if not isinstance(size, int) or not 0 <= size <= 1 << 30:
            raise SchemaError(f"the fixed {details.get('name')} has no size")
        scale = _decimal_scale(details)
        if scale is not None:
            self.see(slot, "decimal")
            self.emit(OP_FIXED, slot, size, NATIVE_DECIMAL, scale)
        elif details.get("logicalType") == "uuid" and size == 16:
            self.see(slot, "uuid")
            self.emit(OP_FIXED, slot, size, NATIVE_UUID)
        else:
            self.see(slot, "fixed")
            self.emit(OP_FIXED, slot, size, ARRAY)

    def primitive(self, kind: str, details: dict[str, Any], path: Path) -> None:
        slot = self.wanted.get(path, -1)
        match kind:
            case "null":
                self.see(slot, "null")
                self.emit(OP_MARK, slot, NULL)
            case "boolean":
                self.see(slot, "boolean")
                self.emit(OP_BOOLEAN, slot)
            case "int" | "long":
                code = _TIMES.get(str(details.get("logicalType"))) or _CONNECT.get(str(details.get("connect.name")))
                code = code or self.units.get(path)
                self.see(slot, kind if code is None else "date" if code == NATIVE_DAYS else "timestamp")
                self.emit(OP_INTEGER, slot, code or NATIVE_INTEGER)
            case "float":
                self.see(slot, "float")
                self.emit(OP_FLOAT, slot)
            case "double":
                self.see(slot, "double")
                self.emit(OP_DOUBLE, slot)
            case "string":
                self.see(slot, "string")
                self.emit(OP_STRING, slot)
            case "bytes":
                scale = _decimal_scale(details)
                self.see(slot, "bytes" if scale is None else "decimal")
                self.emit(OP_BYTES, slot, ARRAY if scale is None else NATIVE_DECIMAL, scale or 0)
            case _:
                raise SchemaError(f"found the type {kind!r}; allowed: the types of Avro")


def _are_fields(fields: Any) -> bool:
    return isinstance(fields, list) and all(
        isinstance(each, dict) and isinstance(each.get("name"), str) and "type" in each for each in fields
    )


def _full_name(name: str, own: Any, namespace: str) -> tuple[str, str]:
    """Return a declaration's full name, and the namespace of what is declared inside it."""
    if "." in name:
        return name, name.rpartition(".")[0]
    inside = own if isinstance(own, str) else namespace
    return (f"{inside}.{name}" if inside else name), inside


def _decimal_scale(details: dict[str, Any]) -> int | None:
    """Return the scale of a decimal; None where it is none, as the specification asks where it is not valid."""
    scale = details.get("scale", 0)
    if (
        details.get("logicalType") == "decimal"
        or details.get("connect.name") == "org.apache.kafka.connect.data.Decimal"
    ):
        parameters = details.get("connect.parameters")
        if "scale" not in details and isinstance(parameters, dict) and str(parameters.get("scale")).isdigit():
            scale = int(parameters["scale"])
        if isinstance(scale, int) and 0 <= scale <= DECIMAL_SCALE_MAX:
            return scale
    return None


def _type_name(content: Any) -> str:
    if isinstance(content, list):
        return "union"
    return str(content.get("type")) if isinstance(content, dict) else str(content)
