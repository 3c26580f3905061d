"""Each rule of the detector in its story, beside an innocent twin that looks alike."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from itertools import count

import pytest

from counterfoil.definition.writing import write_detector
from counterfoil.detector import Detector
from counterfoil.detector_file import load_detector, read_detector
from counterfoil.features.definition import AggregateFeature

from .harness import START, Decision, Event, at, decide

DETECTOR = load_detector("payments")
ROME = {"latitude": 41.9, "longitude": 12.5, "country": "IT"}
MILAN = {"latitude": 45.46, "longitude": 9.19, "country": "IT"}
TOKYO = {"latitude": 35.68, "longitude": 139.69, "country": "JP"}


@dataclass
class Story:
    """Writes down what happens, beginning at START."""

    events: list[Event] = field(default_factory=list)
    numbers: Iterable[int] = field(default_factory=count)

    def pay(self, hours: float, amount: float, **fields: object) -> Story:
        event = {
            "kind": "transaction",
            "transaction_id": f"t{len(self.events)}",
            "event_time": at(hours=hours),
            "customer_id": "ada",
            "card_id": "card-1",
            "account_id": "account-1",
            "merchant_id": "grocer",
            "device_id": "phone-1",
            "amount": amount,
            "currency": "EUR",
            "card_country": "IT",
            "merchant_category": "groceries",
            "channel": "pos",
            **ROME,
            **fields,
        }
        self.events.append({name: value for name, value in event.items() if value is not None})
        return self

    def transfer(self, hours: float, amount: float, payee: str, **fields: object) -> Story:
        nowhere = {"merchant_id": None, "merchant_category": None, "card_id": None, "latitude": None, "longitude": None}
        return self.pay(hours, amount, counterparty_id=payee, channel="transfer", **(nowhere | fields))

    def habit(self, days: int = 20, amount: float = 40, **fields: object) -> Story:
        """Pay about the same at noon of every day before START."""
        for day in range(days):
            self.pay(-24.0 * (days - day), amount + day % 3, **fields)
        return self

    def change(self, hours: float, changed: str) -> Story:
        self.events.append(
            {
                "kind": "customer_change",
                "change_id": f"x{len(self.events)}",
                "changed_at": at(hours=hours),
                "customer_id": "ada",
                "field": changed,
            }
        )
        return self

    def login(self, hours: float, success: bool, customer: str = "ada", device: str = "phone-1") -> Story:
        self.events.append(
            {
                "kind": "authentication",
                "login_id": f"l{len(self.events)}",
                "event_time": at(hours=hours),
                "customer_id": customer,
                "device_id": device,
                "success": success,
                "country": "IT",
            }
        )
        return self

    def outcome(self, hours: float, fraud: bool, **fields: object) -> Story:
        event = {
            "kind": "outcome",
            "outcome_id": f"o{len(self.events)}",
            "known_at": at(hours=hours),
            "transaction_id": "t",
            "customer_id": "ada",
            "card_id": "card-1",
            "merchant_id": "grocer",
            "device_id": "phone-1",
            "fraud": fraud,
        }
        self.events.append(event | fields)
        return self

    def decide(self, detector: Detector = DETECTOR) -> list[Decision]:
        return decide(detector, self.events)

    def last(self) -> Decision:
        return self.decide()[-1]


def with_lists() -> Detector:
    """Return the detector with something on its lists."""
    text = write_detector(DETECTOR)
    for name, of in (
        ("blocked_devices", "device_id"),
        ("blocked_merchants", "merchant_id"),
        ("trusted_payees", "counterparty_id"),
    ):
        assert f"  {name}: {of}\n" in text
        text = text.replace(f"  {name}: {of}\n", f"  {name}: {{of: {of}, values: [bad, friend]}}\n")
    return read_detector(text)


WITH_LISTS = with_lists()


def burst(story: Story, merchants: int, amount: float = 120) -> Story:
    for number in range(5):
        story.pay(number / 6, amount, merchant_id=f"shop-{number % merchants}")
    return story


def tiny(story: Story, number: int, channel: str = "online") -> Story:
    for each in range(number):
        story.pay(each / 60, 1, merchant_id=f"app-{each}", channel=channel)
    return story


def takeover(failed: int, hours: float, payee: str = "mule", device: str = "strange") -> Story:
    story = Story().habit().transfer(-50, 100, "landlord").change(-2, "email")
    for each in range(failed):
        story.login(-0.9 - each / 100, success=False)
    return story.transfer(hours, 100, payee, device_id=device)


def outcomes(story: Story, frauds: int, number: int) -> Story:
    for each in range(number):
        story.outcome(-1, each < frauds, card_id=f"other-{each}", customer_id=f"c{each}", merchant_id="grocer")
    return story


def near_limit(number: int, amount: float, hours: float) -> Story:
    story = Story()
    for each in range(number):
        story.transfer(hours * each, amount, "offshore")
    return story


def stuffing(number: int) -> Story:
    story = Story()
    for each in range(number):
        story.login(each / 60, success=False, customer=f"c{each}", device="rack")
    return story.pay(0.5, 20, device_id="rack")


def shared(number: int) -> Story:
    story = Story()
    for each in range(number):
        story.pay(each, 20, customer_id=f"c{each}", card_id=f"k{each}", device_id="rack")
    return story


def trials(number: int, small: bool) -> Story:
    story = Story()
    for each in range(number):
        story.pay(each / 100, 1 if small else 30, customer_id=f"c{each}", card_id=f"k{each}", device_id=f"d{each}")
    return story.pay(0.5, 1, card_id="k", customer_id="c", device_id="d")


def passing_on(received: float, sent: float, hours: float) -> Story:
    mule = {"account_id": "account-2", "customer_id": "mule"}
    return (
        Story()
        .transfer(-500, 20, "landlord", **mule)
        .transfer(0, received / 2, "account-2", account_id="victim-1", customer_id="v1")
        .transfer(0.1, received / 2, "account-2", account_id="victim-2", customer_id="v2")
        .transfer(hours, sent, "next", **mule)
    )


STORIES: list[tuple[str, Callable[[], Story], Callable[[], Story]]] = [
    # rule, its story, its innocent twin
    (
        "stolen-card-burst",
        lambda: burst(Story().habit(), merchants=5),
        lambda: burst(Story().habit(), merchants=2),
    ),
    ("card-testing", lambda: tiny(Story(), 3), lambda: tiny(Story(), 3, channel="pos")),
    (
        "card-testing",
        lambda: shared(3).pay(4, 1, customer_id="c9", device_id="rack"),
        lambda: shared(3).pay(4, 5, customer_id="c9", device_id="rack"),
    ),
    (
        "card-testing-cash-in",
        lambda: tiny(Story().habit(), 1).pay(5, 400, device_id="strange", merchant_id="web"),
        lambda: tiny(Story().habit(), 1).pay(5, 400, merchant_id="web"),
    ),
    ("card-testing-at-merchant", lambda: trials(20, small=True), lambda: trials(20, small=False)),
    (
        "impossible-travel",
        lambda: Story().habit().pay(0, 40).pay(1, 40, **TOKYO),
        lambda: Story().habit().pay(0, 40).pay(1, 40, merchant_id="web", channel="online", **TOKYO),
    ),
    (
        "far-from-usual-place",
        lambda: Story().habit().pay(20, 600, **TOKYO),
        lambda: Story().habit().pay(20, 600, **MILAN),
    ),
    ("new-country", lambda: Story().habit().pay(40, 200, **TOKYO), lambda: Story().habit().pay(40, 200, **MILAN)),
    (
        "stranger-abroad-online",
        lambda: Story().habit().pay(1, 60, device_id="strange", channel="online", **TOKYO),
        lambda: Story().habit().pay(1, 60, channel="online", **TOKYO),
    ),
    ("account-takeover", lambda: takeover(3, 1), lambda: takeover(3, 1, payee="landlord")),
    ("account-takeover", lambda: takeover(3, 22), lambda: takeover(3, 22.001)),
    ("account-takeover", lambda: takeover(3, 1), lambda: takeover(2, 1)),
    ("account-takeover", lambda: takeover(3, 1), lambda: takeover(3, 1, device="phone-1")),
    (
        "payment-after-credential-change",
        lambda: Story().habit().change(-3, "password").transfer(1, 600, "mule", device_id="strange"),
        lambda: Story().habit().change(-3, "address").transfer(1, 600, "mule", device_id="strange"),
    ),
    ("failed-logins", lambda: takeover(5, 0), lambda: takeover(4, 0)),
    ("credential-stuffing-device", lambda: stuffing(10), lambda: stuffing(9)),
    ("shared-device", lambda: shared(3), lambda: shared(2)),
    ("amount-out-of-line", lambda: Story().habit().pay(1, 500), lambda: Story().habit(amount=495).pay(1, 500)),
    (
        "first-time-large",
        lambda: Story().habit().pay(1, 500, merchant_id="jeweller"),
        lambda: Story().habit().pay(1, 500),
    ),
    ("unusual-hour", lambda: Story().habit().pay(15, 100), lambda: Story().habit().pay(24, 100)),
    (
        "compromised-merchant",
        lambda: outcomes(Story().habit(), 2, 10).pay(1, 40),
        lambda: outcomes(Story().habit(), 1, 10).pay(1, 40),
    ),
    (
        "known-fraud-on-card",
        lambda: Story().habit().outcome(-1, fraud=True).pay(1, 40),
        lambda: Story().habit().outcome(-1, fraud=False).pay(1, 40),
    ),
    (
        "cash-burst",
        lambda: Story().pay(0, 800, channel="atm").pay(1, 800, channel="atm"),
        lambda: Story().pay(0, 800, channel="atm").pay(24, 800, channel="atm"),
    ),
    ("structuring", lambda: near_limit(2, 9500, hours=24), lambda: near_limit(2, 7000, hours=24)),
    ("structuring", lambda: near_limit(4, 2600, hours=2), lambda: near_limit(4, 2600, hours=24)),
    ("structuring", lambda: near_limit(4, 2600, hours=2), lambda: near_limit(4, 2500, hours=2)),
    (
        "large-to-new-payee",
        lambda: Story().habit().transfer(1, 2500, "stranger"),
        lambda: Story().habit().transfer(1, 2500, "friend"),
    ),
    ("mule-pass-through", lambda: passing_on(3000, 2500, 0.9), lambda: passing_on(3000, 2500, 2)),
    ("mule-pass-through", lambda: passing_on(3000, 2100, 0.9), lambda: passing_on(3000, 2000, 0.9)),
    ("blocked-device", lambda: Story().pay(0, 5, device_id="bad"), lambda: Story().pay(0, 5)),
    ("blocked-merchant", lambda: Story().pay(0, 5, merchant_id="bad"), lambda: Story().pay(0, 5, merchant_id=None)),
]


@pytest.mark.parametrize(("rule", "story", "twin"), STORIES, ids=[rule for rule, _, _ in STORIES])
def test_a_rule_hits_its_story_and_spares_the_innocent_twin(
    rule: str, story: Callable[[], Story], twin: Callable[[], Story]
) -> None:
    hit = story().decide(WITH_LISTS)[-1]
    assert rule in hit.rules, (hit.rules, hit.features)
    spared = twin().decide(WITH_LISTS)[-1]
    assert rule not in spared.rules, spared.features


def test_every_rule_has_its_story() -> None:
    assert {rule for rule, _, _ in STORIES} == {rule.name for rule in DETECTOR.rules}


def test_everyday_life_raises_nothing() -> None:
    decisions = Story().habit(days=60).decide()
    assert {decision.outcome for decision in decisions} == {"approve"}
    assert {decision.rules for decision in decisions} == {()}


def test_weak_signs_add_up() -> None:
    decision = Story().habit().pay(15, 600, merchant_id="jeweller", **TOKYO).last()
    assert decision.outcome in ("review", "block")
    assert len(decision.rules) >= 3


def test_a_block_and_a_review_are_what_the_rules_say() -> None:
    assert takeover(3, 1).last().outcome == "block"
    assert near_limit(2, 9500, hours=24).last().outcome == "review"


def test_it_has_at_least_sixty_features_and_twelve_rules() -> None:
    windows = sum(len(each.outputs) for each in DETECTOR.features if isinstance(each, AggregateFeature))
    assert windows >= 60
    assert len(DETECTOR.feature_names) >= 80
    assert len(DETECTOR.rules) >= 12
    assert all(rule.reason for rule in DETECTOR.rules)


def test_some_features_by_hand() -> None:
    features = Story().habit().change(-5, "email").pay(0, 100).pay(1, 60, merchant_id="new", **MILAN).last().features
    assert features["card_count_1h"] == 1
    assert features["card_count_24h"] == 2
    assert features["card_count_30d"] == 22
    assert features["card_spend_24h"] == Decimal("160.00")
    assert features["card_mean_24h"] == 80
    assert features["card_usual_30d"] == pytest.approx((sum(40 + day % 3 for day in range(20)) + 100) / 21)
    assert features["travelled"] == pytest.approx(477, abs=5)
    assert features["travel_speed"] == pytest.approx(477, abs=5)
    assert features["since_last_payment"] == timedelta(hours=1)
    assert features["since_profile_change"] == timedelta(hours=6)
    assert features["since_credential_change"] is None
    assert features["country_frequency"] == 1.0
    assert features["hour_frequency"] == 0.0
    assert features["merchant_visits_before"] == 0
    assert features["first_time_at_merchant"] is True
    assert features["first_time_on_device"] is False
    assert features["country_mismatch"] is False
    assert features["from_usual_place"] == pytest.approx(477, abs=5)
    assert features["new_country"] is False
    assert features["at_night"] is False
    assert features["round_amount"] is False
    assert features["just_below_limit"] is False
    assert features["amount_ratio"] == pytest.approx(60 / features["card_usual_30d"])
    assert Story().pay(0, 9500).last().features["just_below_limit"] is True
    assert Story().pay(0, 9500).last().features["round_amount"] is True
    assert START.hour == 12
