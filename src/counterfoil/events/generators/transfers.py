"""The classic transfer lines: time; sender; receiver; amount. Some pairs send more than 10,000 within ten minutes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

import numba as nb
import numpy as np
import numpy.typing as npt
import polars as pl

from counterfoil.errors import ConfigurationError
from counterfoil.events.batch import Bytes
from counterfoil.events.generators.digits import (
    Vocabulary,
    civil,
    vocabulary,
    write_clock,
    write_date,
    write_integer,
    write_padded,
    write_word,
)
from counterfoil.events.generators.draws import Lots, subject_key
from counterfoil.events.words import PADDING

START = datetime(2017, 7, 23, tzinfo=UTC)
LIMIT = 10_000
WINDOW = timedelta(minutes=10)
CHUNK_LINES = 65_536

LINE_BYTES_MAX = 96
"""No line is longer: 34 bytes of time, two accounts of at most 9 digits, an amount of 5."""
_SLICE_LINES = 65_536
_STORY_LINES = 4
"""Payments of a pair that goes over the limit, at most."""
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_WORDS = vocabulary((*_WEEKDAYS, *_MONTHS))
_COMMA, _SPACE, _DASH, _SEMICOLON, _NEWLINE, _T, _Z = 44, 32, 45, 59, 10, 84, 90


class TimeFormat(StrEnum):
    """How the lines write time, to the second."""

    RFC850 = "rfc850"
    """``Sunday, 23-Jul-17 01:06:47 UTC``: two digits for the year."""
    RFC3339 = "rfc3339"
    """``2017-07-23T01:06:47Z``."""


@nb.njit(nogil=True, cache=True, _nrt=False)
def _write_rfc850(out: Bytes, at: int, day: int, words: Vocabulary) -> int:
    year, month, day_of_month = civil(day)
    at = write_word(out, at, words, (day + 3) % 7)
    out[at] = _COMMA
    out[at + 1] = _SPACE
    at = write_padded(out, at + 2, day_of_month, 2)
    out[at] = _DASH
    at = write_word(out, at + 1, words, 6 + month)
    out[at] = _DASH
    at = write_padded(out, at + 1, year % 100, 2)
    out[at] = _SPACE
    return at + 1


@nb.njit(nogil=True, cache=True, _nrt=False)
def _write_lines(
    time: npt.NDArray[np.int64],
    sender: npt.NDArray[np.int64],
    receiver: npt.NDArray[np.int64],
    amount: npt.NDArray[np.int64],
    classic: bool,
    words: Vocabulary,
    out: Bytes,
) -> int:
    at = 0
    for row in range(len(time)):
        day = time[row] // 86_400
        second = time[row] - day * 86_400
        if classic:
            at = write_clock(out, _write_rfc850(out, at, day, words), second)
            out[at] = _SPACE
            out[at + 1] = 85
            out[at + 2] = 84
            out[at + 3] = 67
            at += 4
        else:
            at = write_date(out, at, day)
            out[at] = _T
            at = write_clock(out, at + 1, second)
            out[at] = _Z
            at += 1
        out[at] = _SEMICOLON
        at = write_integer(out, at + 1, sender[row])
        out[at] = _SEMICOLON
        at = write_integer(out, at + 1, receiver[row])
        out[at] = _SEMICOLON
        at = write_integer(out, at + 1, amount[row])
        out[at] = _NEWLINE
        at += 1
    return at


@dataclass(frozen=True, slots=True)
class TransferColumns:
    """Some transfers, in time order.

    Parameters
    ----------
    time
        (n,): seconds since 1970, UTC.
    sender, receiver
        (n,): numbers of accounts, from 1.
    amount
        (n,): whole units of money.
    split
        (n,): whether it is one of the payments that were split to stay below the limit: the label.
    time_format
        How lines write the time.
    """

    time: npt.NDArray[np.int64]
    sender: npt.NDArray[np.int64]
    receiver: npt.NDArray[np.int64]
    amount: npt.NDArray[np.int64]
    split: npt.NDArray[np.bool_]
    time_format: TimeFormat

    def __len__(self) -> int:
        return len(self.time)

    def __getitem__(self, rows: slice | npt.NDArray[np.int64]) -> TransferColumns:
        return TransferColumns(
            self.time[rows],
            self.sender[rows],
            self.receiver[rows],
            self.amount[rows],
            self.split[rows],
            self.time_format,
        )

    def to_lines(self) -> bytes:
        """Return the transfers as lines."""
        out = np.empty(len(self) * LINE_BYTES_MAX + PADDING, np.uint8)
        classic = self.time_format is TimeFormat.RFC850
        used = _write_lines(self.time, self.sender, self.receiver, self.amount, classic, _WORDS, out)
        return out[:used].tobytes()

    def to_frame(self) -> pl.DataFrame:
        """Return the transfers as a table, in the built-in ``laundering`` detector's words."""
        return pl.DataFrame(
            {
                "time": pl.Series(self.time * 1_000_000).cast(pl.Datetime("us", "UTC")),
                "sender": pl.Series(self.sender).cast(pl.String),
                "receiver": pl.Series(self.receiver).cast(pl.String),
                "amount": pl.Series(self.amount),
            }
        )


class TransfersGenerator:
    """Generates the classic transfer lines.

    Most transfers go between two accounts drawn at random. Every so often one pair sends several in a row, each below
    10,000 and together above it, within ten minutes: what the ``laundering`` detector looks for. The stream is endless
    and a pure function of the parameters.

    Parameters
    ----------
    seed
        Another seed gives other transfers.
    accounts
        How many accounts there are, 2 to 100,000,000.
    start
        When it begins; naive times are UTC.
    transfers_per_second
        How fast time goes by in the stream, 0.001 to 1,000,000.
    split_share
        The share of transfers that belong to a split payment, 0 to 0.5.
    time_format
        How lines write the time.

    Examples
    --------
    >>> generator = TransfersGenerator(seed=1, time_format="rfc3339")
    >>> for transfers in generator.chunks(count=2):
    ...     print(transfers.to_lines().decode(), end="")
    2017-07-23T00:00:00Z;34;70;5855
    2017-07-23T00:00:00Z;48;96;4462
    """

    def __init__(
        self,
        seed: int = 0,
        accounts: int = 100,
        start: datetime = START,
        transfers_per_second: float = 1.0,
        split_share: float = 0.01,
        time_format: TimeFormat | str = TimeFormat.RFC850,
    ) -> None:
        _check("seed", seed, 0, 2**63 - 1)
        _check("accounts", accounts, 2, 100_000_000)
        _check("transfers_per_second", transfers_per_second, 0.001, 1e6)
        _check("split_share", split_share, 0.0, 0.5)
        if time_format not in tuple(TimeFormat):
            allowed = ", ".join(TimeFormat)
            raise ConfigurationError(f"time_format: found {time_format}; allowed: {allowed}")
        self.seed = seed
        self.accounts = accounts
        self.start = start if start.tzinfo else start.replace(tzinfo=UTC)
        self.transfers_per_second = transfers_per_second
        self.split_share = split_share
        self.time_format = TimeFormat(time_format)

    def chunks(self, count: int | None = None, size: int = CHUNK_LINES) -> Iterator[TransferColumns]:
        """Yield the stream from its beginning.

        Parameters
        ----------
        count
            Stop after so many transfers; None goes on for ever.
        size
            The largest number of transfers in a chunk.
        """
        _check("size", size, 1, 2**31)
        if count is not None:
            _check("count", count, 0, 2**62)
        left = count
        for transfers in self._slices():
            at = 0
            while at < len(transfers) and left != 0:
                past = min(len(transfers), at + size, at + (left if left is not None else size))
                yield transfers[at:past]
                if left is not None:
                    left -= past - at
                at = past
            if left == 0:
                return

    def _slices(self) -> Iterator[TransferColumns]:
        start = int(self.start.timestamp())
        single = subject_key(self.seed, "transfers")
        several = subject_key(self.seed, "split transfers")
        # A split payment has three transfers on average: between 2 and 4.
        every = max(1, round(3 / self.split_share)) if self.split_share else 0
        pending = self._transfers(np.zeros((5, 0), np.int64))
        first = 0
        while True:
            lots = Lots.of(single, first, first + _SLICE_LINES)
            new = [pending, self._singles(start, lots)]
            if every:
                tellings = Lots.of(several, -(-first // every), -(-(first + _SLICE_LINES) // every))
                new.append(self._splits(start, tellings, every))
            first += _SLICE_LINES
            pool = _join(new)
            pool = pool[np.argsort(pool.time, kind="stable")]
            due = int(np.searchsorted(pool.time, start + int(first / self.transfers_per_second)))
            yield pool[:due]
            pending = pool[due:]

    def _transfers(self, columns: npt.NDArray[np.int64]) -> TransferColumns:
        time, sender, receiver, amount, split = columns
        return TransferColumns(time, sender, receiver, amount, split.astype(bool), self.time_format)

    def _pair(self, lots: Lots) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        sender = lots.whole(0, self.accounts - 1, 0)
        receiver = (sender + lots.whole(1, self.accounts - 1, 1)) % self.accounts
        return sender + 1, receiver + 1

    def _singles(self, start: int, lots: Lots) -> TransferColumns:
        sender, receiver = self._pair(lots)
        # Small amounts are common: the product of two draws.
        amount = 1 + (lots.unit(2) * lots.unit(3) * (LIMIT - 1)).astype(np.int64)
        time = start + ((lots.number.astype(np.int64) + lots.unit(4)) / self.transfers_per_second).astype(np.int64)
        return self._transfers(np.stack([time, sender, receiver, amount, np.zeros_like(time)]))

    def _splits(self, start: int, lots: Lots, every: int) -> TransferColumns:
        sender, receiver = self._pair(lots)
        count = lots.whole(2, _STORY_LINES, 2)
        taken = np.arange(_STORY_LINES) < count[:, None]
        weight = lots.between(0.8, 1.2, 3, _STORY_LINES) * taken
        total = LIMIT + 10 + lots.unit(4) * 4_000
        amount = np.minimum(
            LIMIT - 1, 1 + (total[:, None] * weight / weight.sum(axis=1, keepdims=True)).astype(np.int64)
        )
        begin = start + ((lots.number.astype(np.int64) * every + lots.unit(5)) / self.transfers_per_second)
        # Four payments, the gaps at most 190 seconds: all within ten minutes.
        gaps = lots.whole(5, 190, 6, _STORY_LINES)
        gaps[:, 0] = 0
        time = begin.astype(np.int64)[:, None] + np.cumsum(gaps, axis=1)
        rows = np.broadcast_arrays(time, sender[:, None], receiver[:, None], amount, taken)
        return self._transfers(np.stack([each[taken] for each in rows]))


def _join(parts: list[TransferColumns]) -> TransferColumns:
    return TransferColumns(
        np.concatenate([each.time for each in parts]),
        np.concatenate([each.sender for each in parts]),
        np.concatenate([each.receiver for each in parts]),
        np.concatenate([each.amount for each in parts]),
        np.concatenate([each.split for each in parts]),
        parts[0].time_format,
    )


def _check(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ConfigurationError(f"{name}: found {value}; allowed: {low} to {high}")
