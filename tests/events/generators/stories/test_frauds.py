"""The shape of each fraud story, as it stands in the stream."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import polars as pl

from tests.events.generators.conftest import Bank

EARTH_KM = 6371.0088


def kilometres(first: dict[str, float], second: dict[str, float]) -> float:
    latitudes = np.radians([first["latitude"], second["latitude"]])
    longitudes = np.radians([first["longitude"], second["longitude"]])
    chord = np.sin(np.diff(latitudes)[0] / 2) ** 2 + np.cos(latitudes).prod() * np.sin(np.diff(longitudes)[0] / 2) ** 2
    return float(2 * EARTH_KM * np.arcsin(np.sqrt(chord)))


def tellings(events: pl.DataFrame, least: int = 5) -> list[pl.DataFrame]:
    parts = events.partition_by("told", maintain_order=True)
    assert len(parts) >= least
    return parts


def test_stolen_card_burst(bank: Bank) -> None:
    for burst in tellings(bank.story("stolen_card_burst"), 20):
        assert burst["fraud"].all()
        assert burst["card_id"].n_unique() == 1
        assert burst["country"].n_unique() == 1
        assert (burst["country"] == burst["card_country"]).all()
        assert 4 <= len(burst) <= 9
        assert burst["at"][-1] - burst["at"][0] < timedelta(hours=4)
        # First it is tried out, then used.
        assert burst["amount"][:2].max() <= 50  # type: ignore[operator]
        later = burst[2:].filter(pl.col("channel") != "atm")["amount"]
        assert later.is_empty() or later.min() > 100  # type: ignore[operator]


def test_account_takeover(bank: Bank) -> None:
    for story in tellings(bank.story("account_takeover"), 20):
        assert story["customer_id"].n_unique() == 1
        kinds = story["kind"].to_list()
        failed = story["success"].to_list().index(True)
        assert 3 <= failed <= 6
        assert kinds[: failed + 1] == ["authentication"] * (failed + 1)
        assert kinds[failed + 1] == "customer_change"
        transfers = story.filter(pl.col("kind") == "transaction")
        assert 1 <= len(transfers) <= 4
        assert transfers["fraud"].all()
        assert (transfers["channel"] == "transfer").all()
        first_change = story.filter(pl.col("kind") == "customer_change")["at"][0]
        assert transfers["at"].min() > first_change
        assert transfers["at"].max() - first_change < timedelta(hours=1.2)
        # All from one device that the customer never used, in a country where the customer is not.
        device = story["device_id"].drop_nulls()
        assert device.n_unique() == 1
        elsewhere = bank.table.filter(pl.col("device_id") == device[0], pl.col("told") != story["told"][0])
        assert elsewhere.filter(pl.col("kind") != "outcome").is_empty()
        mine = bank.payments.filter(pl.col("customer_id") == story["customer_id"][0], pl.col("story").is_null())
        assert transfers["counterparty_id"].is_in(mine["counterparty_id"].to_list()).sum() == 0


def test_impossible_travel(bank: Bank) -> None:
    for story in tellings(bank.story("impossible_travel"), 20):
        assert story["card_id"].n_unique() == 1
        assert story["fraud"].to_list() == [False] + [True] * (len(story) - 1)
        home, away = story.rows(named=True)[:2]
        hours = (away["at"] - home["at"]).total_seconds() / 3600
        assert kilometres(home, away) / hours > 1_000
        assert home["country"] == home["card_country"] != away["country"]


def test_merchant_compromise(bank: Bank) -> None:
    for story in tellings(bank.story("merchant_compromise"), 5):
        genuine, stolen = story.filter(~pl.col("fraud")), story.filter("fraud")
        assert genuine["merchant_id"].n_unique() == 1
        assert genuine["card_id"].n_unique() == len(genuine) >= 3
        # One or another has a new card by then, which is as bad.
        assert set(stolen["customer_id"]) == set(genuine["customer_id"])
        assert genuine["at"].max() - genuine["at"].min() < timedelta(days=10.5)  # type: ignore[operator]
        for customer in genuine["customer_id"]:
            paid = genuine.filter(pl.col("customer_id") == customer)["at"][0]
            abused = stolen.filter(pl.col("customer_id") == customer)
            assert 1 <= len(abused) <= 3
            assert timedelta(days=6) < abused["at"][0] - paid < timedelta(days=34)
        assert (stolen["channel"] == "online").all()
        assert genuine["merchant_id"][0] not in set(stolen["merchant_id"])


def test_card_testing(bank: Bank) -> None:
    for story in tellings(bank.story("card_testing"), 5):
        assert story["fraud"].all()
        assert story["device_id"].n_unique() == 1
        assert (story["channel"] == "online").all()
        tiny = story.filter(pl.col("amount") < 3)
        large = story.filter(pl.col("amount") >= 3)
        assert tiny["merchant_id"].n_unique() == 1
        assert tiny["card_id"].n_unique() >= 4
        assert tiny["at"].max() - tiny["at"].min() < timedelta(minutes=25)  # type: ignore[operator]
        assert len(large) >= 1
        assert large["amount"].min() > 200  # type: ignore[operator]
        assert set(large["card_id"]) <= set(tiny["card_id"])
        first_large = large.group_by("card_id").agg(pl.col("at").min())
        both = tiny.group_by("card_id").agg(pl.col("at").max()).join(first_large, on="card_id", suffix="_large")
        assert (both["at_large"] > both["at"]).all()


def test_structuring(bank: Bank) -> None:
    for story in tellings(bank.story("structuring"), 10):
        transfers = story.filter(pl.col("kind") == "transaction")
        assert transfers["fraud"].all()
        assert transfers.select("account_id", "counterparty_id").n_unique() == 1
        assert 3 <= len(transfers) <= 6
        assert transfers["amount"].max() < 10_000  # type: ignore[operator]
        assert transfers["cents"].sum() > 10_000_00
        assert transfers["at"].max() - transfers["at"].min() < timedelta(hours=24)  # type: ignore[operator]
        # Not before the last or so: all but two do not yet add up to the limit.
        assert transfers["cents"][:-2].sum() < transfers["cents"].sum() - 2_000_00
        assert story["kind"][0] == "authentication"


def test_mule_chain(bank: Bank) -> None:
    for story in tellings(bank.story("mule_chain"), 10):
        hops = story.filter(pl.col("kind") == "transaction")
        assert hops["fraud"].all()
        assert 4 <= len(hops) <= 6
        assert hops["customer_id"].n_unique() == len(hops)
        for before, after in zip(hops.rows(named=True), hops.rows(named=True)[1:], strict=False):
            assert before["counterparty_id"] == after["account_id"]
            assert timedelta(0) < after["at"] - before["at"] < timedelta(hours=1)
            assert 0.9 < after["amount"] / before["amount"] < 1
        # The money leaves the bank.
        assert bank.payments.filter(pl.col("account_id") == hops["counterparty_id"][-1]).is_empty()
