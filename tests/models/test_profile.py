"""The profile of a training table: bins, quantiles, and what is refused."""

from __future__ import annotations

from types import SimpleNamespace

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from counterfoil.errors import InputError
from counterfoil.models.profile import CUTS, profile_of, read_profile

COLUMNS = arrays(
    np.float32,
    st.integers(1, 300),
    elements=st.floats(width=32, allow_nan=True, allow_infinity=True) | st.sampled_from([0.0, 1.0]),
)


def _profile(column: np.ndarray) -> object:
    found = read_profile(profile_of([SimpleNamespace(name="x")], column[:, None], column.astype(np.float64)))
    assert found is not None
    return found


@settings(deadline=None)
@given(COLUMNS)
def test_a_table_falls_into_its_own_bins(column: np.ndarray) -> None:
    each = _profile(column).features[0]  # type: ignore[attr-defined]
    assert np.array_equal(each.bins(column), each.all_counts)
    assert each.rows == len(column)
    assert each.missing == np.isnan(column).sum()
    assert len(each.cuts) <= CUTS


@settings(deadline=None)
@given(COLUMNS, st.floats(0.01, 1))
def test_a_quantile_has_its_share_at_or_below_it(column: np.ndarray, share: float) -> None:
    each = _profile(column).features[0]  # type: ignore[attr-defined]
    finite = column[np.isfinite(column)]
    if len(finite) == 0 or len(finite) < np.count_nonzero(~np.isnan(column)):
        return
    assert np.mean(finite <= each.quantile(share)) >= share - 1e-9


def test_a_profile_goes_through_json() -> None:
    random = np.random.default_rng(0)
    matrix = random.lognormal(size=(5_000, 60)).astype(np.float32)
    matrix[random.random(matrix.shape) < 0.1] = np.nan
    inputs = [SimpleNamespace(name=f"feature_{number}") for number in range(60)]
    content = profile_of(inputs, matrix, random.random(5_000))
    encoded = msgspec.json.encode(content)
    assert len(encoded) < 100_000
    assert read_profile(msgspec.json.decode(encoded)) == read_profile(content)


def test_a_value_that_most_rows_have_gets_a_bin_of_its_own() -> None:
    column = np.concatenate([np.zeros(900), np.linspace(1, 100, 100)]).astype(np.float32)
    each = _profile(column).features[0]  # type: ignore[attr-defined]
    assert each.cuts[0] == 0
    assert each.counts[0] == 900


def test_a_column_without_values_has_no_quantiles() -> None:
    each = _profile(np.full(7, np.nan, np.float32)).features[0]  # type: ignore[attr-defined]
    assert np.isnan(each.quantile(0.5))
    assert each.bins([1.0, np.nan]).tolist() == [1, 1]


def test_no_profile_is_none_and_a_wrong_one_is_refused() -> None:
    assert read_profile({}) is None
    with pytest.raises(InputError, match="cannot be read"):
        read_profile({"features": 3})
    wrong = {"name": "x", "cuts": [2.0, 1.0], "counts": [1, 1, 1], "missing": 0, "mean": 0.0}
    with pytest.raises(InputError, match="ascending cuts"):
        read_profile({"features": [wrong], "score": wrong})
