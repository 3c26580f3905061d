from __future__ import annotations

import numpy as np
import polars as pl

from counterfoil.events.generators.cards import SERIES, replace_cards
from counterfoil.events.generators.columns import OUTCOME, blank_rows
from tests.events.generators.conftest import Bank


def slow_cards(bank: Bank) -> list[int]:
    """The card of each event, from the wallet places alone."""
    series: dict[int, int] = {}
    paid_with: dict[int, int] = {}
    cards = []
    for row in bank.events.rows:
        card, number = int(row["card"]), int(row["number"])
        place = card // SERIES
        if card < 0:
            cards.append(card)
        elif row["kind"] != OUTCOME:
            cards.append(place * SERIES + series.get(place, 0))
            paid_with[number] = cards[-1]
        else:
            cards.append(paid_with[number])
            if row["fraud"] and card == place * SERIES + series.get(place, 0) and _is_replaced(number):
                series[place] = series.get(place, 0) + 1
    return cards


def _is_replaced(number: int) -> bool:
    word = (number ^ number >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    word = (word ^ word >> 27) * 0x94D049BB133111EB % 2**64
    word ^= word >> 31
    return (word >> 32) * 10 >> 32 > 0


def test_cards_are_those_of_the_slow_twin(bank: Bank) -> None:
    assert bank.events.rows["card"].tolist() == slow_cards(bank)


def test_an_abused_card_is_not_used_for_long(bank: Bank) -> None:
    known = bank.table.filter(pl.col("kind") == "outcome", pl.col("fraud"), pl.col("card_id").is_not_null())
    known = known.group_by("card_id").agg(pl.col("at").min().alias("known"))
    used = bank.payments.filter(pl.col("card_id").is_not_null()).join(known, on="card_id")
    after = used.group_by("card_id").agg((pl.col("at") > pl.col("known")).any().alias("after"))
    assert len(after) > 100
    assert 0.02 < after["after"].mean() < 0.25  # type: ignore[operator]


def test_nothing_happens_to_nothing() -> None:
    series = np.zeros(4, np.uint8)
    events = blank_rows(3)
    events["card"] = [2, -1, 0]
    replace_cards(events, blank_rows(0), series)
    assert events["card"].tolist() == [128, -1, 0]
    assert not series.any()
