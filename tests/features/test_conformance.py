"""The program gives the same features and decisions whatever the batches, shards and threads, and after a restore."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterfoil.detector import Detector
from counterfoil.detector_file import load_detector
from counterfoil.errors import LimitError, StorageError
from counterfoil.events.batch import Batch
from counterfoil.events.generators import PaymentsGenerator
from counterfoil.events.identity import IdentityKey
from counterfoil.features import layout
from counterfoil.program import Program

KEY = IdentityKey()
EVENTS = 6_000


@cache
def payments() -> Detector:
    return load_detector("payments")


@cache
def stream() -> Batch:
    """Return a busy stream with duplicates in it, and some events long after their time."""
    events = next(PaymentsGenerator(seed=11, customers=80, fraud_share=0.03).chunks(count=EVENTS))
    batch = events.to_batch(payments().schema, KEY)
    random = np.random.default_rng(1)
    order = np.arange(EVENTS) + np.where(random.random(EVENTS) < 0.1, random.integers(0, 400, EVENTS), 0)
    shuffled = batch.take(np.argsort(order, kind="stable"))
    again = shuffled.take(np.sort(np.append(np.arange(EVENTS), random.integers(0, EVENTS, 200))))
    again.position = np.arange(len(again), dtype=np.int64)
    return again


def in_batches(batch: Batch, size: int) -> Iterator[Batch]:
    for start in range(0, len(batch), size):
        yield batch.take(np.arange(start, min(start + size, len(batch))))


Log = list[tuple[object, ...]]


def log_of(program: Program, batch: Batch, size: int) -> Log:
    """Return everything that was decided, a row an event: equal logs are equal to the bit."""
    log: Log = []
    for part in in_batches(batch, size):
        decided = program.process(part)
        features = np.where(decided.feature_nulls == 0, decided.features, 0)
        for column, row in enumerate(decided.rows.tolist()):
            log.append(
                (
                    int(part.position[row]),
                    decided.score[column].tobytes(),
                    int(decided.outcome[column]),
                    int(decided.late[column]),
                    decided.hits[:, column].tobytes(),
                    features[:, column].tobytes(),
                    decided.feature_nulls[:, column].tobytes(),
                )
            )
        repeats = zip(decided.duplicates.tolist(), decided.firsts.tolist(), strict=True)
        log += [("duplicate", int(part.position[row]), first) for row, first in repeats]
        # A column is a place in the batch; the position of its event is not.
        log += [
            ("alert", int(part.position[decided.rows[each.column]]), repr(replace(each, column=0)))
            for each in decided.alerts
        ]
        assert len(decided.rows) + len(decided.duplicates) + decided.observed == len(part)
    # Alerts and duplicates come a batch at a time.
    return sorted(log, key=repr)


def assert_same(log: Log, expected: Log) -> None:
    """Compare without pytest's own comparison of long lists, which takes minutes to say where they differ."""
    assert len(log) == len(expected)
    different = next((number for number, each in enumerate(log) if each != expected[number]), None)
    assert different is None, (log[different or 0], expected[different or 0])


@cache
def reference() -> Log:
    return log_of(Program(payments(), KEY, state_bytes=1 << 28), stream(), 128)


def test_the_stream_has_everything() -> None:
    log = reference()
    kinds = {each[0] for each in log if isinstance(each[0], str)}
    assert kinds == {"alert", "duplicate"}
    decisions = [each for each in log if isinstance(each[0], int)]
    assert {each[2] for each in decisions} == {0, 1, 2}
    assert len(decisions) > EVENTS / 2


@pytest.mark.parametrize("shards", [1, 2, 8])
@pytest.mark.parametrize("size", [1, 7, 128, 4_096])
def test_batches_and_shards_change_nothing(size: int, shards: int) -> None:
    program = Program(payments(), KEY, shards=shards, state_bytes=1 << 28)
    assert_same(log_of(program, stream(), size), reference())


def test_threads_change_nothing() -> None:
    program = Program(payments(), KEY, shards=2, threads=2, state_bytes=1 << 28)
    assert_same(log_of(program, stream(), 1_024), reference())


def test_entities_do_not_depend_on_shards() -> None:
    counts = []
    for shards in (1, 8):
        program = Program(payments(), KEY, shards=shards, state_bytes=1 << 28)
        program.process(stream())
        counts.append(program.entities())
    assert counts[0] == counts[1]
    assert counts[0]["customer"] > 60


@settings(max_examples=5)
@given(cut=st.integers(0, EVENTS), shards=st.sampled_from([1, 2]))
def test_a_restored_program_goes_on_identically(cut: int, shards: int) -> None:
    batch = stream()
    before, after = batch.take(np.arange(cut)), batch.take(np.arange(cut, len(batch)))
    first = Program(payments(), KEY, shards=shards, state_bytes=1 << 28)
    first.process(before)
    stored = {name: np.array(array) for name, array in first.snapshot().items()}
    second = Program(payments(), KEY, shards=shards, state_bytes=1 << 28)
    # What it knew before must not shine through.
    second.process(after)
    second.restore(stored)
    assert_same(log_of(second, after, 700), log_of(first, after, 700))
    one, other = first.snapshot(), second.snapshot()
    assert one.keys() == other.keys()
    for name, array in one.items():
        assert np.array_equal(array, other[name]), name
    assert first.entities() == second.entities()
    assert first.state_bytes() == second.state_bytes()


def test_a_snapshot_of_other_shards_is_refused() -> None:
    one, two = (Program(payments(), KEY, shards=shards, state_bytes=1 << 24) for shards in (1, 2))
    with pytest.raises(StorageError, match="with 2 shards"):
        two.restore(one.snapshot())


def test_a_snapshot_that_lacks_an_array_is_refused() -> None:
    program = Program(payments(), KEY, state_bytes=1 << 24)
    arrays = program.snapshot()
    del arrays["card/0/arena"]
    with pytest.raises(StorageError, match="lacks card/0/arena"):
        program.restore(arrays)


def test_a_snapshot_of_another_layout_is_refused() -> None:
    program = Program(payments(), KEY, state_bytes=1 << 24)
    arrays = {name: array.copy() for name, array in program.snapshot().items()}
    arrays["card/0/meta"][layout.META_VERSION] -= 1
    with pytest.raises(StorageError, match="another version of counterfoil"):
        program.restore(arrays)


def test_a_full_state_is_an_error_that_says_what_to_do() -> None:
    program = Program(payments(), KEY, state_bytes=1 << 16)
    with pytest.raises(LimitError, match=r"65,536 bytes.*limits\.state_bytes"):
        log_of(program, stream(), 128)
