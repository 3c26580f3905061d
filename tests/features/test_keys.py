from __future__ import annotations

import numpy as np

from counterfoil.events.batch import Batch
from counterfoil.events.identity import IdentityKey
from counterfoil.events.kinds import EventKind, Field, FieldType, Schema
from counterfoil.features.keys import Keys

SCHEMA = Schema(
    (
        EventKind(
            "payment",
            (Field("card", FieldType.ID), Field("shop", FieldType.ID), Field("number", FieldType.INTEGER)),
            None,
            "at",
            decide=True,
        ),
    )
)
KEY = IdentityKey()


def batch_of(*rows: tuple[str | None, str | None, int | None]) -> Batch:
    batch = Batch.empty(SCHEMA, len(rows))
    for at, row in enumerate(rows):
        for column, value in enumerate(row):
            if value is not None:
                batch.nulls[column, at] = 0
                batch.values[column, at] = value if isinstance(value, int) else KEY.hash(value)
    return batch


def keys_of(*fields: str, batch: Batch, key: IdentityKey = KEY) -> list[int]:
    return Keys(SCHEMA, [fields], key).of(batch)[0].tolist()


def test_a_single_text_is_its_own_hash() -> None:
    assert keys_of("card", batch=batch_of(("c1", None, None))) == [KEY.hash("c1")]


def test_a_null_in_any_part_is_no_entity() -> None:
    batch = batch_of(("c", None, 1), (None, "s", 1), ("c", "s", None))
    assert keys_of("card", "shop", batch=batch)[:2] == [0, 0]
    assert keys_of("card", "number", batch=batch) == [keys_of("card", "number", batch=batch)[0], 0, 0]
    assert keys_of("number", batch=batch)[2] == 0


def test_the_order_of_parts_matters() -> None:
    batch = batch_of(("a", "b", 0), ("b", "a", 0), ("a", "a", 0))
    assert len(set(keys_of("card", "shop", batch=batch))) == 3
    assert keys_of("card", "shop", batch=batch)[0] == keys_of("shop", "card", batch=batch)[1]


def test_numbers_spread_and_are_never_the_mark_for_none() -> None:
    batch = batch_of(*((None, None, number) for number in range(-2_000, 2_000)))
    keys = keys_of("number", batch=batch)
    assert 0 not in keys
    assert len(set(keys)) == len(keys)
    # Their low bits are the place in an index: numbers side by side must not be neighbours there.
    assert len({each & 1023 for each in keys}) > 900


def test_another_secret_gives_other_keys() -> None:
    batch = batch_of((None, None, 1))
    other = IdentityKey(bytes(range(16)))
    assert keys_of("number", batch=batch) != keys_of("number", batch=batch, key=other)


def test_several_keys_at_once() -> None:
    batch = batch_of(("a", "b", 3))
    keys = Keys(SCHEMA, [("card",), ("card", "shop"), ("number", "shop", "card")], KEY).of(batch)
    assert keys.shape == (3, 1)
    assert keys.dtype == np.int64
    assert keys[0, 0] == KEY.hash("a")
