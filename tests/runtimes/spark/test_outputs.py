"""A micro-batch that comes again is written no second time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from counterfoil.errors import StorageError
from counterfoil.runtimes.engine.job import Job, position_of
from counterfoil.runtimes.engine.packing import pack_batch
from counterfoil.runtimes.engine.parts import make_part
from counterfoil.runtimes.engine.results import Result, Splits, decision_messages, packed_messages
from counterfoil.runtimes.spark.outputs import FileOutput, SinceOutput
from tests.runtimes.engine.in_process import in_batches
from tests.runtimes.engine.test_core import KEY, detector, stream


def some_results(split: int = 0) -> list[Result]:
    job = Job(detector("payments"), KEY, clock=5)
    part = make_part(job, 0)
    batch = stream("payments").take(np.arange(1_000))
    batch.position = batch.position + position_of(split, 7)
    return [
        Result(piece.data)
        for each in in_batches(batch, 250)
        for piece in part.feed(pack_batch(job, each, int(each.position[0])))
    ]


def test_a_file_is_cut_back_to_where_a_micro_batch_began(tmp_path: Path) -> None:
    path, found = tmp_path / "out.ndjson", some_results()
    path.write_text("what stood there before\n")
    output = FileOutput(path, "query")
    output.write(0, found[:1])
    output.write(1, found[1:2])
    whole = found[0].data + found[1].data
    assert path.read_bytes() == whole
    output.write(1, found[1:2])
    assert path.read_bytes() == whole
    output.close()
    # Killed in the middle of it, and begun again.
    path.write_bytes(whole[:-20])
    output = FileOutput(path, "query")
    output.write(1, found[1:2])
    output.write(0, found[:1])
    output.write(2, found[2:])
    output.close()
    assert path.read_bytes() == b"".join(each.data for each in found)


def test_a_file_that_was_cut_is_refused_and_another_query_begins_anew(tmp_path: Path) -> None:
    path, found = tmp_path / "out.ndjson", some_results()
    output = FileOutput(path, "query")
    output.write(0, found[:1])
    output.write(1, found[1:2])
    output.close()
    path.write_bytes(b"")
    output = FileOutput(path, "query")
    with pytest.raises(StorageError, match="is shorter than it was"):
        output.write(1, found[1:2])
    output.close()
    output = FileOutput(path, "another")
    output.write(0, found[:1])
    output.close()
    assert path.read_bytes() == found[0].data


def test_a_new_generation_writes_behind_the_former_one(tmp_path: Path) -> None:
    path, found = tmp_path / "out.ndjson", some_results()
    former = b"".join(each.data for each in found[:2])
    path.write_bytes(former + b"what was half written")
    since = int(found[1].positions[-1]) + 1
    for _ in range(2):
        # A repeat of its first micro-batch cuts back to what the former generation wrote.
        output = SinceOutput(FileOutput(path, "query", len(former)), {0: since})
        output.write(0, found)
        output.close()
        assert path.read_bytes() == b"".join(each.data for each in found)


@pytest.mark.parametrize("place", [0, 1, 17, -1])
def test_a_result_is_cut_at_a_position(place: int) -> None:
    split = Splits(("a", "b")).number("b", 3)
    [result, *_] = some_results(split)
    first = int(result.positions[place])
    cut = result.since(first)
    assert cut is not None
    place %= len(result.positions)
    assert cut.positions.tolist() == result.positions[place:].tolist()
    assert cut.data.splitlines() == result.data.splitlines()[place:]
    splits = Splits(("a", "b"))
    assert cut.identifiers(splits) == result.identifiers(splits)[place:]
    assert result.since(int(result.positions[-1]) + 1) is None


def test_messages_say_where_they_come_from() -> None:
    splits = Splits(("a", "b"))
    [first, *_] = some_results(splits.number("b", 3))
    messages = decision_messages(first, splits)
    assert len(messages) == first.counts["decided"] == len(first.positions)
    headers = dict(messages.headers[0])
    assert headers["source"].startswith(b"b/3/")
    assert headers["id"] == messages.keys[0]
    packed = packed_messages(first, splits)
    assert b"".join(packed.values) == first.data
    assert dict(packed.headers[0])["count"] == str(first.counts["decided"]).encode()
    assert splits.name(int(first.positions[0])) == headers["source"]
