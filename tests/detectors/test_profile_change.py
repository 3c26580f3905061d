"""A payment within 24 hours after a change of the profile: to the millisecond, over all accounts, nothing doubled."""

from __future__ import annotations

from datetime import timedelta

import pytest

from counterfoil.detector_file import load_detector

from .harness import Decision, Event, at, decide

DETECTOR = load_detector("profile-change")
RULE = "payment-after-profile-change"


def change(when: str, customer: str = "c1", field: str = "email") -> Event:
    return {
        "kind": "customer_change",
        "change_id": f"x{when}{field}",
        "changed_at": when,
        "customer_id": customer,
        "field": field,
    }


def payment(when: str, customer: str = "c1", account: str = "a1") -> Event:
    return {
        "kind": "transaction",
        "transaction_id": f"t{when}{account}",
        "event_time": when,
        "customer_id": customer,
        "account_id": account,
        "amount": 50.25,
    }


def hits(decisions: list[Decision]) -> list[bool]:
    return [RULE in decision.rules for decision in decisions]


@pytest.mark.parametrize(
    ("after", "hit"),
    [
        (timedelta(0), True),
        (timedelta(milliseconds=1), True),
        (timedelta(hours=24) - timedelta(milliseconds=1), True),
        (timedelta(hours=24), True),
        (timedelta(hours=24, milliseconds=1), False),
        (timedelta(days=30), False),
    ],
)
def test_the_bound_holds_to_the_millisecond(after: timedelta, hit: bool) -> None:
    decision = decide(DETECTOR, [change(at()), payment(at(seconds=after.total_seconds()))])[-1]
    assert hits([decision]) == [hit]
    assert decision.outcome == ("review" if hit else "approve")
    assert decision.features["since_profile_change"] == after


@pytest.mark.parametrize("field", ["email", "phone", "address", "password", "device"])
def test_every_kind_of_change_counts(field: str) -> None:
    assert hits(decide(DETECTOR, [change(at(), field=field), payment(at(hours=1))])) == [True]


def test_other_changes_do_not_count() -> None:
    assert hits(decide(DETECTOR, [change(at(), field="newsletter"), payment(at(hours=1))])) == [False]


def test_it_counts_for_all_accounts_of_the_customer_and_for_nobody_else() -> None:
    events = [
        change(at()),
        payment(at(hours=1)),
        payment(at(hours=2), account="a2"),
        payment(at(hours=3), customer="c2"),
    ]
    assert hits(decide(DETECTOR, events)) == [True, True, False]


def test_two_changes_double_nothing() -> None:
    once = decide(DETECTOR, [change(at(hours=1)), payment(at(hours=2))])
    twice = decide(DETECTOR, [change(at()), change(at(hours=1), field="phone"), payment(at(hours=2))])
    again = decide(DETECTOR, [change(at(hours=1)), change(at(hours=1)), payment(at(hours=2))])
    for decisions in (once, twice, again):
        assert len(decisions) == 1
        assert decisions[0].rules == (RULE,)
        assert decisions[0].score == 0.8
        assert len(decisions[0].opened) == 1
        assert decisions[0].features["since_profile_change"] == timedelta(hours=1)


def test_the_latest_change_counts_whatever_the_order_of_arrival() -> None:
    events = [change(at(hours=20)), change(at()), payment(at(hours=30))]
    assert hits(decide(DETECTOR, events)) == [True]


def test_a_change_after_the_payment_does_not_count() -> None:
    events = [payment(at()), change(at(hours=1)), payment(at(minutes=30), account="a2")]
    assert hits(decide(DETECTOR, events)) == [False, False]


def test_payments_of_one_episode_make_one_alert() -> None:
    decisions = decide(DETECTOR, [change(at()), *(payment(at(hours=hour)) for hour in range(1, 24))])
    assert len({alert for decision in decisions for alert in decision.alerts}) == 1
    assert sum(len(decision.opened) for decision in decisions) == 1


def test_the_hours_can_be_set() -> None:
    detector = load_detector("profile-change", {"hours": 48})
    events = [change(at()), payment(at(hours=48)), payment(at(hours=49))]
    assert hits(decide(detector, events)) == [True, False]


def test_other_kinds_of_the_same_stream_are_read_and_not_used() -> None:
    login = {"kind": "authentication", "login_id": "l", "event_time": at(), "customer_id": "c1", "success": False}
    assert hits(decide(DETECTOR, [login, payment(at(hours=1))])) == [False]
