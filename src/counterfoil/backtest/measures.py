"""What a back-test counts, batch by batch: bounded by days, rules, groups and alerts, never by events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from counterfoil.backtest.labels import FRAUD, GENUINE, MISSING, Labels
from counterfoil.decisions.decided import FAILED, HIT
from counterfoil.detector import DAY
from counterfoil.rules.definition import Outcome

if TYPE_CHECKING:
    from counterfoil.decisions.decided import Decided

SCORE_BINS = 1_000
"""How finely scores are told apart in curves."""
GROUPS_MAX = 1_000
"""Groups that a result is broken down by; whatever comes after them is counted as ``other``."""
_LABELS = 3
"""Genuine, fraud, missing: a label is its own place, -1 the last."""
_OUTCOMES = tuple(outcome.value for outcome in Outcome)
_REVIEW, _BLOCK = Outcome.REVIEW.severity, Outcome.BLOCK.severity

Counts = npt.NDArray[np.int64]


def _zeros(*shape: int) -> Counts:
    return np.zeros(shape, np.int64)


@dataclass(slots=True)
class _Alert:
    """What is known of an open alert."""

    rules: tuple[int, ...]
    label: int


@dataclass(slots=True)
class RuleMeasures:
    """What one rule did.

    Parameters
    ----------
    name
        Its name.
    hits
        Payments that it hit.
    fraud, genuine
        Those known to be fraud, and known not to be.
    only
        Payments that no other rule hit.
    only_fraud
        Frauds among them: what would have been missed without it.
    failed
        Payments on which it failed and was left out.
    alerts
        Alerts that it opened.
    """

    name: str
    hits: int
    fraud: int
    genuine: int
    only: int
    only_fraud: int
    failed: int
    alerts: int

    @property
    def precision(self) -> float | None:
        """The share of fraud among its labelled hits."""
        return _ratio(self.fraud, self.fraud + self.genuine)


@dataclass(slots=True)
class DayMeasures:
    """One day of event time, in UTC."""

    day: int
    """Days since 1970."""
    decided: int
    alerts: int
    flagged_fraud: int
    flagged_genuine: int
    flagged_unknown: int
    missed_fraud: int


@dataclass(slots=True)
class Measures:
    """The tally of one detector over one period.

    Parameters
    ----------
    rules
        The names of its rules.
    scale
        Decimal digits of the amounts; None where there is no amount.
    """

    rules: Sequence[str]
    scale: int | None
    counts: Counts = field(default_factory=lambda: _zeros(len(_OUTCOMES), _LABELS))
    """(outcome, label)."""
    value: Counts = field(default_factory=lambda: _zeros(len(_OUTCOMES), _LABELS))
    """(outcome, label): amounts in minor units."""
    late: int = 0
    scores: Counts = field(default_factory=lambda: _zeros(SCORE_BINS + 1, _LABELS))
    groups: dict[str, Counts] = field(default_factory=dict)
    """Word to (payments, reviewed or blocked, blocked)."""
    hits: Counts = field(init=False)
    """(rules, label)."""
    only: Counts = field(init=False)
    failed: Counts = field(init=False)
    overlaps: Counts = field(init=False)
    """(rules, rules): payments that both hit."""
    rule_alerts: Counts = field(init=False)
    _days: dict[int, Counts] = field(default_factory=dict)
    """Day to decided, alerts, then flagged by label, then missed frauds."""
    _alerts: dict[str, _Alert] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rules = len(self.rules)
        self.hits, self.only = _zeros(rules, _LABELS), _zeros(rules, _LABELS)
        self.failed, self.rule_alerts = _zeros(rules), _zeros(rules)
        self.overlaps = _zeros(rules, rules)

    # Counting --------------------------------------------------------------------------------------------------------

    def add(
        self,
        decided: Decided,
        chosen: npt.NDArray[np.int64],
        time: npt.NDArray[np.int64],
        labels: Labels,
        amounts: npt.NDArray[np.int64] | None,
        words: npt.NDArray[np.object_] | None,
    ) -> None:
        """Count some decisions of a batch.

        Parameters
        ----------
        decided
            The decisions.
        chosen
            Which of them lie in the period.
        time, labels, amounts, words
            Of all decisions of the batch: event time, label, amount in minor units and group.
        """
        outcome, label = decided.outcome[chosen], labels[chosen]
        cell = outcome.astype(np.int64) * _LABELS + label % _LABELS
        size = self.counts.size
        self.counts += np.bincount(cell, minlength=size).reshape(self.counts.shape)
        if amounts is not None:
            np.add.at(self.value.reshape(-1), cell, amounts[chosen])
        self.late += int(np.count_nonzero(decided.late[chosen]))
        bins = np.clip(np.floor(decided.score[chosen] * SCORE_BINS + 1e-9), 0, SCORE_BINS).astype(np.int64)
        self.scores += np.bincount(bins * _LABELS + label % _LABELS, minlength=self.scores.size).reshape(-1, _LABELS)
        self._add_rules(decided.hits[:, chosen], label)
        self._add_alerts(decided, chosen, time, labels)
        self._add_days(time[chosen] // DAY, outcome, label)
        if words is not None:
            self._add_groups(words[chosen], outcome)

    def _add_rules(self, hits: npt.NDArray[np.uint8], label: Labels) -> None:
        some = np.flatnonzero(hits.any(axis=0))
        if not len(some):
            return
        hit = hits[:, some] == HIT
        self.failed += (hits[:, some] == FAILED).sum(axis=1)
        # Floats: a product of matrices of whole numbers has no fast path; it is exact up to 2^53.
        as_float = hit.astype(np.float64)
        self.overlaps += (as_float @ as_float.T).astype(np.int64)
        alone = hit & (hit.sum(axis=0) == 1)
        for place in range(_LABELS):
            of_label = label[some] % _LABELS == place
            self.hits[:, place] += hit[:, of_label].sum(axis=1)
            self.only[:, place] += alone[:, of_label].sum(axis=1)

    def _add_alerts(
        self, decided: Decided, chosen: npt.NDArray[np.int64], time: npt.NDArray[np.int64], labels: Labels
    ) -> None:
        inside = np.zeros(len(decided), np.bool_)
        inside[chosen] = True
        for change in decided.alerts:
            if not inside[change.column]:
                continue
            label = int(labels[change.column])
            if change.opened:
                self._alerts[change.alert] = _Alert(change.rules, label)
                self.rule_alerts[list(change.rules)] += 1
                self._day(int(time[change.column]) // DAY)[1] += 1
            elif (known := self._alerts.get(change.alert)) is not None:
                # One fraud makes it worth its while; one label is enough to know something of it.
                known.label = max(known.label, label)

    def _add_days(self, days: Counts, outcome: npt.NDArray[np.uint8], label: Labels) -> None:
        for day in np.unique(days).tolist():
            of_day = days == day
            tally = self._day(day)
            flagged = outcome[of_day] > 0
            known = label[of_day]
            tally[0] += len(flagged)
            tally[2:5] += np.bincount(known[flagged] % _LABELS, minlength=_LABELS)
            tally[5] += np.count_nonzero(~flagged & (known == FRAUD))

    def _day(self, day: int) -> Counts:
        return self._days.setdefault(day, _zeros(6))

    def _add_groups(self, words: npt.NDArray[np.object_], outcome: npt.NDArray[np.uint8]) -> None:
        for word in {each for each in words.tolist() if each is not None}:
            of_word = outcome[words == word]
            name = word if word in self.groups or len(self.groups) < GROUPS_MAX else "other"
            tally = self.groups.setdefault(name, _zeros(3))
            tally += np.array([len(of_word), np.count_nonzero(of_word), np.count_nonzero(of_word == _BLOCK)], np.int64)

    # Results ---------------------------------------------------------------------------------------------------------

    @property
    def decided(self) -> int:
        """Decisions in the period."""
        return int(self.counts.sum())

    @property
    def flagged(self) -> int:
        """Decisions that were not approve."""
        return int(self.counts[_REVIEW:].sum())

    @property
    def frauds(self) -> int:
        """Payments labelled as fraud."""
        return int(self.counts[:, FRAUD].sum())

    @property
    def labelled(self) -> int:
        """Payments with a label."""
        return int(self.counts[:, : MISSING % _LABELS].sum())

    @property
    def alerts(self) -> int:
        """Alerts opened in the period."""
        return len(self._alerts)

    @property
    def alerts_fraud(self) -> int:
        """Alerts with at least one payment labelled as fraud."""
        return sum(alert.label == FRAUD for alert in self._alerts.values())

    @property
    def alerts_genuine(self) -> int:
        """Alerts with labelled payments, none of them a fraud."""
        return sum(alert.label == GENUINE for alert in self._alerts.values())

    def precision(self, least: int = _REVIEW) -> float | None:
        """Return the share of fraud among the labelled payments whose outcome is at least so severe."""
        caught, wrong = self.counts[least:, FRAUD].sum(), self.counts[least:, GENUINE].sum()
        return _ratio(caught, caught + wrong)

    def recall(self, least: int = _REVIEW) -> float | None:
        """Return the share of the frauds whose outcome is at least so severe."""
        return _ratio(self.counts[least:, FRAUD].sum(), self.frauds)

    def amount(self, least: int, label: int) -> float | None:
        """Return the amount of the payments of a label whose outcome is at least so severe, in major units."""
        return None if self.scale is None else int(self.value[least:, label].sum()) / 10**self.scale

    def days(self) -> list[DayMeasures]:
        """Return every day from the first to the last, in order, empty ones too."""
        if not self._days:
            return []
        found = []
        for day in range(min(self._days), max(self._days) + 1):
            decided, alerts, genuine, fraud, unknown, missed = self._days.get(day, _zeros(6)).tolist()
            found.append(DayMeasures(day, decided, alerts, fraud, genuine, unknown, missed))
        return found

    def rule_measures(self) -> list[RuleMeasures]:
        """Return what each rule did, in the order of the definition."""
        return [
            RuleMeasures(
                name,
                int(self.hits[index].sum()),
                int(self.hits[index, FRAUD]),
                int(self.hits[index, GENUINE]),
                int(self.only[index].sum()),
                int(self.only[index, FRAUD]),
                int(self.failed[index]),
                int(self.rule_alerts[index]),
            )
            for index, name in enumerate(self.rules)
        ]

    def curve(self) -> list[tuple[float, float, float]]:
        """Return score, precision and recall for every score that separates payments, highest score first."""
        fraud = np.cumsum(self.scores[::-1, FRAUD])
        genuine = np.cumsum(self.scores[::-1, GENUINE])
        changed = np.flatnonzero(self.scores[::-1, :_LABELS].sum(axis=1))
        total = int(fraud[-1])
        points = []
        for place in changed.tolist():
            flagged = int(fraud[place] + genuine[place])
            if flagged and total:
                score = (SCORE_BINS - place) / SCORE_BINS
                points.append((score, int(fraud[place]) / flagged, int(fraud[place]) / total))
        return points

    def as_dict(self) -> dict[str, Any]:
        """Return the measures for JSON."""
        return {
            "measured": self.decided,
            "late": self.late,
            "outcomes": dict(zip(_OUTCOMES, self.counts.sum(axis=1).tolist(), strict=True)),
            "labels": {
                "fraud": self.frauds,
                "genuine": int(self.counts[:, GENUINE].sum()),
                "missing": int(self.counts[:, MISSING].sum()),
            },
            "precision": self.precision(),
            "recall": self.recall(),
            "block_precision": self.precision(_BLOCK),
            "block_recall": self.recall(_BLOCK),
            "alerts_opened": self.alerts,
            "alerts_with_fraud": self.alerts_fraud,
            "alerts_without_fraud": self.alerts_genuine,
            "value": {
                "fraud": self.amount(0, FRAUD),
                "caught": self.amount(_REVIEW, FRAUD),
                "blocked_fraud": self.amount(_BLOCK, FRAUD),
                "wrongly_stopped": self.amount(_BLOCK, GENUINE),
                "wrongly_reviewed": self._wrongly_reviewed(),
            },
            "days": [
                {
                    "day": str(np.datetime64(each.day, "D")),
                    "decided": each.decided,
                    "alerts": each.alerts,
                    "flagged_fraud": each.flagged_fraud,
                    "flagged_genuine": each.flagged_genuine,
                    "flagged_unknown": each.flagged_unknown,
                    "missed_fraud": each.missed_fraud,
                }
                for each in self.days()
            ],
            "rules": [
                {
                    "name": each.name,
                    "hits": each.hits,
                    "fraud": each.fraud,
                    "genuine": each.genuine,
                    "precision": each.precision,
                    "only": each.only,
                    "only_fraud": each.only_fraud,
                    "failed": each.failed,
                    "alerts": each.alerts,
                }
                for each in self.rule_measures()
            ],
            "overlaps": self.overlaps.tolist(),
            "groups": {
                word: {"payments": int(tally[0]), "flagged": int(tally[1]), "blocked": int(tally[2])}
                for word, tally in sorted(self.groups.items())
            },
        }

    def _wrongly_reviewed(self) -> float | None:
        review, block = self.amount(_REVIEW, GENUINE), self.amount(_BLOCK, GENUINE)
        return None if review is None or block is None else round(review - block, self.scale or 0)


@dataclass(slots=True)
class Comparison:
    """Two detectors over the same payments."""

    counts: Counts = field(default_factory=lambda: _zeros(len(_OUTCOMES), len(_OUTCOMES), _LABELS))
    """(outcome of the first, outcome of the other, label)."""

    def add(self, first: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8], labels: Labels) -> None:
        """Count the outcomes of the same payments under both."""
        shape = self.counts.shape
        cell = (first.astype(np.int64) * len(_OUTCOMES) + other) * _LABELS + labels % _LABELS
        self.counts += np.bincount(cell, minlength=self.counts.size).reshape(shape)

    @property
    def gained(self) -> dict[str, int]:
        """Payments that only the first flags, by label."""
        return _by_label(self.counts[_REVIEW:, 0].sum(axis=0))

    @property
    def lost(self) -> dict[str, int]:
        """Payments that only the other flags, by label."""
        return _by_label(self.counts[0, _REVIEW:].sum(axis=0))

    def as_dict(self) -> dict[str, Any]:
        """Return the comparison for JSON."""
        changed = {
            f"{other} → {first}": _by_label(self.counts[row, column])
            for row, first in enumerate(_OUTCOMES)
            for column, other in enumerate(_OUTCOMES)
            if row != column and self.counts[row, column].any()
        }
        return {"only_first_flags": self.gained, "only_other_flags": self.lost, "changed": changed}


def _by_label(counts: Counts) -> dict[str, int]:
    genuine, fraud, missing = counts.tolist()
    return {"fraud": fraud, "genuine": genuine, "missing": missing}


def _ratio(part: int | np.integer[Any], whole: int | np.integer[Any]) -> float | None:
    return None if whole == 0 else float(part) / float(whole)
