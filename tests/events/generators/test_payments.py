from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterfoil.errors import ConfigurationError
from counterfoil.events.generators import FRAUD_STORIES, STORIES, TWIN_STORIES, TWINS, PaymentsGenerator
from counterfoil.events.generators.fields import FIELDS
from tests.events.generators.conftest import CUSTOMERS, EVENTS, Bank

BYTES = b"".join(chunk.to_ndjson() for chunk in PaymentsGenerator(seed=3, customers=300).chunks(3_000))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 1500), min_size=1, max_size=3), st.integers(0, 3_000))
def test_chunks_of_any_size_give_the_same_bytes(sizes: list[int], count: int) -> None:
    lines = BYTES.splitlines(keepends=True)
    for size in sizes:
        chunks = list(PaymentsGenerator(seed=3, customers=300).chunks(count, size=size))
        assert all(len(chunk) <= size for chunk in chunks)
        assert b"".join(chunk.to_ndjson() for chunk in chunks) == b"".join(lines[:count])


def test_the_second_thread_writes_the_same_bytes() -> None:
    generator = PaymentsGenerator(seed=3, customers=300)
    assert b"".join(bytes(chunk) for chunk in generator.ndjson(3_000, size=700)) == BYTES


def test_the_bytes_are_the_same_on_every_machine() -> None:
    # When a change to the generator is wanted, this changes with it, and the change log says so.
    assert hashlib.sha256(BYTES).hexdigest() == "f323c2001ec4d47aa68ea6a63de9d1c7a30e39c62831337a5c65d13538881046"


def test_the_stream_goes_on_as_it_began_across_slices() -> None:
    generator = PaymentsGenerator(seed=3, customers=40_000)
    chunks = list(generator.chunks(250_000, size=250_000))
    assert len(chunks) > 2, "more than one slice"
    times = np.concatenate([chunk.time_us for chunk in chunks])
    assert (np.diff(times) >= 0).all()
    # No slice leaves a hole or a heap where it meets the next: every hour has about what its neighbours have.
    hours = np.bincount((times - times[0]) // 3_600_000_000)[:-1]
    assert (np.abs(np.diff(hours)) < 0.9 * np.maximum(hours[1:], hours[:-1]) + 60).all()


def test_seeds_differ() -> None:
    other = next(PaymentsGenerator(seed=4, customers=300).chunks(3_000)).to_ndjson()
    assert not set(other.splitlines()) & set(BYTES.splitlines())


def test_lines_are_json_with_exactly_the_fields() -> None:
    for line in BYTES.splitlines():
        event = json.loads(line)
        assert list(event) == ["kind", *(each.name for each in FIELDS[event["kind"]])]


def test_events_are_in_time_order_and_named_once(bank: Bank) -> None:
    assert len(bank.table) == EVENTS
    assert bank.table["at"].is_sorted()
    ids = bank.table.select(pl.coalesce("transaction_id", "change_id", "login_id").alias("id"))
    named = ids.filter(bank.table["kind"] != "outcome")["id"]
    assert named.n_unique() == len(named)
    outcomes = bank.table["outcome_id"].drop_nulls()
    assert outcomes.n_unique() == len(outcomes)


def test_there_are_as_many_events_as_wanted() -> None:
    for customers, wanted in ((1_000, 1.5), (5_000, 0.6), (700, 4.0)):
        generator = PaymentsGenerator(customers=customers, days=28, events_per_customer_day=wanted)
        events = sum(len(chunk) for chunk in generator.chunks())
        # January is quiet.
        assert 0.8 < events / 28 / customers / wanted < 1.1


def test_the_share_of_fraud_is_as_wanted(bank: Bank) -> None:
    assert 0.004 < bank.events.fraud.sum() / len(bank.payments) < 0.006
    for share in (0.0, 0.002, 0.02):
        chunks = list(PaymentsGenerator(seed=1, customers=3_000, fraud_share=share).chunks(200_000))
        payments = sum((chunk.kind == 0).sum() for chunk in chunks)
        fraud = sum(chunk.fraud.sum() for chunk in chunks)
        assert 0.75 * share <= fraud / payments <= 1.25 * share


def test_labels_fit_their_stories(bank: Bank) -> None:
    labels = bank.payments.group_by("fraud", "story").len()
    fraudulent = set(labels.filter("fraud")["story"])
    assert fraudulent == set(FRAUD_STORIES)
    genuine = labels.filter(~pl.col("fraud"))["story"].to_list()
    # In two stories, the payments that came before are the owners' own.
    assert {story for story in genuine if story} == {*TWIN_STORIES, "impossible_travel", "merchant_compromise"}
    assert None in genuine
    assert tuple(TWINS) == FRAUD_STORIES
    assert STORIES == FRAUD_STORIES + TWIN_STORIES


def test_every_story_happens_within_the_first_days(bank: Bank) -> None:
    begun = bank.table["at"][0]
    early = bank.payments.filter(pl.col("at") < begun + timedelta(days=8))
    assert set(early["story"].drop_nulls()) == set(STORIES)


def test_stories_happen_all_the_time(bank: Bank) -> None:
    fraud = bank.payments.filter("fraud").group_by(pl.col("at").dt.truncate("1w")).len().sort("at")["len"][:-1]
    assert fraud.min() > 0.4 * fraud.mean()  # type: ignore[operator]


def test_every_fraud_becomes_known(bank: Bank) -> None:
    outcomes = bank.table.filter(pl.col("kind") == "outcome").select("transaction_id", "known_at", "fraud")
    assert outcomes["transaction_id"].n_unique() == len(outcomes)
    known = bank.payments.join(outcomes, on="transaction_id", how="left", suffix="_known")
    end = bank.table["at"][-1]
    early = known.filter("fraud", pl.col("at") < end - timedelta(days=41))
    assert len(early) > 100
    assert early["fraud_known"].all()
    assert early["fraud_known"].null_count() == 0
    delays = (early["known_at_known"] - early["at"]).dt.total_hours()
    assert delays.min() >= 4  # type: ignore[operator]
    assert 24 * 2 < delays.median() < 24 * 20  # type: ignore[operator]
    # Disputes about honest payments are outcomes, too, and every outcome is about a payment of the stream.
    assert len(outcomes.join(bank.payments, on="transaction_id", how="anti")) == 0
    disputed = known.filter(~pl.col("fraud"), pl.col("fraud_known").is_not_null())
    assert len(disputed) > 50
    assert not disputed["fraud_known"].any()


def test_outcomes_repeat_whose_payment_it_was(bank: Bank) -> None:
    columns = ["transaction_id", "customer_id", "card_id", "merchant_id", "device_id"]
    outcomes = bank.table.filter(pl.col("kind") == "outcome").select(columns)
    assert len(outcomes.join(bank.payments, on=columns, how="semi", nulls_equal=True)) == len(outcomes)


def test_the_day_has_a_rhythm(bank: Bank) -> None:
    ordinary = bank.payments.filter(pl.col("country") == "DE", pl.col("story").is_null())
    hours = ordinary.group_by(((pl.col("at").dt.hour() + 1) % 24).alias("hour")).len().sort("hour")["len"]
    assert len(hours) == 24
    assert hours[1:5].max() < 0.25 * hours.mean()  # type: ignore[operator]
    assert hours[17:20].min() > 1.3 * hours.mean()  # type: ignore[operator]


def test_the_week_has_a_rhythm(bank: Bank) -> None:
    whole = bank.payments.filter(
        pl.col("at") < bank.table["at"][0] + timedelta(days=56), pl.col("card_id").is_not_null()
    )
    days = whole.group_by(pl.col("at").dt.weekday().alias("day")).len().sort("day")["len"].to_list()
    assert max(days) == days[5], "Saturday"
    assert min(days) in (days[6], days[0], days[1])


def test_december_is_livelier_than_january() -> None:
    def events(start: datetime) -> int:
        return sum(len(chunk) for chunk in PaymentsGenerator(customers=1_000, start=start, days=14).chunks())

    assert events(datetime(2026, 12, 7, tzinfo=UTC)) > 1.2 * events(datetime(2026, 1, 5, tzinfo=UTC))


def test_most_log_ins_succeed(bank: Bank) -> None:
    logins = bank.table.filter(pl.col("kind") == "authentication")
    assert 0.93 < logins["success"].mean() < 0.99  # type: ignore[operator]
    changes = bank.table.filter(pl.col("kind") == "customer_change")
    days = (bank.table["at"][-1] - bank.table["at"][0]).days
    assert 0.5 < len(changes) / CUSTOMERS / days * 365 < 4, "changes a customer and year"


def test_customers_have_favourites(bank: Bank) -> None:
    visits = bank.payments.filter(pl.col("merchant_category") == "grocery").group_by("customer_id", "merchant_id").len()
    regulars = visits.group_by("customer_id").agg(
        pl.col("len").max() / pl.col("len").sum(), pl.col("len").sum().alias("all")
    )
    assert regulars.filter(pl.col("all") > 10)["len"].mean() > 0.35  # type: ignore[operator]


def test_amounts_follow_their_category(bank: Bank) -> None:
    ordinary = bank.payments.filter(pl.col("story").is_null())
    medians = dict(ordinary.group_by("merchant_category").agg(pl.col("amount").median()).iter_rows())
    assert 3 < medians["cafe"] < 8 < medians["restaurant"] < 35 < medians["fuel"] < medians["travel"]
    assert ordinary["amount"].min() >= 0.5  # type: ignore[operator]
    cash = ordinary.filter(pl.col("channel") == "atm")["cents"]
    assert (cash % 1000 == 0).all()


def test_channels_fit_their_fields(bank: Bank) -> None:
    present = pl.col("channel").is_in(["pos", "contactless", "atm"])
    payments = bank.payments
    assert payments.filter(present)["latitude"].null_count() == 0
    assert payments.filter(~present)["latitude"].drop_nulls().is_empty()
    assert payments.filter(pl.col("channel") == "contactless")["amount"].max() <= 50  # type: ignore[operator]
    transfers = payments.filter(pl.col("channel") == "transfer")
    assert transfers["counterparty_id"].null_count() == 0
    assert transfers.filter(pl.col("counterparty_id") == pl.col("account_id")).is_empty()
    assert transfers["card_id"].drop_nulls().is_empty()
    assert (
        payments.filter(pl.col("channel") != "transfer")
        .select("card_id", "merchant_id")
        .null_count()
        .sum_horizontal()[0]
        == 0
    )


def test_honest_people_do_not_outrun_airliners(bank: Bank) -> None:
    here = bank.payments.filter(pl.col("latitude").is_not_null()).sort("card_id", "at", maintain_order=True)
    before = here.shift(1)
    same = (here["card_id"] == before["card_id"]).fill_null(False)
    first, second = (np.radians(here[name].to_numpy()) for name in ("latitude", "longitude"))
    third, fourth = (np.radians(before[name].to_numpy()) for name in ("latitude", "longitude"))
    chord = np.sin((third - first) / 2) ** 2 + np.cos(first) * np.cos(third) * np.sin((fourth - second) / 2) ** 2
    distance = 2 * 6371 * np.arcsin(np.sqrt(np.clip(chord, 0, 1)))
    hours = (here["at"] - before["at"]).dt.total_milliseconds().to_numpy() / 3_600_000
    fast = same.to_numpy() & (distance > 50) & (distance / np.maximum(hours, 1e-9) > 1_000)
    stolen = (here["fraud"] | before["fraud"].fill_null(False)).to_numpy()
    assert (fast & stolen).sum() > 20
    assert not (fast & ~stolen).any()


def test_days_end_the_stream() -> None:
    chunks = list(PaymentsGenerator(customers=200, days=3.5).chunks())
    times = np.concatenate([chunk.time_us for chunk in chunks])
    start = int(datetime(2026, 1, 5, tzinfo=UTC).timestamp()) * 1_000_000
    assert start <= times[0]
    assert start + 3.4 * 86_400e6 < times[-1] < start + 3.5 * 86_400e6


def test_the_start_can_be_chosen() -> None:
    for start in (datetime(2031, 7, 1, 12, 30, tzinfo=UTC), datetime(1999, 12, 31)):
        first = json.loads(next(PaymentsGenerator(customers=500, start=start).chunks(1)).to_ndjson())
        moment = datetime.fromisoformat(
            next(first[name] for name in ("event_time", "changed_at", "known_at") if name in first)
        )
        assert timedelta(0) <= moment - start.replace(tzinfo=UTC) < timedelta(hours=2)


@pytest.mark.parametrize(("count", "size", "name"), [(-1, 5, "count"), (5, 0, "size")])
def test_counts_and_sizes_are_bounded(count: int, size: int, name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{name}: found"):
        next(PaymentsGenerator(customers=10).chunks(count, size=size))


@pytest.mark.parametrize("customers", [1, 2, 7, 40])
def test_tiny_banks(customers: int) -> None:
    chunks = list(PaymentsGenerator(customers=customers, fraud_share=0.05).chunks(2_000))
    assert sum(map(len, chunks)) == 2_000
    assert all(json.loads(line) for chunk in chunks for line in chunk.to_ndjson().splitlines())


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("customers", 0, "1 to 50000000"),
        ("seed", -1, "0 to 9223372036854775807"),
        ("fraud_share", 0.5, "0.0 to 0.05"),
        ("events_per_customer_day", 0, "0.01 to 100.0"),
        ("days", -1, "0.0 to 36525.0"),
        ("start", datetime(1800, 1, 1), "1971-01-01 to 2200-01-01"),
    ],
)
def test_bounds_are_stated(name: str, value: object, allowed: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{name}: found .*; allowed: {allowed}"):
        PaymentsGenerator(**{name: value})  # type: ignore[arg-type]
