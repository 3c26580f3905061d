"""The shape of each innocent twin: it looks like its fraud, and differs where an analyst would look."""

from __future__ import annotations

from datetime import timedelta

import polars as pl

from counterfoil.events.generators import STORIES
from tests.events.generators.conftest import Bank
from tests.events.generators.stories.test_frauds import kilometres, tellings


def test_no_twin_is_fraud(bank: Bank) -> None:
    assert not bank.payments.filter(pl.col("story").is_in(STORIES[7:]))["fraud"].any()


def test_family_holiday_bursts(bank: Bank) -> None:
    mine = bank.payments.filter(pl.col("story") == "family_holiday", pl.col("planned"))
    # Where the story's own number is that of the journey, it is told by the departure.
    bursts = [part for part in mine.partition_by("told") if len(part) >= 4 and "hotel" not in part["merchant_category"]]
    assert len(bursts) >= 10
    for burst in bursts:
        assert burst["customer_id"].n_unique() == 1
        assert burst["card_id"].n_unique() <= 2
        assert burst["country"].n_unique() == 1
        assert burst["at"].max() - burst["at"].min() < timedelta(hours=3.5)  # type: ignore[operator]


def test_holidays_are_spent_where_the_family_is(bank: Bank) -> None:
    mine = bank.payments.filter(pl.col("story") == "family_holiday", ~pl.col("planned"))
    assert len(mine) > 1_000
    journeys = mine.filter(pl.col("country") != pl.col("card_country"))
    assert 0.4 < len(journeys) / len(mine) < 0.95


def test_new_phone(bank: Bank) -> None:
    for story in tellings(bank.story("new_phone"), 50):
        assert story["customer_id"].n_unique() == 1
        assert story["device_id"].drop_nulls().n_unique() == 1
        assert "device" in story["field"].to_list()
        payments = story.filter(pl.col("kind") == "transaction")
        assert payments["at"].min() > story.filter(pl.col("success"))["at"][0]
        assert (~story["success"].drop_nulls()).sum() <= 2
        assert payments["amount"].max() < 1_000  # type: ignore[operator]
    # The new phone is used from then on.
    phones = story["device_id"].drop_nulls().to_list()
    later = bank.table.filter(pl.col("code") == -1, pl.col("device_id").is_in(phones))
    assert len(later) > 0


def test_business_trip(bank: Bank) -> None:
    told = bank.payments.filter(pl.col("planned"), pl.col("story") == "business_trip")
    fast = 0
    trips = [part for part in told.partition_by("told", maintain_order=True) if len(part) >= 2]
    assert len(trips) > 20
    for trip in trips:
        for before, after in zip(trip.rows(named=True), trip.rows(named=True)[1:], strict=False):
            hours = (after["at"] - before["at"]).total_seconds() / 3600
            speed = kilometres(before, after) / hours
            assert speed < 900
            fast += speed > 200
    assert fast > 10, "some do look like impossible travel"


def test_popular_merchant_dispute(bank: Bank) -> None:
    for story in tellings(bank.story("popular_merchant_dispute"), 3):
        assert story["merchant_id"].n_unique() == 1
        assert story["customer_id"].n_unique() >= 8
        assert story["at"].max() - story["at"].min() < timedelta(days=8)  # type: ignore[operator]
    disputed = bank.table.filter(
        pl.col("kind") == "outcome", pl.col("code") == STORIES.index("popular_merchant_dispute")
    )
    assert len(disputed) > 20
    assert not disputed["fraud"].any()


def test_subscription_trial(bank: Bank) -> None:
    for story in tellings(bank.story("subscription_trial"), 10):
        assert (story["channel"] == "online").all()
        assert story["card_id"].n_unique() == 1
        trial, bought = story.rows(named=True)[:2]
        assert trial["amount"] < 2
        assert bought["amount"] > 30
        assert timedelta(minutes=15) < bought["at"] - trial["at"] < timedelta(hours=4)
        assert trial["device_id"] == bought["device_id"] is not None
        own = bank.table.filter(pl.col("device_id") == trial["device_id"], pl.col("code") == -1)
        assert set(own["customer_id"]) <= {trial["customer_id"]}
        for charge in story.rows(named=True)[2:]:
            assert charge["merchant_id"] == trial["merchant_id"]
            assert charge["device_id"] is None


def test_payday_rent(bank: Bank) -> None:
    for story in tellings(bank.story("payday_rent"), 5):
        parts = story.filter(pl.col("kind") == "transaction")
        assert 2 <= len(parts) <= 3
        assert parts.select("account_id", "counterparty_id").n_unique() == 1
        assert parts["cents"].sum() < 10_000_00
        assert parts["at"].max() - parts["at"].min() < timedelta(hours=24)  # type: ignore[operator]


def test_treasury_sweep(bank: Bank) -> None:
    companies = bank.story("treasury_sweep")
    for story in tellings(companies, 10):
        transfers = story.filter(pl.col("kind") == "transaction")
        *sweeps, saving = transfers.rows(named=True)
        assert 1 <= len(sweeps) <= 3
        assert len({sweep["account_id"] for sweep in sweeps}) == len(sweeps)
        assert {sweep["counterparty_id"] for sweep in sweeps} == {saving["account_id"]}
        assert saving["amount"] <= sum(sweep["amount"] for sweep in sweeps)
        assert timedelta(0) < saving["at"] - sweeps[-1]["at"] < timedelta(hours=1.5)
    # The same companies do it again and again: their partners are known.
    pairs = companies.filter(pl.col("kind") == "transaction").group_by("account_id", "counterparty_id").len()
    assert pairs["len"].mean() > 1.2  # type: ignore[operator]
