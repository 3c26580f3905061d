from __future__ import annotations

import json
import struct

import numpy as np

from counterfoil.config import SourceConfig, TopicConfig
from counterfoil.detector_file import read_detector
from counterfoil.runtimes.engine.job import Job
from counterfoil.runtimes.engine.packing import topic_packer
from counterfoil.runtimes.engine.results import Splits
from counterfoil.runtimes.flink.batches import pack_gathered, read_gathered
from tests.runtimes.sample import DEFINITION, sample_lines

TOPICS = (TopicConfig(name="a"), TopicConfig(name="b"))


def gathered(
    values: list[bytes | None], offsets: list[int], partition: int = 2, newest: int = 1_800_000_000_000
) -> bytes:
    """Return records as the batcher writes them."""
    data = b"\n".join(value or b"" for value in values)
    lengths = np.array([-1 if value is None else len(value) for value in values], "<i4")
    head = struct.pack("<5q", 1, 2, len(values), 1_800_000_000_000, len(data))
    return head + np.array(offsets, "<i8").tobytes() + lengths.tobytes() + data


def test_gathered_records_are_packed_as_single_ones_are() -> None:
    job = Job(read_detector(DEFINITION), shards=3, source=SourceConfig(type="kafka", servers="none:1", topics=TOPICS))
    splits = Splits(("a", "b"))
    values: list[bytes | None] = [*sample_lines(200), b"{poison", None, b'{"kind":\n"transaction"}']
    offsets = list(range(10, 10 + len(values)))
    offsets[5:] = [offset + 7 for offset in offsets[5:]]
    packer = topic_packer(job, "b")
    found = pack_gathered(packer, read_gathered(gathered(values, offsets)), splits)
    expected = packer.pack(splits.number("b", 2), offsets, values, 1_800_000_000_000_000)
    assert found == expected
    assert json.dumps([piece.part for piece in found])


def test_a_record_alone() -> None:
    read = read_gathered(gathered([b"x"], [99]))
    assert (read.topic, read.partition, read.offsets.tolist(), read.records.get(0)) == (1, 2, [99], b"x")
