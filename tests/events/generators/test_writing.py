from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np

from counterfoil.events.generators.columns import EVENT, EventColumns
from counterfoil.events.generators.draws import mix
from counterfoil.events.generators.fields import FIELDS, Format, GeneratedField
from counterfoil.events.generators.population import NOWHERE
from counterfoil.events.generators.writing import ROW_BYTES_MAX, write_ahead
from tests.events.generators.conftest import Bank

KINDS = tuple(FIELDS)


def slow_value(field: GeneratedField, number: int, key: int) -> Any:
    """The text of one value, as Python writes it."""
    match field.format:
        case Format.TIME:
            moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=number)
            return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        case Format.EVENT:
            return field.letter + f"{int(mix.py_func(np.uint64((number + key) % 2**64))):016x}"[::-1]
        case Format.TOKEN if number >= 0:
            word = np.uint64((number + key * ord(field.letter)) % 2**64)
            return field.letter + f"{int(mix.py_func(word)):016x}"[::-1]
        case Format.ACCOUNT if number >= 0:
            return f"A{number * 3**18 % 10**10:010d}"
        case Format.NUMBER if number >= 0:
            return f"{field.letter}{number:08d}"
        case Format.WORD if number >= 0:
            return field.words[number]
        case Format.FLAG:
            return bool(number)
        case Format.MONEY:
            return Decimal(number).scaleb(-2)
        case Format.POSITION if number != NOWHERE:
            return Decimal(number).scaleb(-5)
    return None


def slow_event(row: np.void, key: int) -> dict[str, Any]:
    kind = KINDS[row["kind"]]
    values = {each.name: slow_value(each, int(row[each.column]), key) for each in FIELDS[kind]}
    return {"kind": kind, **values}


def test_lines_are_what_the_slow_twin_writes(bank: Bank) -> None:
    with np.errstate(over="ignore"):
        for part in (bank.events[:800], bank.events[-800:]):
            lines = part.to_ndjson().splitlines()
            assert len(lines) == len(part)
            for row, line in zip(part.rows, lines, strict=True):
                assert json.loads(line, parse_float=Decimal) == slow_event(row, int(part.key))
                assert len(line) < ROW_BYTES_MAX


def test_amounts_have_two_digits_and_places_five(bank: Bank) -> None:
    for line in bank.events[:200].to_ndjson().splitlines():
        for name, digits in ((b'"amount":', 2), (b'"latitude":', 5)):
            if name in line:
                value = line.split(name)[1].split(b",")[0]
                assert value == b"null" or len(value.split(b".")[1]) == digits


def test_the_longest_event_fits() -> None:
    rows = np.zeros(1, EVENT)
    for name in EVENT.names or ():
        rows[name] = np.iinfo(EVENT[name]).max if EVENT[name].itemsize == 8 else 0
    rows["customer"] = rows["merchant"] = 99_999_999
    rows["account"] = rows["counterparty"] = 9_999_999_999
    rows["latitude"] = rows["longitude"] = -17_999_999
    rows["amount"] = 10**17
    rows["time"] = 253_402_300_799_999
    for kind in range(len(KINDS)):
        rows["kind"] = kind
        assert len(EventColumns(rows, np.uint64(5)).to_ndjson()) < ROW_BYTES_MAX - 32


def test_nothing_is_written_of_nothing(bank: Bank) -> None:
    assert bank.events[:0].to_ndjson() == b""
    assert list(write_ahead(iter(()))) == []
