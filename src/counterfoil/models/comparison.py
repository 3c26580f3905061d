"""Two arms of an experiment against each other: what each metric is, how sure that is, and what is not known yet.

Only payments whose label had time to become known count: fraud becomes known early and innocence late, so counting what
happens to be known already would flatter whoever was measured last. How many payments are still too young, and how many
old enough but without a label, is part of the result.

Payments of one customer resemble one another, and arms share customers out, not payments. So intervals come from a
bootstrap of customers: each is drawn a Poisson(1) number of times, within its arm, and every metric is computed anew;
the interval lies between the percentiles. Where a proportion is 0 or 1 the bootstrap sees no spread at all; there the
bound of Clopper and Pearson stands in. The difference of two arms gets its interval from theirs (the method of variance
estimates recovery, after Newcombe); where both models scored the same payments (a shadow) the differences themselves
are resampled.

An interval holds for one look, decided on beforehand. Who looks every day until the result pleases will be pleased.

References
----------
Field, C. A., Welsh, A. H. (2007). Bootstrapping clustered data. Journal of the Royal Statistical Society B 69, 369-390.
Chamandy, N., Muralidharan, O., Najmi, A., Naidu, S. (2012). Estimating uncertainty for massive data streams. Google.
(The Poisson bootstrap.)
Clopper, C. J., Pearson, E. S. (1934). The use of confidence or fiducial limits illustrated in the case of the binomial.
Biometrika 26, 404-413.
Newcombe, R. G. (1998). Interval estimation for the difference between independent proportions. Statistics in Medicine
17, 873-890; Zou, G. Y., Donner, A. (2008). Construction of confidence limits about effect measures. Statistics in
Medicine 27, 1693-1702.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from counterfoil.errors import InputError

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

GENUINE, FRAUD, UNKNOWN = 0, 1, -1
"""Labels; unknown counts nowhere but in the number of them."""
FRAUDS_FEW = 30
"""Fewer frauds than these in an arm, and an interval of recall or precision is not to be leaned on."""
REPLICATES = 1_000
_CELLS_MAX = 20_000_000
"""Numbers in a block of drawn weights: 20 MB."""


@dataclass(frozen=True, slots=True)
class Arm:
    """The payments that one arm decided.

    Parameters
    ----------
    name
        Its name.
    score
        (n,): the model's score; a higher one is more suspicious. NaN where the model gave none.
    flagged
        (n,): whether the payment was reviewed or blocked.
    label
        (n,): 0 genuine, 1 fraud, -1 not known.
    mature
        (n,): whether the label had its time.
    amount
        (n,): in major units; zeros where nobody knows.
    customer
        (n,): whose payment it is, as a number; each its own where nobody knows.
    model
        The version that served.
    """

    name: str
    score: Floats
    flagged: Bools
    label: npt.NDArray[np.int8]
    mature: Bools
    amount: Floats
    customer: npt.NDArray[np.int64]
    model: str = ""


@dataclass(frozen=True, slots=True)
class Interval:
    """A value and what it lies between. None where it cannot be computed: precision where nothing is flagged."""

    value: float | None
    low: float | None
    high: float | None

    def as_dict(self) -> dict[str, float | None]:
        """Return it for JSON."""
        return {"value": self.value, "low": self.low, "high": self.high}


@dataclass(frozen=True, slots=True)
class Counted:
    """How many payments of an arm there are, and how many can be counted."""

    name: str
    model: str
    payments: int
    customers: int
    immature: int
    """Too young: their label may still become known. They count nowhere."""
    unknown: int
    """Old enough, and yet without a label. They count nowhere but in the alert rate."""
    genuine: int
    fraud: int


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric of both arms.

    Parameters
    ----------
    name
        What is measured.
    first, second
        Of each arm.
    difference
        The second less the first.
    better
        Which arm is better for sure, as far as the interval goes: its name; None where nothing is shown, or where more
        is neither better nor worse.
    """

    name: str
    first: Interval
    second: Interval
    difference: Interval
    better: str | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two arms against each other."""

    first: Counted
    second: Counted
    metrics: tuple[Metric, ...]
    confidence: float
    method: str
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        arms = [
            {name: getattr(each, name) for name in Counted.__dataclass_fields__} for each in (self.first, self.second)
        ]
        return {
            "arms": arms,
            "confidence": self.confidence,
            "method": self.method,
            "metrics": {
                each.name: {
                    self.first.name: each.first.as_dict(),
                    self.second.name: each.second.as_dict(),
                    "difference": each.difference.as_dict(),
                    "better": each.better,
                }
                for each in self.metrics
            },
            "notes": list(self.notes),
        }


def compare(
    first: Arm,
    second: Arm,
    *,
    paired: bool = False,
    confidence: float = 0.95,
    replicates: int = REPLICATES,
    seed: int = 0,
    alert_rate: float | None = None,
) -> Comparison:
    """Compare two arms.

    Parameters
    ----------
    first, second
        The arms.
    paired
        Whether both hold the same payments in the same order: a model and its shadow.
    confidence
        How often an interval holds what it is about.
    replicates
        How often the bootstrap draws.
    seed
        Draws: the same seed gives the same intervals.
    alert_rate
        Flag this share of each arm's highest scores, in place of what was flagged; a shadow never flags anything.

    Raises
    ------
    InputError
        If an arm has no mature payment.
    """
    for arm in (first, second):
        if not arm.mature.any():
            raise InputError(
                f"arm {arm.name}: {len(arm.mature):,} payments, none of them old enough for a label; "
                "wait, or give a shorter --label-delay if labels do arrive sooner"
            )
    if paired and not np.array_equal(first.customer, second.customer):
        raise InputError("a paired comparison needs the same payments in both arms, in the same order")
    tables = [_Table(arm, alert_rate) for arm in (first, second)]
    random = np.random.default_rng(seed)
    drawn = [_draw(tables[0], random, replicates)]
    if paired:
        again = np.random.default_rng(seed)
        drawn.append(_draw(tables[1], again, replicates))
    else:
        drawn.append(_draw(tables[1], random, replicates))
    metrics = tuple(
        _metric(name, more_is_better, tables, drawn, paired, confidence) for name, more_is_better in METRICS.items()
    )
    method = (
        f"{confidence:.0%} intervals from {replicates:,} Poisson bootstraps of customers within each arm; "
        + ("differences resampled in pairs" if paired else "differences after Newcombe")
        + "; Clopper-Pearson at 0 and 1"
    )
    counted = [each.counted for each in tables]
    return Comparison(counted[0], counted[1], metrics, confidence, method, _notes(counted, alert_rate))


# What is measured ----------------------------------------------------------------------------------------------------

METRICS: dict[str, bool | None] = {
    "alert rate": None,
    "precision": True,
    "recall": True,
    "false positive rate": False,
    "value saved": True,
    "value missed": False,
    "average precision": True,
}
"""What is compared, and whether more is better. Values are a thousand payments' worth, so that arms of different sizes
can be held against each other: the fraud that was flagged, and the fraud that was not."""

_Counts = dict[str, Floats]
_RATIOS: dict[str, tuple[str, str, float]] = {
    "alert rate": ("flagged", "payments", 1.0),
    "precision": ("caught", "known_flagged", 1.0),
    "recall": ("caught", "fraud", 1.0),
    "false positive rate": ("wrong", "genuine", 1.0),
    "value saved": ("saved", "known", 1_000.0),
    "value missed": ("missed", "known", 1_000.0),
}
_PROPORTIONS = {"alert rate", "precision", "recall", "false positive rate"}


class _Table:
    """The mature payments of an arm, summed up by customer."""

    def __init__(self, arm: Arm, alert_rate: float | None) -> None:
        chosen = arm.mature
        label, amount = arm.label[chosen], arm.amount[chosen]
        score = np.nan_to_num(arm.score[chosen], nan=-np.inf)
        flagged = arm.flagged[chosen] if alert_rate is None else _highest(score, alert_rate)
        customers, place = np.unique(arm.customer[chosen], return_inverse=True)
        fraud, genuine = label == FRAUD, label == GENUINE
        known = fraud | genuine
        columns = {
            "payments": np.ones(len(label)),
            "known": known,
            "flagged": flagged,
            "known_flagged": flagged & known,
            "fraud": fraud,
            "genuine": genuine,
            "caught": flagged & fraud,
            "wrong": flagged & genuine,
            "saved": np.where(flagged & fraud, amount, 0.0),
            "missed": np.where(~flagged & fraud, amount, 0.0),
        }
        self.names = tuple(columns)
        self.sums = np.stack(
            [np.bincount(place, np.asarray(each, np.float64), minlength=len(customers)) for each in columns.values()]
        )
        """(columns, customers)."""
        # Average precision: payments with a label, highest score first; where each run of equal scores ends.
        order = np.argsort(-score[known], kind="stable")
        self.ranked_customer = place[known][order]
        self.ranked_fraud = fraud[known][order].astype(np.float64)
        ranked = score[known][order]
        self.run_ends = (
            np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True)) if len(ranked) else ranked.astype(int)
        )
        self.counted = Counted(
            arm.name,
            arm.model,
            len(arm.mature),
            len(np.unique(arm.customer)),
            int(np.count_nonzero(~arm.mature)),
            int(np.count_nonzero(~known)),
            int(np.count_nonzero(genuine)),
            int(np.count_nonzero(fraud)),
        )

    def totals(self, weights: Floats) -> _Counts:
        """Return each column's sum under (draws, customers) weights."""
        return dict(zip(self.names, (weights @ self.sums.T).T, strict=True))

    def average_precision(self, weights: Floats) -> Floats:
        """Return average precision under each draw's weights; NaN without fraud. Equal scores share one threshold."""
        found = np.full(len(weights), np.nan)
        for draw, of_customer in enumerate(weights):
            weight = of_customer[self.ranked_customer]
            frauds = np.cumsum(weight * self.ranked_fraud)[self.run_ends]
            every = np.cumsum(weight)[self.run_ends]
            if len(frauds) and frauds[-1] > 0:
                precision = np.divide(frauds, every, out=np.zeros(len(every)), where=every > 0)
                found[draw] = float((np.diff(frauds, prepend=0.0) * precision).sum() / frauds[-1])
        return found


def _highest(score: Floats, share: float) -> Bools:
    """Return which scores are among the highest, so many as a share says; equal ones stay together."""
    count = round(share * len(score))
    if count <= 0:
        return np.zeros(len(score), np.bool_)
    threshold = np.partition(score, len(score) - count)[len(score) - count]
    return np.asarray(score >= threshold, np.bool_)


def _measured(table: _Table, weights: Floats) -> dict[str, Floats]:
    """Return every metric under each draw's weights."""
    totals = table.totals(weights)
    found = {
        name: np.divide(totals[part], totals[whole], out=np.full(len(weights), np.nan), where=totals[whole] > 0) * scale
        for name, (part, whole, scale) in _RATIOS.items()
    }
    return found | {"average precision": table.average_precision(weights)}


@dataclass(frozen=True, slots=True)
class _Drawn:
    """Every metric of an arm: as it is, and drawn again and again."""

    found: dict[str, Floats]
    replicates: dict[str, Floats]


def _draw(table: _Table, random: np.random.Generator, replicates: int) -> _Drawn:
    customers = table.sums.shape[1]
    block = max(1, min(replicates, _CELLS_MAX // max(customers, 1)))
    parts = [
        _measured(table, random.poisson(1.0, (min(block, replicates - at), customers)).astype(np.float64))
        for at in range(0, replicates, block)
    ]
    return _Drawn(
        _measured(table, np.ones((1, customers))),
        {name: np.concatenate([part[name] for part in parts]) for name in METRICS},
    )


# How sure it is ------------------------------------------------------------------------------------------------------


def _metric(
    name: str,
    more_is_better: bool | None,
    tables: list[_Table],
    drawn: list[_Drawn],
    paired: bool,
    confidence: float,
) -> Metric:
    first, second = (_interval(name, table, each, confidence) for table, each in zip(tables, drawn, strict=True))
    difference = _paired(name, drawn, confidence) if paired else _difference(first, second)
    better = None
    low, high = difference.low, difference.high
    if more_is_better is not None and low is not None and high is not None and (low > 0 or high < 0):
        better = tables[int((low > 0) == more_is_better)].counted.name
    return Metric(name, first, second, difference, better)


def _interval(name: str, table: _Table, drawn: _Drawn, confidence: float) -> Interval:
    value = float(drawn.found[name][0])
    if np.isnan(value):
        return Interval(None, None, None)
    low, high = _percentiles(drawn.replicates[name], confidence)
    if name in _PROPORTIONS:
        trials = float(table.sums[table.names.index(_RATIOS[name][1])].sum())
        # With nothing or all of n the exact bound has a closed form.
        edge = ((1 - confidence) / 2) ** (1 / trials)
        if value == 0:
            high = max(high, 1 - edge)
        elif value == 1:
            low = min(low, edge)
    return Interval(value, min(low, value), max(high, value))


def _percentiles(values: Floats, confidence: float) -> tuple[float, float]:
    kept = values[~np.isnan(values)]
    if not len(kept):
        return float("nan"), float("nan")
    low, high = np.quantile(kept, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def _difference(first: Interval, second: Interval) -> Interval:
    """Return the second less the first, with an interval made of theirs."""
    if first.value is None or second.value is None:
        return Interval(None, None, None)
    assert first.low is not None
    assert first.high is not None
    assert second.low is not None
    assert second.high is not None
    value = second.value - first.value
    down = np.hypot(second.value - second.low, first.high - first.value)
    up = np.hypot(second.high - second.value, first.value - first.low)
    return Interval(value, float(value - down), float(value + up))


def _paired(name: str, drawn: list[_Drawn], confidence: float) -> Interval:
    value = float(drawn[1].found[name][0] - drawn[0].found[name][0])
    if np.isnan(value):
        return Interval(None, None, None)
    low, high = _percentiles(drawn[1].replicates[name] - drawn[0].replicates[name], confidence)
    return Interval(value, min(low, value), max(high, value))


def _notes(arms: list[Counted], alert_rate: float | None) -> tuple[str, ...]:
    notes = [
        f"{each.name}: {each.immature:,} of {each.payments:,} payments are too young for a label and count nowhere"
        for each in arms
        if each.immature
    ]
    notes += [
        f"{each.name}: {each.unknown:,} payments are old enough and have no label; they count in the alert rate alone"
        for each in arms
        if each.unknown
    ]
    notes += [
        f"{each.name}: only {each.fraud:,} frauds: do not lean on intervals of precision, recall and value"
        for each in arms
        if each.fraud < FRAUDS_FEW
    ]
    if alert_rate is not None:
        notes.append(f"flagged: the highest {alert_rate:.2%} of each model's scores, not what was decided")
    return tuple(notes)
