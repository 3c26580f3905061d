"""A small detector, and a history for it with labels, a duplicate, a late payment and records that cannot be read."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from counterfoil.backtest import Backtest, Result
from counterfoil.config import SourceConfig
from counterfoil.detector import Detector
from counterfoil.detector_file import read_detector

DEFINITION = """
detector: sample
events:
  payment:
    id: payment_id
    time: at
    decide: true
    fields: {customer: id, shop: id, amount: {type: money, required: true}}
    ignore: [fraud, story]
  change:
    id: change_id
    time: at
    fields: {customer: id}
entities:
  customer: customer
features:
  - {name: count, count: payment, by: customer, over: [1h, 24h]}
  - {name: spend, sum: amount, by: customer, over: 24h}
  - {name: usual, mean: amount, by: customer, over: 24h, prior: true}
  - {name: last_shop, last: shop, of: payment, by: customer}
  - {name: since_change, time_since: change, by: customer}
  - {name: high, expr: "amount > 80"}
rules:
  - {name: many, when: "count_1h >= LIMIT", then: review, score: 0.8, reason: "{count_1h} an hour.", episode: customer}
  - {name: large, when: "spend_24h > 400", then: block, score: 0.96, reason: "{spend_24h} in a day."}
  - {name: changed, when: "since_change <= interval '30' minute", score: 0.3, reason: "Soon after a change."}
"""

START = 1_767_225_600
"""2026-01-01T00:00:00Z."""


def detector(limit: int = 3) -> Detector:
    """Return the detector; ``limit`` payments within an hour are many."""
    return read_detector(DEFINITION.replace("LIMIT", str(limit)))


def events(count: int = 400, seed: int = 1) -> list[dict[str, Any]]:
    """Return a history over four days; a tenth of the payments is fraud."""
    chance = random.Random(seed)
    found: list[dict[str, Any]] = []
    for number in range(count):
        time = START + number * 4 * 86_400 // count
        customer = f"c{chance.randrange(8)}"
        if chance.random() < 0.1:
            found.append({"kind": "change", "change_id": f"x{number}", "at": time, "customer": customer})
            continue
        fraud = chance.random() < 0.1
        found.append(
            {
                "kind": "payment",
                "payment_id": f"p{number}",
                "at": time,
                "customer": customer,
                "shop": f"s{chance.randrange(5)}",
                "amount": chance.randrange(100, 20_000) / 100,
                "fraud": fraud,
                "story": "stolen" if fraud else None,
            }
        )
    return found


def write(path: Path, records: list[dict[str, Any]], *, broken: bool = False) -> Path:
    """Write a history as NDJSON."""
    lines = [json.dumps(record) for record in records]
    if broken:
        lines.insert(5, '{"kind":"payment","payment_id":')
        lines.append(json.dumps({"kind": "payment", "payment_id": "bad", "at": START, "amount": "much"}))
    path.write_text("\n".join(lines) + "\n")
    return path


def run(path: Path, **given: Any) -> Result:
    """Back-test the sample over one file."""
    given.setdefault("labels", "fraud")
    source = given.pop("source", SourceConfig())
    return Backtest(given.pop("detector", detector()), given.pop("files", (path,)), source, **given).run()
