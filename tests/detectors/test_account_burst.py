"""More than 1,000 or more than 10 payments within 10 minutes, or an address that is not allowed."""

from __future__ import annotations

from decimal import Decimal

from counterfoil.detector_file import load_detector

from .harness import Event, at, decide

DETECTOR = load_detector("account-burst")


def payment(seconds: float, amount: float, account: str = "a", address: str | None = "192.0.2.1") -> Event:
    event: Event = {
        "payment_id": f"{account}-{seconds}-{amount}",
        "paid_at": at(seconds=seconds),
        "account_id": account,
        "amount": amount,
    }
    return event if address is None else event | {"address": address}


def rules(events: list[Event]) -> list[tuple[str, ...]]:
    return [decision.rules for decision in decide(DETECTOR, events)]


def test_the_sum_must_be_more_than_the_limit() -> None:
    assert rules([payment(0, 600), payment(60, 400)])[-1] == ()
    assert rules([payment(0, 600), payment(60, 400.01)])[-1] == ("too-much",)


def test_the_number_must_be_more_than_ten() -> None:
    found = rules([payment(second, 1) for second in range(11)])
    assert found == [()] * 10 + [("too-many",)]


def test_a_payment_leaves_the_window_after_exactly_ten_minutes() -> None:
    assert rules([payment(0, 600), payment(599.999, 401)])[-1] == ("too-much",)
    assert rules([payment(0, 600), payment(600, 401)])[-1] == ()
    decision = decide(DETECTOR, [payment(0, 600), payment(600, 401)])[-1]
    assert decision.features == {"account_count_10m": 1, "account_total_10m": Decimal("401.00")}


def test_accounts_do_not_add_up() -> None:
    assert rules([payment(0, 600), payment(1, 600, account="b")])[-1] == ()


def test_only_allowed_addresses_pass() -> None:
    assert rules([payment(0, 1, address="203.0.113.9")]) == [("address-not-allowed",)]
    assert rules([payment(0, 1, address="198.51.100.7")]) == [()]


def test_an_absent_address_is_no_unknown_one() -> None:
    assert rules([payment(0, 1, address=None)]) == [()]


def test_one_burst_is_one_alert() -> None:
    decisions = decide(DETECTOR, [payment(second, 300) for second in range(8)])
    assert [decision.outcome for decision in decisions] == ["approve"] * 3 + ["review"] * 5
    assert sum(len(decision.opened) for decision in decisions) == 1
    assert len({alert for decision in decisions for alert in decision.alerts}) == 1


def test_limits_can_be_set() -> None:
    detector = load_detector("account-burst", {"window": "1h", "limit": 50, "payments": 1})
    decisions = decide(detector, [payment(0, 30), payment(3599, 30)])
    assert decisions[-1].rules == ("too-much", "too-many")
