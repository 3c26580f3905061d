"""A state folder for readers: decisions, alerts, dead letters and explanations, also while a run goes on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt

from counterfoil.config import LimitsConfig
from counterfoil.detector import Detector
from counterfoil.detector_file import read_detector
from counterfoil.errors import InputError, StorageError
from counterfoil.events.identity import IdentityKey
from counterfoil.rules.definition import Outcome
from counterfoil.runtimes.local.dead_letter_vault import DeadLetterVault
from counterfoil.runtimes.local.explain import Explanation, explain
from counterfoil.runtimes.local.lines import LineEncoder
from counterfoil.runtimes.local.outputs import read_decisions
from counterfoil.runtimes.local.records import Records
from counterfoil.runtimes.local.store import Header, Store, StoredAlert, StoredDeadLetter

_FOLLOW_SECONDS = 0.2
"""How often a follower looks for what is new."""


@dataclass(frozen=True, slots=True)
class DecisionFilter:
    """Which decisions are wanted; what is None is not looked at."""

    outcome: Outcome | None = None
    """Only those with this outcome."""
    rule: str | None = None
    """Only those that this rule hit."""
    minimum_score: float | None = None
    """Only those with at least this score."""
    since: int | None = None
    """Only events from this time on, in microseconds since 1970."""
    until: int | None = None
    """Only events before this time."""
    late: bool | None = None
    """Only late ones, or only those that are not."""

    def rows(self, records: Records) -> npt.NDArray[np.int64]:
        """Return which of some decisions are wanted."""
        wanted = np.ones(len(records), np.bool_)
        if self.outcome is not None:
            wanted &= records.outcome == self.outcome.severity
        if self.minimum_score is not None:
            wanted &= records.score >= self.minimum_score
        if self.since is not None:
            wanted &= records.time >= self.since
        if self.until is not None:
            wanted &= records.time < self.until
        if self.late is not None:
            wanted &= records.late == int(self.late)
        if self.rule is not None:
            wanted &= records.finding_length >= 0
        rows = np.flatnonzero(wanted)
        if self.rule is None:
            return rows
        return np.array([row for row in rows.tolist() if _hit(records, row, self.rule)], np.int64)


def _hit(records: Records, row: int, rule: str) -> bool:
    return any(each["name"] == rule for each in records.findings(row)["rules"])


class StateLog:
    """A reader of a state folder, as a context manager; it never writes.

    Parameters
    ----------
    folder
        The state folder.
    secret
        The run's secret, where it had one: needed for ``explain`` and for dead letters that are encrypted.

    Raises
    ------
    StorageError
        If there is no log, or it was made with another secret.
    """

    def __init__(self, folder: str | Path, secret: bytes | None = None) -> None:
        self.folder = Path(folder)
        self.key = IdentityKey() if secret is None else IdentityKey(secret)
        self.store = Store(self.folder, read_only=True)
        if self.store.meta().get("key") not in (None, str(self.key.hash("counterfoil"))):
            self.store.close()
            raise StorageError(f"{self.folder}: was made with another secret; give the secret of the run")

    def __enter__(self) -> StateLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the log."""
        self.store.close()

    def detectors(self) -> list[tuple[int, Detector]]:
        """Return the detectors that decided, each with its first block, oldest first."""
        return [(epoch.first_block, read_detector(epoch.definition, epoch.version)) for epoch in self.store.epochs()]

    def decisions(
        self,
        wanted: DecisionFilter | None = None,
        *,
        follow: bool = False,
        last: int | None = None,
        stopped: Callable[[], bool] | None = None,
    ) -> Iterator[bytes]:
        """Yield decisions as JSON lines, in order.

        Parameters
        ----------
        wanted
            Which; None for all.
        follow
            Whether to wait for new ones at the end.
        last
            Begin with the newest so many of them; None for all.
        stopped
            Asked while waiting.
        """
        wanted = wanted or DecisionFilter()
        start = 0 if last is None else self._start_of_last(wanted, last)
        if last is not None:
            lines = [line for part in self._blocks(wanted, start) for line in part]
            yield from lines[len(lines) - min(last, len(lines)) :]
            start = self.store.totals.blocks
        while True:
            stop = self.store.totals.blocks
            for part in self._blocks(wanted, start):
                yield from part
            start = stop
            if not follow or not self._wait(start, stopped):
                return

    def _blocks(self, wanted: DecisionFilter, start: int) -> Iterator[list[bytes]]:
        encoder = LineEncoder()
        for header, records in read_decisions(self.store, start, self.store.totals.blocks):
            rows = wanted.rows(records)
            if len(rows):
                yield self._lines(encoder, header, records.take(rows))

    def _lines(self, encoder: LineEncoder, header: Header, records: Records) -> list[bytes]:
        return encoder.encode(records, header.decided_at, self.store.version_at(header.block)).splitlines(keepends=True)

    def _start_of_last(self, wanted: DecisionFilter, last: int) -> int:
        """Return the block from which on there are ``last`` wanted decisions, or the first."""
        found = 0
        for block in range(self.store.totals.blocks - 1, -1, -1):
            for _, records in read_decisions(self.store, block, block + 1):
                found += len(wanted.rows(records))
            if found >= last:
                return block
        return 0

    def alerts(
        self,
        rule: str | None = None,
        *,
        follow: bool = False,
        last: int | None = None,
        stopped: Callable[[], bool] | None = None,
    ) -> Iterator[StoredAlert]:
        """Yield alerts in the order in which they were opened; one that is extended comes again when following.

        Parameters
        ----------
        rule
            Only alerts of this rule.
        follow
            Whether to wait for new ones at the end.
        last
            Begin with the newest so many of them; None for all.
        stopped
            Asked while waiting.
        """
        start = 0
        while True:
            stop = self.store.totals.blocks
            found = [alert for alert in self.store.alerts(start) if rule is None or rule in alert.content["rules"]]
            if last is not None:
                found, last = found[len(found) - min(last, len(found)) :], None
            yield from found
            start = stop
            if not follow or not self._wait(start, stopped):
                return

    def _wait(self, blocks: int, stopped: Callable[[], bool] | None) -> bool:
        """Wait until there are more blocks; return False when told to stop."""
        while self.store.refresh().blocks <= blocks:
            if stopped is not None and stopped():
                return False
            time.sleep(_FOLLOW_SECONDS)
        return True

    def dead_letters(self, reason: str | None = None) -> Iterator[StoredDeadLetter]:
        """Yield the dead letters, oldest first; their bytes as they are stored."""
        return (letter for letter in self.store.dead_letters() if reason is None or letter.reason == reason)

    def dead_letter(self, number: int) -> tuple[StoredDeadLetter, bytes]:
        """Return one dead letter and the bytes of its record, decrypted.

        Raises
        ------
        InputError
            If there is no such letter.
        """
        letter = next(self.store.dead_letters(number), None)
        if letter is None:
            raise InputError(f"dead letter {number}: there is none with this number in {self.folder}; see the list")
        schema = self.detectors()[-1][1].schema
        return letter, DeadLetterVault(schema, self.key, LimitsConfig().dead_letter_bytes).open(letter)

    def explain(self, identifier: str) -> Explanation:
        """Perform a past decision again; see ``runtimes/local/explain.py``."""
        return explain(self.store, self.detectors(), self.key, identifier)
