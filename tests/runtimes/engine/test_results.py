"""What sinks of engines get: named as the local runtime names it."""

from __future__ import annotations

from counterfoil.runtimes.engine.job import position_of
from counterfoil.runtimes.engine.results import Splits, alert_messages, letter_messages
from counterfoil.runtimes.local.store import NewDeadLetter

SPLITS = Splits(("a", "b"))


def test_an_alert_keeps_its_name_though_it_looks_like_a_position() -> None:
    position = position_of(SPLITS.number("b", 3), 17)
    alerts = [{"alert": "1234567890123456", "position": position, "content": {"decisions": 1}}]
    found = alert_messages(alerts, SPLITS)
    assert found.keys == [b"1234567890123456"]
    assert found.headers == [[("id", b"1234567890123456"), ("source", b"b/3/17")]]


def test_a_dead_letter_is_named_by_where_it_comes_from() -> None:
    letter = NewDeadLetter(position_of(SPLITS.number("a", 1), 5), "truncated", "7", b"{", sealed=False)
    found = letter_messages([letter], SPLITS)
    assert found.keys == [b"a/1/5"]
    assert dict(found.headers[0]) | {"detail": b"7", "id": b"a/1/5", "source": b"a/1/5"} == dict(found.headers[0])
    assert letter_messages([letter], Splits()).keys == [b"%d" % letter.position]
