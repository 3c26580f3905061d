"""What becomes known days later: chargebacks of frauds, and disputes about honest payments."""

from __future__ import annotations

import numpy as np

from counterfoil.events.generators.columns import OUTCOME, TRANSACTION, blank_rows
from counterfoil.events.generators.population import Rows

MINUTE_MS = 60_000


def outcomes_of(rows: Rows) -> Rows:
    """Return the outcome of each transaction that will be reported, when it will be known.

    An outcome has its transaction's number: ids of different kinds never meet.
    """
    reported = rows[(rows["report"] > 0) & (rows["kind"] == TRANSACTION)]
    outcomes = blank_rows(len(reported))
    for name in ("number", "customer", "card", "merchant", "device", "fraud", "story"):
        outcomes[name] = reported[name]
    outcomes["kind"] = OUTCOME
    outcomes["subject"] = reported["number"]
    # Nobody files a report on the full minute.
    seconds = (reported["number"] * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(40)).astype(np.int64) % MINUTE_MS
    outcomes["time"] = reported["time"] + reported["report"].astype(np.int64) * MINUTE_MS + seconds
    return outcomes
