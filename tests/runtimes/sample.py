"""A small detector and a stream with everything that can happen to it: for the tests of the runtime."""

from __future__ import annotations

import json
import random
from pathlib import Path

from counterfoil.config import LimitsConfig, RunConfig, SinkConfig, SourceConfig, StateConfig
from counterfoil.detector import Detector
from counterfoil.detector_file import read_detector

DEFINITION = """
detector: sample
events:
  payment:
    id: payment_id
    time: at
    decide: true
    fields: {customer: id, shop: id, amount: {type: money, required: true}, channel: category}
  change:
    id: change_id
    time: at
    fields: {customer: id}
entities:
  customer: customer
  shop: shop
features:
  - {name: count, count: payment, by: customer, over: [1h, 24h]}
  - {name: spend, sum: amount, by: customer, over: 24h}
  - {name: usual, mean: amount, by: shop, over: 24h}
  - {name: since_change, time_since: change, by: customer}
  - {name: ratio, expr: "amount / nullif(usual_24h, 0)"}
rules:
  - name: many
    when: count_1h >= 5
    then: review
    score: 0.8
    reason: "{count_1h} within an hour."
    episode: customer
    quiet: 2h
  - {name: large, when: "spend_24h > 900", then: block, score: 0.96, reason: "{spend_24h} in a day."}
  - name: changed
    when: since_change <= interval '30' minute and amount > 50
    score: 0.3
    reason: Soon after a change.
"""

ANEW = DEFINITION.replace("over: 24h", "over: 25h").replace("spend_24h", "spend_25h").replace("usual_24h", "usual_25h")
"""The same with other windows: a detector that cannot take its state over."""

START = 1_767_225_600
"""2026-01-01T00:00:00Z in seconds."""


def sample_detector(definition: str = DEFINITION) -> Detector:
    """Return the detector."""
    return read_detector(definition, "sample.yaml")


def sample_lines(count: int, seed: int = 1, poison: bool = True) -> list[bytes]:
    """Return lines of payments and changes with duplicates, late events and (``poison``) lines that are no events."""
    draw = random.Random(seed)
    lines: list[bytes] = []
    at = float(START)
    for number in range(count):
        at = round(at + draw.expovariate(1 / 60), 3)
        chance = draw.random()
        if poison and chance < 0.03:
            lines.append(draw.choice([b"{", b"\xff\xfe", b'{"kind":"payment"}', b'{"kind":"other"}', b"[1]"]))
        elif chance < 0.06 and lines:
            lines.append(draw.choice(lines))
        elif chance < 0.15:
            lines.append(_line("change", number, change_id=f"c{number}", at=at, customer=_customer(draw)))
        else:
            time = at - draw.choice([0, 0, 0, 0, 1800])
            fields: dict[str, object] = {"customer": _customer(draw), "shop": f"shop-{draw.randrange(8)}"}
            fields |= {"payment_id": f'p"{number}é'}
            amount = round(draw.lognormvariate(4, 1), 2)
            lines.append(_line("payment", number, at=time, **fields, amount=amount))
    return lines


def _customer(draw: random.Random) -> str | None:
    return draw.choice([f"customer-{draw.randrange(20)}", f"customer-{draw.randrange(3)}", None])


def _line(kind: str, number: int, **fields: object) -> bytes:
    return json.dumps({"kind": kind, "extra": number, **fields}).encode()


def write_lines(path: Path, lines: list[bytes]) -> Path:
    """Write lines to a file."""
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


def sample_config(
    folder: Path,
    source: Path,
    *,
    batch_events: int = 64,
    features: bool = False,
    parquet: bool = False,
    shards: int = 1,
    **state: object,
) -> RunConfig:
    """Return settings that read ``source`` and keep state and outputs in ``folder``."""
    sinks = [SinkConfig(path=str(folder / "decisions.ndjson"), features=features)]
    if parquet:
        sinks.append(SinkConfig(path=str(folder / "decisions.parquet"), format="parquet", features=features))
    return RunConfig(
        detector="sample",
        source=SourceConfig(path=str(source)),
        sinks=tuple(sinks),
        state=StateConfig(folder=str(folder / "state"), **state),  # type: ignore[arg-type]
        limits=LimitsConfig(batch_events=batch_events, commit_events=4 * batch_events, shards=shards),
    )
