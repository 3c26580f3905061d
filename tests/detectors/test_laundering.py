"""Transfers that add up, and accounts that collect, scatter or pass on."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.detector_file import load_detector

from .harness import Decision, Event, at, decide

DETECTOR = load_detector("laundering")
CLASSIC = load_detector("laundering", {"window": "10m"})


def transfer(seconds: float, sender: int, receiver: int, amount: float) -> Event:
    return {"time": at(seconds=seconds), "sender": str(sender), "receiver": str(receiver), "amount": amount}


def hits(decisions: list[Decision], rule: str) -> list[bool]:
    return [rule in decision.rules for decision in decisions]


def opened(decisions: list[Decision]) -> list[str]:
    return [alert.split("@")[0] for decision in decisions for alert in decision.opened]


def test_it_fires_on_the_payment_that_crosses_the_line_strictly() -> None:
    decisions = decide(DETECTOR, [transfer(0, 66, 26, 7810), transfer(60, 66, 26, 2190), transfer(61, 66, 26, 0.01)])
    assert hits(decisions, "over-limit") == [False, False, True]
    assert [decision.outcome for decision in decisions] == ["approve", "approve", "review"]
    assert decisions[-1].features["pair_total_24h"] == Decimal("10000.01")


def test_directions_and_other_accounts_do_not_add_up() -> None:
    events = [transfer(0, 1, 2, 9000), transfer(1, 2, 1, 9000), transfer(2, 1, 3, 9000), transfer(3, 3, 2, 9000)]
    assert hits(decide(DETECTOR, events), "over-limit") == [False] * 4


@pytest.mark.parametrize(
    ("seconds", "hit"), [(599.999, True), (600, False), (601, False)], ids=["inside", "on the edge", "outside"]
)
def test_the_classic_window_is_ten_minutes(seconds: float, hit: bool) -> None:
    decisions = decide(CLASSIC, [transfer(0, 1, 2, 9000), transfer(seconds, 1, 2, 9000)])
    assert hits(decisions, "over-limit") == [False, hit]


def test_one_alert_an_episode() -> None:
    events = [transfer(60 * minute, 1, 2, 6000) for minute in range(6)]
    again = [transfer(86_400 * 3 + 60 * minute, 1, 2, 6000) for minute in range(3)]
    decisions = decide(DETECTOR, events + again)
    assert hits(decisions, "over-limit") == [False] + [True] * 5 + [False] + [True] * 2
    assert opened(decisions) == ["over-limit", "over-limit"]
    assert [index for index, decision in enumerate(decisions) if decision.opened] == [1, 7]


def test_an_episode_each_pair() -> None:
    events = [transfer(second, sender, 9, 6000) for second, sender in enumerate([1, 2, 1, 2])]
    assert opened(decide(DETECTOR, events)).count("over-limit") == 2


def test_fan_in() -> None:
    events = [transfer(second, 100 + second, 1, 1100) for second in range(11)]
    decisions = decide(DETECTOR, events)
    assert hits(decisions, "fan-in") == [False] * 9 + [True] * 2
    assert opened(decisions) == ["fan-in"]
    assert not any(hits(decide(DETECTOR, [transfer(second, 7, 1, 1100) for second in range(9)]), "fan-in"))
    few = [transfer(second, 100 + second, 1, 10) for second in range(11)]
    assert not any(hits(decide(DETECTOR, few), "fan-in"))


def test_fan_out() -> None:
    events = [transfer(second, 1, 100 + second, 1100) for second in range(11)]
    decisions = decide(DETECTOR, events)
    assert hits(decisions, "fan-out") == [False] * 9 + [True] * 2
    assert opened(decisions) == ["fan-out"]


def test_rapid_pass_through() -> None:
    events = [transfer(0, 1, 2, 6000), transfer(600, 3, 2, 5000), transfer(1200, 2, 4, 9500)]
    decisions = decide(DETECTOR, events)
    assert hits(decisions, "rapid-pass-through") == [False, False, True]
    assert decisions[-1].features["received_1h"] == Decimal("11000.00")
    assert decisions[-1].features["passed_on"] == pytest.approx(9500 / 11000)


def test_slow_or_partial_passing_on_is_none() -> None:
    slow = [transfer(0, 1, 2, 6000), transfer(600, 3, 2, 5000), transfer(4300, 2, 4, 9500)]
    partial = [transfer(0, 1, 2, 6000), transfer(600, 3, 2, 5000), transfer(1200, 2, 4, 2000)]
    for events in (slow, partial):
        assert not any(hits(decide(DETECTOR, events), "rapid-pass-through"))


def test_a_transfer_to_oneself_is_sent_and_received() -> None:
    decision = decide(DETECTOR, [transfer(0, 1, 1, 50)])[0]
    assert decision.features["sent_1h"] == decision.features["received_1h"] == Decimal("50.00")


transfers = st.lists(
    st.tuples(st.integers(0, 900), st.integers(1, 3), st.integers(1, 3), st.integers(1, 900_000)), max_size=40
)


@given(transfers)
def test_sums_and_partners_equal_a_slow_count(rows: list[tuple[int, int, int, int]]) -> None:
    decisions = decide(CLASSIC, [transfer(at, sender, receiver, cents / 100) for at, sender, receiver, cents in rows])
    for index, (now, sender, receiver, _) in enumerate(rows):
        window = [row for row in rows[: index + 1] if now - 600 < row[0] <= now]
        total = sum(cents for _, one, other, cents in window if (one, other) == (sender, receiver))
        features = decisions[index].features
        assert features["pair_total_10m"] == Decimal(total).scaleb(-2)
        assert features["fan_in_10m"] == len({one for _, one, other, _ in window if other == receiver})
        assert features["fan_out_10m"] == len({other for _, one, other, _ in window if one == sender})
        assert hits([decisions[index]], "over-limit") == [total > 1_000_000]
        hour = rows[: index + 1]
        received: dict[int, int] = defaultdict(int)
        for when, _, other, cents in hour:
            if when <= now:
                received[other] += cents
        expected = Decimal(received[sender]).scaleb(-2)
        assert (features["received_1h"] or 0) == expected
