"""Quantile mapping: a swap keeps the rate of alerts at every threshold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.errors import InputError
from counterfoil.models.mapping import IDENTITY, Mapping, fit_mapping


def scores(seed: int, count: int, power: float) -> np.ndarray:
    """Return scores of one world as a model sees them: another scale and another opinion."""
    draw = np.random.default_rng(seed)
    truth = draw.beta(0.5, 8, count)
    return np.clip(truth + draw.normal(scale=0.02, size=count), 0, 1) ** power


@pytest.mark.parametrize("rate", [0.05, 0.01, 0.005])
def test_the_alert_rate_stays_within_a_tenth(rate: float) -> None:
    former, new = scores(1, 65_536, 1.0), scores(2, 65_536, 0.4)
    mapping = fit_mapping(new, former)
    later_former, later_new = scores(3, 200_000, 1.0), scores(4, 200_000, 0.4)
    threshold = np.quantile(former, 1 - rate)
    before, raw = (later_former >= threshold).mean(), (later_new >= threshold).mean()
    after = (mapping.apply(later_new) >= threshold).mean()
    assert abs(after / before - 1) < 0.10
    assert abs(raw / before - 1) > 0.5


@given(st.lists(st.floats(0, 1), min_size=200, max_size=400), st.lists(st.floats(0, 1), min_size=200, max_size=400))
def test_order_is_kept_and_nothing_leaves_the_scale(new: list[float], former: list[float]) -> None:
    mapping = fit_mapping(np.array(new), np.array(former))
    asked = np.linspace(-0.5, 1.5, 101)
    found = mapping.apply(asked)
    assert (np.diff(found) >= 0).all()
    if len(mapping.x):
        assert found.min() >= 0
        assert found.max() <= 1


def test_it_reads_back_bit_for_bit_and_does_not_depend_on_the_batch() -> None:
    mapping = fit_mapping(scores(1, 5_000, 0.4), scores(2, 5_000, 1.0))
    again = Mapping.decode(mapping.encode())
    raw = scores(5, 3_000, 0.4)
    assert again.apply(raw).tobytes() == mapping.apply(raw).tobytes()
    assert again.sha256 == mapping.sha256
    assert (
        np.concatenate([mapping.apply(raw[at : at + 1]) for at in range(len(raw))]).tobytes()
        == mapping.apply(raw).tobytes()
    )


def test_too_few_scores_map_nothing_and_missing_ones_stay_missing() -> None:
    assert fit_mapping(np.zeros(100), np.zeros(100)) is IDENTITY
    assert np.isnan(fit_mapping(scores(1, 500, 1), scores(2, 500, 1)).apply(np.array([np.nan]))[0])
    with pytest.raises(InputError, match="do not rise"):
        Mapping.decode(b'{"rows":1,"x":[1,0],"y":[0,1]}')
