from __future__ import annotations

import hashlib
from collections import defaultdict
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterfoil.errors import ConfigurationError
from counterfoil.events.generators import TimeFormat, TransferColumns, TransfersGenerator
from counterfoil.events.generators.transfers import LIMIT, LINE_BYTES_MAX, WINDOW

LINES = next(TransfersGenerator(seed=9).chunks(4_000)).to_lines()


def everything(generator: TransfersGenerator, count: int, size: int = 50_000) -> list[TransferColumns]:
    return list(generator.chunks(count, size=size))


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 5_000), st.integers(0, 4_000))
def test_chunks_of_any_size_give_the_same_bytes(size: int, count: int) -> None:
    chunks = everything(TransfersGenerator(seed=9), count, size)
    assert all(len(chunk) <= size for chunk in chunks)
    assert b"".join(chunk.to_lines() for chunk in chunks) == b"".join(LINES.splitlines(keepends=True)[:count])


def test_the_bytes_are_the_same_on_every_machine() -> None:
    assert hashlib.sha256(LINES).hexdigest() == "b0ebc4a40ed55e52a91840a6f0c6f86b664685db827b545cca05bfe9baa4300a"


@pytest.mark.parametrize(
    ("time_format", "pattern"),
    [(TimeFormat.RFC850, "%A, %d-%b-%y %H:%M:%S UTC"), ("rfc3339", "%Y-%m-%dT%H:%M:%SZ")],
)
def test_lines_can_be_read(time_format: str, pattern: str) -> None:
    for transfers in everything(TransfersGenerator(seed=4, time_format=time_format, transfers_per_second=0.01), 3_000):
        lines = transfers.to_lines().decode().splitlines()
        assert max(map(len, lines)) < LINE_BYTES_MAX
        for line, row in zip(lines, range(len(transfers)), strict=True):
            time, sender, receiver, amount = line.split(";")
            moment = datetime.strptime(time, pattern).replace(tzinfo=UTC)
            assert moment.timestamp() == transfers.time[row]
            assert moment.strftime(pattern) == time, "the weekday, too"
            assert (int(sender), int(receiver), int(amount)) == (
                transfers.sender[row],
                transfers.receiver[row],
                transfers.amount[row],
            )


def test_the_classic_line_has_the_classic_form() -> None:
    time, sender, receiver, amount = np.array([[1_500_772_007], [66], [26], [7810]])
    line = TransferColumns(time, sender, receiver, amount, np.array([False]), TimeFormat.RFC850).to_lines()
    assert line == b"Sunday, 23-Jul-17 01:06:47 UTC;66;26;7810\n"


def test_times_do_not_go_back_and_pass_as_fast_as_wanted() -> None:
    for rate in (0.2, 1.0, 50.0):
        chunks = everything(TransfersGenerator(transfers_per_second=rate), 150_000)
        times = np.concatenate([chunk.time for chunk in chunks])
        assert (np.diff(times) >= 0).all()
        assert abs(len(times) / (times[-1] - times[0]) / rate - 1) < 0.03


def test_accounts_and_amounts() -> None:
    for chunk in everything(TransfersGenerator(accounts=100), 50_000):
        for side in (chunk.sender, chunk.receiver):
            assert set(np.unique(side).tolist()) == set(range(1, 101))
        assert (chunk.sender != chunk.receiver).all()
        assert chunk.amount.min() >= 1
        assert chunk.amount.max() < LIMIT


def alerts(chunk: TransferColumns, window_seconds: int) -> set[int]:
    """Rows at which what one account has sent another within the window is more than the limit, by brute force."""
    sent: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
    found = set()
    for row in range(len(chunk)):
        past = sent[int(chunk.sender[row]), int(chunk.receiver[row])]
        now = int(chunk.time[row])
        past.append((now, int(chunk.amount[row])))
        if sum(amount for time, amount in past if time > now - window_seconds) > LIMIT:
            found.add(row)
    return found


def test_split_payments_cross_the_line_within_the_window() -> None:
    (chunk,) = everything(TransfersGenerator(seed=2, accounts=10_000, split_share=0.02), 20_000)
    assert abs(chunk.split.mean() - 0.02) < 0.003
    crossed = alerts(chunk, int(WINDOW.total_seconds()))
    # Among ten thousand accounts nobody sends that much by chance: every alert belongs to a split payment, and every
    # split payment that is over gives one.
    assert chunk.split[sorted(crossed)].all()
    pairs = {(int(chunk.sender[row]), int(chunk.receiver[row])) for row in np.flatnonzero(chunk.split[:19_000])}
    assert len(pairs) > 80
    caught = {(int(chunk.sender[row]), int(chunk.receiver[row])) for row in crossed}
    assert pairs <= caught


def test_without_split_payments_alerts_are_rare() -> None:
    (chunk,) = everything(TransfersGenerator(seed=2, accounts=10_000, split_share=0), 20_000)
    assert not chunk.split.any()
    assert not alerts(chunk, 600)


def test_a_table_has_the_detector_s_words() -> None:
    transfers = next(TransfersGenerator(seed=1).chunks(100))
    frame = transfers.to_frame()
    assert frame.columns == ["time", "sender", "receiver", "amount"]
    assert frame["amount"].to_list() == transfers.amount.tolist()
    assert [moment.timestamp() for moment in frame["time"]] == transfers.time.tolist()
    assert frame["sender"].to_list() == [str(number) for number in transfers.sender]


@pytest.mark.parametrize(
    ("name", "value"),
    [("accounts", 1), ("transfers_per_second", 0.0), ("split_share", 0.9), ("seed", -1), ("time_format", "stardate")],
)
def test_bounds_are_stated(name: str, value: object) -> None:
    with pytest.raises(ConfigurationError, match=f"{name}: found {value}; allowed: "):
        TransfersGenerator(**{name: value})  # type: ignore[arg-type]
