"""The few numbers that everybody asks for first, of one detector or of two side by side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from counterfoil.backtest.labels import FRAUD, GENUINE
from counterfoil.rules.definition import Outcome

if TYPE_CHECKING:
    from counterfoil.backtest.measures import Measures
    from counterfoil.backtest.replay import Result

_REVIEW, _BLOCK = Outcome.REVIEW.severity, Outcome.BLOCK.severity


@dataclass(frozen=True, slots=True)
class Line:
    """One number, and how it compares.

    Parameters
    ----------
    name
        What it is.
    text
        The number.
    other_text
        The other detector's.
    change_text
        The difference.
    better
        Whether the difference is a good one; None where there is none, or where nobody can say.
    hint
        How it is counted.
    """

    name: str
    text: str
    other_text: str = ""
    change_text: str = ""
    better: bool | None = None
    hint: str = ""


@dataclass(frozen=True, slots=True)
class _Number:
    name: str
    hint: str
    read: Callable[[Measures], float | None]
    show: Callable[[float], str]
    more_is_better: bool | None


def _share(value: float) -> str:
    return f"{value:.1%}"


def _count(value: float) -> str:
    return f"{value:,.0f}"


def _tenth(value: float) -> str:
    return f"{value:,.1f}"


def _alerts_a_day(measures: Measures) -> float | None:
    days = measures.days()
    return measures.alerts / len(days) if days else None


_NUMBERS = (
    _Number("alerts", "episodes opened in the period", lambda each: each.alerts, _count, None),
    _Number("alerts a day", "over all days of the period", _alerts_a_day, _tenth, None),
    _Number("flagged", "payments reviewed or blocked", lambda each: each.flagged, _count, None),
    _Number("blocked", "payments blocked", lambda each: int(each.counts[_BLOCK].sum()), _count, None),
)
_LABELLED = (
    _Number("precision", "of flagged payments, how many were fraud", lambda each: each.precision(), _share, True),
    _Number("recall", "of frauds, how many were flagged", lambda each: each.recall(), _share, True),
    _Number("precision of blocks", "of blocked payments", lambda each: each.precision(_BLOCK), _share, True),
    _Number("recall of blocks", "of frauds, how many were blocked", lambda each: each.recall(_BLOCK), _share, True),
    _Number(
        "alerts with fraud",
        "of alerts with a label, how many hold at least one fraud",
        lambda each: (
            each.alerts_fraud / (each.alerts_fraud + each.alerts_genuine)
            if each.alerts_fraud + each.alerts_genuine
            else None
        ),
        _share,
        True,
    ),
)
_VALUED = (
    _Number("value caught", "amount of flagged frauds", lambda each: each.amount(_REVIEW, FRAUD), _count, True),
    _Number("value of all fraud", "amount of all frauds", lambda each: each.amount(0, FRAUD), _count, None),
    _Number("value wrongly stopped", "amount of genuine payments that were blocked",
            lambda each: each.amount(_BLOCK, GENUINE), _count, False),
    _Number("value wrongly reviewed", "amount of genuine payments held for review",
            lambda each: _difference(each.amount(_REVIEW, GENUINE), each.amount(_BLOCK, GENUINE)), _count, False),
)  # fmt: skip


def _difference(first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None else first - second


def headline(result: Result) -> list[Line]:
    """Return the numbers of a result."""
    numbers = [*_NUMBERS]
    if result.labels is not None:
        numbers += _LABELLED
        if result.value is not None:
            numbers += _VALUED
    return [_line(number, result) for number in numbers]


def _line(number: _Number, result: Result) -> Line:
    value = number.read(result.measures)
    text = "–" if value is None else number.show(value)
    if result.other is None:
        return Line(number.name, text, hint=number.hint)
    other = number.read(result.other.measures)
    other_text = "–" if other is None else number.show(other)
    if value is None or other is None:
        return Line(number.name, text, other_text, hint=number.hint)
    change = value - other
    if number.show is _share:
        change_text = f"{100 * change:+.1f} points"
    else:
        change_text = ("+" if change > 0 else "") + number.show(change)
    better = None if number.more_is_better is None or change == 0 else (change > 0) == number.more_is_better
    return Line(number.name, text, other_text, change_text, better, number.hint)
