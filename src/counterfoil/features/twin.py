"""The slow twin of the stages: every event of every entity in a list, filtered anew for every question.

It says what features mean. It shares no code with the kernels but each aggregation's own twin, and is as obvious as it
is slow: tests hold the two, and the same features as SQL, against each other.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from operator import attrgetter

from counterfoil.detector import Detector
from counterfoil.features.aggregations import AGGREGATIONS, Row, Value
from counterfoil.features.definition import AggregateFeature, Window

Event = Mapping[str, Value]
"""Field name to value: ints (words of money, times, hashes, bools as 0 and 1), floats, or None."""


@dataclass(slots=True)
class _Entity:
    """What the twin keeps for one entity: its clock, and each feature's events in time order."""

    clock: int | None = None
    rows: dict[str, list[Row]] = field(default_factory=dict)


class Twin:
    """Aggregates of a detector, computed the slow and obvious way.

    Parameters
    ----------
    detector
        The definition; its derived features are left out.
    evaluate
        Computes an expression over an event.
    scales
        Decimal digits of money, for each expression that is money.
    """

    def __init__(
        self, detector: Detector, evaluate: Callable[[str, Event], Value], scales: Mapping[str, int] | None = None
    ) -> None:
        self._detector = detector
        self._evaluate = evaluate
        self._scales = scales or {}
        self._keys = {entity.name: entity.key for entity in detector.entities}
        self._features = [each for each in detector.features if isinstance(each, AggregateFeature)]
        self._entities: dict[tuple[object, ...], _Entity] = {}

    def update(self, kind: str, time: int, event: Event, *, answer: bool = True) -> dict[str, Value]:
        """Take one event in; return the value of every feature as of it.

        Parameters
        ----------
        kind
            The event's kind.
        time
            Its time in microseconds.
        event
            Its fields.
        answer
            False to leave the features out, which are what costs time.
        """
        result: dict[str, Value] = {}
        stages = dict.fromkeys((each.by, each.via or self._keys[each.by]) for each in self._features)
        for by, feed_fields in stages:
            features = [
                each for each in self._features if each.by == by and (each.via or self._keys[by]) == feed_fields
            ]
            read = self._entity(by, feed_fields, self._keys[by], event)
            feeds = any(each.kind == kind for each in features)
            decides = any(each.name == kind and each.decide for each in self._detector.schema.kinds)
            feed = self._entity(by, feed_fields, feed_fields, event) if feeds else None
            as_of = time
            if read is not None and (decides or (feeds and feed_fields == self._keys[by])):
                as_of = self._move_clock(read, time)
            else:
                read = None
            answers: dict[str, Value] = {}
            if read is not None and answer:
                answers = self._answer(features, read, as_of, event, prior=True)
            if feed is not None:
                self._feed(features, kind, feed, self._move_clock(feed, time), event)
            if read is not None:
                as_of = self._move_clock(read, time)
                if answer:
                    answers |= self._answer(features, read, as_of, event, prior=False)
            for each in features:
                for name, _ in each.outputs:
                    result[name] = answers.get(name)
        return result

    def _entity(self, by: str, feed_fields: tuple[str, ...], fields: tuple[str, ...], event: Event) -> _Entity | None:
        key = tuple(event.get(name) for name in fields)
        if None in key:
            return None
        return self._entities.setdefault((by, feed_fields, key), _Entity())

    def _move_clock(self, entity: _Entity, time: int) -> int:
        """Return the time as of which an event counts: its own, or the oldest that the lateness allows."""
        if entity.clock is None or time >= entity.clock:
            entity.clock = time
            return time
        return max(time, entity.clock - self._detector.max_lateness)

    def _feed(self, features: list[AggregateFeature], kind: str, entity: _Entity, time: int, event: Event) -> None:
        for feature in features:
            if feature.kind != kind:
                continue
            if feature.where is not None and self._evaluate(feature.where, event) != 1:
                continue
            stored = time - time % feature.resolution if feature.resolution else time
            rows = entity.rows.setdefault(feature.name, [])
            row = Row(stored, tuple(self._evaluate(argument, event) for argument in feature.arguments))
            rows.insert(bisect_right(rows, stored, key=_time), row)

    def _answer(
        self, features: list[AggregateFeature], entity: _Entity, time: int, event: Event, *, prior: bool
    ) -> dict[str, Value]:
        answers: dict[str, Value] = {}
        for feature in features:
            if (feature.prior or feature.aggregation in _ALWAYS_PRIOR) != prior:
                continue
            own = tuple(self._evaluate(argument, event) for argument in feature.arguments)
            divisor = 10.0 ** self._scales.get(feature.arguments[0] if feature.arguments else "", 0)
            for name, window in feature.outputs:
                rows = _visible(feature, window, entity, time)
                answers[name] = AGGREGATIONS[feature.aggregation].twin(rows, own, time, divisor)
        return answers


_ALWAYS_PRIOR = ("last", "time_since", "distance", "speed")
"""Aggregations that are about the events before."""


def _visible(feature: AggregateFeature, window: Window | None, entity: _Entity, time: int) -> list[Row]:
    """Return the rows that a feature sees: those that arrived, in ``(time - delay - window, time - delay]``."""
    if feature.resolution:
        time -= time % feature.resolution
    end = time - feature.delay
    rows = entity.rows.get(feature.name, [])
    first = 0 if window is None else bisect_right(rows, end - window.length, key=_time)
    return rows[first : bisect_right(rows, end, key=_time)]


_time = attrgetter("time")
