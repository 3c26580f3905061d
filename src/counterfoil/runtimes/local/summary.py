"""What a run did, in numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from counterfoil.words import counted

if TYPE_CHECKING:
    from counterfoil.events.dead_letters import DeadLetter


@dataclass(frozen=True, slots=True)
class RunSummary:
    """The numbers of one run; ``as_dict`` gives the keys that scripts rely on."""

    events: int
    """Records received, dead letters included."""
    decided: int
    observed: int
    duplicates: int
    dead_letters: int
    alerts: int
    seconds: float
    latency_ms: dict[str, float | None] = field(default_factory=dict)
    """``p50`` and ``p99`` of the time from reading an event until its decision was durable."""
    total_events: int = 0
    """Records received over all runs of this state folder."""
    recovery_seconds: float = 0.0
    """How long it took to get ready."""
    stopped: bool = False
    """Whether it was told to stop before the end of the input."""
    refused: str = ""
    """Where more than half of the records are dead letters: the commonest reason, with an example."""
    carried_seconds: float = 0.0
    """From the first records that were read until everything was committed and delivered: without the time that
    connecting takes, and waiting for the first of them."""

    @property
    def events_per_second(self) -> float:
        """Records received a second."""
        return self.events / self.seconds if self.seconds > 0 else 0.0

    def as_dict(self) -> dict[str, Any]:
        """Return the summary for JSON."""
        return {
            "events": self.events,
            "decided": self.decided,
            "observed": self.observed,
            "duplicates": self.duplicates,
            "dead_letters": self.dead_letters,
            "alerts": self.alerts,
            "seconds": round(self.seconds, 6),
            "events_per_second": round(self.events_per_second, 1),
            "latency_ms": self.latency_ms,
            "total_events": self.total_events,
            "recovery_seconds": round(self.recovery_seconds, 6),
            "stopped": self.stopped,
            "carried_seconds": round(self.carried_seconds, 6),
        }


class RefusalTally:
    """Counts dead letters by their reason, and keeps the first of each."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._firsts: dict[str, DeadLetter] = {}

    def add(self, letters: Iterable[DeadLetter]) -> None:
        """Add some dead letters."""
        for each in letters:
            self._counts[each.reason.value] += 1
            self._firsts.setdefault(each.reason.value, each)

    def told(self, records: int) -> str:
        """Return the commonest reason where more than half of so many records were refused; nothing where not.

        It never shows the value of a card field, as a dead letter's detail does not.
        """
        refused = self._counts.total()
        if 2 * refused <= records:
            return ""
        [(reason, count)] = self._counts.most_common(1)
        first = self._firsts[reason]
        return (
            f"{refused:,} of {counted(records, 'record')} could not be read, {count:,} of them for {reason};"
            f" position {first.position}: {first.detail}"
        )


class LatencyTally:
    """Latencies weighted by how many events had them, in buckets 2 % apart: bounded however long a run is."""

    _FIRST_MS = 0.001
    _GROWTH = 1.02
    _BUCKETS = 1_400

    def __init__(self) -> None:
        self._counts = np.zeros(self._BUCKETS, np.int64)

    def add(self, seconds: float, events: int) -> None:
        """Add a latency that ``events`` events had."""
        bucket = np.log(max(1000 * seconds / self._FIRST_MS, 1.0)) / np.log(self._GROWTH)
        self._counts[min(int(bucket), self._BUCKETS - 1)] += events

    def percentiles_ms(self) -> dict[str, float | None]:
        """Return ``p50`` and ``p99`` in milliseconds; None while nothing was added."""
        total = int(self._counts.sum())
        if not total:
            return {"p50": None, "p99": None}
        ranks = np.cumsum(self._counts)
        return {name: self._at(ranks, share * total) for name, share in (("p50", 0.5), ("p99", 0.99))}

    def _at(self, ranks: np.ndarray[tuple[int], np.dtype[np.int64]], rank: float) -> float:
        bucket = int(np.searchsorted(ranks, rank))
        return round(float(self._FIRST_MS * self._GROWTH ** (bucket + 0.5)), 4)
