"""Events straight to batches, for measurements and for detectors in the same process: no detour through bytes.

The result is what the JSON decoder makes of the same events' lines: same words, same hashes, same texts.
"""

from __future__ import annotations

from collections.abc import Iterator

import numba as nb
import numpy as np
import numpy.typing as npt

from counterfoil.errors import DefinitionError, Problem
from counterfoil.events.batch import Batch, Bytes, Texts
from counterfoil.events.generators.columns import EventColumns
from counterfoil.events.generators.digits import Vocabulary, write_time, write_word
from counterfoil.events.generators.fields import FIELDS, Format, GeneratedField
from counterfoil.events.generators.writing import (
    STEP_FORMAT,
    STEP_LETTER,
    STEP_PLACE,
    STEP_WIDTH,
    STEP_WORDS,
    TEXT_BYTES_MAX,
    is_null,
    load_number,
    make_layout,
    write_id,
)
from counterfoil.events.hashing import hash_padded
from counterfoil.events.identity import IdentityKey, hash_pair
from counterfoil.events.kinds import EventKind, Field, FieldType, Schema
from counterfoil.events.words import PADDING

_LAYOUT = make_layout(quoted=False)
_TEXT, _SCALED, _FLOAT, _BOOL, _INSTANT = range(5)
"""What a word of the batch is made of."""
_TYPES: dict[Format, tuple[FieldType, ...]] = {
    Format.TIME: (FieldType.TIME,),
    Format.FLAG: (FieldType.BOOL,),
    Format.MONEY: (FieldType.MONEY, FieldType.FLOAT),
    Format.POSITION: (FieldType.FLOAT,),
}
"""What a definition may call a field; ids and words may be ids or categories."""
_SCALE = {Format.MONEY: 2, Format.POSITION: 5}
_SOURCE = {FieldType.FLOAT: _FLOAT, FieldType.BOOL: _BOOL, FieldType.TIME: _INSTANT, FieldType.MONEY: _SCALED}
_WORD, _TIME = int(Format.WORD), int(Format.TIME)


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False)
def _write_text(
    out: Bytes, at: int, form: int, letter: int, first: int, number: int, key: np.uint64, words: Vocabulary
) -> int:
    if form == _WORD:
        return write_word(out, at, words, first + number)
    if form == _TIME:
        return write_time(out, at, number)
    return write_id(out, at, form, letter, number, key)


@nb.njit(nogil=True, cache=True, _nrt=False)
def _fill(
    steps: npt.NDArray[np.int64],
    words: Vocabulary,
    uses: npt.NDArray[np.int64],
    factors: npt.NDArray[np.float64],
    first_use: npt.NDArray[np.int64],
    kinds: npt.NDArray[np.int64],
    wide: npt.NDArray[np.int64],
    middle: npt.NDArray[np.int32],
    narrow: npt.NDArray[np.int8],
    kind: npt.NDArray[np.int16],
    key: np.uint64,
    key0: np.uint64,
    key1: np.uint64,
    identity: npt.NDArray[np.int64],
    values: npt.NDArray[np.int64],
    floats: npt.NDArray[np.float64],
    nulls: npt.NDArray[np.uint8],
    offset: npt.NDArray[np.int64],
    length: npt.NDArray[np.int32],
    heap: Bytes,
) -> int:
    """Fill a batch; ``uses`` holds, kind after kind, (step, column, text row, source), the kind's id first."""
    at = 0
    for row in range(len(wide)):
        mine = kind[row]
        for use in range(first_use[mine], first_use[mine + 1]):
            step, column, text, source = uses[use, 0], uses[use, 1], uses[use, 2], uses[use, 3]
            form = steps[step, STEP_FORMAT]
            number = load_number(steps[step, STEP_WIDTH], steps[step, STEP_PLACE], row, wide, middle, narrow)
            if is_null(form, number):
                continue
            if source == _TEXT:
                end = _write_text(heap, at, form, steps[step, STEP_LETTER], steps[step, STEP_WORDS], number, key, words)
                offset[text, row] = at
                length[text, row] = end - at
                hashed = hash_padded(heap, at, end - at, key0, key1)
                at = end
                if column < 0:
                    identity[row] = hash_pair(kinds[mine] + 1, hashed, key0, key1)
                    continue
                values[column, row] = hashed
            elif source == _FLOAT:
                # Both operands are exact, so the quotient is the double that its decimal text stands for.
                floats[column, row] = number / factors[use]
            elif source == _SCALED:
                values[column, row] = number * np.int64(factors[use])
            else:
                values[column, row] = number * 1000 if source == _INSTANT else number
            nulls[column, row] = 0
    return at


def to_batch(events: EventColumns, schema: Schema, key: IdentityKey, first_position: int = 0) -> Batch:
    """Return the events of the kinds that a schema has as a batch.

    Parameters
    ----------
    events
        What was generated.
    schema
        What to put into the batch: fields that are not generated are null; labels can be asked for like any field
        (``Schema.with_columns``).
    key
        The key of hashes.
    first_position
        The input position of the first event.

    Raises
    ------
    DefinitionError
        Where a field's type does not fit what is generated, or one is required that is not.
    """
    plan = _Plan(schema)
    rows = events.rows
    kinds = plan.kind_of[rows["kind"]]
    kept = np.flatnonzero(kinds >= 0)
    if len(kept) < len(rows):
        events = EventColumns(rows[kept], events.key)
        kinds = kinds[kept]
    batch = Batch.empty(schema, len(events))
    batch.kind = kinds.astype(np.int16)
    batch.position = first_position + kept
    batch.time = events.time_us
    heap = np.empty(len(events) * plan.texts_max * TEXT_BYTES_MAX + PADDING, np.uint8)
    used = _fill(
        _LAYOUT.steps,
        _LAYOUT.words,
        plan.uses,
        plan.factors,
        plan.first_use,
        np.arange(len(schema.kinds)),
        *events.words(),
        batch.kind,
        events.key,
        *key.words,
        batch.identity,
        batch.values,
        batch.values.view(np.float64),
        batch.nulls,
        batch.texts.offset,
        batch.texts.length,
        heap,
    )
    batch.texts = Texts(heap[:used].copy(), batch.texts.offset, batch.texts.length)
    return batch


class _Plan:
    """Which generated field goes to which column of a schema."""

    def __init__(self, schema: Schema) -> None:
        self.kind_of = np.array([schema.kind_index.get(name, -1) for name in FIELDS], np.int64)
        self.texts_max = 1
        problems: list[Problem] = []
        uses: list[tuple[int, int, int, int]] = []
        factors: list[float] = []
        first = [0]
        for kind in schema.kinds:
            for step, column, text, source, factor in _uses(schema, kind, problems):
                uses.append((step, column, text, source))
                factors.append(factor)
            self.texts_max = max(self.texts_max, sum(use[3] == _TEXT for use in uses[first[-1] :]))
            first.append(len(uses))
        if problems:
            raise DefinitionError(problems)
        self.uses = np.array(uses, np.int64).reshape(len(uses), 4)
        self.factors = np.array(factors, np.float64)
        self.first_use = np.array(first, np.int64)


def _uses(schema: Schema, kind: EventKind, problems: list[Problem]) -> Iterator[tuple[int, int, int, int, float]]:
    members = FIELDS.get(kind.name)
    if members is None:
        return
    base = sum(len(FIELDS[name]) for name in list(FIELDS)[: list(FIELDS).index(kind.name)])
    steps = {each.name: (base + number, each) for number, each in enumerate(members)}
    path = f"events.{kind.name}"
    if kind.time != members[1].name:
        problems.append(Problem(f"{path}.time", kind.time, members[1].name, "the generator knows one time of an event"))
    if kind.id is not None:
        if kind.id != members[0].name:
            problems.append(Problem(f"{path}.id", kind.id, members[0].name, "the generator knows one id of an event"))
        yield steps[members[0].name][0], -1, 0, _TEXT, 1.0
    text_of = {column: 1 + number for number, column in enumerate(schema.text_columns)}
    for each in kind.fields:
        if each.name not in steps:
            if each.required:
                problems.append(Problem(f"{path}.fields.{each.name}", "required", ", ".join(steps), "not generated"))
            continue
        step, generated = steps[each.name]
        column = schema.column_index[each.name]
        source, factor = _conversion(each, generated, f"{path}.fields.{each.name}", problems)
        yield step, column, text_of.get(column, 0), source, factor


def _conversion(field: Field, generated: GeneratedField, path: str, problems: list[Problem]) -> tuple[int, float]:
    allowed = _TYPES.get(generated.format, (FieldType.ID, FieldType.CATEGORY))
    if field.type not in allowed:
        problems.append(Problem(path, field.type.value, ", ".join(each.value for each in allowed)))
        return _TEXT, 1.0
    if field.type.is_text:
        return _TEXT, 1.0
    scale = _SCALE.get(generated.format, 0)
    if field.type is FieldType.MONEY:
        if field.scale < scale:
            problems.append(Problem(f"{path}.scale", str(field.scale), f"{scale} or more", "amounts have more digits"))
        return _SCALED, float(10 ** max(0, field.scale - scale))
    return _SOURCE[field.type], float(10**scale)
