"""Comparisons: metrics by hand, intervals that hold what they promise, and labels that are not counted too early."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterfoil.errors import InputError
from counterfoil.models.comparison import Arm, Comparison, Metric, compare


def arm(
    random: np.random.Generator, name: str = "a", customers: int = 1_500, fraud: float = 0.03, skill: float = 2.0
) -> Arm:
    """Return payments of customers of whom some are victims again and again."""
    customer = np.repeat(np.arange(customers), random.integers(1, 6, customers))
    risk = random.gamma(0.5, 2 * fraud, customers)[customer]
    label = (random.random(len(customer)) < risk).astype(np.int8)
    score = random.normal(size=len(customer)) + skill * label
    return Arm(
        name, score, score > 2, label, np.ones(len(customer), np.bool_), random.lognormal(4, 1, len(customer)), customer
    )


def by_name(found: Comparison) -> dict[str, Metric]:
    return {each.name: each for each in found.metrics}


def fixed(**changes: object) -> Arm:
    fields = {
        "name": "a",
        "score": np.array([0.9, 0.8, 0.7, 0.2, 0.1, 0.05]),
        "flagged": np.array([True, True, True, False, False, False]),
        "label": np.array([1, 0, 1, 1, 0, 0], np.int8),
        "mature": np.ones(6, np.bool_),
        "amount": np.array([100.0, 10, 50, 25, 5, 5]),
        "customer": np.arange(6),
    }
    return Arm(**(fields | changes))  # type: ignore[arg-type]


def test_metrics_are_what_one_counts_by_hand() -> None:
    found = by_name(compare(fixed(), fixed(name="b", flagged=np.array([True] + [False] * 5))))
    first = {name: each.first.value for name, each in found.items()}
    assert first == pytest.approx(
        {
            "alert rate": 1 / 2,
            "precision": 2 / 3,
            "recall": 2 / 3,
            "false positive rate": 1 / 3,
            "value saved": 1000 * 150 / 6,
            "value missed": 1000 * 25 / 6,
            "average precision": (1 + 2 / 3 + 3 / 4) / 3,
        }
    )
    assert found["recall"].second.value == pytest.approx(1 / 3)
    assert found["recall"].difference.value == pytest.approx(-1 / 3)


def test_average_precision_is_that_of_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    random = np.random.default_rng(1)
    tried = arm(random)
    rounded = fixed(**{name: getattr(tried, name) for name in ("flagged", "label", "mature", "amount", "customer")},
                    score=np.round(tried.score, 1))  # fmt: skip
    found = by_name(compare(rounded, rounded, replicates=10))["average precision"].first.value
    assert found == pytest.approx(metrics.average_precision_score(rounded.label, rounded.score))


def test_labels_that_are_too_young_count_nowhere_and_are_counted() -> None:
    # Only fraud is known of the young ones: counting them would triple the precision.
    young = fixed(mature=np.array([False, True, True, True, True, False]), label=np.array([1, 0, 1, 1, 0, -1], np.int8))
    found = compare(young, fixed(name="b"))
    assert by_name(found)["precision"].first.value == pytest.approx(1 / 2)
    assert (found.first.immature, found.first.fraud, found.first.genuine) == (2, 2, 2)
    assert any("2 of 6 payments are too young" in note for note in found.notes)


def test_payments_without_a_label_count_in_the_alert_rate_alone() -> None:
    found = compare(fixed(label=np.array([-1, 0, 1, 1, -1, -1], np.int8)), fixed(name="b"))
    first = {name: each.first.value for name, each in by_name(found).items()}
    assert first["alert rate"] == 0.5
    assert first["precision"] == 0.5
    assert found.first.unknown == 3


def test_what_cannot_be_computed_is_none() -> None:
    found = by_name(compare(fixed(flagged=np.zeros(6, np.bool_)), fixed(name="b", label=np.zeros(6, np.int8))))
    assert found["precision"].first.value is None
    assert found["recall"].second.value is None
    assert found["recall"].difference.value is None
    assert found["average precision"].second.value is None


def test_all_or_nothing_still_has_an_interval() -> None:
    """Two of two is no proof of certainty, though each bootstrap of it is two of two."""
    label, flagged = np.array([1, 1, 0, 0, 0, 0], np.int8), np.array([True, True, False, False, False, False])
    found = by_name(compare(fixed(label=label, flagged=flagged), fixed(name="b", label=label, flagged=flagged)))
    assert found["recall"].first.value == 1
    assert found["recall"].first.low == pytest.approx(0.025**0.5)
    assert found["false positive rate"].first.high == pytest.approx(1 - 0.025**0.25)


def test_without_mature_payments_there_is_nothing_to_compare() -> None:
    with pytest.raises(InputError, match="6 payments, none of them old enough"):
        compare(fixed(mature=np.zeros(6, np.bool_)), fixed(name="b"))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_every_value_lies_in_its_interval(seed: int, paired: bool) -> None:
    random = np.random.default_rng(seed)
    first = arm(random, customers=60, fraud=0.1)
    second = first if paired else arm(random, "b", customers=50, fraud=0.1)
    for each in compare(first, second, paired=paired, replicates=60).metrics:
        for interval in (each.first, each.second, each.difference):
            if interval.value is not None and interval.low is not None and interval.high is not None:
                assert interval.low <= interval.value <= interval.high


def test_two_arms_that_are_alike_are_seldom_told_apart() -> None:
    """At 95 % one look in twenty is wrong: of sixty, three; more than nine would be one case in a thousand."""
    wrong = dict.fromkeys(("precision", "recall", "value saved", "average precision", "false positive rate"), 0)
    for seed in range(60):
        random = np.random.default_rng(seed)
        found = by_name(compare(arm(random), arm(random, "b"), replicates=200, seed=seed))
        for name in wrong:
            wrong[name] += found[name].better is not None
    assert max(wrong.values()) <= 9
    assert sum(wrong.values()) >= 1


def test_customers_are_drawn_not_payments() -> None:
    """The same payments as of one customer each would seem to know more than they do."""
    random = np.random.default_rng(4)
    tried = arm(random)
    grouped = fixed(
        **{name: np.repeat(getattr(tried, name), 8) for name in ("score", "flagged", "label", "mature", "amount")},
        customer=np.repeat(tried.customer, 8),
    )
    alone = fixed(
        **{name: getattr(grouped, name) for name in ("score", "flagged", "label", "mature", "amount")},
        customer=np.arange(len(grouped.customer)),
    )
    wide, narrow, truth = (
        by_name(compare(each, each, replicates=300))["recall"].first for each in (grouped, alone, tried)
    )
    assert (wide.high or 0) - (wide.low or 0) == pytest.approx((truth.high or 0) - (truth.low or 0), rel=0.2)
    assert (narrow.high or 0) - (narrow.low or 0) < 0.6 * ((wide.high or 0) - (wide.low or 0))


def test_a_better_model_is_found_better() -> None:
    random = np.random.default_rng(2)
    found = by_name(compare(arm(random, customers=4_000), arm(random, "b", customers=4_000, skill=4), replicates=200))
    assert found["recall"].better == "b"
    assert found["average precision"].better == "b"
    assert found["value missed"].better == "b"
    assert found["alert rate"].better is None


def test_a_shadow_is_compared_on_the_same_payments_at_the_same_alert_rate() -> None:
    random = np.random.default_rng(2)
    served = arm(random, customers=3_000)
    better = fixed(
        **{name: getattr(served, name) for name in ("flagged", "label", "mature", "amount", "customer")},
        name="shadow",
        score=served.score + 0.7 * served.label,
    )
    pairs = by_name(compare(served, better, paired=True, alert_rate=0.02, replicates=200))
    apart = by_name(compare(served, better, alert_rate=0.02, replicates=200))
    assert pairs["recall"].better == "shadow"
    assert pairs["alert rate"].first.value == pytest.approx(0.02, abs=1e-3)
    # In pairs, what both have in common cancels.
    width = {
        name: (found["recall"].difference.high or 0) - (found["recall"].difference.low or 0)
        for name, found in (("pairs", pairs), ("apart", apart))
    }
    assert width["pairs"] < 0.8 * width["apart"]


def test_a_pair_of_different_payments_is_refused() -> None:
    with pytest.raises(InputError, match="same payments"):
        compare(fixed(), fixed(name="b", customer=np.arange(6) + 1), paired=True)


def test_the_same_seed_gives_the_same_intervals_and_json() -> None:
    random = np.random.default_rng(2)
    first, second = arm(random), arm(random, "b")
    found = compare(first, second, replicates=50)
    assert compare(first, second, replicates=50) == found
    content = found.as_dict()
    assert content["metrics"]["recall"]["difference"]["value"] == by_name(found)["recall"].difference.value
    assert [each["name"] for each in content["arms"]] == ["a", "b"]
