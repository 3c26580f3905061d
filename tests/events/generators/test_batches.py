from __future__ import annotations

import numpy as np
import pytest

from counterfoil.errors import DefinitionError
from counterfoil.events.batch import Batch
from counterfoil.events.decode_json import JsonDecoder
from counterfoil.events.decoding import DecoderSettings
from counterfoil.events.generators import STORIES
from counterfoil.events.generators.fields import FIELDS, Format
from counterfoil.events.identity import IdentityKey
from counterfoil.events.kinds import EventKind, Field, FieldType, Schema
from tests.events.generators.conftest import Bank

ARRIVAL = 4_000_000_000_000_000
TYPES = {Format.TIME: FieldType.TIME, Format.FLAG: FieldType.BOOL, Format.MONEY: FieldType.MONEY}
TYPES |= {Format.POSITION: FieldType.FLOAT, Format.WORD: FieldType.CATEGORY}


def everything() -> Schema:
    """Every kind with every field, times as fields, too."""
    return Schema(
        tuple(
            EventKind(
                kind,
                tuple(Field(each.name, TYPES.get(each.format, FieldType.ID)) for each in members),
                members[0].name,
                members[1].name,
                decide=kind == "transaction",
            )
            for kind, members in FIELDS.items()
        )
    )


def decoded(bank_bytes: bytes, schema: Schema, key: IdentityKey, first: int = 0) -> Batch:
    result = JsonDecoder(schema, DecoderSettings(), key, max_skew=0).decode(bank_bytes, first, ARRIVAL)
    assert not result.dead
    return result.batch


def assert_equal(mine: Batch, other: Batch) -> None:
    for name in ("kind", "position", "time", "identity", "values", "nulls"):
        assert np.array_equal(getattr(mine, name), getattr(other, name)), name
        assert getattr(mine, name).dtype == getattr(other, name).dtype, name
    assert np.array_equal(mine.texts.length, other.texts.length)
    for text in range(len(mine.texts.length)):
        for row in range(0, len(mine), 17):
            assert mine.texts.get(text, row) == other.texts.get(text, row)


@pytest.mark.parametrize("key", [IdentityKey(), IdentityKey(b"another")])
def test_a_batch_is_what_the_decoder_makes_of_the_lines(bank: Bank, key: IdentityKey) -> None:
    events = bank.events[100_000:103_000]
    assert_equal(events.to_batch(everything(), key, 7), decoded(events.to_ndjson(), everything(), key, 7))


def test_kinds_and_fields_may_be_left_out(bank: Bank) -> None:
    amount = Field("amount", FieldType.MONEY, required=True, scale=4)
    payment = EventKind("transaction", (amount, Field("unheard_of", FieldType.ID)), None, "event_time", decide=True)
    events = bank.events[:2_000]
    batch = events.to_batch(Schema((payment,)), IdentityKey())
    payments = np.flatnonzero(events.kind == 0)
    assert np.array_equal(batch.position, payments)
    assert np.array_equal(batch.values[0], events.rows["amount"][payments] * 100)
    assert batch.nulls.tolist() == [[0] * len(payments), [1] * len(payments)]
    assert not batch.identity.any()


def test_labels_can_be_asked_for(bank: Bank) -> None:
    payment = EventKind("transaction", (), "transaction_id", "event_time", ignore=("fraud", "story"))
    schema = Schema((payment,)).with_columns([Field("fraud", FieldType.BOOL), Field("story", FieldType.CATEGORY)])
    payments = np.flatnonzero(bank.events.kind == 0)[:20_000]
    batch = bank.events[: payments[-1] + 1].to_batch(schema, IdentityKey())
    assert np.array_equal(batch.values[0] == 1, bank.events.fraud[payments])
    names = [None if code < 0 else STORIES[code] for code in bank.events.story[payments]]
    assert [batch.texts.get(1, row) for row in range(2_000)] == names[:2_000]


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (EventKind("transaction", (), None, "at"), "events.transaction.time: found at; allowed: event_time"),
        (EventKind("transaction", (), "id", "event_time"), "events.transaction.id: found id; allowed: transaction_id"),
        (
            EventKind("outcome", (Field("fraud", FieldType.ID),), None, "known_at"),
            "events.outcome.fields.fraud: found id; allowed: bool",
        ),
        (
            EventKind("transaction", (Field("card_id", FieldType.CARD),), None, "event_time"),
            "events.transaction.fields.card_id: found card; allowed: id, category",
        ),
        (
            EventKind("transaction", (Field("amount", FieldType.MONEY, scale=0),), None, "event_time"),
            "events.transaction.fields.amount.scale: found 0; allowed: 2 or more",
        ),
        (
            EventKind("transaction", (Field("mood", FieldType.ID, required=True),), None, "event_time"),
            "events.transaction.fields.mood: found required; allowed: ",
        ),
    ],
)
def test_what_does_not_fit_is_named(bank: Bank, kind: EventKind, message: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        bank.events[:10].to_batch(Schema((kind,)), IdentityKey())
    assert message in str(caught.value)


def test_a_schema_without_generated_kinds_gives_an_empty_batch(bank: Bank) -> None:
    batch = bank.events[:10].to_batch(Schema((EventKind("letter", (), None, "at"),)), IdentityKey())
    assert len(batch) == 0
