"""Generators: events of a bank that does not exist, for demos, tests and measurements.

``payments.py`` is the place to start: the stream of a believable bank, in which labelled fraud stories happen beside
innocent ones that look like them. ``transfers.py`` makes the classic transfer lines. The same seed gives the same
bytes, on every machine and in chunks of any size.
"""

from __future__ import annotations

from counterfoil.events.generators.columns import FRAUD_STORIES, KINDS, STORIES, TWIN_STORIES, TWINS, EventColumns
from counterfoil.events.generators.payments import PaymentsGenerator
from counterfoil.events.generators.transfers import TimeFormat, TransferColumns, TransfersGenerator

__all__ = [
    "FRAUD_STORIES",
    "KINDS",
    "STORIES",
    "TWINS",
    "TWIN_STORIES",
    "EventColumns",
    "PaymentsGenerator",
    "TimeFormat",
    "TransferColumns",
    "TransfersGenerator",
]
