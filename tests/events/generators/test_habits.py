from __future__ import annotations

import numpy as np

from counterfoil.events.generators import habits
from counterfoil.events.generators.habits import (
    CATEGORIES,
    HOURS,
    LIVELIEST,
    MONTHS,
    PURCHASES,
    QUANTILES,
    TRANSFER,
    WEEKDAYS,
    Mode,
    amount_quantiles,
    purchase_mix,
)


def test_amounts_are_log_normal() -> None:
    table = amount_quantiles()
    assert table.shape == (len(PURCHASES), QUANTILES + 1)
    assert (np.diff(table, axis=1) >= 0).all()
    for purchase, row in zip(PURCHASES, table, strict=True):
        assert abs(row[QUANTILES // 2] / 100 / purchase.median - 1) < 0.01
        # One deviation up: the 84th hundredth.
        assert abs(row[round(QUANTILES * 0.8413)] / 100 / (purchase.median * np.exp(purchase.sigma)) - 1) < 0.02


def test_the_mix_follows_the_weights() -> None:
    mix = purchase_mix()
    assert mix.max() < len(PURCHASES)
    breakfast = np.bincount(mix[habits.WORKER, 0, 2], minlength=len(PURCHASES))
    evening = np.bincount(mix[habits.WORKER, 0, 6], minlength=len(PURCHASES))
    cafe, bar = CATEGORIES.index("cafe"), CATEGORIES.index("entertainment")
    assert breakfast[cafe] > breakfast[bar]
    assert evening[bar] > evening[cafe]
    assert not (mix == CATEGORIES.index("subscription")).any()


def test_nobody_is_livelier_than_the_bound() -> None:
    assert HOURS.max() * WEEKDAYS.max() * MONTHS.max() == LIVELIEST


def test_only_the_transfer_has_no_merchant() -> None:
    assert PURCHASES[TRANSFER].mode is Mode.TRANSFER
    assert len(PURCHASES) == len(CATEGORIES) + 1
