"""The example data of each built-in detector raises what its page says, and nothing else."""

from __future__ import annotations

import csv
from pathlib import Path

import msgspec
import pytest

from counterfoil.definition.tree import parse
from counterfoil.detector_file import load_detector
from counterfoil.detectors import builtin_names, builtin_path, example_path
from counterfoil.events.decoding import DecoderSettings

from .harness import Decision, Event, decide


def read(path: Path) -> list[Event]:
    """Return the events of an example, whatever its format."""
    text = path.read_text()
    if path.suffix == ".ndjson":
        return [msgspec.json.decode(line) for line in text.splitlines()]
    if path.suffix == ".csv":
        return [{name: _number(value) for name, value in row.items()} for row in csv.DictReader(text.splitlines())]
    names = ("time", "sender", "receiver", "amount")
    return [dict(zip(names, _numbers(line.split(";")), strict=True)) for line in text.splitlines()]


def _numbers(values: list[str]) -> list[str | float]:
    return [values[0], values[1], values[2], float(values[3])]


def _number(text: str) -> str | float:
    return float(text) if "." in text else int(text) if text.isdigit() else text


def decisions_of(name: str) -> list[Decision]:
    detector = load_detector(name)
    kinds = [kind.name for kind in detector.schema.kinds]
    settings = DecoderSettings(kind=kinds[0] if len(kinds) == 1 else None)
    return decide(detector, read(example_path(name)), settings)


def raised(decisions: list[Decision], identity: str) -> dict[str, tuple[str, ...]]:
    """Return what was not approved: id to its rules."""
    return {str(each.event[identity]): each.rules for each in decisions if each.outcome != "approve"}


def test_payments() -> None:
    found = {
        (each.event["customer_id"], each.event["amount"]): (each.outcome, *each.rules)
        for each in decisions_of("payments")
        if each.outcome != "approve"
    }
    assert found == {
        ("ada", 1): ("review", "card-testing"),
        ("ada", 389.9): ("block", "stolen-card-burst", "card-testing-cash-in"),
        ("bruno", 1850): ("block", "account-takeover"),
        ("mule", 1700): ("review", "mule-pass-through"),
        ("dora", 240): ("review", "impossible-travel", "new-country"),
        ("fritz", 9500): ("review", "structuring"),
        ("fritz", 9600): ("review", "structuring"),
    }


def test_laundering() -> None:
    decisions = decisions_of("laundering")
    assert [alert.split("@")[0] for decision in decisions for alert in decision.opened] == [
        "over-limit",
        "fan-in",
        "over-limit",
        "rapid-pass-through",
        "fan-out",
        "rapid-pass-through",
    ]
    crossing = next(decision for decision in decisions if decision.opened)
    assert crossing.event == {"time": "2017-07-23T01:10:47Z", "sender": "66", "receiver": "26", "amount": 15}
    assert sum("over-limit" in decision.rules for decision in decisions) == 3


def test_profile_change() -> None:
    rule = ("payment-after-profile-change",)
    assert raised(decisions_of("profile-change"), "transaction_id") == {"t3": rule, "t4": rule, "t9": rule}


def test_account_burst() -> None:
    assert raised(decisions_of("account-burst"), "payment_id") == {
        "p3": ("too-much",),
        "p15": ("too-many",),
        "p16": ("address-not-allowed",),
    }


def test_handbook() -> None:
    risky = {str(number): ("risky-terminal",) for number in (27, 29, 31, 33, 35, 37)}
    assert raised(decisions_of("handbook"), "TRANSACTION_ID") == risky | {
        "40": ("high-amount", "amount-out-of-line"),
        "41": ("amount-out-of-line",),
    }


def test_handbook_extended() -> None:
    run = {str(number): ("terminal-in-a-run",) for number in (27, 29, 31)}
    expected = run | {"40": ("high-amount", "amount-out-of-line")}
    assert raised(decisions_of("handbook-extended"), "TRANSACTION_ID") == expected


def test_laundering_accounts() -> None:
    assert raised(decisions_of("laundering-accounts"), "transaction_id") == {
        "5": ("fan-in",),
        "6": ("fan-in",),
        "7": ("pass-through",),
        "12": ("fan-out",),
    }


def test_paysim() -> None:
    found = {each.event["nameOrig"]: each.rules for each in decisions_of("paysim") if each.outcome != "approve"}
    assert found == {"C13": ("large-transfer",), "C16": ("emptied-account",), "C17": ("emptied-account",)}


PAGES = Path(__file__).parents[2] / "docs" / "detectors"


@pytest.mark.parametrize("name", builtin_names())
def test_every_feature_rule_and_parameter_has_its_place_on_the_page(name: str) -> None:
    assert example_path(name).is_file()
    page = (PAGES / f"{name}.md").read_text()
    assert page.startswith(f"# {name}\n")
    detector = load_detector(name)
    parameters = parse(builtin_path(name).read_text(), name).value
    assert isinstance(parameters, dict)
    stated = parameters["parameters"].value if "parameters" in parameters else {}
    assert isinstance(stated, dict)
    names = [each.name for each in (*detector.features, *detector.rules, *detector.lists)]
    missing = [each for each in (*names, *stated) if f"`{each}`" not in page]
    assert not missing
