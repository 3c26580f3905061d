"""Numbered payments on a topic, the detector that reads them, and what its windows must hold: the oracle."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from counterfoil.config import LimitsConfig, RunConfig, SinkConfig, SourceConfig, StateConfig, TopicConfig
from counterfoil.detector import Detector
from counterfoil.detector_file import read_detector

DEFINITION = """
detector: numbered
dedupe: 24h
events:
  payment:
    id: number
    time: at
    decide: true
    fields: {card: id, amount: money}
entities: {card: card}
features:
  - {name: count, count: payment, by: card, over: [1h, 24h]}
  - {name: spend, sum: amount, by: card, over: [1h, 24h]}
rules:
  - {name: many, when: count_1h >= 4, then: review, score: 0.8, reason: "{count_1h} within an hour.", episode: card}
"""
PARTITIONS = 4
CARDS = 5_000
START = 1_767_225_600_000
"""2026-01-01T00:00:00Z in milliseconds."""
HOUR = 3_600_000
FEATURES = ("count_1h", "count_24h", "spend_1h", "spend_24h")

Numbers = npt.NDArray[np.int64]


def numbered_detector() -> Detector:
    """Return the detector."""
    return read_detector(DEFINITION, "numbered.yaml")


@dataclass(frozen=True, slots=True)
class Numbered:
    """Payments in the order of their numbers; all of a card lie in one partition."""

    card: Numbers
    time: Numbers
    """Milliseconds since 1970, ascending."""
    amount: Numbers
    """Cents."""

    @classmethod
    def draw(cls, count: int, seed: int) -> Numbered:
        """Return some payments."""
        draw = np.random.default_rng(seed)
        # A few cards are hot: some 20 payments in an hour.
        card = np.where(draw.random(count) < 0.1, draw.integers(0, 50, count), draw.integers(0, CARDS, count))
        time = START + np.cumsum(draw.integers(0, 400, count))
        return cls(card, time, draw.integers(1, 100_000, count))

    def messages(self) -> list[tuple[int, bytes, bytes]]:
        """Return partition, key and value of each."""
        return [
            (
                card % PARTITIONS,
                b"%d" % card,
                json.dumps(
                    {"kind": "payment", "number": f"n{number}", "at": time / 1000, "card": card, "amount": amount / 100}
                ).encode(),
            )
            for number, (card, time, amount) in enumerate(
                zip(self.card.tolist(), self.time.tolist(), self.amount.tolist(), strict=True)
            )
        ]

    def oracle(self) -> Numbers:
        """Return the features of each payment, money in cents, (features, n): by counting, with no window code."""
        found = np.zeros((4, len(self.card)), np.int64)
        for card in np.unique(self.card):
            rows = np.flatnonzero(self.card == card)
            times = self.time[rows]
            totals = np.concatenate([np.zeros(1, np.int64), np.cumsum(self.amount[rows])])
            for place, window in enumerate((HOUR, 24 * HOUR)):
                first = np.searchsorted(times, times - window, "right")
                here = np.arange(len(rows))
                found[place, rows] = here - first + 1
                found[2 + place, rows] = totals[here + 1] - totals[first]
        return found


def numbered_config(folder: Path, address: str, topics: tuple[str, str, str], group: str, **limits: int) -> RunConfig:
    """Return the settings of a run that reads to the end of a topic."""
    source, decisions, alerts = topics
    return RunConfig(
        detector="numbered",
        source=SourceConfig(
            type="kafka", servers=address, topics=(TopicConfig(name=source),), group=group, until_end=True
        ),
        sinks=(
            SinkConfig(type="kafka", topic=decisions, features=True),
            SinkConfig(type="kafka", topic=alerts, content="alerts"),
        ),
        state=StateConfig(folder=str(folder / "state"), replay_seconds=0.5, snapshot_share=1.0),
        limits=LimitsConfig(**limits),
    )
