"""The built-in generators as a source.

Exactly once: the same settings give the same events, so a position is enough to go on from.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from counterfoil.connectors.source import Chunk
from counterfoil.events.generators.payments import PaymentsGenerator
from counterfoil.events.generators.transfers import TransfersGenerator

_TICK_SECONDS = 0.02
"""With a rate, a chunk holds what is due in so many seconds."""


class GeneratorSource:
    """Generates lines as it is read.

    Parameters
    ----------
    what
        ``payments`` (NDJSON) or ``transfers`` (delimited lines).
    count
        How many events; the same bank with a larger count goes on where the smaller one ended.
    rate
        Events a second; None for as fast as they are taken.
    seed
        Another seed is another bank.
    customers
        How many customers, or accounts, it has.
    batch_lines
        Most events in a chunk.
    """

    seekable = True

    def __init__(self, what: str, count: int, rate: float | None, seed: int, customers: int, batch_lines: int) -> None:
        self.name = f"generator {what}, seed {seed}, customers {customers}"
        self._what = what
        self._count = count
        self._rate = rate
        self._seed = seed
        self._customers = customers
        due = batch_lines if rate is None else max(1, int(rate * _TICK_SECONDS))
        self._batch_lines = min(batch_lines, due)
        self._position = 0
        self._lines: Iterator[bytes] | None = None
        self._started = 0.0
        self._given = 0

    def seek(self, position: int, offset: int) -> None:
        """Go to an event; the ones before it are generated and thrown away."""
        del offset
        self._position = position

    def fingerprint(self, length: int | None) -> tuple[int, int]:
        """Return (0, 0): the name says it all."""
        del length
        return 0, 0

    def read(self, stopped: Callable[[], bool]) -> Chunk | None:
        """Return the next events, as they become due."""
        if self._lines is None:
            self._lines = self._chunks(self._position)
            self._started = time.monotonic()
        if stopped() or self._position >= self._count or not self._wait(stopped):
            return None
        data = next(self._lines)
        first = self._position
        self._position += data.count(b"\n")
        self._given += self._position - first
        return Chunk(data, first, self._position, self._position)

    def close(self) -> None:
        """Stop generating."""
        self._lines = None

    def _wait(self, stopped: Callable[[], bool]) -> bool:
        """Wait until the next chunk is due; return False when told to stop meanwhile."""
        if self._rate is None:
            return True
        due = self._started + self._given / self._rate
        while (left := due - time.monotonic()) > 0:
            if stopped():
                return False
            time.sleep(min(left, 0.1))
        return True

    def _chunks(self, left: int) -> Iterator[bytes]:
        """Yield the chunks without their first ``left`` lines."""
        for data, lines in self._generated():
            skipped = min(left, lines)
            left -= skipped
            if skipped < lines:
                yield data.split(b"\n", skipped)[-1] if skipped else data

    def _generated(self) -> Iterator[tuple[bytes, int]]:
        if self._what == "payments":
            payments = PaymentsGenerator(seed=self._seed, customers=self._customers)
            for events in payments.chunks(self._count, self._batch_lines):
                yield bytes(events.to_ndjson()), len(events)
        else:
            transfers = TransfersGenerator(seed=self._seed, accounts=self._customers)
            for lines in transfers.chunks(self._count, self._batch_lines):
                yield bytes(lines.to_lines()), len(lines)
