"""Lines of JSON: what is good comes back, what is bad is a dead letter, and neither touches its neighbours."""

from __future__ import annotations

import json
import random
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterfoil.errors import ConfigurationError
from counterfoil.events.dead_letters import ReasonCode
from counterfoil.events.decode_json import JsonDecoder
from counterfoil.events.decoding import Decoded, DecoderSettings
from counterfoil.events.kinds import EventKind, Field, FieldType, Schema
from tests.events.records import (
    ARRIVAL,
    KEY,
    SCHEMA,
    SKEW,
    SYNTAX,
    Event,
    RefusedError,
    decode_slow,
    events_of,
)

DEFAULT = DecoderSettings()
GOOD = {
    "kind": "payment",
    "payment_id": "p-1",
    "at": "2026-01-02T03:04:05.678Z",
    "customer": "c-1",
    "card": "4111111111111111",
    "amount": 57.16,
    "country": "DE",
    "latitude": 52.5,
    "attempts": 3,
    "online": True,
    "ordered": 1_767_000_000_123,
}


def decoder(options: DecoderSettings = DEFAULT, schema: Schema = SCHEMA) -> JsonDecoder:
    return JsonDecoder(schema, options, KEY, SKEW)


DECODER = decoder()


def decode(*lines: bytes | dict[str, Any], using: JsonDecoder = DECODER, first: int = 0) -> Decoded:
    encoded = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    return using.decode(b"\n".join(encoded), first, ARRIVAL)


def only(**changes: Any) -> dict[str, Any]:
    """Return the good record with changes; None leaves a field out."""
    return {name: value for name, value in (GOOD | changes).items() if value is not None}


def reason_of(line: bytes | dict[str, Any], using: JsonDecoder = DECODER) -> ReasonCode | None:
    decoded = decode(line, using=using)
    assert len(decoded.batch) + len(decoded.dead) == 1
    return decoded.dead[0].reason if decoded.dead else None


# --- what is good -----------------------------------------------------------------------------------------------------

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
IDS = st.one_of(st.text('abc123-é漢"\\\n😀', min_size=1, max_size=40), st.integers(-(10**30), 10**30))
AMOUNTS = st.one_of(
    st.integers(0, 10**13),
    st.decimals(0, 10**12, places=2).map(str),
    st.decimals(0, 10**12, places=2).map(float),
)
INSTANTS = st.integers(0, ARRIVAL // 1000)
ANYTHING = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=8,
)


def optional(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.none(), values)


PAYMENTS = st.fixed_dictionaries(
    {"kind": st.just("payment"), "payment_id": IDS, "at": st.just(GOOD["at"]), "amount": AMOUNTS},
    optional={
        "customer": optional(IDS),
        "card": optional(IDS),
        "country": optional(TEXTS),
        "latitude": optional(st.floats(allow_nan=False, allow_infinity=False)),
        "attempts": optional(st.integers(1 - 2**63, 2**63 - 1)),
        "online": optional(st.booleans()),
        "ordered": optional(INSTANTS),
        "note": ANYTHING,
        "fraud": ANYTHING,
        "extra": ANYTHING,
    },
)
OUTCOMES = st.fixed_dictionaries(
    {"kind": st.just("outcome"), "outcome_id": IDS, "known_at": INSTANTS, "payment_id": IDS},
    optional={"fraud": optional(st.booleans()), "amount": ANYTHING},
)
TICKS = st.fixed_dictionaries({"kind": st.just("tick"), "at": st.just(GOOD["at"])}, optional={"amount": AMOUNTS})
RECORDS = st.one_of(PAYMENTS, OUTCOMES, TICKS)


def shuffled(record: dict[str, Any], seed: int) -> dict[str, Any]:
    names = list(record)
    random.Random(seed).shuffle(names)
    return {name: record[name] for name in names}


@given(st.lists(st.tuples(RECORDS, st.integers(0, 9), st.booleans(), st.sampled_from([None, 1])), max_size=8))
def test_good_records_come_back(records: list[tuple[dict[str, Any], int, bool, int | None]]) -> None:
    lines = []
    for record, seed, ascii_only, spaces in records:
        separators = (", ", " : ") if spaces else (",", ":")
        lines.append(json.dumps(shuffled(record, seed), ensure_ascii=ascii_only, separators=separators).encode())
    decoded = DECODER.decode(b"\r\n".join(lines), 10, ARRIVAL)
    assert decoded.dead == []
    expected = {10 + index: decode_slow(line, DEFAULT) for index, line in enumerate(lines)}
    assert events_of(decoded.batch) == expected


def test_each_type_has_its_word() -> None:
    (event,) = events_of(decode(GOOD).batch).values()
    assert event == decode_slow(json.dumps(GOOD).encode(), DEFAULT)
    assert event.values["amount"] == 5716
    assert event.values["ordered"] == 1_767_000_000_123_000
    assert event.values["card"].startswith("tok_")


@pytest.mark.parametrize(
    ("written", "minor"),
    [(b"57.16", 5716), (b'"57.16"', 5716), (b"0", 0), (b"-0.0", 0), (b"1e2", 10_000), (b"57.1600", 5716)],
)
def test_amounts(written: bytes, minor: int) -> None:
    line = json.dumps(only(amount=None)).encode()[:-1] + b', "amount": ' + written + b"}"
    assert decode(line).batch.values[SCHEMA.column_index["amount"]].tolist() == [minor]


def test_an_id_of_one_kind_is_a_column_of_another() -> None:
    outcome = {"kind": "outcome", "outcome_id": "o-1", "known_at": 1_767_000_000_000, "payment_id": "p-1"}
    batch = decode(GOOD, outcome).batch
    row = 1 + SCHEMA.text_columns.index(SCHEMA.column_index["payment_id"])
    assert [batch.texts.get(0, index) for index in range(2)] == ["p-1", "o-1"]
    assert [batch.texts.get(row, index) for index in range(2)] == [None, "p-1"]


def test_whole_numbers_are_ids_by_their_decimal_text() -> None:
    assert events_of(decode(only(payment_id=7)).batch) == events_of(decode(only(payment_id="7")).batch)


def test_positions_are_line_numbers_and_blank_lines_are_no_events() -> None:
    line = json.dumps(GOOD).encode()
    decoded = DECODER.decode(b"\n" + line + b"\r\n \t\r\n\r\n" + line + b"\n\n", 100, ARRIVAL)
    assert decoded.batch.position.tolist() == [101, 104]
    assert (decoded.records, decoded.dead) == (6, [])


def test_a_byte_order_mark_before_a_line_is_skipped() -> None:
    line = b"\xef\xbb\xbf" + json.dumps(GOOD).encode()
    assert len(DECODER.decode(line + b"\n" + line + b"\n\xef\xbb\xbf", 5, ARRIVAL).batch) == 2
    assert reason_of(b"\xef\xbb\xbf" + line) is ReasonCode.INVALID_JSON


def test_nothing_is_an_empty_batch() -> None:
    decoded = decode(b"")
    assert (len(decoded.batch), decoded.dead, decoded.consumed, decoded.records) == (0, [], 0, 0)


def test_the_buffer_may_be_any_bytes() -> None:
    line = json.dumps(GOOD).encode()
    expected = events_of(decode(line).batch)
    for data in (bytearray(line), memoryview(line), np.frombuffer(line, np.uint8)):
        assert events_of(DECODER.decode(data, 0, ARRIVAL).batch) == expected


def test_threads_may_share_a_decoder() -> None:
    shared = decoder()
    batches = [[only(payment_id=f"p-{batch}-{index}") for index in range(200)] for batch in range(16)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda records: events_of(decode(*records, using=shared).batch), batches))
    assert found == [events_of(decode(*records).batch) for records in batches]


# --- settings ---------------------------------------------------------------------------------------------------------


def test_foreign_names_are_mapped() -> None:
    using = decoder(DecoderSettings(mapping={"payment_id": 'T"X', "at": "zeit", "amount": "betrag"}, kind_field="art"))
    record = {"art": "payment", 'T"X': "p-1", "zeit": GOOD["at"], "betrag": 1, "amount": 2, "kind": 3}
    decoded = decode(record, using=using)
    assert events_of(decoded.batch)[0].values == {"amount": 100}
    assert decoded.unknown_fields == {"amount": 1, "kind": 1}


def test_a_source_can_be_bound_to_one_kind() -> None:
    using = decoder(DecoderSettings(kind="payment"))
    assert reason_of(only(kind=None), using) is None
    assert reason_of(only(kind="nonsense"), using) is None


def test_a_detector_of_one_kind_needs_nobody_to_name_it() -> None:
    using = decoder(schema=Schema((SCHEMA.kinds[0],)))
    assert reason_of(only(kind=None), using) is None
    assert reason_of(only(kind="nonsense"), using) is ReasonCode.UNKNOWN_KIND


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"mapping": {"amout": "x"}}, 'did you mean "amount"?'),
        ({"kind": "paymant"}, 'did you mean "payment"?'),
        ({"depth_max": 0}, "depth_max"),
        ({"record_bytes_max": 1}, "record_bytes_max"),
        ({"time_min": 2, "time_max": 1}, "time_max"),
        ({"delimiter": ";;"}, "delimiter"),
        ({"delimiter": ";", "quote": ";"}, "quote"),
    ],
)
def test_settings_that_are_wrong(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        decoder(DecoderSettings(**options))
    assert said in str(raised.value)


def test_unknown_fields_are_counted_by_name() -> None:
    outcome = {"kind": "outcome", "outcome_id": "o", "known_at": 1, "payment_id": "p", "amount": 1, "\u00fc": [{}]}
    decoded = decode(only(note="known and ignored", other=1), only(other=2), outcome, b"{")
    assert decoded.unknown_fields == {"other": 2, "amount": 1, "\u00fc": 1}
    assert decode(GOOD).unknown_fields == {}


def test_unknown_names_are_bounded() -> None:
    using = decoder()
    counted = []
    for start in range(0, 3_000, 300):
        names = {f"field-{start + index}": 1 for index in range(300)}
        decoded = decode(GOOD | names | {"x" * 100: 1}, using=using)
        assert len(decoded.batch) == 1
        counted.append(len(decoded.unknown_fields))
    assert counted == [300, 300, 300, 100, 0, 0, 0, 0, 0, 0]


# --- what is bad ------------------------------------------------------------------------------------------------------

LINE = json.dumps(GOOD).encode()
DEEP = b'{"kind": "payment", "x": ' + b"[" * 31 + b"]" * 31 + LINE[18:]

POISON: list[tuple[bytes, ReasonCode]] = [
    (b"{", ReasonCode.TRUNCATED),
    (LINE[:-1], ReasonCode.TRUNCATED),
    (LINE[:30], ReasonCode.TRUNCATED),
    (b'{"kind": tru', ReasonCode.INVALID_JSON),
    (b"nonsense", ReasonCode.INVALID_JSON),
    (LINE + b"x", ReasonCode.INVALID_JSON),
    (LINE + LINE, ReasonCode.INVALID_JSON),
    (LINE.replace(b",", b",,", 1), ReasonCode.INVALID_JSON),
    (LINE[:-1] + b",}", ReasonCode.INVALID_JSON),
    (LINE.replace(b"57.16", b"NaN"), ReasonCode.INVALID_JSON),
    (LINE.replace(b"57.16", b"Infinity"), ReasonCode.INVALID_JSON),
    (LINE.replace(b"57.16", b"-Infinity"), ReasonCode.INVALID_JSON),
    (LINE.replace(b"57.16", b"057.16"), ReasonCode.INVALID_JSON),
    (LINE.replace(b"57.16", b"+57.16"), ReasonCode.INVALID_JSON),
    (LINE.replace(b"57.16", b"57."), ReasonCode.INVALID_JSON),
    (LINE.replace(b"57.16", b".5"), ReasonCode.INVALID_JSON),
    (LINE.replace(b"true", b"True"), ReasonCode.INVALID_JSON),
    (LINE.replace(b'"DE"', b"'DE'"), ReasonCode.INVALID_JSON),
    (LINE.replace(b"DE", b"D\tE"), ReasonCode.INVALID_JSON),
    (LINE.replace(b"DE", b"\\ud800"), ReasonCode.INVALID_JSON),
    (LINE.replace(b"DE", b"\xff\xfe"), ReasonCode.INVALID_UTF8),
    (LINE.replace(b"DE", b"\xed\xa0\x80"), ReasonCode.INVALID_UTF8),
    (LINE.decode().encode("utf-16"), ReasonCode.INVALID_UTF8),
    (b'\xff\xfe{"kind"', ReasonCode.INVALID_UTF8),
    (b"nothing \xff", ReasonCode.INVALID_UTF8),
    (LINE[:-1] + b', "amount": 1, "x": "\xff"}', ReasonCode.INVALID_UTF8),
    (b"\x00", ReasonCode.INVALID_JSON),
    (b"[]", ReasonCode.NOT_AN_OBJECT),
    (b'"text"', ReasonCode.NOT_AN_OBJECT),
    (b"12", ReasonCode.NOT_AN_OBJECT),
    (b"null", ReasonCode.NOT_AN_OBJECT),
    (DEEP.replace(b"[]", b"[[]]"), ReasonCode.TOO_DEEP),
    (b'{"x":' * 100_000, ReasonCode.TOO_DEEP),
    (b"[" * 100_000, ReasonCode.TOO_DEEP),
    (LINE[:-1] + b', "amount": 1}', ReasonCode.DUPLICATE_KEY),
    (LINE[:-1] + b', "am\\u006funt": 1}', ReasonCode.DUPLICATE_KEY),
    (LINE[:-1] + b', "unknown": 1, "unknown": 1}', ReasonCode.DUPLICATE_KEY),
    (LINE[:-1] + b', "x": "' + b"y" * (1 << 20) + b'"}', ReasonCode.RECORD_TOO_LARGE),
    (b" " * (2 << 20), ReasonCode.RECORD_TOO_LARGE),
]
SPOILED: list[tuple[dict[str, Any], ReasonCode]] = [
    ({"kind": None}, ReasonCode.MISSING_KIND),
    ({"kind": "refund"}, ReasonCode.UNKNOWN_KIND),
    ({"kind": 1}, ReasonCode.UNKNOWN_KIND),
    ({"payment_id": None}, ReasonCode.MISSING_ID),
    ({"payment_id": ""}, ReasonCode.MISSING_ID),
    ({"payment_id": "x" * 257}, ReasonCode.ID_TOO_LONG),
    ({"payment_id": 1.5}, ReasonCode.WRONG_TYPE),
    ({"payment_id": ["p-1"]}, ReasonCode.WRONG_TYPE),
    ({"at": None}, ReasonCode.MISSING_TIME),
    ({"at": ""}, ReasonCode.MISSING_TIME),
    ({"at": "yesterday"}, ReasonCode.BAD_TIME),
    ({"at": "2026-01-02T03:04:05"}, ReasonCode.BAD_TIME),
    ({"at": "2026-02-30T03:04:05Z"}, ReasonCode.BAD_TIME),
    ({"at": True}, ReasonCode.BAD_TIME),
    ({"at": "1969-12-31T23:59:59Z"}, ReasonCode.TIME_RANGE),
    ({"at": "9999-12-31T23:59:59Z"}, ReasonCode.TIME_RANGE),
    ({"at": -1}, ReasonCode.TIME_RANGE),
    ({"at": 10**30}, ReasonCode.TIME_RANGE),
    ({"at": "2100-01-01T00:00:00Z"}, ReasonCode.TIME_SKEW),
    ({"amount": None}, ReasonCode.MISSING_FIELD),
    ({"amount": True}, ReasonCode.WRONG_TYPE),
    ({"amount": "a lot"}, ReasonCode.WRONG_TYPE),
    ({"amount": ""}, ReasonCode.WRONG_TYPE),
    ({"amount": "1e2"}, ReasonCode.WRONG_TYPE),
    ({"amount": "1E2"}, ReasonCode.WRONG_TYPE),
    ({"amount": {"value": 1}}, ReasonCode.WRONG_TYPE),
    ({"amount": -0.01}, ReasonCode.NEGATIVE_AMOUNT),
    ({"amount": -(10**40)}, ReasonCode.NEGATIVE_AMOUNT),
    ({"amount": 1.005}, ReasonCode.MONEY_PRECISION),
    ({"amount": 10**14}, ReasonCode.MONEY_RANGE),
    ({"amount": 2**63}, ReasonCode.MONEY_RANGE),
    ({"amount": 1e300}, ReasonCode.MONEY_RANGE),
    ({"attempts": 1.5}, ReasonCode.WRONG_TYPE),
    ({"attempts": "3"}, ReasonCode.WRONG_TYPE),
    ({"attempts": 2**63}, ReasonCode.NUMBER_RANGE),
    ({"attempts": -(2**63)}, ReasonCode.NUMBER_RANGE),
    ({"latitude": "52.5"}, ReasonCode.WRONG_TYPE),
    ({"latitude": 10**400}, ReasonCode.NUMBER_RANGE),
    ({"online": "true"}, ReasonCode.WRONG_TYPE),
    ({"online": 1}, ReasonCode.WRONG_TYPE),
    ({"customer": False}, ReasonCode.WRONG_TYPE),
    ({"customer": "x" * 257}, ReasonCode.ID_TOO_LONG),
    ({"country": {}}, ReasonCode.WRONG_TYPE),
    ({"ordered": "soon"}, ReasonCode.BAD_TIME),
    ({"ordered": 10**18}, ReasonCode.TIME_RANGE),
]
ALL_POISON = POISON + [(json.dumps(only(**changes)).encode(), reason) for changes, reason in SPOILED]


@pytest.mark.parametrize(("line", "reason"), ALL_POISON, ids=lambda value: str(value)[:40])
def test_each_reason(line: bytes, reason: ReasonCode) -> None:
    decoded = decode(line)
    (letter,) = decoded.dead
    assert letter.reason is reason
    assert len(decoded.batch) == 0
    assert letter.record == line[: 64 * 1024]
    assert letter.size == len(line)
    assert letter.position == 0
    assert letter.detail
    assert "4111" not in letter.detail


def test_a_required_field_may_not_be_null() -> None:
    assert reason_of(GOOD | {"amount": None}) is ReasonCode.MISSING_FIELD
    assert reason_of(GOOD | {"payment_id": None}) is ReasonCode.MISSING_ID
    assert reason_of(GOOD | {"at": None}) is ReasonCode.MISSING_TIME


def test_an_empty_id_is_null_and_an_empty_category_is_not() -> None:
    values = events_of(decode(only(customer="", card="", country="")).batch)[0].values
    assert "customer" not in values
    assert "card" not in values
    assert values["country"] == ""


def test_the_greatest_depth_is_allowed() -> None:
    assert reason_of(DEEP) is None


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({"amount": -5}, "amount: found '-5'; allowed: zero or more"),
        ({"amount": 1.005}, "amount: found '1.005'; allowed: no fraction of the minor unit, which has 2 digits"),
        ({"online": "yes"}, "online: found 'yes'; allowed: bool"),
        ({"kind": "refund"}, "kind: found 'refund'; allowed: payment, outcome, tick"),
        ({"payment_id": []}, "payment_id: found '[]'; allowed: an id: a string or a whole number"),
        ({"at": "x" * 100}, f"at: found '{'x' * 60}…'; allowed: RFC 3339 with a zone, RFC 850 or an epoch number"),
        ({"at": "\0"}, r"at: found '\u0000'; allowed: RFC 3339 with a zone, RFC 850 or an epoch number"),
        (
            {"at": "1969-12-31T23:59:59Z"},
            "at: found '1969-12-31T23:59:59Z'; allowed: 1970-01-01T00:00:00Z to 2200-01-01T00:00:00Z",
        ),
        (
            {"ordered": 10**18},
            f"ordered: found '{10**18}'; allowed: 0001-01-01T00:00:00Z to 9999-12-31T23:59:59.999999Z",
        ),
        ({"amount": None}, "amount: missing, null or empty"),
        ({"card": [4111111111111111]}, "card: found something that is not shown; allowed: card"),
    ],
)
def test_details_name_the_field_and_what_stood_there(changes: dict[str, Any], detail: str) -> None:
    assert decode(only(**changes)).dead[0].detail == detail


def test_a_dead_letter_shows_no_record_in_its_repr() -> None:
    (letter,) = decode(LINE[:-1]).dead
    assert "4111" not in repr(letter)


@pytest.mark.parametrize("place", ["first", "last", "only", "one percent"])
def test_poison_leaves_its_neighbours_alone(place: str) -> None:
    good = [json.dumps(only(payment_id=f"p-{index}", customer=f"c-{index % 7}")).encode() for index in range(400)]
    clean = events_of(decode(*good).batch)
    for line, reason in ALL_POISON:
        match place:
            case "first":
                mixed, bad = [line, *good[:5]], [0]
            case "last":
                mixed, bad = [*good[:5], line], [5]
            case "only":
                mixed, bad = [line], [0]
            case _:
                mixed, bad = [line if index % 100 == 50 else each for index, each in enumerate(good)], []
                bad = list(range(50, 400, 100))
        decoded = decode(*mixed)
        assert [(letter.position, letter.reason) for letter in decoded.dead] == [(each, reason) for each in bad]
        events = list(events_of(decoded.batch).values())
        kept = [index - (place == "first") for index in range(len(mixed)) if index not in bad]
        assert events == [clean[index] for index in kept]


def test_card_numbers_do_not_stay() -> None:
    decoded = decode(GOOD, only(payment_id="p-2", card="4111\\u0031111"), only(payment_id="p-3", card=4111), GOOD)
    assert b"411" not in decoded.batch.texts.heap.tobytes()
    texts = [event.values["card"] for event in events_of(decoded.batch).values()]
    assert texts[0] == texts[3]
    assert len(set(texts)) == 3


# --- fuzzing ----------------------------------------------------------------------------------------------------------


def mutated(data: bytearray, chance: random.Random) -> bytes:
    """Return bytes with a few changes of the kinds that break parsers."""
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(data) + 1)
        match chance.randrange(6):
            case 0:
                data[at:at] = bytes([chance.randrange(256)])
            case 1:
                del data[at : at + chance.randint(1, 9)]
            case 2:
                data[at : at + 1] = bytes([chance.randrange(256)])
            case 3:
                data[at:at] = chance.choice(
                    [b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"\xc3", b"e", b"-", b"0"]
                )
            case 4:
                end = min(len(data), at + chance.randint(1, 20))
                data[at:at] = data[at:end]
            case _:
                data[at:at] = chance.choice([b"null", b"1e999", b"\\u0000", b'"a":1,', b"\r", b" ", b"NaN", b"9" * 30])
    return bytes(data)


def check_against_twin(line: bytes) -> None:
    decoded = decode(line)
    if not line.removeprefix(b"\xef\xbb\xbf").strip(b" \t\r"):
        assert (len(decoded.batch), decoded.dead) == (0, [])
        return
    assert len(decoded.batch) + len(decoded.dead) == 1
    expected: Event | RefusedError
    try:
        expected = decode_slow(line.removeprefix(b"\xef\xbb\xbf"), DEFAULT)
    except RefusedError as refused:
        expected = refused
    if isinstance(expected, RefusedError):
        assert decoded.dead, f"{line!r} should be refused: {expected.reason}"
        found = decoded.dead[0].reason
        assert found is expected.reason or (found in SYNTAX and expected.reason in SYNTAX), (line, expected.reason)
    elif decoded.dead:
        # Python's reader of times takes more than RFC 3339 does.
        assert decoded.dead[0].reason is ReasonCode.BAD_TIME, (line, decoded.dead)
    else:
        assert events_of(decoded.batch)[0] == expected


@settings(max_examples=300)
@given(RECORDS, st.integers(0, 2**32))
def test_mutated_lines_are_what_the_twin_makes_of_them(record: dict[str, Any], seed: int) -> None:
    chance = random.Random(seed)
    line = mutated(bytearray(json.dumps(record, ensure_ascii=False).encode()), chance)
    for part in line.split(b"\n"):
        check_against_twin(part)


@given(st.binary(max_size=200))
def test_any_bytes_add_up(data: bytes) -> None:
    decoded = decode(data)
    lines = data.split(b"\n")
    blank = sum(not line.removeprefix(b"\xef\xbb\xbf").strip(b" \t\r") for line in lines)
    assert len(decoded.batch) + len(decoded.dead) + blank == len(lines)


@given(st.lists(st.tuples(RECORDS, st.one_of(st.none(), st.integers(0, 2**32))), max_size=12))
def test_neighbours_are_what_they_are_alone(records: list[tuple[dict[str, Any], int | None]]) -> None:
    lines = []
    for record, seed in records:
        line = json.dumps(record).encode()
        if seed is not None:
            line = mutated(bytearray(line), random.Random(seed)).replace(b"\n", b"")
        lines.append(line)
    together = DECODER.decode(b"\n".join(lines), 1, ARRIVAL)
    alone = [DECODER.decode(line, 1 + index, ARRIVAL) for index, line in enumerate(lines)]
    events: dict[int, Event] = {}
    for each in alone:
        events |= events_of(each.batch)
    assert events_of(together.batch) == events
    assert together.dead == [letter for each in alone for letter in each.dead]


def test_two_uses_of_one_text() -> None:
    kind = EventKind("k", (Field("id", FieldType.ID), Field("copy", FieldType.CATEGORY)), id="id", time="t")
    using = decoder(DecoderSettings(mapping={"copy": "id"}), Schema((kind,)))
    texts = ["x" * 200 + str(index) for index in range(50)]
    batch = decode(*({"id": text, "t": 1} for text in texts), using=using).batch
    for row in range(3):
        assert [batch.texts.get(row, index) for index in range(50)] == texts
