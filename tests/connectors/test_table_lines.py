from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.connectors.table_lines import table_lines

rows = st.lists(
    st.fixed_dictionaries(
        {
            'na"me': st.none() | st.text(max_size=6),
            "whole": st.none() | st.integers(-(2**62), 2**62),
            "part": st.none() | st.floats(allow_nan=True, allow_infinity=True),
            "flag": st.none() | st.booleans(),
        }
    ),
    min_size=1,
    max_size=8,
)


@given(rows)
def test_rows_become_the_objects_that_they_are(found: list[dict[str, Any]]) -> None:
    schema = {'na"me': pl.String, "whole": pl.Int64, "part": pl.Float64, "flag": pl.Boolean}
    lines = table_lines(pl.DataFrame(found, schema=schema)).decode().removesuffix("\n").split("\n")

    def is_writable(value: object) -> bool:
        return value is not None and not (isinstance(value, float) and not math.isfinite(value))

    wanted = [{name: value for name, value in row.items() if is_writable(value)} for row in found]
    assert [json.loads(line) for line in lines] == wanted


def test_times_and_decimals() -> None:
    table = pl.DataFrame(
        {
            "at": [datetime(2026, 1, 5, 12, 30, 0, 250_000, tzinfo=UTC)],
            "naive": [datetime(2026, 1, 5)],
            "day": [date(2026, 1, 5)],
            "amount": [Decimal("12.50")],
            "nothing": [None],
        }
    )
    assert table_lines(table) == (
        b'{"at":"2026-01-05T12:30:00.250000Z","naive":"2026-01-05T00:00:00.000000Z","day":"2026-01-05","amount":12.50}\n'
    )


@given(st.lists(st.text('01.-+eE, truefalsnx"', max_size=6), min_size=1, max_size=6))
def test_texts_stay_themselves_or_become_the_number_that_they_write(found: list[str]) -> None:
    lines = table_lines(pl.DataFrame({"v": found}), texts=True).decode().splitlines()
    for text, line in zip(found, lines, strict=True):
        written = line.removeprefix('{"v":').removesuffix("}")
        value = json.loads(written)
        assert value == text if isinstance(value, str) else written == text
        assert isinstance(value, str) or text in {"true", "false"} or float(text) == value


def test_nothing_gives_nothing() -> None:
    assert table_lines(pl.DataFrame({"a": []}, schema={"a": pl.String})) == b""
    assert table_lines(pl.DataFrame({"a": [None]}, schema={"a": pl.String}), texts=True) == b"{}\n"
