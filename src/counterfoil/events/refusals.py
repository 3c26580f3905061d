"""What is wrong with records that have a schema or an envelope, in words, and the dead letters made of them."""

from __future__ import annotations

from collections.abc import Mapping

from counterfoil.events.batch import Bytes
from counterfoil.events.dead_letters import DeadLetter, ReasonCode
from counterfoil.events.mapping import FieldMap
from counterfoil.events.record_batch import RecordBatch
from counterfoil.events.results import Describer
from counterfoil.events.rows import (
    COUNT_FAULTS,
    FAULT_EXPECTED,
    FAULT_REASON,
    FAULT_RECORD,
    FAULT_START,
    FAULT_VALUE_START,
    REASONS,
    Rows,
)

# What is wrong with a record of Avro, beside the reason: kept as a fault's "expected".
SHORT, NO_BRANCH, NO_SYMBOL, NEGATIVE, LONG_NUMBER, NO_BOOLEAN, BEHIND, ENDLESS, DEEP, BAD_TEXT = range(20, 30)
# What is wrong with an envelope.
NO_OPERATION, NO_ROW, NO_TABLE, NO_PAYLOAD, NO_ENCODING = range(40, 45)

_WRONG = {
    SHORT: "the record ends where more should stand",
    NO_BRANCH: "a union has no such branch",
    NO_SYMBOL: "an enum has no such symbol",
    NEGATIVE: "a length is negative",
    LONG_NUMBER: "an integer has more than ten bytes",
    NO_BOOLEAN: "a boolean is neither 0 nor 1",
    BEHIND: "the record goes on where its schema ends",
    ENDLESS: "an array holds more elements than the record has room for",
    NO_OPERATION: "op: found no letter of a change; allowed: c, r, u, d, t, m",
    NO_ROW: "the change has no row: after (before, for a deletion) is missing or null",
    NO_TABLE: "source.table: found no kind of the detector; name the kind of the rows, or call a kind like the table",
    NO_PAYLOAD: "found no object with op, before and after; allowed: a change event of Debezium",
}


class RecordDescriber(Describer):
    """Says in words what is wrong with a record.

    Parameters
    ----------
    fields
        The source's fields.
    data
        The buffer that faults refer to.
    schemas
        What is wrong with the schema of each record that has a wrong one, by the number of the record.
    operations
        The names of changes.
    """

    def __init__(
        self, fields: FieldMap, data: Bytes, schemas: Mapping[int, str], operations: tuple[str, ...] = ()
    ) -> None:
        super().__init__(fields, data, 0)
        self.schemas = schemas
        self.operations = operations

    def __call__(self, reason: ReasonCode, fault: list[int]) -> str:
        """Return what is wrong."""
        expected = fault[FAULT_EXPECTED]
        match reason:
            case ReasonCode.NO_SCHEMA_ID | ReasonCode.UNKNOWN_SCHEMA | ReasonCode.INCOMPATIBLE_SCHEMA:
                return self.schemas.get(fault[FAULT_RECORD], "")
            case ReasonCode.UNMAPPED_OPERATION:
                name = self.operations[expected]
                return f"op: found {name}, which has no event kind; name one with operations.{name}, or say ignore"
            case ReasonCode.INVALID_AVRO:
                return f"byte {fault[FAULT_VALUE_START] - fault[FAULT_START]}: {_WRONG[expected]}"
            case ReasonCode.INVALID_ENVELOPE | ReasonCode.UNKNOWN_KIND if expected in _WRONG:
                return _WRONG[expected]
            case _:
                plain = [*fault]
                plain[FAULT_EXPECTED] = expected if expected < SHORT else 0
                return super().__call__(reason, plain)

    def letters(self, rows: Rows, records: RecordBatch) -> list[DeadLetter]:
        """Return the dead letters of the records that a kernel refused, and forget the faults."""
        letters = []
        for fault in rows.faults[: rows.counters[COUNT_FAULTS]].tolist():
            reason = REASONS[fault[FAULT_REASON] - 1]
            record = fault[FAULT_RECORD]
            position = int(records.position[record])
            letters.append(DeadLetter.of(position, reason, self(reason, fault), records.get(record) or b""))
        rows.counters[COUNT_FAULTS] = 0
        return letters
