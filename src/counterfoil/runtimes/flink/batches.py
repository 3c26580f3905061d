"""What comes into Python: records of one partition as ``java/Batcher.java`` has gathered them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from counterfoil.events.record_batch import RecordBatch
from counterfoil.runtimes.engine.job import position_of
from counterfoil.runtimes.engine.packing import Packer, pack_decoded

if TYPE_CHECKING:
    from counterfoil.events.batch import Words
    from counterfoil.runtimes.engine.blob import Piece
    from counterfoil.runtimes.engine.results import Splits

_HEAD = 40


@dataclass(slots=True)
class Gathered:
    """Records of one partition."""

    topic: int
    partition: int
    arrival: int
    """When the newest was written, in microseconds since 1970: the same whenever they are read."""
    offsets: Words
    records: RecordBatch


def read_gathered(data: bytes) -> Gathered:
    """Return what the batcher has gathered."""
    topic, partition, count, newest, size = np.frombuffer(data, "<i8", 5).tolist()
    offsets = np.frombuffer(data, "<i8", count, _HEAD)
    lengths = np.frombuffer(data, "<i4", count, _HEAD + 8 * count).astype(np.int64)
    values = data[_HEAD + 12 * count :]
    assert len(values) == size
    start = np.zeros(count, np.int64)
    np.cumsum(np.maximum(lengths[:-1], 0) + 1, out=start[1:])
    records = RecordBatch(values, start, lengths, np.arange(count, dtype=np.int64))
    return Gathered(topic, partition, newest * 1000, offsets, records)


def pack_gathered(packer: Packer, gathered: Gathered, splits: Splits) -> list[Piece]:
    """Return the pieces of gathered records: as ``Packer.pack`` does, with no object for a record."""
    topic = splits.topics[gathered.topic]
    places = gathered.offsets + position_of(splits.number(topic, gathered.partition), 0)
    decoded = packer.decoder.decode_records(gathered.records, gathered.arrival)
    decoded.batch.position = places[decoded.batch.position]
    decoded.dead = [replace(letter, position=int(places[letter.position])) for letter in decoded.dead]
    return pack_decoded(packer.job, decoded, int(places[0]), len(places))
