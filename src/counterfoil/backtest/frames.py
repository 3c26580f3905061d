"""Decisions and features as tables: what ``--features`` and ``--decisions`` write."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

from counterfoil.backtest.labels import MISSING, Labels
from counterfoil.decisions.decided import HIT
from counterfoil.rules.definition import Outcome
from counterfoil.rules.types import Base, ValueType
from counterfoil.runtimes.local.arrays import texts_of

if TYPE_CHECKING:
    from counterfoil.decisions.decided import Decided
    from counterfoil.events.batch import Batch, Bytes, Words
    from counterfoil.program import Program

_TIME = pl.Datetime("us", "UTC")
_DIGITS = 38
_OUTCOMES = np.array([outcome.value for outcome in Outcome], np.object_)


def column_type(kind: ValueType) -> pl.DataType:
    """Return the type that values of a kind have in a file.

    Money is an exact decimal in major units, an interval is in seconds (Parquet has no type for it that every reader
    knows), and a text of which only the keyed hash is kept is ``#`` and the hash, as in decisions.
    """
    match kind.base:
        case Base.BOOL:
            return pl.Boolean()
        case Base.INT:
            return pl.Int64()
        case Base.MONEY:
            return pl.Decimal(_DIGITS, kind.scale)
        case Base.TIME:
            return _TIME
        case Base.TEXT:
            return pl.String()
        case _:
            return pl.Float64()


def column(name: str, kind: ValueType, words: Words, nulls: Bytes) -> pl.Series:
    """Return stored words as the values that people and models read; null and failed become null."""
    series = _present(name, kind, np.ascontiguousarray(words))
    missing = np.ascontiguousarray(nulls) != 0
    if kind.base is Base.FLOAT:
        missing |= ~np.isfinite(np.ascontiguousarray(words).view(np.float64))
    return series.set(pl.Series(missing), None) if missing.any() else series


def _present(name: str, kind: ValueType, words: Words) -> pl.Series:
    match kind.base:
        case Base.BOOL:
            return pl.Series(name, words != 0)
        case Base.MONEY:
            whole = pl.Series(name, words).cast(pl.Decimal(_DIGITS, kind.scale))
            return (whole / pl.Series([Decimal(10**kind.scale)])).cast(column_type(kind)) if kind.scale else whole
        case Base.FLOAT:
            return pl.Series(name, words.view(np.float64))
        case Base.INTERVAL:
            return pl.Series(name, words / 1_000_000)
        case Base.TIME:
            return pl.Series(name, words).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
        case Base.TEXT:
            return pl.Series(name, [f"#{word:016x}" for word in words.view(np.uint64).tolist()], pl.String)
        case _:
            return pl.Series(name, words)


def identifiers(batch: Batch, rows: npt.NDArray[np.int64]) -> list[str]:
    """Return the id of some events; where a kind has none, the position."""
    texts = texts_of(batch.texts.heap, batch.texts.offset[0, rows], batch.texts.length[0, rows])
    if None not in texts:
        return [text for text in texts if text is not None]
    positions = batch.position[rows].tolist()
    return [str(position) if text is None else text for text, position in zip(texts, positions, strict=True)]


def feature_frame(
    batch: Batch, decided: Decided, chosen: npt.NDArray[np.int64], columns: Sequence[tuple[str, ValueType]]
) -> pl.DataFrame:
    """Return the features of some decisions: ``id``, ``event_time``, then every feature by its name."""
    rows = decided.rows[chosen]
    found = [pl.Series("id", identifiers(batch, rows), pl.String), _times("event_time", batch.time[rows])]
    every = len(chosen) == len(decided)
    for row, (name, kind) in enumerate(columns):
        words, nulls = decided.features[row], decided.feature_nulls[row]
        found.append(column(name, kind, words if every else words[chosen], nulls if every else nulls[chosen]))
    return pl.DataFrame(found)


def feature_schema(columns: Sequence[tuple[str, ValueType]]) -> dict[str, pl.DataType]:
    """Return the columns of ``feature_frame``."""
    return {"id": pl.String(), "event_time": _TIME, **{name: column_type(kind) for name, kind in columns}}


def decision_schema(labelled: bool) -> dict[str, pl.DataType]:
    """Return the columns of ``decision_frame``."""
    texts = pl.List(pl.String)
    found = {
        "id": pl.String(),
        "position": pl.Int64(),
        "event_time": _TIME,
        "outcome": pl.String(),
        "score": pl.Float64(),
        "rules": texts,
        "reasons": texts,
        "failed_rules": texts,
        "detector": pl.String(),
        "late": pl.Boolean(),
    }
    return found | ({"label": pl.Boolean()} if labelled else {})


def decision_frame(
    batch: Batch,
    decided: Decided,
    chosen: npt.NDArray[np.int64],
    program: Program,
    labels: Labels | None,
) -> pl.DataFrame:
    """Return some decisions with their rules and reasons, and the label when there is one."""
    rows = decided.rows[chosen]
    names = np.array(program.rule_names, np.object_)
    rules: list[list[str]] = [[] for _ in chosen]
    reasons: list[list[str]] = [[] for _ in chosen]
    failed: list[list[str]] = [[] for _ in chosen]
    for place in np.flatnonzero((decided.hits[:, chosen] != 0).any(axis=0)).tolist():
        index = int(chosen[place])
        hits = np.flatnonzero(decided.hits[:, index] == HIT)
        rules[place] = names[hits].tolist()
        reasons[place] = [program.explain_hit(batch, decided, index, int(rule))[1] for rule in hits]
        failed[place] = names[(decided.hits[:, index] != 0) & (decided.hits[:, index] != HIT)].tolist()
    texts = pl.List(pl.String)
    found = [
        pl.Series("id", identifiers(batch, rows), pl.String),
        pl.Series("position", batch.position[rows]),
        _times("event_time", batch.time[rows]),
        pl.Series("outcome", _OUTCOMES[decided.outcome[chosen]].tolist(), pl.String),
        pl.Series("score", decided.score[chosen]),
        pl.Series("rules", rules, texts),
        pl.Series("reasons", reasons, texts),
        pl.Series("failed_rules", failed, texts),
        pl.Series("detector", [program.detector.version] * len(rows), pl.String),
        pl.Series("late", decided.late[chosen] != 0),
    ]
    if labels is not None:
        known = labels[chosen]
        found.append(pl.Series("label", known == 1).set(pl.Series(known == MISSING), None))
    return pl.DataFrame(found)


def _times(name: str, words: Words) -> pl.Series:
    return _present(name, ValueType(Base.TIME), np.ascontiguousarray(words))
