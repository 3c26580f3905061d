"""Decisions as JSON lines: the bytes of an output file are a pure function of the decision log.

One kernel writes a whole block. What is the same for many rows (the score's text, the detector) or rare (rules and
reasons) comes as a slice of a heap, so the kernel only copies, escapes and formats integers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec
import numba as nb
import numpy as np

from counterfoil.events.words import PADDING, load_word, padded, store_word
from counterfoil.rules.definition import Outcome
from counterfoil.runtimes.local.arrays import Bytes, Lengths, Words, heap_of
from counterfoil.runtimes.local.model_records import with_models
from counterfoil.runtimes.local.records import Records
from counterfoil.runtimes.local.values import column_values, time_text

if TYPE_CHECKING:
    from counterfoil.rules.types import ValueType

Texts = tuple[Bytes, Words, Lengths]
"""Heap, offsets and lengths; a length below 0 is null."""

_json = msgspec.json.Encoder(decimal_format="number")
_SECOND = 1_000_000
_DAY_SECONDS = 86_400
_TIME_BYTES = 27
"""Longest time: 2026-01-01T00:00:00.000000Z."""
INTEGER_BYTES = 20

_OUTCOMES = tuple(outcome.value for outcome in Outcome)
_CONSTANTS = (b'{"id":"', b'","position":', b',"event_time":"', b'"rules":[],"reasons":[]', b',"features":', b"}\n")
_ID, _POSITION, _TIME, _NO_FINDING, _FEATURES, _END, _LATE = range(7)
"""Places in the glue: six constants, then the end of a line that is not late and of one that is; a piece for each
score and outcome follows."""


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
        return self.encode_lines(records, decided_at, detector)[0].tobytes()

    def encode_lines(self, records: Records, decided_at: int, detector: str) -> tuple[Bytes, Words]:
        """Return the lines as one buffer, and where each ends, its newline included."""
        ends = np.zeros(len(records), np.int64)
        if not len(records):
            return np.zeros(0, np.uint8), ends
        records = with_models(records)
        glue, middle = _glue(records, decided_at, detector)
        features = self._feature_texts(records)
        out = np.empty(_bound(records, glue, features) + PADDING, np.uint8)
        size = _write_lines(
            out,
            glue,
            (records.id_heap, records.id_offset, records.id_length),
            (records.finding_heap, records.finding_offset, records.finding_length),
            features,
            records.position,
            records.time,
            middle,
            records.late,
            ends,
        )
        return out[:size], ends

    def _feature_texts(self, records: Records) -> Texts:
        if self._features is None or records.features is None or records.feature_nulls is None:
            empty = np.zeros(len(records), np.int64)
            return np.zeros(0, np.uint8), empty, np.full(len(records), -1, np.int32)
        return heap_of(feature_objects(records.features, records.feature_nulls, self._features))


def _glue(records: Records, decided_at: int, detector: str) -> tuple[Texts, Words]:
    """Return everything that lines are put together from beside their own texts and numbers.

    Returns
    -------
    tuple
        The pieces, and (n,) which of them each line has in its middle.
    """
    # The bits of a score from 0 to 1 leave the two highest free. Most decisions have neither score nor outcome, so only
    # the others are sorted.
    words = records.score.view(np.int64) | (records.outcome.astype(np.int64) << np.int64(62))
    index = np.zeros(len(words), np.int64)
    raised = np.flatnonzero(words)
    others, of_others = np.unique(words[raised], return_inverse=True)
    keys = np.concatenate([np.zeros(1, np.int64), others])
    index[raised] = of_others + 1
    scores = (keys & np.int64(2**62 - 1)).view(np.float64).tolist()
    outcomes = ((keys >> np.int64(62)) & np.int64(3)).tolist()
    middles = [
        f'","decided_at":"{time_text(decided_at)}","outcome":"{_OUTCOMES[outcome]}","score":{score!r},'.encode()
        for score, outcome in zip(scores, outcomes, strict=True)
    ]
    end = b',"detector":' + msgspec.json.encode(detector) + b',"late":'
    pieces = [*_CONSTANTS, end + b"false", end + b"true", *middles]
    heap, start, length = heap_of(pieces)
    return (padded(heap), start, length), index + len(_CONSTANTS) + 2


def _bound(records: Records, glue: Texts, features: Texts) -> int:
    """Return the most bytes that the lines can take: every byte of an id may become six."""
    constants = int(glue[2][: len(_CONSTANTS) + 2].sum()) + int(glue[2].max())
    fixed = constants + _TIME_BYTES + 2 * INTEGER_BYTES
    texts = sum(int(np.maximum(length, 0).sum(dtype=np.int64)) for length in (records.finding_length, features[2]))
    ids = 6 * int(np.maximum(records.id_length, 0).sum(dtype=np.int64))
    return len(records) * fixed + texts + ids


def feature_objects(features: Words, nulls: Bytes, columns: Sequence[tuple[str, ValueType]]) -> list[bytes]:
    """Return the JSON object of each row's features, money in major units."""
    texts = []
    for index, (name, value_type) in enumerate(columns):
        values = column_values(features[index], nulls[index], value_type)
        label = msgspec.json.encode(name).decode()
        texts.append([f"{label}:{_json.encode(value).decode()}" for value in values])
    return [("{" + ",".join(row) + "}").encode() for row in zip(*texts, strict=True)]


@nb.njit(nogil=True, cache=True, forceinline=True)
def _copy(out: Bytes, at: int, heap: Bytes, start: int, length: int) -> int:
    for byte in range(length):
        out[at + byte] = heap[start + byte]
    return at + length


@nb.njit(nogil=True, cache=True, forceinline=True)
def _glued(out: Bytes, at: int, heap: Bytes, start: int, length: int) -> int:
    """Copy a piece of a padded heap a word at a time: more than half of a line's bytes go this way."""
    for byte in range(0, length, 8):
        store_word(out, at + byte, load_word(heap, start + byte))
    return at + length


@nb.njit(nogil=True, cache=True)
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


@nb.njit(nogil=True, cache=True)
def _padded(out: Bytes, at: int, value: int, digits: int) -> int:
    for place in range(at + digits - 1, at - 1, -1):
        out[place] = 48 + value % 10
        value //= 10
    return at + digits


@nb.njit(nogil=True, cache=True)
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


@nb.njit(nogil=True, cache=True)
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
    glue: Texts,
    ids: Texts,
    findings: Texts,
    features: Texts,
    position: Words,
    time: Words,
    middle: Words,
    late: Bytes,
    ends: Words,
) -> int:
    glue_heap, glue_start, glue_length = glue
    id_heap, id_start, id_length = ids
    finding_heap, finding_start, finding_length = findings
    feature_heap, feature_start, feature_length = features
    at = 0
    for row in range(len(position)):
        at = _glued(out, at, glue_heap, glue_start[_ID], glue_length[_ID])
        if id_length[row] < 0:
            at = _integer(out, at, position[row])
        else:
            at = _escaped(out, at, id_heap, id_start[row], id_length[row])
        at = _glued(out, at, glue_heap, glue_start[_POSITION], glue_length[_POSITION])
        at = _integer(out, at, position[row])
        at = _glued(out, at, glue_heap, glue_start[_TIME], glue_length[_TIME])
        at = _time(out, at, time[row])
        piece = middle[row]
        at = _glued(out, at, glue_heap, glue_start[piece], glue_length[piece])
        if finding_length[row] < 0:
            at = _glued(out, at, glue_heap, glue_start[_NO_FINDING], glue_length[_NO_FINDING])
        else:
            at = _copy(out, at, finding_heap, finding_start[row], finding_length[row])
        piece = _LATE + late[row]
        at = _glued(out, at, glue_heap, glue_start[piece], glue_length[piece])
        if feature_length[row] >= 0:
            at = _glued(out, at, glue_heap, glue_start[_FEATURES], glue_length[_FEATURES])
            at = _copy(out, at, feature_heap, feature_start[row], feature_length[row])
        at = _glued(out, at, glue_heap, glue_start[_END], glue_length[_END])
        ends[row] = at
    return at


@nb.njit(nogil=True, cache=True)
def write_places(
    out: Bytes, names: Bytes, name_end: Words, which: Words, offset: Words, start: Words, length: Lengths
) -> None:
    """Write names and numbers one behind the other: the ``which``-th name of a heap, then ``offset``."""
    at = 0
    for row in range(len(offset)):
        start[row] = at
        name = which[row]
        first = name_end[name - 1] if name else 0
        at = _copy(out, at, names, first, name_end[name] - first)
        at = _integer(out, at, offset[row])
        length[row] = at - start[row]
