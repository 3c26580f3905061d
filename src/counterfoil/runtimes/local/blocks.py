"""A decided batch as a block of the log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from counterfoil.runtimes.local.alerts import alert_content
from counterfoil.runtimes.local.journal import encode_batch
from counterfoil.runtimes.local.records import Explainer, Records, encode_records, make_records
from counterfoil.runtimes.local.store import AlertUpdate, NewBlock

if TYPE_CHECKING:
    from counterfoil.connectors.partitions import Spans
    from counterfoil.decisions.decided import Decided
    from counterfoil.events.batch import Batch
    from counterfoil.events.dead_letters import DeadLetter
    from counterfoil.runtimes.local.dead_letter_vault import DeadLetterVault
    from counterfoil.runtimes.plan import CompiledProgram

_TOLD = 3
"""Features of a model that an alert names."""


@dataclass(slots=True)
class Work:
    """A decoded batch on its way."""

    batch: Batch
    dead: Sequence[DeadLetter]
    unknown_fields: int
    source: int
    first_position: int
    next_position: int
    next_record: int
    next_offset: int
    received: float
    """Monotonic seconds."""
    retried: Sequence[int] = field(default=())
    spans: Spans | None = None
    produced: float | None = None
    """When the oldest record was written to its topic, in seconds since 1970."""


class _Told:
    """Puts hits into words, each once: a decision's record and its alert tell the same."""

    def __init__(self, program: CompiledProgram) -> None:
        self.detector = program.detector
        self._program = program
        self._known: dict[tuple[int, int], tuple[Mapping[str, Any], str]] = {}

    def explain_hit(self, batch: Batch, decided: Decided, column: int, rule: int, /) -> tuple[Mapping[str, Any], str]:
        """Return the values that a rule saw, and its reason as a sentence."""
        known = self._known.get((column, rule))
        if known is None:
            known = self._known[column, rule] = self._program.explain_hit(batch, decided, column, rule)
        return known


def make_block(
    work: Work,
    decided: Decided,
    decided_at: int,
    program: CompiledProgram,
    vault: DeadLetterVault,
    with_features: bool,
) -> tuple[NewBlock, Records]:
    """Return what the log stores of a decided batch, and its decisions."""
    batch = work.batch
    told = _Told(program)
    records = make_records(batch, decided, told, with_features)
    alerts = [_alert(batch, decided, told, index) for index in range(len(decided.alerts))]
    block = NewBlock(
        work.source,
        len(batch),
        work.first_position,
        work.next_position,
        work.next_record,
        work.next_offset,
        len(decided.rows),
        decided.observed,
        len(decided.duplicates),
        work.unknown_fields,
        decided_at,
        encode_batch(batch),
        encode_records(records),
        _identities(batch, decided),
        [vault.keep(letter) for letter in work.dead],
        alerts,
        work.retried,
        work.spans,
    )
    return block, records


def _alert(batch: Batch, decided: Decided, program: Explainer, index: int) -> AlertUpdate:
    change = decided.alerts[index]
    reasons = [program.explain_hit(batch, decided, change.column, rule)[1] for rule in change.rules]
    if decided.models is not None:
        said = decided.models.told.get(change.column, {})
        reasons += [f"{name}: {each['text']}" for name, why in said.items() for each in why["features"][:_TOLD]]
    content = alert_content(batch, decided, change, program.detector, reasons)
    return AlertUpdate(change.alert, int(batch.position[decided.rows[change.column]]), content)


def _identities(batch: Batch, decided: Decided) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """Return the id hash of each event, 0 for duplicates: the id leads to the event that was decided."""
    if not len(decided.duplicates):
        return batch.identity
    identities = batch.identity.copy()
    identities[decided.duplicates] = 0
    return identities
