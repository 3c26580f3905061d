"""Alerts: what the log keeps of an episode, and how a further decision extends it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from counterfoil.rules.definition import Outcome
from counterfoil.runtimes.local.values import time_text

if TYPE_CHECKING:
    from counterfoil.decisions.decided import AlertChange, Decided
    from counterfoil.detector import Detector
    from counterfoil.events.batch import Batch

_OUTCOMES = tuple(Outcome)


def alert_content(
    batch: Batch, decided: Decided, change: AlertChange, detector: Detector, reasons: list[str]
) -> dict[str, Any]:
    """Return what one decision adds to an alert."""
    column = change.column
    row = int(decided.rows[column])
    identifier = batch.texts.get(0, row) or str(int(batch.position[row]))
    time = time_text(int(batch.time[row]))
    return {
        "alert": change.alert,
        "rules": [detector.rules[rule].name for rule in change.rules],
        "entity": change.entity,
        "key": _key(batch, row, change.entity, detector),
        "opened": time,
        "last": time,
        "decisions": 1,
        "first_id": identifier,
        "last_id": identifier,
        "outcome": _OUTCOMES[decided.outcome[column]].value,
        "score": float(decided.score[column]),
        "reasons": reasons,
    }


def merge_alert(known: dict[str, Any] | None, new: dict[str, Any]) -> dict[str, Any]:
    """Return an alert after one more decision: the worst outcome and score, the latest reasons.

    Examples
    --------
    >>> first = {"decisions": 1, "last": "a", "last_id": "t1", "outcome": "review", "score": 0.7, "reasons": []}
    >>> second = {"decisions": 1, "last": "b", "last_id": "t2", "outcome": "block", "score": 0.5, "reasons": ["why"]}
    >>> merge_alert(first, second)["decisions"], merge_alert(first, second)["outcome"]
    (2, 'block')
    """
    if known is None:
        return new
    return known | {
        "last": max(known["last"], new["last"]),
        "decisions": known["decisions"] + new["decisions"],
        "last_id": new["last_id"],
        "outcome": max(known["outcome"], new["outcome"], key=lambda each: Outcome(each).severity),
        "score": max(known["score"], new["score"]),
        "reasons": new["reasons"],
    }


def _key(batch: Batch, row: int, entity: str | None, detector: Detector) -> dict[str, str | None]:
    """Return whose episode it is, in the user's words."""
    fields = next((each.key for each in detector.entities if each.name == entity), ())
    texts = {index: 1 + place for place, index in enumerate(detector.schema.text_columns)}
    key: dict[str, str | None] = {}
    for name in fields:
        column = detector.schema.column_index[name]
        key[name] = batch.texts.get(texts[column], row) if column in texts else str(int(batch.values[column, row]))
    return key
