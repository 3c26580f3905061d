"""Delimited lines: CSV against Python's csv module, the classic transfers, and what is wrong with a line."""

from __future__ import annotations

import csv
import io
import random
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.errors import ConfigurationError, InputError
from counterfoil.events.dead_letters import ReasonCode
from counterfoil.events.decode_delimited import DelimitedDecoder
from counterfoil.events.decoding import Decoded, DecoderSettings
from counterfoil.events.kinds import EventKind, Field, FieldType, Schema
from tests.events.records import ARRIVAL, KEY, SCHEMA, SKEW, events_of

TRANSFER = EventKind(
    "transfer",
    (
        Field("sender", FieldType.ID, required=True),
        Field("receiver", FieldType.ID, required=True),
        Field("amount", FieldType.MONEY, required=True),
    ),
    id=None,
    time="time",
    decide=True,
)
LINES = DecoderSettings(delimiter=";", quote=None, fields=("time", "sender", "receiver", "amount"))
NAMES = ("payment_id", "at", "customer", "card", "amount", "country", "latitude", "attempts", "online", "ordered")
CSV = DecoderSettings(kind="payment", header=True)
GOOD = ("p-1", "2026-01-02T03:04:05Z", "c-1", "4111", "57.16", "DE", "52.5", "3", "true", "1767000000123")


def transfers(data: bytes) -> Decoded:
    return DelimitedDecoder(Schema((TRANSFER,)), LINES, KEY, SKEW).decode(data, 0, ARRIVAL)


def written(*rows: tuple[str, ...], names: tuple[str, ...] = NAMES, end: str = "\n") -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator=end).writerows([names, *rows])
    return text.getvalue().encode()


def decode(data: bytes, settings: DecoderSettings = CSV, first: int = 0) -> Decoded:
    return DelimitedDecoder(SCHEMA, settings, KEY, SKEW).decode(data, first, ARRIVAL)


def with_value(name: str, value: str) -> tuple[str, ...]:
    return tuple(value if each == name else good for each, good in zip(NAMES, GOOD, strict=True))


def test_the_classic_lines_in_both_forms() -> None:
    decoded = transfers(b"Sunday, 23-Jul-17 01:06:47 UTC;66;26;7810\n2017-07-23T01:06:47Z;66;26;7810\n")
    first, second = events_of(decoded.batch).values()
    assert first == second
    assert (first.time, first.id) == (1_500_772_007_000_000, None)
    assert first.values == {"sender": "66", "receiver": "26", "amount": 781_000}
    assert decoded.batch.identity.tolist() == [0, 0]
    assert decoded.batch.texts.length[0].tolist() == [-1, -1]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"2017-07-23T01:06:47Z;66;26", ReasonCode.INVALID_LINE),
        (b"2017-07-23T01:06:47Z;66;26;1;2", ReasonCode.INVALID_LINE),
        (b"2017-07-23T01:06:47Z;66;26;", ReasonCode.MISSING_FIELD),
        (b"2017-07-23T01:06:47Z;;26;1", ReasonCode.MISSING_FIELD),
        (b";66;26;1", ReasonCode.MISSING_TIME),
        (b"Sunday;66;26;1", ReasonCode.BAD_TIME),
        (b"2017-07-23T01:06:47Z;66;26;-1", ReasonCode.NEGATIVE_AMOUNT),
        (b"2017-07-23T01:06:47Z;66;26;1,5", ReasonCode.WRONG_TYPE),
        (b"2017-07-23T01:06:47Z;66;26;NaN", ReasonCode.WRONG_TYPE),
        (b"2017-07-23T01:06:47Z;66;\xff;1", ReasonCode.INVALID_UTF8),
        (b"2017-07-23T01:06:47Z;66;" + b"x" * 257 + b";1", ReasonCode.ID_TOO_LONG),
        (b"x" * (2 << 20), ReasonCode.RECORD_TOO_LARGE),
        (b"\x00", ReasonCode.INVALID_LINE),
    ],
    ids=lambda value: str(value)[:40],
)
def test_poison_among_transfers(line: bytes, reason: ReasonCode) -> None:
    good = b"2017-07-23T01:06:47Z;66;26;7810"
    for lines, bad in (([line], [0]), ([line, good], [0]), ([good, line], [1]), ([good] * 50 + [line] + [good], [50])):
        decoded = transfers(b"\n".join(lines))
        assert [(letter.position, letter.reason) for letter in decoded.dead] == [(each, reason) for each in bad]
        assert decoded.dead[0].record == line[: 64 * 1024]
        assert len(decoded.batch) == len(lines) - 1
        assert all(event.values["amount"] == 781_000 for event in events_of(decoded.batch).values())


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), max_size=20)


@given(
    st.lists(st.tuples(TEXTS.filter(str.strip), TEXTS, TEXTS, st.integers(0, 10**9)), min_size=1, max_size=10),
    st.sampled_from(["\n", "\r\n"]),
    st.integers(0, 100),
)
def test_csv_is_read_as_python_writes_it(rows: list[tuple[str, str, str, int]], end: str, seed: int) -> None:
    names = ["payment_id", "customer", "country", "amount", "at", "Ignore, me"]
    random.Random(seed).shuffle(names)
    records: list[dict[str, Any]] = [
        {"payment_id": text, "customer": who, "country": where, "amount": f"{cents / 100:.2f}", "at": GOOD[1]}
        for text, who, where, cents in rows
    ]
    lines = [tuple(record.get(name, "…") for name in names) for record in records]
    decoded = decode(written(*lines, names=tuple(names), end=end))
    assert decoded.dead == []
    for (text, who, where, cents), (position, event) in zip(rows, events_of(decoded.batch).items(), strict=True):
        assert event.id == text
        expected: dict[str, Any] = {"amount": cents}
        expected |= {"customer": who} if who else {}
        expected |= {"country": where} if where else {}
        assert event.values == expected
        assert position >= 1
    assert decoded.unknown_fields == {"Ignore, me": len(rows)}


def test_each_type_is_read_from_its_text() -> None:
    (event,) = events_of(decode(written(GOOD)).batch).values()
    assert event.time == 1_767_323_045_000_000
    assert event.values["amount"] == 5716
    assert event.values["attempts"] == 3
    assert event.values["online"] == 1
    assert event.values["ordered"] == 1_767_000_000_123_000
    assert event.values["card"].startswith("tok_")


@pytest.mark.parametrize(("text", "value"), [("true", 1), ("True", 1), ("FALSE", 0), ("1", 1), ("0", 0), ("", None)])
def test_truth_values(text: str, value: int | None) -> None:
    (event,) = events_of(decode(written(with_value("online", text))).batch).values()
    assert event.values.get("online") == value


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("online", "yes", ReasonCode.WRONG_TYPE),
        ("online", "truer", ReasonCode.WRONG_TYPE),
        ("online", "2", ReasonCode.WRONG_TYPE),
        ("attempts", "1.5", ReasonCode.WRONG_TYPE),
        ("attempts", "9" * 30, ReasonCode.NUMBER_RANGE),
        ("latitude", "1e999", ReasonCode.NUMBER_RANGE),
        ("latitude", "inf", ReasonCode.WRONG_TYPE),
        ("payment_id", "", ReasonCode.MISSING_ID),
        ("at", "1", None),
        ("at", "2100-01-01T00:00:00Z", ReasonCode.TIME_SKEW),
        ("ordered", "2017-07-23T01:06:47Z", None),
    ],
)
def test_values_of_one_field(name: str, text: str, reason: ReasonCode | None) -> None:
    decoded = decode(written(with_value(name, text)))
    assert [letter.reason for letter in decoded.dead] == ([] if reason is None else [reason])


@pytest.mark.parametrize(
    ("line", "detail"),
    [
        (b'a,"b', "byte 4: expected a closing quote on the same line"),
        (b'a,"b"c', "byte 5: expected a delimiter behind the closing quote"),
        (b"a,b", "found 2 fields; allowed: 10"),
    ],
)
def test_lines_that_are_no_csv(line: bytes, detail: str) -> None:
    (letter,) = decode(written() + line).dead
    assert (letter.reason, letter.detail, letter.position) == (ReasonCode.INVALID_LINE, detail, 1)


def test_a_newline_in_quotes_is_refused_on_both_lines() -> None:
    decoded = decode(written(with_value("country", "one\ntwo"), GOOD))
    assert [letter.reason for letter in decoded.dead] == [ReasonCode.INVALID_LINE] * 2
    assert decoded.batch.position.tolist() == [3]


def test_a_dead_letter_keeps_the_line_as_it_came() -> None:
    line = written(with_value("country", 'a "quote"'))[:-1].split(b"\n")[1].replace(b"57.16", b"-1")
    (letter,) = decode(written() + line).dead
    assert letter.record == line


def test_the_header_may_have_a_byte_order_mark_and_quotes() -> None:
    settings = DecoderSettings(kind="payment", header=True, mapping={"amount": 'the "sum", all'})
    data = b'\xef\xbb\xbfpayment_id,at,"the ""sum"", all"\r\np,2026-01-02T03:04:05Z,5\r\n'
    (event,) = events_of(decode(data, settings).batch).values()
    assert event.values == {"amount": 500}


def test_who_begins_further_on_gives_the_header_first() -> None:
    whole = decode(written(GOOD, GOOD))
    header, first, second = written(GOOD, GOOD).splitlines(keepends=True)
    decoder = DelimitedDecoder(SCHEMA, CSV, KEY, SKEW)
    with pytest.raises(InputError, match="read_header"):
        decoder.decode(second, 2, ARRIVAL)
    decoder.read_header(header)
    events = events_of(decoder.decode(first, 1, ARRIVAL).batch) | events_of(decoder.decode(second, 2, ARRIVAL).batch)
    assert events == events_of(whole.batch)


@pytest.mark.parametrize("header", [b"a,b,a\n", b'a,"b\n', b'"a"b\n', b"\xff\n"])
def test_headers_that_are_wrong(header: bytes) -> None:
    with pytest.raises(InputError):
        decode(header)


@pytest.mark.parametrize("settings", [DecoderSettings(), DecoderSettings(header=True, fields=("a",))])
def test_the_names_of_the_fields_are_needed_once(settings: DecoderSettings) -> None:
    with pytest.raises(ConfigurationError, match="fields"):
        decode(b"", settings)


def test_a_field_that_another_kind_knows_counts_as_unknown() -> None:
    settings = DecoderSettings(header=True)
    data = b"kind,outcome_id,known_at,payment_id,amount\noutcome,o,1,p,5\noutcome,o,1,p,\n"
    assert decode(data, settings).unknown_fields == {"amount": 1}


@given(st.binary(max_size=200))
def test_any_bytes_add_up(data: bytes) -> None:
    settings = DecoderSettings(kind="payment", fields=NAMES)
    decoded = decode(data, settings)
    lines = data.split(b"\n")
    blank = sum(not line.removesuffix(b"\r").removeprefix(b"\xef\xbb\xbf").strip(b" \t") for line in lines)
    assert len(decoded.batch) + len(decoded.dead) + blank == len(lines)


def test_epochs_may_stand_where_times_are_expected() -> None:
    moment = datetime(2017, 7, 23, 1, 6, 47, tzinfo=UTC)
    decoded = transfers(f"{int(moment.timestamp())};66;26;1".encode())
    assert decoded.batch.time.tolist() == [1_500_772_007_000_000]
