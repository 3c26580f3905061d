"""What goes to topics: keys, headers, and packing."""

from __future__ import annotations

import json

import numpy as np
import pytest

from counterfoil.connectors.partitions import Spans
from counterfoil.events.decode_json import JsonDecoder
from counterfoil.events.decoding import DecoderSettings
from counterfoil.events.identity import IdentityKey
from counterfoil.program import Program
from counterfoil.runtimes.local import messages
from counterfoil.runtimes.local.ledgers import Standing, moved_offsets
from counterfoil.runtimes.local.lines import LineEncoder
from counterfoil.runtimes.local.messages import (
    LineMessages,
    Messages,
    OutgoingAlert,
    Parcel,
    SourceHeaders,
    alert_messages,
    decision_lines,
    letter_messages,
    packed_messages,
    parse_source,
    source_name,
    source_names,
    sources_of,
)
from counterfoil.runtimes.local.records import make_records
from counterfoil.runtimes.local.store import NewDeadLetter
from tests.crash.kafka_sample import Numbered, numbered_detector

DETECTOR = numbered_detector()
COUNT = 200


@pytest.fixture
def parcel() -> Parcel:
    decoder = JsonDecoder(DETECTOR.schema, DecoderSettings(), IdentityKey(), DETECTOR.max_skew)
    lines = b"\n".join(value for _, _, value in Numbered.draw(COUNT, 1).messages())
    batch = decoder.decode(lines, 1_000, 1_800_000_000_000_000).batch
    program = Program(DETECTOR)
    records = make_records(batch, program.process(batch), program)
    spans = Spans.of([("in", 0), ("in", 3)], [0, 1], [1_000, 1_150], [70, 9], 1_000 + COUNT)
    return Parcel(7, 1, "version", COUNT, spans, records, [], [])


def test_a_decision_says_what_it_is_and_where_it_comes_from(parcel: Parcel) -> None:
    found = decision_lines(parcel, None, LineEncoder())
    assert len(found) == COUNT
    for number, (value, key, source) in enumerate(zip(*found.rows(0, COUNT), strict=True)):
        place = f"in/0/{70 + number}" if number < 150 else f"in/3/{9 + number - 150}"
        assert json.loads(value)["id"].encode() == key == b"n%d" % number
        assert source == place.encode()


def test_some_decisions_may_be_chosen(parcel: Parcel) -> None:
    _, keys, sources = decision_lines(parcel, np.array([3, 199]), LineEncoder()).rows(0, 2)
    assert keys == [b"n3", b"n199"]
    assert sources == [b"in/0/73", b"in/3/58"]


def test_decisions_without_an_id_are_called_by_where_they_come_from(parcel: Parcel) -> None:
    parcel.records.id_length[5] = -1
    parcel.spans = None
    values, keys, sources = decision_lines(parcel, None, LineEncoder()).rows(4, 7)
    assert keys == [b"n4", b"1005", b"n6"]
    assert sources == source_names(parcel.records.position[4:7], None) == [b"1004", b"1005", b"1006"]
    assert json.loads(values[1])["id"] == "1005"


def test_decisions_of_several_blocks_are_cut_anywhere(parcel: Parcel) -> None:
    lines = decision_lines(parcel, None, LineEncoder())
    both = LineMessages([lines, decision_lines(parcel, np.array([7]), LineEncoder()), lines])
    assert len(both) == 2 * COUNT + 1
    whole = [value for part in both.lines for value in part.rows(0, len(part))[0]]
    for cut in (0, 1, COUNT - 1, COUNT, COUNT + 1, COUNT + 2, len(both)):
        parts = [*both.parts(0, cut), *both.parts(cut, len(both))]
        assert [value for part, first, stop in parts for value in part.rows(first, stop)[0]] == whole


def test_packed_messages_are_bounded_and_name_their_last_places(
    parcel: Parcel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(messages, "PACKED_BYTES", 10_000)
    found = packed_messages(parcel, None, LineEncoder())
    assert len(found) > 2
    assert max(map(len, found.values)) <= 10_000
    lines = [line for value in found.values for line in value.splitlines()]
    assert [json.loads(line)["id"] for line in lines] == [f"n{number}" for number in range(COUNT)]
    assert sum(int(dict(headers)["count"]) for headers in found.headers) == COUNT
    last: dict[tuple[str, int], int] = {}
    for headers in found.headers:
        last |= dict(sources_of(headers))
    assert last == {("in", 0): 219, ("in", 3): 58}


def test_an_alert_is_told_as_it_stands_in_the_end(parcel: Parcel) -> None:
    changes = [OutgoingAlert("a", 1_001, {"decisions": 1}), OutgoingAlert("a", 1_160, {"decisions": 2})]
    found = alert_messages((change, source_name(change.position, parcel.spans)) for change in changes)
    assert (found.values, found.keys) == ([b'{"decisions":2}'], [b"a"])
    assert found.headers == [[("id", b"a"), ("source", b"in/3/19")]]


def test_a_dead_letter_says_why(parcel: Parcel) -> None:
    letter = NewDeadLetter(1_002, "truncated", "the line ends", b"{", sealed=True)
    found = letter_messages((letter, source_name(1_002, spans)) for spans in (parcel.spans, None))
    assert found.keys == [b"in/0/72", b"1002"]
    headers = dict(found.headers[0])
    assert (headers["reason"], headers["sealed"], headers["cut"]) == (b"truncated", b"true", b"false")


@pytest.mark.parametrize("text", [b"", b"17", b"a/b/c", b"a/1", b"\xff/1/x"])
def test_what_names_no_place_is_passed_over(text: bytes) -> None:
    assert parse_source(text) is None
    assert list(sources_of([("source", text), ("other", b"a/1/2")])) == []


def test_only_partitions_that_are_owned_move(parcel: Parcel) -> None:
    standing = Standing({("in", 0): 100, ("in", 5): 1})
    assert moved_offsets([parcel], standing) == {("in", 0): 220}
    standing.delivered[("in", 0)] = 220
    assert moved_offsets([parcel], standing) == {}


def test_headers_that_are_not_made_yet_are_those_that_would_be() -> None:
    keys, sources = [b"a", b"b", b"c"], [b"in/0/1", b"in/0/2", b"in/1/7"]
    whole = [[("id", key), ("source", source)] for key, source in zip(keys, sources, strict=True)]
    headers = SourceHeaders(keys, sources)
    assert len(headers) == 3
    assert list(headers) == whole
    assert [headers[place] for place in range(3)] == whole
    assert list(headers[1:]) == whole[1:]
    assert list(headers[:1]) + list(headers[1:]) == whole
    with pytest.raises(ValueError, match="shorter"):
        list(SourceHeaders(keys, sources[:2]))


def test_messages_are_put_behind_each_other() -> None:
    def lines(*keys: bytes) -> Messages:
        return Messages(
            [b"{}" for _ in keys], list(keys), SourceHeaders(list(keys), [b"in/0/%b" % key for key in keys])
        )

    letters = Messages([b"x"], [b"4"], [[("id", b"4"), ("source", b"in/0/4"), ("reason", b"type")]])
    for parts in (
        [lines(b"1", b"2")],
        [lines(b"1"), lines(b"2", b"3")],
        [lines(b"1"), letters],
        [letters, lines(b"5")],
    ):
        found = Messages()
        for part in parts:
            found.extend(part)
        assert found.keys == [key for part in parts for key in part.keys]
        assert found.values == [value for part in parts for value in part.values]
        assert list(found.headers) == [header for part in parts for header in part.headers]
        assert [len(part) for part in parts] == [len(part.headers) for part in parts], "none of them has changed"
    more = lines(b"5")
    more.add(b"y", b"6", [("id", b"6")])
    assert list(more.headers) == [[("id", b"5"), ("source", b"in/0/5")], [("id", b"6")]]
