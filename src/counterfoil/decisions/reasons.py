"""Reasons in plain words: what a rule saw when it hit, as values for programs and as a sentence for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from string import Formatter

import numpy as np

from counterfoil.decisions.decided import Decided
from counterfoil.events.batch import Batch
from counterfoil.events.kinds import Schema
from counterfoil.rules.definition import Rule
from counterfoil.rules.types import Base, ValueType
from counterfoil.words import duration_text

Shown = str | int | float | bool | Decimal | None
"""A value as people and JSON see it: money in major units, times as RFC 3339, intervals in seconds."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FLOAT, _TIME = ValueType(Base.FLOAT), ValueType(Base.TIME)


class Reasons:
    """Tells what rules saw.

    Parameters
    ----------
    schema
        The event kinds.
    rules
        The rules.
    features
        Name and type of each feature, in the order of ``Decided.features``.
    rule_uses
        For each rule the names that its condition reads.
    scores
        Name of each score of a model to its number among those that act.
    outliers
        Names of the outlier scores.
    """

    def __init__(
        self,
        schema: Schema,
        rules: Sequence[Rule],
        features: Sequence[tuple[str, ValueType]],
        rule_uses: Sequence[tuple[str, ...]],
        scores: Mapping[str, int] | None = None,
        outliers: Sequence[str] = (),
    ) -> None:
        self._scores = dict(scores or {})
        self._outliers = {name: row for row, name in enumerate(outliers)}
        self._features = {name: (row, kind) for row, (name, kind) in enumerate(features)}
        self._fields = {each.name: (row, ValueType.of(each)) for row, each in enumerate(schema.columns)}
        self._texts = {column: 1 + row for row, column in enumerate(schema.text_columns)}
        self._uses = tuple(rule_uses)
        self._templates = [
            tuple((literal, name) for literal, name, _, _ in Formatter().parse(rule.reason)) for rule in rules
        ]
        self._names = tuple(rule.name for rule in rules)
        self._reads = [
            tuple(dict.fromkeys([*uses, *(name for _, name in template if name is not None)]))
            for uses, template in zip(self._uses, self._templates, strict=True)
        ]

    def explain(self, batch: Batch, decided: Decided, column: int, rule: int) -> tuple[dict[str, Shown], str]:
        """Return the values that a rule's condition read, and the reason as a sentence.

        Parameters
        ----------
        batch
            The events.
        decided
            Their decisions.
        column
            Which decision.
        rule
            Which rule.
        """
        read = {name: self._read(batch, decided, column, name) for name in self._reads[rule]}
        values = {name: _shown_or_null(*read[name]) for name in self._uses[rule]}
        sentence = "".join(
            literal + ("" if name is None else _words_or_unknown(*read[name]))
            for literal, name in self._templates[rule]
        )
        return values, sentence or f"rule {self._names[rule]}"

    def value(self, batch: Batch, decided: Decided, column: int, name: str) -> Shown:
        """Return the value of one field, feature or time of a decision."""
        return _shown_or_null(*self._read(batch, decided, column, name))

    def _read(self, batch: Batch, decided: Decided, column: int, name: str) -> tuple[ValueType, int, bool, str | None]:
        """Return type, word, whether it is null, and the text of a field of text."""
        # A million payments have tens of thousands of hits: each number is taken by itself, and as a Python number.
        if name in self._features:
            row, kind = self._features[name]
            return kind, decided.features.item(row, column), bool(decided.feature_nulls.item(row, column)), None
        models = decided.models
        if name in self._scores and models is not None:
            speaker = models.arm.item(self._scores[name], column)
            return _score(models.mapped[speaker, column])
        if name in self._outliers and decided.outliers is not None:
            return _score(decided.outliers[self._outliers[name], column])
        event = decided.rows.item(column)
        if name in self._fields:
            row, kind = self._fields[name]
            text = batch.texts.get(self._texts[row], event) if row in self._texts else None
            return kind, batch.values.item(row, event), bool(batch.nulls.item(row, event)), text
        return _TIME, batch.time.item(event), False, None


def _score(score: np.float64) -> tuple[ValueType, int, bool, str | None]:
    missing = bool(np.isnan(score))
    return _FLOAT, 0 if missing else int(score.view(np.int64)), missing, None


def _shown_or_null(kind: ValueType, word: int, null: bool, text: str | None) -> Shown:
    return None if null else shown(kind, word, text)


def _words_or_unknown(kind: ValueType, word: int, null: bool, text: str | None) -> str:
    return "unknown" if null else in_words(kind, word, text)


def shown(kind: ValueType, word: int, text: str | None = None) -> Shown:
    """Return a value for programs: exact, in the units that people use.

    Parameters
    ----------
    kind
        Its type.
    word
        How it is stored.
    text
        The text itself, where it is known; a text that is kept only as its hash is shown as ``#`` and the hash.

    Examples
    --------
    >>> shown(ValueType(Base.MONEY, 2), 1250)
    Decimal('12.50')
    >>> shown(ValueType(Base.INTERVAL), 90_000_000)
    90.0
    """
    if kind.base is Base.TEXT:
        return text if text is not None else f"#{word & 0xFFFF_FFFF_FFFF_FFFF:016x}"
    if kind.base is Base.MONEY:
        return Decimal(word).scaleb(-kind.scale)
    if kind.base is Base.FLOAT:
        return float(np.int64(word).view(np.float64))
    if kind.base is Base.BOOL:
        return bool(word)
    if kind.base is Base.TIME:
        return rfc3339(word)
    if kind.base is Base.INTERVAL:
        return word / 1_000_000
    return word


def in_words(kind: ValueType, word: int, text: str | None = None) -> str:
    """Return a value as it stands in a sentence: rounded where more digits say nothing.

    Examples
    --------
    >>> in_words(ValueType(Base.INTERVAL), 11_520_000_000)
    '3 h 12 min'
    >>> in_words(ValueType(Base.MONEY, 2), 123456)
    '1,234.56'
    """
    value = shown(kind, word, text)
    if kind.base is Base.INTERVAL:
        return duration_text(word)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.3g}"
    if isinstance(value, Decimal | int):
        return f"{value:,}"
    return str(value)


def rfc3339(microseconds: int) -> str:
    """Return a time as text, in UTC, with as many digits as it needs: three or six."""
    text = (_EPOCH + timedelta(microseconds=microseconds)).isoformat(
        timespec="microseconds" if microseconds % 1_000 else "milliseconds"
    )
    return text.replace("+00:00", "Z")


def features_of(decided: Decided, column: int, names: Sequence[str], types: Sequence[ValueType]) -> Mapping[str, Shown]:
    """Return all features of one decision by name."""
    return {
        name: None if decided.feature_nulls[row, column] else shown(kind, int(decided.features[row, column]))
        for row, (name, kind) in enumerate(zip(names, types, strict=True))
    }
