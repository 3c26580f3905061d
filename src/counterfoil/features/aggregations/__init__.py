"""The aggregations, one a file: what it means, how it is planned, its kernel, its slow twin, and the same as SQL."""

from __future__ import annotations

from counterfoil.features.aggregations.age import Age
from counterfoil.features.aggregations.base import Aggregation, Operation, Request, Row, Terms, Value
from counterfoil.features.aggregations.count import Count
from counterfoil.features.aggregations.distance import Distance
from counterfoil.features.aggregations.distinct import Distinct
from counterfoil.features.aggregations.frequency import Frequency
from counterfoil.features.aggregations.last import Last
from counterfoil.features.aggregations.max import Max
from counterfoil.features.aggregations.mean import Mean
from counterfoil.features.aggregations.min import Min
from counterfoil.features.aggregations.rate import Rate
from counterfoil.features.aggregations.share import Share
from counterfoil.features.aggregations.speed import Speed
from counterfoil.features.aggregations.std import Std
from counterfoil.features.aggregations.sum import Sum
from counterfoil.features.aggregations.time_since import TimeSince

AGGREGATIONS: dict[str, Aggregation] = {
    aggregation.name: aggregation
    for aggregation in (
        Count(),
        Sum(),
        Mean(),
        Std(),
        Min(),
        Max(),
        Distinct(),
        Share(),
        Frequency(),
        Last(),
        TimeSince(),
        Age(),
        Distance(),
        Speed(),
        Rate(),
    )
}
"""Every aggregation by its name."""

__all__ = ["AGGREGATIONS", "Aggregation", "Operation", "Request", "Row", "Terms", "Value"]
