"""The parts of a job give together what the program gives alone, to the bit: however cut and however killed."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from counterfoil.detector import Detector
from counterfoil.detector_file import load_detector
from counterfoil.errors import CorruptionError
from counterfoil.events.batch import Batch
from counterfoil.events.decode_json import JsonDecoder
from counterfoil.events.decoding import DecoderSettings
from counterfoil.events.generators import PaymentsGenerator
from counterfoil.events.identity import IdentityKey
from counterfoil.program import Program
from counterfoil.runtimes.engine.job import WHOLE, Job
from counterfoil.runtimes.engine.packing import pack_batch
from counterfoil.runtimes.engine.parts import make_part
from counterfoil.runtimes.local.records import digest
from tests.runtimes.engine.in_process import InProcess, in_batches, sample_records

KEY = IdentityKey()
EVENTS = 6_000


@cache
def detector(name: str) -> Detector:
    return load_detector(name)


@cache
def stream(name: str) -> Batch:
    """Return a busy stream with duplicates in it, some of them changed, and some events long after their time."""
    if name == "payments":
        events = next(PaymentsGenerator(seed=11, customers=80, fraud_share=0.03).chunks(count=EVENTS))
        batch = events.to_batch(detector(name).schema, KEY)
    else:
        records = sample_records(detector(name), EVENTS)
        settings = DecoderSettings(
            kind=detector(name).schema.kinds[0].name if len(detector(name).schema.kinds) == 1 else None
        )
        batch = JsonDecoder(detector(name).schema, settings, KEY, 1 << 60).decode(b"\n".join(records), 0, 1 << 60).batch
        assert len(batch) == EVENTS
    size = len(batch)
    random = np.random.default_rng(1)
    order = np.arange(size) + np.where(random.random(size) < 0.1, random.integers(0, 400, size), 0)
    shuffled = batch.take(np.argsort(order, kind="stable"))
    rows = np.sort(np.append(np.arange(size), random.integers(0, size, 200)))
    again = shuffled.take(rows)
    again.position = np.arange(len(again), dtype=np.int64)
    # A duplicate with a later time than everything before it must not move the clock that duplicates are found by.
    repeated = np.flatnonzero(np.diff(rows, prepend=-1) == 0)
    again.time[repeated[::5]] += 3 * 86_400_000_000
    return again


@cache
def expected(name: str) -> tuple[list[tuple[int, int]], list[str]]:
    """Return position and digest of each decision, and each alert that was touched."""
    program = Program(detector(name), KEY)
    batch = stream(name)
    decided = program.process(batch)
    pairs = zip(batch.position[decided.rows].tolist(), digest(decided).tolist(), strict=True)
    return list(pairs), [change.alert for change in decided.alerts]


def decisions(run: InProcess) -> list[tuple[int, int]]:
    return [
        pair for result in run.results for pair in zip(result.positions.tolist(), result.digests.tolist(), strict=True)
    ]


@pytest.mark.parametrize("name", ["payments", "laundering", "handbook", "profile-change"])
@pytest.mark.parametrize(
    ("shards", "size", "at_once"), [(1, 500, 1), (1, 77, 4), (2, 1000, 1), (5, 331, 3), (16, 64, 20)]
)
def test_parts_decide_as_the_program(name: str, shards: int, size: int, at_once: int) -> None:
    run = InProcess(Job(detector(name), KEY, shards, alerts=True))
    run.run(in_batches(stream(name), size), at_once)
    decided, alerts = expected(name)
    assert decisions(run) == decided
    assert {alert["alert"] for alert in run.alerts} == set(alerts)
    assert alerts or name == "profile-change"
    counts = [result.counts for result in run.results]
    has_ids = any(kind.id for kind in detector(name).schema.kinds)
    assert (sum(each["duplicates"] for each in counts) >= 200) == has_ids
    total = sum(each["decided"] + each["observed"] + each["duplicates"] + each["dead"] for each in counts)
    assert total == sum(each["records"] for each in counts) == len(stream(name))


@pytest.mark.parametrize("shards", [1, 3])
def test_state_is_made_again_from_snapshot_and_log(shards: int) -> None:
    # Few bytes: the part that finds duplicates is fed the least of all.
    run = InProcess(Job(detector("payments"), KEY, shards), compact_bytes=40_000)
    for number, batch in enumerate(in_batches(stream("payments"), 250)):
        run.run([batch])
        if number % 4 == 3:
            run.forget()
    assert decisions(run) == expected("payments")[0]
    assert all(kept.rebuilt > 3 for kept in run.kept.values())
    assert all(kept.snapshot for kept in run.kept.values())


@pytest.mark.parametrize("name", ["payments", "laundering"])
def test_threads_and_pressing_change_nothing(name: str) -> None:
    """Batches large enough that stages are shared between threads; some fed alone, some many at once."""
    job = Job(detector(name), KEY, alerts=True, clock=5)
    one, many = make_part(job, WHOLE), make_part(job, WHOLE, 3, lambda data: b"done" + data)
    batches = list(in_batches(stream(name), 700))
    pieces = [piece for batch in batches for piece in pack_batch(job, batch, int(batch.position[0]))]
    wanted = one.feed(pieces)
    answers = many.feed(pieces[:1]) + many.feed(pieces[1:])
    assert [answer.data for answer in answers] == [b"done" + answer.data for answer in wanted]
    assert [answer.batch for answer in answers] == [answer.batch for answer in wanted]
    ours, theirs = one.snapshot(), many.snapshot()
    assert ours.keys() == theirs.keys()
    assert all(np.array_equal(ours[each], theirs[each]) for each in ours)


def test_a_batch_that_is_damaged_fails_a_call_whole() -> None:
    job = Job(detector("payments"), KEY)
    pieces = [
        piece
        for batch in in_batches(stream("payments"), 500)
        for piece in pack_batch(job, batch, int(batch.position[0]))
    ]
    pieces[4] = pieces[4]._replace(data=pieces[4].data[:-1] + bytes([pieces[4].data[-1] ^ 1]))
    with pytest.raises(CorruptionError, match="checksum"):
        make_part(job, WHOLE, 2).feed(pieces)
