"""From definitions of features to the flat tables that the stage kernel runs.

A *stage* is one entity under one pair of keys (the key it is read under and the key it is fed under, which are the
same for all but features with ``via``). Features of a stage that read the same events share a *track*; features of a
track share running totals and window edges. So what an event costs grows with what is different, not with the number
of features.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from counterfoil.events.batch import Words
from counterfoil.features import layout
from counterfoil.features.aggregations import AGGREGATIONS, Operation, Request
from counterfoil.features.blocks import block_words
from counterfoil.features.definition import AggregateFeature, Entity, Window
from counterfoil.rules.types import Base, ValueType

_CARRIED = (
    layout.ADD_INTEGER,
    layout.ADD_ONE,
    layout.ADD_FLOAT,
    layout.ADD_SQUARE_INTEGER,
    layout.ADD_SQUARE_FLOAT,
    layout.RUNNING_MIN,
    layout.RUNNING_MAX,
    layout.RUNNING_DISTINCT,
)
"""Measures of which an entry holds the total of all up to it."""
_READ_AT_EDGES = tuple(range(layout.COUNT_TOTAL, layout.SHARE + 1))
"""Operations that subtract the totals at a window's edges."""
_IN_RECORD = (layout.COUNT_ROWS, layout.TIME_SINCE, layout.AGE)
"""Operations over the whole past that are answered from the record, as long as nothing comes late."""
_SUM_LIMIT = "4.6e18"
_SQUARE_LIMIT = "2.1e9"
"""Magnitudes that the fixed-point sums of floats (and of their squares) can hold; beyond is null."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """Arguments and conditions that the stages read, each an SQL expression over one event.

    Parameters
    ----------
    type_of
        Checks an expression and tells its type.
    required
        Names of the fields that are never null on the events of a kind: ``(kind, field)``.
    """

    type_of: Callable[[str], ValueType]
    required: frozenset[tuple[str, str]]
    rows: dict[str, int] = field(default_factory=dict)
    """Expression to its row in the matrix of inputs."""

    def row(self, expression: str) -> int:
        """Return the row that holds an expression's values."""
        return self.rows.setdefault(expression, len(self.rows))

    def always_present(self, kind: str, expression: str) -> bool:
        """Tell whether an expression is a required field of a kind."""
        return (kind, expression) in self.required


@dataclass(slots=True)
class TrackPlan:
    """One ring of an entity: which events enter, what an entry holds, and what is asked of it."""

    kind: str
    mask: int
    resolution: int | None
    inputs: Inputs
    stage: StagePlanner
    words: int = 1
    horizon: int = 0
    measures: list[list[int]] = field(default_factory=list)
    edges_at: list[int] = field(default_factory=list)
    tallies: list[list[int]] = field(default_factory=list)
    prior: list[Operation] = field(default_factory=list)
    after: list[Operation] = field(default_factory=list)
    extremes: int = 0
    _known: dict[tuple[int, str | None, str | None, bool], int] = field(default_factory=dict)

    def edges(self, feature: AggregateFeature, window: Window | None) -> tuple[int, int]:
        """Return the numbers of the edges where a feature's window ends and begins; -1 for now and the beginning."""
        high = self._edge(feature.delay) if feature.delay else -1
        low = self._edge(feature.delay + window.length) if window else -1
        self.horizon = max(self.horizon, feature.delay + (window.length if window else 0))
        return high, low

    def _edge(self, offset: int) -> int:
        if offset not in self.edges_at:
            self.edges_at.append(offset)
        return self.edges_at.index(offset)

    def measure(
        self,
        code: int,
        argument: str | None = None,
        mask: str | None = None,
        words: int = 1,
        *,
        is_float: bool = False,
        pair: int = -1,
        block: int = -1,
    ) -> int:
        """Return the word of an entry that holds a measure, adding it where the track has none like it."""
        known = (code, argument, mask, is_float)
        if known not in self._known:
            self.measures.append(
                [
                    code,
                    self.words,
                    -1 if argument is None else self.inputs.row(argument),
                    -1 if mask is None else self.inputs.row(mask),
                    int(is_float),
                    self.stage.next_pair() if code == layout.RUNNING_DISTINCT else pair,
                    block,
                ]
            )
            self._known[known] = self.words
            self.words += words
        return self._known[known]

    def total(self, feature: AggregateFeature, *, is_float: bool) -> int:
        """Return the word with the running total of a feature's argument."""
        if is_float:
            return self.measure(layout.ADD_FLOAT, _bounded(feature), feature.where, words=2, is_float=True)
        return self.measure(layout.ADD_INTEGER, feature.arguments[0], feature.where)

    def squares(self, feature: AggregateFeature, *, is_float: bool) -> int:
        """Return the first of the two words with the running total of the squares of a feature's argument."""
        if is_float:
            return self.measure(layout.ADD_SQUARE_FLOAT, _bounded(feature), feature.where, words=2, is_float=True)
        return self.measure(layout.ADD_SQUARE_INTEGER, feature.arguments[0], feature.where, words=2)

    def present(self, feature: AggregateFeature) -> int:
        """Return the word that counts rows with a value; -1 where every entry has one."""
        argument = feature.arguments[0]
        if (
            feature.where is None
            and feature.resolution is None
            and self.inputs.always_present(feature.kind, argument)
            and self.inputs.type_of(argument).base is not Base.FLOAT
        ):
            return -1
        if self.inputs.type_of(argument).base is Base.FLOAT:
            argument = _bounded(feature)
        return self.measure(layout.ADD_ONE, argument, feature.where)

    def value_count(self, feature: AggregateFeature) -> int:
        """Return the word that counts entries with a value on a track of what satisfies ``where``; -1 for all."""
        argument = feature.arguments[0]
        if self.inputs.always_present(feature.kind, argument):
            return -1
        return self.measure(layout.ADD_ONE, argument)

    def extreme(self, code: int, argument: str, *, is_float: bool) -> tuple[int, int]:
        """Return the word of a raw value whose extremes are kept by block, and which of the track's extremes it is."""
        if (code, argument, None, is_float) not in self._known:
            self.measure(code, argument, is_float=is_float, block=self.extremes)
            self.extremes += 1
        word = self.measure(code, argument, is_float=is_float)
        block = next(measure[layout.MEASURE_BLOCK] for measure in self.measures if measure[layout.MEASURE_WORD] == word)
        return word, block

    def tally(self, code: int, measure: int, argument: str, window: Window | None, delay: int) -> tuple[int, int]:
        """Return the word of a value, and the number (within the track) of the tally of such values in a window."""
        is_linked = measure == layout.VALUE_NEXT
        if (measure, argument, None, False) not in self._known:
            pair = self.stage.next_pair() if is_linked else -1
            self.measure(measure, argument, words=2 if is_linked else 1, pair=pair)
        word = self.measure(measure, argument)
        number = next(at for at, each in enumerate(self.measures) if each[layout.MEASURE_WORD] == word)
        pair = -1 if is_linked else self.stage.next_pair()
        # The window and the delay only tell tallies apart: each follows its own edge.
        self.tallies.append([code, number, 0, pair, int(window is None), delay])
        return word, len(self.tallies) - 1

    def order_words(self) -> int:
        """Put the running totals of an entry before its other words; return how many words they take with the time."""
        starts = sorted(measure[layout.MEASURE_WORD] for measure in self.measures)
        widths = {start: following - start for start, following in pairwise([*starts, self.words])}
        ordered = sorted(self.measures, key=lambda each: each[layout.MEASURE_CODE] not in _CARRIED)
        places, word, carried = {0: 0, -1: -1}, 1, 1
        for measure in ordered:
            before = measure[layout.MEASURE_WORD]
            places[before] = word
            word += widths[before]
            carried = word if measure[layout.MEASURE_CODE] in _CARRIED else carried
        for measure in self.measures:
            measure[layout.MEASURE_WORD] = places[measure[layout.MEASURE_WORD]]
        for operation in (*self.prior, *self.after):
            operation.word = places[operation.word]
            operation.count_word = places[operation.count_word]
            operation.square_word = places[operation.square_word]
        return carried

    def edge_words(self, edge: int) -> int:
        """Return how many words, from its time on, operations read of the entry before an edge."""
        # A total takes two words at most.
        return min(
            self.words,
            max(
                (
                    max(operation.word, operation.count_word, operation.square_word) + 2
                    for operation in (*self.prior, *self.after)
                    if operation.code in _READ_AT_EDGES and edge in (operation.high, operation.low)
                ),
                default=1,
            ),
        )

    def widest(self, operations: list[Operation]) -> int:
        """Return the time before which none of some operations looks; -1 where one looks at the whole past."""
        if any(operation.low < 0 for operation in operations):
            return -1
        return max((self.edges_at[operation.low] for operation in operations), default=0)

    def reach(self) -> int:
        """Return the time within which an entry makes the ring be read; -1 where it always is."""
        return self.widest(
            [
                operation
                for operation in (*self.prior, *self.after)
                if operation.code not in _IN_RECORD or operation.high >= 0 or operation.low >= 0
            ]
        )

    def add(self, feature: AggregateFeature, operation: Operation, *, prior: bool = False) -> None:
        """Add a feature's operation: before the event enters where the event itself is left out."""
        (self.prior if prior or feature.prior else self.after).append(operation)


def _bounded(feature: AggregateFeature) -> str:
    limit = _SQUARE_LIMIT if feature.aggregation == "std" else _SUM_LIMIT
    return f"CASE WHEN abs({feature.arguments[0]}) < {limit} THEN {feature.arguments[0]} END"


class StagePlanner:
    """Plans all features of one entity under one pair of keys."""

    def __init__(
        self, entity: Entity, via: tuple[str, ...] | None, kinds: dict[str, int], inputs: Inputs, lateness: int
    ) -> None:
        self.entity = entity
        self.feed_key = via or entity.key
        self._kinds = kinds
        self._inputs = inputs
        self._lateness = lateness
        self._tracks: dict[tuple[str, str | None, int | None], TrackPlan] = {}
        self._pairs = 0

    @property
    def tracks(self) -> tuple[TrackPlan, ...]:
        """The tracks so far."""
        return tuple(self._tracks.values())

    @property
    def name(self) -> str:
        """``customer``, or ``customer<receiver_id`` where it is fed under other fields."""
        return self.entity.name if self.feed_key == self.entity.key else f"{self.entity.name}<{','.join(self.feed_key)}"

    def next_pair(self) -> int:
        """Return a new number for a measure or tally that keeps values."""
        self._pairs += 1
        return self._pairs

    def input(self, expression: str) -> int:
        """Return the row of the inputs that holds an expression."""
        return self._inputs.row(expression)

    def track(self, feature: AggregateFeature, *, only_where: bool = False, only_present: bool = False) -> TrackPlan:
        """Return the track that a feature reads.

        Parameters
        ----------
        feature
            The feature.
        only_where
            Whether only events that satisfy ``where`` may enter. Running totals do without, and so share one track of
            all events.
        only_present
            Whether only those may enter that have all arguments too: for what asks about the latest such event.
        """
        parts = [f"({feature.where})"] if feature.where is not None and (only_where or only_present) else []
        if only_present:
            parts += [
                f"({argument}) IS NOT NULL"
                for argument in feature.arguments
                if not self._inputs.always_present(feature.kind, argument)
            ]
        condition = " AND ".join(parts) or None
        known = (feature.kind, condition, feature.resolution)
        if known not in self._tracks:
            mask = -1 if condition is None else self._inputs.row(condition)
            self._tracks[known] = TrackPlan(feature.kind, mask, feature.resolution, self._inputs, self)
        return self._tracks[known]

    def add(self, feature: AggregateFeature, types: tuple[ValueType, ...], outputs: dict[str, int]) -> None:
        """Plan one feature over all its windows.

        Parameters
        ----------
        feature
            The feature.
        types
            The types of its arguments.
        outputs
            Name of each output feature to its row.
        """
        for name, window in feature.outputs:
            AGGREGATIONS[feature.aggregation].plan(Request(feature, window, types, outputs[name]), self)

    def pack(self) -> StagePlan:
        """Return the flat tables."""
        tracks: list[list[int]] = []
        edges: list[list[int]] = []
        measures: list[list[int]] = []
        tallies: list[list[int]] = []
        operations: list[list[int]] = []
        divisors: list[float] = []
        # The clock, and where the values are.
        record = 2 if self._pairs else 1
        for plan in self.tracks:
            row = [0] * layout.TRACK_COLUMNS
            row[layout.TRACK_KIND] = self._kinds[plan.kind]
            row[layout.TRACK_MASK] = plan.mask
            row[layout.TRACK_STRIDE] = plan.words
            row[layout.TRACK_RECORD] = record
            row[layout.TRACK_HORIZON] = plan.horizon + self._lateness
            row[layout.TRACK_EDGES], row[layout.TRACK_EDGE_COUNT] = len(edges), len(plan.edges_at)
            row[layout.TRACK_MEASURES], row[layout.TRACK_MEASURE_COUNT] = len(measures), len(plan.measures)
            row[layout.TRACK_RESOLUTION] = plan.resolution or 0
            row[layout.TRACK_EXTREMES] = plan.extremes
            row[layout.TRACK_TOTAL_WORDS] = plan.order_words()
            row[layout.TRACK_WIDEST_PRIOR], row[layout.TRACK_WIDEST] = plan.widest(plan.prior), plan.widest(plan.after)
            row[layout.TRACK_ASKED_PRIOR], row[layout.TRACK_ASKED] = _asked(plan.prior), _asked(plan.after)
            row[layout.TRACK_REACH] = plan.reach()
            row[layout.TRACK_TALLIES], row[layout.TRACK_TALLY_COUNT] = len(tallies), len(plan.tallies)
            record += layout.PLACES
            row[layout.TRACK_FIRST] = -1
            if any(operation.code == layout.AGE for operation in (*plan.prior, *plan.after)):
                row[layout.TRACK_FIRST] = record
                record += 1
            row[layout.TRACK_PLACES] = record
            record += len(plan.edges_at)
            first_tally, first_measure = len(tallies), len(measures)
            for tally in plan.tallies:
                code, measure, _, pair, lifetime, _ = tally
                tallies.append([code, first_measure + measure, 0 if lifetime else record, pair, lifetime])
                record += 0 if lifetime else 2
            edges.extend([offset, plan.edge_words(number)] for number, offset in enumerate(plan.edges_at))
            measures.extend(plan.measures)
            for first, count, some in (
                (layout.TRACK_OPERATIONS_PRIOR, layout.TRACK_OPERATION_COUNT_PRIOR, plan.prior),
                (layout.TRACK_OPERATIONS, layout.TRACK_OPERATION_COUNT, plan.after),
            ):
                row[first], row[count] = len(operations), len(some)
                # Like after like: the processor foresees what it has just seen.
                for operation in sorted(some, key=lambda each: each.code):
                    operations.append(_pack_operation(operation, first_tally))
                    divisors.append(operation.divisor)
            tracks.append(row)
        return StagePlan(
            self.name,
            self.entity.key,
            self.feed_key,
            _table(tracks, layout.TRACK_COLUMNS),
            _table(edges, layout.EDGE_COLUMNS),
            _table(measures, layout.MEASURE_COLUMNS),
            _table(tallies, layout.TALLY_COLUMNS),
            _table(operations, layout.OPERATION_COLUMNS),
            np.array(divisors, np.float64),
            # A record of one or two cache lines does not straddle more of them than it must.
            -(-record // 8) * 8 if record > 4 else 4,
            self._pairs,
        )


def _asked(operations: list[Operation]) -> int:
    """Return the bits of the edges that some operations ask for."""
    asked = {edge for operation in operations for edge in (operation.high, operation.low)}
    return sum(1 << edge for edge in asked if 0 <= edge < layout.ASKED_BITS)


def _pack_operation(operation: Operation, first_tally: int) -> list[int]:
    # An extreme keeps its flags where other operations name their tally.
    is_extreme = operation.code == layout.EXTREME
    tally = operation.tally if is_extreme or operation.tally < 0 else first_tally + operation.tally
    return [
        operation.code,
        layout.EDGE_NOW if operation.high < 0 else layout.EDGES_ALWAYS + operation.high,
        layout.EDGE_BEGINNING if operation.low < 0 else layout.EDGES_ALWAYS + operation.low,
        operation.word,
        operation.count_word,
        operation.square_word,
        operation.output,
        operation.first_input,
        operation.second_input,
        tally,
        operation.block,
    ]


def _table(rows: list[list[int]], columns: int) -> Words:
    return np.array(rows, np.int64).reshape(len(rows), columns)


@dataclass(frozen=True, slots=True)
class StagePlan:
    """The flat tables of one stage: see ``layout.py``."""

    name: str
    read_key: tuple[str, ...]
    feed_key: tuple[str, ...]
    tracks: Words
    edges: Words
    measures: Words
    tallies: Words
    operations: Words
    divisors: np.ndarray[tuple[int], np.dtype[np.float64]]
    record_words: int
    pairs: int
    """How many measures and tallies keep values."""

    @property
    def tables(self) -> tuple[Words, Words, Words, Words, Words, np.ndarray[tuple[int], np.dtype[np.float64]]]:
        """What kernels read: tracks, edges, measures, tallies, operations, divisors."""
        return self.tracks, self.edges, self.measures, self.tallies, self.operations, self.divisors

    @property
    def bytes_per_entity(self) -> int:
        """Bytes of record, index and first rings of an entity that has one event of every kind."""
        rings = sum(
            (int(track[layout.TRACK_STRIDE]) << layout.RING_FIRST)
            + int(block_words(int(track[layout.TRACK_EXTREMES]), 1 << layout.RING_FIRST))
            for track in self.tracks
        )
        return 8 * (self.record_words + rings) + 27

    @property
    def bytes_per_event(self) -> dict[int, int]:
        """Bytes that an event of each kind (by number) adds to an entity, before the ring's spare room."""
        result: dict[int, int] = {}
        for track in self.tracks:
            kind = int(track[layout.TRACK_KIND])
            result[kind] = result.get(kind, 0) + 8 * int(track[layout.TRACK_STRIDE])
        return result
