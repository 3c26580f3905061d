"""Per customer, at each event: count, sum and mean over the last hour and the last 24 hours, beside river and bytewax.

All get the same events from memory, each in the form it likes best (columns; Python objects), in one thread of one
process, and all must equal an independent computation in numpy before a time is printed. river and bytewax run twice:
in their usual form (``TimeRolling`` around river's own statistics; ``stateful_map``), and in the fastest form that
their interfaces offer to somebody who writes the statistics himself (one ``TimeRolling`` a window around one object
that keeps all three; ``stateful_batch``). bytewax's own windows give a value when a window closes, not at each event.
"""

from __future__ import annotations

import datetime
import importlib.util
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.columns import DAY, HOUR, START, batch_of, identities, slices
from benchmarks.harness import Result, best_seconds, report

EVENTS = 200_000
CUSTOMERS = 5_000
DAYS = 20
"""So that a customer pays twice a day, as in the card data of the Fraud Detection Handbook."""
WINDOWS = {"1h": HOUR, "24h": DAY}
BATCH = 4096
BATCH_BYTEWAX = 128
"""Where it is fastest: larger batches gain nothing, smaller ones lose."""

Floats = npt.NDArray[np.float64]
Event = tuple[int, int, int]
"""Number, time in microseconds, cents."""
Rolling = Callable[[Any, datetime.timedelta], Any]
Contender = tuple[Callable[[], Any], Callable[[Any], Floats]]
"""What is timed, and what turns its result into the oracle's shape."""


@dataclass(frozen=True)
class Payments:
    """The events, in order of time."""

    time: npt.NDArray[np.int64]
    customer: npt.NDArray[np.int64]
    cents: npt.NDArray[np.int64]

    @classmethod
    def generate(cls, seed: int = 7) -> Payments:
        """Return payments at random times by random customers."""
        random = np.random.default_rng(seed)
        return cls(
            np.sort(START + random.integers(0, DAYS * DAY, EVENTS)),
            random.integers(0, CUSTOMERS, EVENTS),
            np.maximum(1, (random.lognormal(3.5, 1.0, EVENTS) * 100).astype(np.int64)),
        )


def oracle(payments: Payments) -> Floats:
    """Return count, sum and mean of each window at each event, by sorting and binary search: no state, no streaming."""
    order = np.lexsort((payments.time, payments.customer))
    # Customers far apart on one axis: the search for a window's beginning never reaches into a neighbour.
    axis = payments.customer[order] * (400 * DAY) + payments.time[order]
    total = np.concatenate([[0], np.cumsum(payments.cents[order])])
    # Rows of equal time that come later in the order of arrival are not part of the window yet.
    end = np.arange(1, EVENTS + 1)
    result = np.empty((EVENTS, 3 * len(WINDOWS)))
    for index, length in enumerate(WINDOWS.values()):
        begin = np.searchsorted(axis, axis - length, side="right")
        count, cents = end - begin, total[end] - total[begin]
        result[order, 3 * index] = count
        result[order, 3 * index + 1] = cents / 100
        result[order, 3 * index + 2] = cents / 100 / count
    return result


def with_counterfoil(payments: Payments) -> Contender:
    """Compile a detector of six features and process the events batch by batch."""
    from counterfoil.detector import Detector
    from counterfoil.events.kinds import EventKind, Field, FieldType, Schema
    from counterfoil.features.definition import AggregateFeature, Entity, Window
    from counterfoil.program import Program

    over = tuple(Window(label, length) for label, length in WINDOWS.items())
    kind = EventKind(
        "payment", (Field("customer_id", FieldType.ID), Field("amount", FieldType.MONEY)), None, "time", decide=True
    )
    detector = Detector(
        "windows",
        Schema((kind,)),
        (Entity("customer", ("customer_id",)),),
        (
            AggregateFeature("count", "count", "payment", (), "customer", over),
            AggregateFeature("sum", "sum", "payment", ("amount",), "customer", over),
            AggregateFeature("mean", "mean", "payment", ("amount",), "customer", over),
        ),
    )
    whole = batch_of(
        detector.schema,
        "payment",
        payments.time,
        {"customer_id": identities(payments.customer, 1), "amount": payments.cents},
    )
    batches = slices(whole, BATCH)

    def action() -> tuple[Any, list[Any]]:
        program = Program(detector)
        return program, [program.process(batch) for batch in batches]

    def in_major_units(result: tuple[Any, list[Any]]) -> Floats:
        program, decided = result
        words = np.concatenate([each.features for each in decided], axis=1)
        columns = []
        for label in WINDOWS:
            for name in ("count", "sum", "mean"):
                row = program.feature_names.index(f"{name}_{label}")
                value_type = program.feature_types[row]
                values = words[row].view(np.float64) if value_type.base == "float" else words[row].astype(np.float64)
                columns.append(values / 10.0**value_type.scale)
        return np.stack(columns, axis=1)

    return action, in_major_units


def with_river(payments: Payments) -> Contender:
    """Roll river's own statistics; ``Mean`` also knows the count."""
    from river import stats

    def windows(rolling: Rolling) -> list[Any]:
        return [rolling(statistic, period) for period in _periods() for statistic in (stats.Sum, stats.Mean)]

    def values(windows: list[Any]) -> tuple[float, ...]:
        hour_sum, hour_mean, day_sum, day_mean = windows
        return (hour_mean.n, hour_sum.get(), hour_mean.get(), day_mean.n, day_sum.get(), day_mean.get())

    return _river(payments, windows, values)


def with_river_by_hand(payments: Payments) -> Contender:
    """Roll one object a window that keeps count, sum and mean together."""

    def windows(rolling: Rolling) -> list[Any]:
        return [rolling(CountSumMean, period) for period in _periods()]

    def values(windows: list[Any]) -> tuple[float, ...]:
        hour, day = windows
        return (*hour.get(), *day.get())

    return _river(payments, windows, values)


class CountSumMean:
    """Count, sum and mean in one object that ``river.utils.TimeRolling`` can roll."""

    __slots__ = ("count", "sum")

    def __init__(self) -> None:
        self.count = 0
        self.sum = 0.0

    def update(self, x: float) -> None:
        """Add one value."""
        self.count += 1
        self.sum += x

    def revert(self, x: float) -> None:
        """Take one value out again."""
        self.count -= 1
        self.sum -= x

    def get(self) -> tuple[int, float, float]:
        """Return count, sum and mean."""
        return self.count, self.sum, self.sum / self.count


def _periods() -> list[datetime.timedelta]:
    return [datetime.timedelta(microseconds=length) for length in WINDOWS.values()]


def _river(
    payments: Payments, windows: Callable[[Rolling], list[Any]], values: Callable[[list[Any]], tuple[float, ...]]
) -> Contender:
    from river import utils

    epoch = datetime.datetime(1970, 1, 1)
    events = [
        (customer, amount, epoch + datetime.timedelta(microseconds=at))
        for customer, amount, at in zip(
            payments.customer.tolist(), (payments.cents / 100).tolist(), payments.time.tolist(), strict=True
        )
    ]

    def action() -> list[tuple[float, ...]]:
        customers: dict[int, list[Any]] = {}
        results: list[tuple[float, ...]] = []
        for customer, amount, at in events:
            held = customers.get(customer)
            if held is None:
                held = customers[customer] = windows(utils.TimeRolling)
            for window in held:
                window.update(amount, t=at)
            results.append(values(held))
        return results

    return action, np.array


def with_bytewax(payments: Payments) -> Contender:
    """Map each event with the state of its customer."""
    import bytewax.operators as op

    def mapper(state: CustomerWindows | None, event: Event) -> tuple[CustomerWindows, tuple[float, ...]]:
        state = state or CustomerWindows()
        return state, state.add(event)

    return _bytewax(payments, lambda events: op.stateful_map("windows", events, mapper))


def with_bytewax_by_batch(payments: Payments) -> Contender:
    """Give each customer's logic all its events of a batch at once."""
    import bytewax.operators as op

    class Logic(op.StatefulBatchLogic):  # type: ignore[misc]
        def __init__(self) -> None:
            self.windows = CustomerWindows()

        def on_batch(self, values: list[Event]) -> tuple[list[tuple[float, ...]], bool]:
            return [self.windows.add(event) for event in values], False

        def snapshot(self) -> object:
            return self.windows

    return _bytewax(payments, lambda events: op.stateful_batch("windows", events, lambda _resumed: Logic()))


class CustomerWindows:
    """The windows of one customer, each as a queue of what it holds and a running sum of cents."""

    __slots__ = ("windows",)

    def __init__(self) -> None:
        self.windows: list[tuple[int, deque[tuple[int, int]], list[int]]] = [
            (length, deque(), [0]) for length in WINDOWS.values()
        ]

    def add(self, event: Event) -> tuple[float, ...]:
        """Return the event's number and the values of all windows at it."""
        index, at, cents = event
        result: tuple[float, ...] = (index,)
        for length, held, total in self.windows:
            held.append((at, cents))
            total[0] += cents
            while held[0][0] <= at - length:
                total[0] -= held.popleft()[1]
            count, amount = len(held), total[0] / 100
            result += (count, amount, amount / count)
        return result


def _bytewax(payments: Payments, step: Callable[[Any], Any]) -> Contender:
    import bytewax.operators as op
    from bytewax.dataflow import Dataflow
    from bytewax.testing import TestingSink, TestingSource, run_main

    events = [
        (str(customer), (index, at, cents))
        for index, (customer, at, cents) in enumerate(
            zip(payments.customer.tolist(), payments.time.tolist(), payments.cents.tolist(), strict=True)
        )
    ]

    def action() -> list[Any]:
        results: list[Any] = []
        flow = Dataflow("comparison")
        op.output(
            "results", step(op.input("payments", flow, TestingSource(events, BATCH_BYTEWAX))), TestingSink(results)
        )
        run_main(flow)
        return results

    def in_order(results: list[Any]) -> Floats:
        rows = np.array([row for _, row in results])
        return rows[np.argsort(rows[:, 0]), 1:]

    return action, in_order


def events_per_second(prepare: Callable[[Payments], Contender], payments: Payments, expected: Floats) -> float:
    """Return how many events a second a contender does, after checking that every value is right."""
    action, shaped = prepare(payments)
    # This round proves the values and, for counterfoil, loads or compiles the kernels.
    np.testing.assert_allclose(shaped(action()), expected, rtol=1e-9, atol=1e-6, err_msg=prepare.__name__)
    return EVENTS / best_seconds(action)


def main() -> list[Result]:
    """Compare on the same events in one run."""
    payments = Payments.generate()
    expected = oracle(payments)
    ours = events_per_second(with_counterfoil, payments, expected)
    circumstances = "count, sum, mean over 1 h and 24 h a customer; one core; equal to the oracle"
    results = [Result("Windows a customer", ours, "events/s", note=circumstances)]
    for name, label, prepare, target in (
        ("river", "river", with_river, "≥ 50"),
        ("river", "river, its statistics replaced by hand-written ones", with_river_by_hand, ""),
        ("bytewax", "bytewax", with_bytewax, "≥ 15"),
        ("bytewax", "bytewax, by hand in batches", with_bytewax_by_batch, ""),
    ):
        if importlib.util.find_spec(name) is None:
            print(f"{name} is not installed: no wheels for this Python, or not `make bench`", file=sys.stderr)
            continue
        theirs = events_per_second(prepare, payments, expected)
        results.append(Result(f"… against {label}", ours / theirs, "×", target, f"there {theirs:,.0f} events/s"))
    return results


if __name__ == "__main__":
    report(main)
