"""Decisions as JSON lines: the bytes of an output file are a pure function of the decision log.

One kernel writes a whole block. What is the same for many rows (the score's text, the detector) or rare (rules and
reasons) comes as a slice of a heap, so the kernel only copies, escapes and formats integers: about 0.3 µs a line.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec
import numba as nb
import numpy as np
import numpy.typing as npt

from counterfoil.rules.definition import Outcome
from counterfoil.runtimes.local.arrays import Bytes, Lengths, Words, heap_of, writable
from counterfoil.runtimes.local.records import Records
from counterfoil.runtimes.local.values import column_values

if TYPE_CHECKING:
    from counterfoil.rules.types import ValueType

_SECOND = 1_000_000
_DAY_SECONDS = 86_400
_TIME_BYTES = 27
"""Longest time: 2026-01-01T00:00:00.000000Z."""
_INTEGER_BYTES = 20

_PARTS = (
    b'{"id":"',
    b'","position":',
    b',"event_time":"',
    b'","decided_at":"',
    b'","outcome":"',
    b'","score":',
    b",",
    b',"detector":',
    b',"late":',
    b',"features":',
    b"}\n",
    b"true",
    b"false",
    b'"rules":[],"reasons":[]',
    *(outcome.value.encode() for outcome in Outcome),
)
_ID, _POSITION, _TIME, _DECIDED, _OUTCOME, _SCORE, _FINDING, _DETECTOR, _LATE, _FEATURES, _END = range(11)
_TRUE, _FALSE, _NO_FINDING, _OUTCOMES = 11, 12, 13, 14
_PART_HEAP, _PART_START, _PART_LENGTH = heap_of(list(_PARTS))
_PART_BYTES = sum(len(part) for part in _PARTS)


class LineEncoder:
    """Writes decisions as JSON lines.

    Parameters
    ----------
    features
        Names and types of the features, where each line carries them; None otherwise.
    """

    def __init__(self, features: Sequence[tuple[str, ValueType]] | None = None) -> None:
        self._features = None if features is None else tuple(features)

    def encode(self, records: Records, decided_at: int, detector: str) -> bytes:
        """Return one line for each record; ``decided_at`` is in microseconds since 1970."""
        version = writable(msgspec.json.encode(detector))
        scores, score_index = np.unique(records.score, return_inverse=True)
        score_heap, score_start, score_length = heap_of([repr(score).encode() for score in scores.tolist()])
        feature_heap, feature_start, feature_length = self._feature_texts(records)
        out = np.empty(self._bound(records, len(version) + int(score_length.max(initial=0)), feature_length), np.uint8)
        size = _write_lines(
            out,
            (_PART_HEAP, _PART_START, _PART_LENGTH),
            (records.id_heap, records.id_offset, records.id_length),
            (records.finding_heap, records.finding_offset, records.finding_length),
            (feature_heap, feature_start, feature_length),
            (score_heap, score_start, score_length, score_index.astype(np.int64)),
            version,
            records.position,
            records.time,
            records.outcome,
            records.late,
            decided_at,
        )
        return out[:size].tobytes()

    @staticmethod
    def _bound(records: Records, row_bytes: int, features: Lengths) -> int:
        """Return the most bytes that the lines can take: every byte of an id may become six."""
        fixed = _PART_BYTES + 2 * _TIME_BYTES + 2 * _INTEGER_BYTES + row_bytes
        texts = sum(int(np.maximum(length, 0).sum(dtype=np.int64)) for length in (records.finding_length, features))
        ids = 6 * int(np.maximum(records.id_length, 0).sum(dtype=np.int64))
        return len(records) * fixed + texts + ids

    def _feature_texts(self, records: Records) -> tuple[Bytes, Words, Lengths]:
        if self._features is None or records.features is None or records.feature_nulls is None:
            empty = np.zeros(len(records), np.int64)
            return np.zeros(0, np.uint8), empty, np.full(len(records), -1, np.int32)
        return heap_of(feature_objects(records.features, records.feature_nulls, self._features))


def feature_objects(features: Words, nulls: Bytes, columns: Sequence[tuple[str, ValueType]]) -> list[bytes]:
    """Return the JSON object of each row's features, money in major units."""
    texts = []
    for index, (name, value_type) in enumerate(columns):
        values = column_values(features[index], nulls[index], value_type)
        label = msgspec.json.encode(name).decode()
        texts.append([f"{label}:{msgspec.json.encode(value).decode()}" for value in values])
    return [("{" + ",".join(row) + "}").encode() for row in zip(*texts, strict=True)]


@nb.njit(nogil=True, cache=True, forceinline=True)
def _copy(out: Bytes, at: int, heap: Bytes, start: int, length: int) -> int:
    for byte in range(length):
        out[at + byte] = heap[start + byte]
    return at + length


@nb.njit(nogil=True, cache=True, forceinline=True)
def _integer(out: Bytes, at: int, value: np.int64) -> int:
    rest = np.uint64(value)
    if value < 0:
        out[at] = 45
        at += 1
        rest = np.uint64(0) - rest
    digits = 1
    power = np.uint64(10)
    while digits < 19 and rest >= power:
        digits += 1
        power *= np.uint64(10)
    for place in range(at + digits - 1, at - 1, -1):
        out[place] = np.uint8(48 + rest % np.uint64(10))
        rest //= np.uint64(10)
    return at + digits


@nb.njit(nogil=True, cache=True, forceinline=True)
def _padded(out: Bytes, at: int, value: int, digits: int) -> int:
    for place in range(at + digits - 1, at - 1, -1):
        out[place] = 48 + value % 10
        value //= 10
    return at + digits


@nb.njit(nogil=True, cache=True, forceinline=True)
def _date(out: Bytes, at: int, days: int) -> int:
    """Write year, month and day of a day since 1970 (Howard Hinnant's ``civil_from_days``)."""
    shifted = days + 719_468
    era = shifted // 146_097
    day_of_era = shifted - era * 146_097
    year_of_era = (day_of_era - day_of_era // 1_460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted_month = (5 * day_of_year + 2) // 153
    month = shifted_month + 3 if shifted_month < 10 else shifted_month - 9
    year = year_of_era + era * 400 + (1 if month <= 2 else 0)
    at = _padded(out, at, year, 4)
    out[at] = 45
    at = _padded(out, at + 1, month, 2)
    out[at] = 45
    return _padded(out, at + 1, day_of_year - (153 * shifted_month + 2) // 5 + 1, 2)


@nb.njit(nogil=True, cache=True, forceinline=True)
def _time(out: Bytes, at: int, time: np.int64) -> int:
    """Write a time as RFC 3339 with milliseconds, or with microseconds where it has them."""
    seconds = time // _SECOND
    fraction = time - seconds * _SECOND
    days = seconds // _DAY_SECONDS
    of_day = seconds - days * _DAY_SECONDS
    at = _date(out, at, days)
    out[at] = 84
    at = _padded(out, at + 1, of_day // 3600, 2)
    out[at] = 58
    at = _padded(out, at + 1, of_day // 60 % 60, 2)
    out[at] = 58
    at = _padded(out, at + 1, of_day % 60, 2)
    out[at] = 46
    whole = fraction % 1000 == 0
    at = _padded(out, at + 1, fraction // 1000 if whole else fraction, 3 if whole else 6)
    out[at] = 90
    return at + 1


@nb.njit(nogil=True, cache=True, forceinline=True)
def _escaped(out: Bytes, at: int, heap: Bytes, start: int, length: int) -> int:
    """Write a text as the inside of a JSON string; UTF-8 stays as it is."""
    for index in range(start, start + length):
        byte = heap[index]
        if byte in (34, 92):
            out[at] = 92
            out[at + 1] = byte
            at += 2
        elif byte < 32:
            out[at] = 92
            out[at + 1] = 117
            out[at + 2] = 48
            out[at + 3] = 48
            out[at + 4] = 48 + (byte >> 4)
            low = byte & 15
            out[at + 5] = 48 + low if low < 10 else 87 + low
            at += 6
        else:
            out[at] = byte
            at += 1
    return at


@nb.njit(nogil=True, cache=True)
def _write_lines(
    out: Bytes,
    parts: tuple[Bytes, Words, Lengths],
    ids: tuple[Bytes, Words, Lengths],
    findings: tuple[Bytes, Words, Lengths],
    features: tuple[Bytes, Words, Lengths],
    scores: tuple[Bytes, Words, Lengths, npt.NDArray[np.int64]],
    detector: Bytes,
    position: Words,
    time: Words,
    outcome: Bytes,
    late: Bytes,
    decided_at: int,
) -> int:
    part_heap, part_start, part_length = parts
    id_heap, id_start, id_length = ids
    finding_heap, finding_start, finding_length = findings
    feature_heap, feature_start, feature_length = features
    score_heap, score_start, score_length, score_index = scores
    stamp = np.empty(_TIME_BYTES, np.uint8)
    stamp_length = _time(stamp, 0, np.int64(decided_at))
    at = 0
    for row in range(len(position)):
        at = _copy(out, at, part_heap, part_start[_ID], part_length[_ID])
        if id_length[row] < 0:
            at = _integer(out, at, position[row])
        else:
            at = _escaped(out, at, id_heap, id_start[row], id_length[row])
        at = _copy(out, at, part_heap, part_start[_POSITION], part_length[_POSITION])
        at = _integer(out, at, position[row])
        at = _copy(out, at, part_heap, part_start[_TIME], part_length[_TIME])
        at = _time(out, at, time[row])
        at = _copy(out, at, part_heap, part_start[_DECIDED], part_length[_DECIDED])
        at = _copy(out, at, stamp, 0, stamp_length)
        at = _copy(out, at, part_heap, part_start[_OUTCOME], part_length[_OUTCOME])
        part = _OUTCOMES + outcome[row]
        at = _copy(out, at, part_heap, part_start[part], part_length[part])
        at = _copy(out, at, part_heap, part_start[_SCORE], part_length[_SCORE])
        score = score_index[row]
        at = _copy(out, at, score_heap, score_start[score], score_length[score])
        at = _copy(out, at, part_heap, part_start[_FINDING], part_length[_FINDING])
        if finding_length[row] < 0:
            at = _copy(out, at, part_heap, part_start[_NO_FINDING], part_length[_NO_FINDING])
        else:
            at = _copy(out, at, finding_heap, finding_start[row], finding_length[row])
        at = _copy(out, at, part_heap, part_start[_DETECTOR], part_length[_DETECTOR])
        at = _copy(out, at, detector, 0, len(detector))
        at = _copy(out, at, part_heap, part_start[_LATE], part_length[_LATE])
        part = _TRUE if late[row] else _FALSE
        at = _copy(out, at, part_heap, part_start[part], part_length[part])
        if feature_length[row] >= 0:
            at = _copy(out, at, part_heap, part_start[_FEATURES], part_length[_FEATURES])
            at = _copy(out, at, feature_heap, feature_start[row], feature_length[row])
        at = _copy(out, at, part_heap, part_start[_END], part_length[_END])
    return at
