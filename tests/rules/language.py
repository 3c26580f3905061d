"""What the tests of expressions share: names, rows, and a strategy that writes well-typed expressions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
from hypothesis import strategies as st

from counterfoil.events.batch import Batch, Bytes, Words
from counterfoil.events.identity import IdentityKey
from counterfoil.events.kinds import EventKind, Field, FieldType, Schema
from counterfoil.rules.definition import ValueList
from counterfoil.rules.expression import Expression, ExpressionCompiler, Source, Variable
from counterfoil.rules.operation import float_word
from counterfoil.rules.program import assemble
from counterfoil.rules.twin import FAILED
from counterfoil.rules.types import INTERVAL, TIME, Base, ValueType

KEY = IdentityKey()
SCHEMA = Schema(
    (
        EventKind(
            "payment",
            (
                Field("amount", FieldType.MONEY),
                Field("fee", FieldType.MONEY),
                Field("points", FieldType.MONEY, scale=3),
                Field("n", FieldType.INTEGER),
                Field("m", FieldType.INTEGER),
                Field("x", FieldType.FLOAT),
                Field("y", FieldType.FLOAT),
                Field("ok", FieldType.BOOL),
                Field("flag", FieldType.BOOL),
                Field("country", FieldType.CATEGORY),
                Field("city", FieldType.ID),
                Field("known_at", FieldType.TIME),
            ),
            "id",
            "event_time",
            decide=True,
        ),
    )
)
VARIABLES = {
    field.name: Variable(ValueType.of(field), Source.EVENT, index) for index, field in enumerate(SCHEMA.columns)
} | {
    "event_time": Variable(TIME, Source.TIME),
    "gap": Variable(INTERVAL, Source.WORK, 0),
    "total": Variable(ValueType(Base.MONEY, 2), Source.WORK, 1),
    "ratio": Variable(ValueType(Base.FLOAT), Source.WORK, 2),
}
WORK_ROWS = 3
LISTS = {
    "countries": ValueList("countries", "country", ("FR", "DE", "")),
    "amounts": ValueList("amounts", "amount", ("1.50", "-3", "100")),
    "numbers": ValueList("numbers", "n", ("1", "2", "-7")),
    "nothing": ValueList("nothing", "country"),
}
TYPES = {name: variable.type for name, variable in VARIABLES.items()}

Row = Mapping[str, Any]


def compiler() -> ExpressionCompiler:
    """Return a compiler over the names above."""
    return ExpressionCompiler(VARIABLES, KEY, LISTS)


def word_of(value_type: ValueType, value: Any) -> int:
    """Return a person's value as the kernel's word."""
    if value_type.base is Base.FLOAT:
        return float_word(float(value))
    if value_type.base is Base.TEXT:
        return KEY.hash(value)
    if value_type.base is Base.MONEY:
        units = Decimal(value).scaleb(value_type.scale)
        assert units == int(units)
        return int(units)
    return int(value)


def batch_of(rows: Sequence[Row]) -> tuple[Batch, Words, Bytes]:
    """Return rows as a batch, and as the first rows of a work matrix."""
    batch = Batch.empty(SCHEMA, len(rows))
    work, work_nulls = np.zeros((WORK_ROWS, len(rows)), np.int64), np.zeros((WORK_ROWS, len(rows)), np.uint8)
    for name, variable in VARIABLES.items():
        for index, row in enumerate(rows):
            value = row[name]
            word = 0 if value is None else word_of(variable.type, value)
            if variable.source is Source.TIME:
                batch.time[index] = word
            elif variable.source is Source.EVENT:
                batch.values[variable.index, index], batch.nulls[variable.index, index] = word, value is None
            else:
                work[variable.index, index], work_nulls[variable.index, index] = word, value is None
    return batch, work, work_nulls


def run(expressions: Sequence[Expression], rows: Sequence[Row]) -> tuple[Words, Bytes]:
    """Run expressions in one program; return their words and null bytes, a row for each."""
    batch, work, work_nulls = batch_of(rows)
    space = ((0, len(expressions)), (0, 0))
    work, work_nulls = np.pad(work, space), np.pad(work_nulls, space, constant_values=9)
    program = assemble([(each, WORK_ROWS + index) for index, each in enumerate(expressions)])
    program.run(batch, np.arange(len(rows)), work, work_nulls)
    return work[WORK_ROWS:], work_nulls[WORK_ROWS:]


def value_of(value_type: ValueType, word: int, null: int) -> Any:
    """Return a kernel's result as a person's value; a text as its hash."""
    if null:
        assert word == 0
        return None if null == 1 else FAILED
    if value_type.base is Base.FLOAT:
        return float(np.array([word], np.int64).view(np.float64)[0])
    if value_type.base is Base.MONEY:
        return Decimal(int(word)).scaleb(-value_type.scale)
    return bool(word) if value_type.base is Base.BOOL else int(word)


# Rows.

_EDGES = (-(2**63), 2**63 - 1, -(2**53) - 1, 2**53 + 1, 2**31, -1, 0, 1)


def _maybe(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | values


def _money(units: st.SearchStrategy[int], scale: int) -> st.SearchStrategy[Decimal]:
    return units.map(lambda value: Decimal(value).scaleb(-scale))


_TIMES = st.integers(-62_135_596_800_000_000, 253_402_300_799_999_999) | st.integers(0, 2 * 10**15)


def rows(*, edges: bool) -> st.SearchStrategy[dict[str, Any]]:
    """Return rows; ``edges`` for values at the ends of their ranges too."""
    small = st.integers(-3, 12) | st.integers(-10_000, 10_000)
    units = small | st.sampled_from(_EDGES) | st.integers(-(2**63), 2**63 - 1) if edges else small
    plain = st.floats(-1e6, 1e6, allow_subnormal=False).map(lambda value: round(value, 6)) | st.integers(-3, 12).map(
        float
    )
    floats = plain | st.floats() if edges else plain
    times = _TIMES if edges else st.integers(0, 2 * 10**15)
    texts = st.sampled_from(["FR", "DE", "US", "", "é"])
    return st.fixed_dictionaries(
        {
            "amount": _maybe(_money(units, 2)),
            "fee": _maybe(_money(units, 2)),
            "points": _maybe(_money(units, 3)),
            "n": _maybe(units),
            "m": _maybe(small),
            "x": _maybe(floats),
            "y": _maybe(floats),
            "ok": _maybe(st.booleans()),
            "flag": _maybe(st.booleans()),
            "country": _maybe(texts),
            "city": _maybe(texts),
            "known_at": _maybe(times),
            "event_time": times,
            "gap": _maybe(st.integers(-(10**12), 10**12)),
            "total": _maybe(_money(units, 2)),
            "ratio": _maybe(floats),
        }
    )


# Expressions, by the type of their value.

Texts = st.SearchStrategy[str]


def _form(pattern: str, **parts: Texts) -> Texts:
    return st.fixed_dictionaries(parts).map(lambda chosen: pattern.format(**chosen))


def _later(made: dict[Base, Texts], base: Base) -> Texts:
    return st.deferred(lambda: made[base])


_NUMBER_WORDS = st.sampled_from(["0", "1", "2", "-3", "100", "0.5", "1.50", "0.005", "-2.5", "10.001", "1e2"])
_INT_WORDS = st.sampled_from(["0", "1", "2", "-1", "-7", "10"])
_TEXT_WORDS = st.sampled_from(["'FR'", "'US'", "''", "'é'", "'it''s'"])
_INTERVAL_WORDS = st.sampled_from(
    ["interval '24' hour", "interval '90 minutes'", "interval '-1 day'", "interval 1 week"]
)
_TIME_WORDS = st.sampled_from(["timestamp '2026-11-22 12:00:00'", "timestamp '1970-01-01 00:00:00.000001'"])


def expressions(*, raising: bool = True) -> dict[Base, Texts]:
    """Return a strategy of expressions for each type.

    ``raising`` adds what DuckDB answers with an error where we answer null or failed.
    """
    made: dict[Base, Texts] = {}
    a = {base: _later(made, base) for base in Base}
    number = a[Base.INT] | a[Base.MONEY] | a[Base.FLOAT] | _NUMBER_WORDS
    condition = a[Base.BOOL]

    def any_type(value: Texts) -> Texts:
        return (
            _form("case when {c} then {a} when {d} then {b} end", c=condition, d=condition, a=value, b=value)
            | _form("if({c}, {a}, {b})", c=condition, a=value, b=value)
            | _form("coalesce({a}, {b}, {d})", a=value, b=value, d=value)
            | _form("nullif({a}, {b})", a=value, b=value)
        )

    sign = st.sampled_from(["=", "<>", "<", "<=", ">", ">="])
    equality = st.sampled_from(["=", "<>", "is distinct from", "is not distinct from"])
    names = {
        base: st.sampled_from([name for name, of in TYPES.items() if of.base is base and name != "points"])
        for base in Base
    }
    made[Base.BOOL] = st.recursive(
        names[Base.BOOL]
        | _form("({a} {s} {b})", a=number, s=sign | equality, b=number)
        | _form("({a} {s} {b})", a=a[Base.TEXT], s=equality, b=a[Base.TEXT] | _TEXT_WORDS)
        | _form("({a} {s} {b})", a=a[Base.TIME], s=sign, b=a[Base.TIME] | st.just("'2026-01-01 00:00:00'"))
        | _form("({a} {s} {b})", a=a[Base.INTERVAL], s=sign, b=a[Base.INTERVAL])
        | _form("({a} in ({b}, {c}, 7, null))", a=number, b=_NUMBER_WORDS, c=number)
        | _form("({a} not in ({b}, {c}))", a=number, b=_NUMBER_WORDS, c=_NUMBER_WORDS)
        | _form("({a} in ('FR', {b}))", a=a[Base.TEXT], b=_TEXT_WORDS)
        | _form("({a} in {b})", a=a[Base.TEXT], b=st.sampled_from(["countries", "nothing"]))
        | _form("({a} not in {b})", a=st.sampled_from(["amount", "fee"]), b=st.just("amounts"))
        | _form("({a} in numbers)", a=a[Base.INT])
        | _form("({a} between {b} and {c})", a=number, b=number, c=number)
        | _form("({a} is null)", a=number | a[Base.TEXT] | a[Base.TIME])
        | _form("cast({a} as boolean)", a=number),
        lambda inner: (
            _form("({a} and {b})", a=inner, b=inner)
            | _form("({a} or {b})", a=inner, b=inner)
            | _form("(not {a})", a=inner)
            | _form("({a} is not {b})", a=inner, b=st.sampled_from(["true", "false", "null"]))
            | _form("({a} is {b})", a=inner, b=st.sampled_from(["true", "false", "null"]))
            | any_type(inner)
        ),
        max_leaves=4,
    )
    time_part = st.sampled_from(["hour", "minute", "second", "day", "month", "year", "dayofweek", "isodow"])
    int_leaves = names[Base.INT] | _form("{f}({t})", f=time_part, t=a[Base.TIME])
    if raising:
        int_leaves |= _form("cast({a} as bigint)", a=number)
    made[Base.INT] = st.recursive(
        int_leaves
        | _form("extract({f} from {t})", f=time_part, t=a[Base.TIME])
        | _form("cast({a} as int)", a=condition),
        lambda inner: (
            _form("({a} {s} {b})", a=inner, s=st.sampled_from("+-*"), b=inner | _INT_WORDS)
            | _form("({a} {s} {b})", a=inner, s=st.sampled_from(["//", "%"]), b=inner | _INT_WORDS)
            | _form("{f}({a})", a=inner, f=st.sampled_from(["-", "abs", "floor", "ceil", "round"]))
            | _form("{f}({a}, {b})", f=st.sampled_from(["least", "greatest"]), a=inner, b=inner | _INT_WORDS)
            | any_type(inner)
        ),
        max_leaves=4,
    )
    money_names = names[Base.MONEY] | st.just("points") if raising else names[Base.MONEY]
    made[Base.MONEY] = st.recursive(
        money_names,
        lambda inner: (
            _form("({a} {s} {b})", a=inner, s=st.sampled_from("+-%"), b=inner | st.sampled_from(["1", "0.25", "100"]))
            | _form("({a} * {b})", a=inner, b=a[Base.INT] if raising else _INT_WORDS)
            | _form("{f}({a})", a=inner, f=st.sampled_from(["-", "abs", "floor", "ceil", "round"]))
            | _form("round({a}, {b})", a=inner, b=st.sampled_from(["1", "2", "-1", "3", "0"]))
            | _form("{f}({a}, {b})", f=st.sampled_from(["least", "greatest"]), a=inner, b=inner | _INT_WORDS)
            | any_type(inner)
        ),
        max_leaves=4,
    )
    logarithms = st.sampled_from(["sqrt", "ln", "log10", "exp"])
    made[Base.FLOAT] = st.recursive(
        names[Base.FLOAT]
        | _form("({a} / {b})", a=number, b=number)
        | _form("({a} / {b})", a=a[Base.INTERVAL], b=a[Base.INTERVAL])
        | _form("epoch({a})", a=a[Base.INTERVAL] | a[Base.TIME])
        | _form("cast({a} as double)", a=number | condition)
        | _form("({a} * {b})", a=a[Base.MONEY], b=a[Base.MONEY] | st.just("1.1")),
        lambda inner: (
            _form("({a} {s} {b})", a=inner, s=st.sampled_from("+-*/%"), b=inner | _NUMBER_WORDS)
            | _form("{f}({a})", f=logarithms, a=inner)
            | _form("power({a}, {b})", a=inner, b=_NUMBER_WORDS)
            | _form("{f}({a})", a=inner, f=st.sampled_from(["-", "abs", "floor", "ceil", "round"]))
            | _form("round({a}, {b})", a=inner, b=st.sampled_from(["2", "-2", "0"]))
            | _form("{f}({a}, {b})", f=st.sampled_from(["least", "greatest"]), a=inner, b=inner | _NUMBER_WORDS)
            | _form("distance({a}, {b}, {c}, 12.5)", a=inner, b=inner, c=inner)
            | any_type(inner)
        ),
        max_leaves=4,
    )
    made[Base.TEXT] = st.recursive(names[Base.TEXT], any_type, max_leaves=3)
    made[Base.TIME] = st.recursive(
        names[Base.TIME] | _TIME_WORDS,
        lambda inner: (
            _form("({a} {s} {b})", a=inner, s=st.sampled_from("+-"), b=a[Base.INTERVAL])
            | _form("least({a}, {b})", a=inner, b=inner)
            | any_type(inner)
        ),
        max_leaves=3,
    )
    made[Base.INTERVAL] = st.recursive(
        names[Base.INTERVAL] | _INTERVAL_WORDS | _form("({a} - {b})", a=names[Base.TIME], b=names[Base.TIME]),
        lambda inner: (
            _form("({a} {s} {b})", a=inner, s=st.sampled_from("+-"), b=inner)
            | _form("({a} * {b})", a=inner, b=_INT_WORDS)
            | any_type(inner)
        ),
        max_leaves=3,
    )
    return made
