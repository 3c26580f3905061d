"""Metrics of topics: made only where a run has to do with Kafka."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from prometheus_client import Counter, Gauge, Histogram

from counterfoil.connectors.kafka_source import Observer
from counterfoil.connectors.partitions import Partition

if TYPE_CHECKING:
    from counterfoil.observability import Metrics
    from counterfoil.runtimes.local.messages import Parcel

_SECONDS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0)


class KafkaMetrics(Observer):
    """What source and sink say of themselves.

    Parameters
    ----------
    metrics
        The run's metrics, whose registry these are put into.
    """

    def __init__(self, metrics: Metrics) -> None:
        registry = metrics.registry
        self._lag = Gauge(
            "counterfoil_kafka_lag_records",
            "Records of a partition that were not read yet.",
            ["topic", "partition"],
            registry=registry,
        )
        self._partitions = Gauge("counterfoil_kafka_partitions", "Partitions that are owned.", registry=registry)
        self.rebalances = Counter("counterfoil_kafka_rebalances", "Assignments of partitions.", registry=registry)
        self.lost = Counter(
            "counterfoil_kafka_lost_records", "Records that were deleted before they were read.", registry=registry
        )
        self.transactions = Counter(
            "counterfoil_kafka_transactions", "Transactions by how they ended.", ["result"], registry=registry
        )
        self.in_doubt = Counter(
            "counterfoil_kafka_in_doubt", "Transactions whose end had to be read back.", registry=registry
        )
        self.transaction_seconds = Histogram(
            "counterfoil_kafka_transaction_seconds",
            "From the beginning of a transaction until it is committed.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.messages = Counter("counterfoil_kafka_messages", "Messages delivered.", ["topic"], registry=registry)
        self.withheld = Counter(
            "counterfoil_kafka_withheld_decisions",
            "Decisions that were not written because another instance had delivered them.",
            registry=registry,
        )
        self._delivery = Histogram(
            "counterfoil_kafka_delivery_seconds",
            "Until the decisions of a batch can be read, since its newest event's time, since its oldest record was"
            " written, and since it was read.",
            ["since"],
            buckets=_SECONDS,
            registry=registry,
        )

    def rebalanced(self, partitions: int) -> None:
        """Take note of a new assignment."""
        self.rebalances.inc()
        self._partitions.set(partitions)
        self._lag.clear()

    def lag(self, lags: Mapping[Partition, int]) -> None:
        """Take note of how many records of each partition were not read yet."""
        for (topic, partition), lag in lags.items():
            self._lag.labels(topic, str(partition)).set(lag)

    def gap(self, records: int) -> None:
        """Take note of records that are lost."""
        self.lost.inc(records)

    def committed(self, seconds: float, parcels: Iterable[Parcel]) -> None:
        """Take note of a transaction."""
        self.transactions.labels("committed").inc()
        self.transaction_seconds.observe(seconds)
        now, clock = time.time(), time.monotonic()
        for parcel in parcels:
            if parcel.received is not None:
                self._delivery.labels("intake").observe(clock - parcel.received)
            if parcel.produced is not None:
                self._delivery.labels("produced").observe(max(0.0, now - parcel.produced))
            if parcel.received is not None and len(parcel.records):
                self._delivery.labels("event").observe(max(0.0, now - int(parcel.records.time[-1]) / 1e6))
