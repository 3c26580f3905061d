"""An event of a batch in the words of people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from counterfoil.rules.types import ValueType
from counterfoil.runtimes.local.values import column_values, time_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from counterfoil.decisions.decided import Decided
    from counterfoil.events.batch import Batch


def event_inputs(batch: Batch, row: int) -> dict[str, Any]:
    """Return the fields of one event by the detector's names: kind, id, time, then its kind's fields."""
    schema = batch.schema
    kind = schema.kinds[int(batch.kind[row])]
    found: dict[str, Any] = {"kind": kind.name}
    if kind.id is not None:
        found[kind.id] = batch.texts.get(0, row)
    found[kind.time] = time_text(int(batch.time[row]))
    texts = {column: 1 + place for place, column in enumerate(schema.text_columns)}
    for field in kind.fields:
        column = schema.column_index[field.name]
        if column in texts:
            found[field.name] = batch.texts.get(texts[column], row)
        else:
            words, nulls = batch.values[column, row : row + 1], batch.nulls[column, row : row + 1]
            found[field.name] = column_values(words, nulls, ValueType.of(schema.columns[column]))[0]
    return found


def feature_values(decided: Decided, column: int, names: Sequence[str], types: Sequence[ValueType]) -> dict[str, Any]:
    """Return the features of one decision by name."""
    found = {}
    for index, (name, value_type) in enumerate(zip(names, types, strict=True)):
        words, nulls = decided.features[index, column : column + 1], decided.feature_nulls[index, column : column + 1]
        found[name] = column_values(words, nulls, value_type)[0]
    return found
