from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from counterfoil.errors import CorruptionError
from counterfoil.events.batch import Batch
from counterfoil.events.decode_json import JsonDecoder
from counterfoil.events.decoding import DecoderSettings
from counterfoil.events.identity import IdentityKey
from counterfoil.events.kinds import Field, FieldType, Schema
from counterfoil.runtimes.local.arrays import pack, unpack
from counterfoil.runtimes.local.journal import decode_batch, encode_batch
from tests.runtimes.sample import sample_detector, sample_lines

SCHEMA = sample_detector().schema


def sample_batch(count: int = 200) -> Batch:
    decoder = JsonDecoder(SCHEMA, DecoderSettings(), IdentityKey(), max_skew=0)
    return decoder.decode(b"\n".join(sample_lines(count)), 0, 1_900_000_000_000_000).batch


def texts(batch: Batch) -> list[list[str | None]]:
    return [[batch.texts.get(row, index) for row in range(batch.texts.length.shape[0])] for index in range(len(batch))]


@pytest.mark.parametrize("rows", [0, 1, 150])
def test_a_batch_comes_back_word_for_word(rows: int) -> None:
    batch = sample_batch().take(np.arange(rows)[::-1].copy())
    again = decode_batch(encode_batch(batch), SCHEMA)
    for name in ("kind", "position", "time", "identity", "values", "nulls"):
        assert np.array_equal(getattr(batch, name), getattr(again, name)), name
        assert getattr(again, name).flags.writeable
        assert getattr(again, name).dtype == getattr(batch, name).dtype
    assert texts(again) == texts(batch)


def test_a_changed_schema_drops_columns_and_adds_nulls() -> None:
    kinds = []
    for kind in SCHEMA.kinds:
        fields = tuple(each for each in kind.fields if each.name != "shop")
        kinds.append(dataclasses.replace(kind, fields=(Field("till", FieldType.ID), *fields)))
    changed = Schema(tuple(kinds))
    batch = sample_batch()
    again = decode_batch(encode_batch(batch), changed)
    customer, was = changed.column_index["customer"], SCHEMA.column_index["customer"]
    assert np.array_equal(again.values[customer], batch.values[was])
    assert again.nulls[changed.column_index["till"]].all()
    names = [changed.columns[index].name for index in changed.text_columns]
    before = [SCHEMA.columns[index].name for index in SCHEMA.text_columns]
    row, former = 1 + names.index("customer"), 1 + before.index("customer")
    assert [again.texts.get(row, each) for each in range(50)] == [batch.texts.get(former, each) for each in range(50)]
    assert again.texts.get(1 + names.index("till"), 0) is None


def test_bytes_that_are_no_block_are_refused() -> None:
    data = encode_batch(sample_batch())
    with pytest.raises(CorruptionError, match="cut short"):
        unpack(data[:-1])
    with pytest.raises(CorruptionError, match="has no column"):
        decode_batch(pack({"kind": np.zeros(1, np.int16)}, {}), SCHEMA)
