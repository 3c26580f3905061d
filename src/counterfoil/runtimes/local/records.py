"""Decisions as columns: what the decision log stores of each, and its digest.

A record is complete without the journal: an output file is written again from it, and ``explain`` compares with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
import numba as nb
import numpy as np
import numpy.typing as npt

from counterfoil.decisions.contributions import rule_contributions
from counterfoil.errors import CorruptionError
from counterfoil.events.batch import Batch
from counterfoil.runtimes.local.arrays import Bytes, Lengths, Words, gathered, heap_of, offsets_of, pack, unpack
from counterfoil.runtimes.local.model_records import decode_models, encode_models, mix_models

if TYPE_CHECKING:
    from counterfoil.decisions.decided import Decided
    from counterfoil.detector import Detector
    from counterfoil.models.scores import ModelScores

HIT, FAILED = 1, 2
_DIGITS = 9
"""Decimals of a contribution."""

_json = msgspec.json.Encoder(decimal_format="number")


class Explainer(Protocol):
    """The part of a program that puts a hit into words."""

    @property
    def detector(self) -> Detector:
        """What it was compiled from."""
        ...

    def explain_hit(self, batch: Batch, decided: Decided, column: int, rule: int, /) -> tuple[Mapping[str, Any], str]:
        """Return the values that a rule saw on the ``column``-th decision, and its reason as a sentence."""
        ...


@dataclass(slots=True)
class Records:
    """The decisions of one block."""

    row: npt.NDArray[np.int32]
    """Which event of the journal block each belongs to."""
    position: Words
    time: Words
    score: npt.NDArray[np.float64]
    outcome: Bytes
    late: Bytes
    digest: Words
    """A hash of everything that was computed for it: features, nulls, hits, score and outcome."""
    id_heap: Bytes
    id_offset: Words
    id_length: Lengths
    """-1 where the kind has no id."""
    finding_heap: Bytes
    finding_offset: Words
    finding_length: Lengths
    """JSON members ``"rules":…,"reasons":…`` where a rule hit or failed; -1 elsewhere."""
    features: Words | None = None
    """(features, n), where they are recorded."""
    feature_nulls: Bytes | None = None
    models: ModelScores | None = None
    """What models said, and which versions they were; None where the detector has none."""

    def __len__(self) -> int:
        return len(self.row)

    def take(self, rows: npt.NDArray[np.int64]) -> Records:
        """Return some of the decisions, in the order given; the heaps are shared."""
        return Records(
            self.row[rows],
            self.position[rows],
            self.time[rows],
            self.score[rows],
            self.outcome[rows],
            self.late[rows],
            self.digest[rows],
            self.id_heap,
            self.id_offset[rows],
            self.id_length[rows],
            self.finding_heap,
            self.finding_offset[rows],
            self.finding_length[rows],
            None if self.features is None else self.features[:, rows],
            None if self.feature_nulls is None else self.feature_nulls[:, rows],
            None if self.models is None else self.models.take(rows),
        )

    def findings(self, row: int) -> dict[str, Any]:
        """Return ``rules``, ``reasons`` and, where there are any, ``failed_rules`` and ``models`` of one decision."""
        models = {} if self.models is None else {"models": self.models.describe(row)}
        length = int(self.finding_length[row])
        if length < 0:
            return {"rules": [], "reasons": [], **models}
        start = int(self.finding_offset[row])
        found: dict[str, Any] = msgspec.json.decode(b"{" + self.finding_heap[start : start + length].tobytes() + b"}")
        return found | models


def make_records(batch: Batch, decided: Decided, program: Explainer, with_features: bool = False) -> Records:
    """Return what is recorded of the decisions of a batch."""
    rows = decided.rows
    texts = batch.texts
    raised = decided.models is not None and decided.outcome != 0
    findings = np.flatnonzero((decided.hits != 0).any(axis=0) | raised)
    said = model_reasons(decided, findings)
    heap, offset, length = heap_of(
        [_finding(batch, decided, program, int(row), said.get(int(row))) for row in findings]
    )
    finding_offset, finding_length = np.zeros(len(rows), np.int64), np.full(len(rows), -1, np.int32)
    finding_offset[findings], finding_length[findings] = offset, length
    return Records(
        rows.astype(np.int32),
        batch.position[rows],
        batch.time[rows],
        decided.score,
        decided.outcome,
        decided.late,
        digest(decided),
        texts.heap,
        texts.offset[0][rows],
        texts.length[0][rows],
        heap,
        finding_offset,
        finding_length,
        decided.features if with_features else None,
        decided.feature_nulls if with_features else None,
        decided.models,
    )


def finding(batch: Batch, decided: Decided, program: Explainer, row: int) -> dict[str, Any]:
    """Return the rules that hit, and those that failed, on one decided row, as JSON holds them."""
    models = {} if decided.models is None else {"models": decided.models.describe(row)}
    if not decided.hits[:, row].any() and not decided.outcome[row]:
        return {"rules": [], "reasons": [], **models}
    found: dict[str, Any] = msgspec.json.decode(
        b"{" + _finding(batch, decided, program, row, model_reasons(decided, np.array([row])).get(row)) + b"}"
    )
    return found | models


def model_reasons(decided: Decided, columns: npt.NDArray[np.int64]) -> dict[int, dict[str, Any]]:
    """Return why models scored as they did, for those of some decisions that were raised."""
    return {} if decided.models is None else decided.models.reasons(columns[decided.outcome[columns] != 0])


def _finding(batch: Batch, decided: Decided, program: Explainer, row: int, said: dict[str, Any] | None = None) -> bytes:
    """Return the members ``rules``, ``reasons`` and, where one failed, ``failed_rules`` of a decision's JSON object."""
    definitions = program.detector.rules
    rules: list[dict[str, Any]] = []
    reasons: list[str] = []
    for rule in np.flatnonzero(decided.hits[:, row] == HIT):
        values, reason = program.explain_hit(batch, decided, row, int(rule))
        rules.append({"name": definitions[rule].name, "score": definitions[rule].score, "values": values})
        reasons.append(reason)
    shares = _contributions(tuple(each["score"] for each in rules), program.detector.policy.combine)
    for each, share in zip(rules, shares, strict=True):
        each["contribution"] = share
    found: dict[str, Any] = {"rules": rules, "reasons": reasons}
    failed = [definitions[rule].name for rule in np.flatnonzero(decided.hits[:, row] == FAILED)]
    if failed:
        found["failed_rules"] = failed
    if said:
        found["model_reasons"] = said
    return _json.encode(found)[1:-1]


@lru_cache(maxsize=1024)
def _contributions(scores: tuple[float, ...], combine: str) -> tuple[float, ...]:
    """Return what each of some rules contributed; the same few hit together again and again."""
    return tuple(round(share, _DIGITS) for share in rule_contributions(scores, combine))


def digest(decided: Decided) -> Words:
    """Return a 64-bit hash of everything computed for each decided row: what a repeat is held against."""
    out = np.zeros(len(decided.rows), np.int64)
    score = np.ascontiguousarray(decided.score).view(np.int64)
    _digest(decided.features, decided.feature_nulls, decided.hits, score, decided.outcome, decided.late, out)
    return out if decided.models is None else mix_models(out, decided.models)


@nb.njit(nogil=True, cache=True, forceinline=True)
def _mix(state: np.int64, word: np.int64) -> np.int64:
    """Multiply and fold, as wyhash and splitmix do: each bit of both words reaches every bit of the result."""
    mixed = (np.uint64(state) ^ np.uint64(word)) * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= mixed >> np.uint64(29)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    return np.int64(mixed ^ (mixed >> np.uint64(32)))


@nb.njit(nogil=True, cache=True)
def _digest(features: Words, nulls: Bytes, hits: Bytes, score: Words, outcome: Bytes, late: Bytes, out: Words) -> None:
    for feature in range(features.shape[0]):
        for row in range(len(out)):
            null = nulls[feature, row]
            word = features[feature, row] if null == 0 else np.int64(null)
            out[row] = _mix(out[row], word ^ (np.int64(null) << np.int64(40)))
    for rule in range(hits.shape[0]):
        for row in range(len(out)):
            out[row] = _mix(out[row], np.int64(hits[rule, row]))
    for row in range(len(out)):
        out[row] = _mix(_mix(out[row], score[row]), np.int64(outcome[row]) * np.int64(2) + np.int64(late[row]))


def encode_records(records: Records) -> bytes:
    """Return the records of a block as bytes of the decision log."""
    arrays: dict[str, npt.NDArray[np.generic]] = {
        "row": records.row,
        "position": records.position,
        "time": records.time,
        "score": records.score,
        "outcome": records.outcome,
        "late": records.late,
        "digest": records.digest,
        "id_length": records.id_length,
        "finding_length": records.finding_length,
    }
    heaps = {
        "id_heap": gathered(records.id_heap, records.id_offset[None], records.id_length[None]),
        "finding_heap": gathered(records.finding_heap, records.finding_offset[None], records.finding_length[None]),
    }
    if records.features is not None and records.feature_nulls is not None:
        heaps["features"] = np.ascontiguousarray(records.features).view(np.uint8).ravel()
        heaps["feature_nulls"] = np.ascontiguousarray(records.feature_nulls).ravel()
    if records.models is not None:
        columns, heap = encode_models(records.models)
        arrays |= columns
        heaps |= heap
    return pack(arrays, heaps)


def decode_records(data: bytes) -> Records:
    """Return the records of a block.

    Raises
    ------
    CorruptionError
        If the bytes are no records.
    """
    arrays: dict[str, Any] = unpack(data)
    try:
        size = len(arrays["row"])
        features = arrays.get("features")
        nulls = arrays.get("feature_nulls")
        rows = len(nulls) // size if nulls is not None and size else 0
        return Records(
            arrays["row"],
            arrays["position"],
            arrays["time"],
            arrays["score"],
            arrays["outcome"],
            arrays["late"],
            arrays["digest"],
            arrays["id_heap"],
            offsets_of(arrays["id_length"]),
            arrays["id_length"],
            arrays["finding_heap"],
            offsets_of(arrays["finding_length"]),
            arrays["finding_length"],
            None if features is None else features.view(np.int64).reshape(rows, size),
            None if nulls is None else nulls.reshape(rows, size),
            decode_models(arrays, size),
        )
    except KeyError as error:
        raise CorruptionError(f"a block of the log has no column {error}; restore the folder from a copy") from error
