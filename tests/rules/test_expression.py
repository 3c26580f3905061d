"""What expressions mean, one by one, and what is said of wrong ones."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from counterfoil.errors import DefinitionError
from counterfoil.events.identity import IdentityKey
from counterfoil.rules.definition import ValueList
from counterfoil.rules.expression import Expression, ExpressionCompiler
from counterfoil.rules.twin import FAILED, Twin
from counterfoil.rules.types import Base
from tests.rules.language import KEY, LISTS, TYPES, VARIABLES, compiler, run, value_of

HOUR = 3_600_000_000
ROW: dict[str, Any] = dict.fromkeys(TYPES) | {
    "amount": Decimal("12.34"),
    "fee": Decimal("-0.50"),
    "n": 7,
    "m": 2,
    "x": 2.5,
    "ok": True,
    "flag": False,
    "country": "FR",
    # Thursday, 1970-01-08, 05:06:07.5
    "event_time": 7 * 24 * HOUR + 5 * HOUR + 6 * 60_000_000 + 7_500_000,
    "gap": 24 * HOUR,
    "total": Decimal(100),
}


def evaluate(text: str, **values: Any) -> Any:
    expression = compiler().compile(text, "rule")
    (words,), (nulls,) = run([expression], [ROW | values])
    return value_of(expression.type, words[0], nulls[0])


MEANINGS: list[tuple[str, Any]] = [
    # Three-valued logic; y is null.
    ("ok and y > 1", None),
    ("flag and y > 1", False),
    ("ok or y > 1", True),
    ("flag or y > 1", None),
    ("not (y > 1)", None),
    ("(y > 1) is true", False),
    ("(y > 1) is not true", True),
    ("(y > 1) is null", True),
    ("ok is not false", True),
    ("y is distinct from x", True),
    ("y is not distinct from null", True),
    ("m is distinct from 2", False),
    # Literals are as exact as they are long.
    ("amount > 12.339", True),
    ("amount >= 12.341", False),
    ("amount < 12.341", True),
    ("amount <= 12.3399", False),
    ("amount = 12.340", True),
    ("amount = 12.345", False),
    ("amount <> 12.345", True),
    ("12.345 > amount", True),
    ("y = 12.345", False if ROW["y"] else None),
    ("fee > -0.505", True),
    ("fee < -0.495", True),
    ("n > 6.5", True),
    ("n < 1e30", True),
    ("n > -1e30", True),
    ("n = 9223372036854775808", False),
    ("points > 1e30", None),
    ("amount between 12 and 12.35", True),
    ("amount not between 12 and 13", False),
    # Money.
    ("amount + fee", Decimal("11.84")),
    ("amount - 2", Decimal("10.34")),
    ("amount * 3", Decimal("37.02")),
    ("3 * amount", Decimal("37.02")),
    ("-amount", Decimal("-12.34")),
    ("amount % 5", Decimal("2.34")),
    ("amount % 100 = 12.34", True),
    ("amount / 4", 3.085),
    ("amount / fee", -24.68),
    ("fee * 1.5", -0.75),
    # Literals among themselves: 12.34 is 1.234 * 10 to the last digit, as floats it is not.
    ("amount = 1.234 * 10", True),
    ("amount = 12 + 0.3 + 0.04", True),
    ("amount > 0.7 * 17.62857142857142857142857142858", False),
    ("amount = 15 - 2.66", True),
    ("n = 9223372036854775807 + 1", False),
    ("x < 1e300 * 1e300", None),
    ("x > 1e-300 * 1e-300", True),
    ("amount + 0.001", 12.341),
    ("round(amount)", Decimal("12.00")),
    ("round(amount, 1)", Decimal("12.30")),
    ("round(fee)", Decimal("-1.00")),
    ("floor(fee)", Decimal("-1.00")),
    ("ceil(amount)", Decimal("13.00")),
    ("abs(fee)", Decimal("0.50")),
    ("total = 100", True),
    ("coalesce(points, amount)", Decimal("12.340")),
    ("greatest(amount, 100)", Decimal("100.00")),
    ("amount = n", False),
    ("cast(amount as bigint)", 12),
    ("cast(fee as double)", -0.5),
    # Integers and floats.
    ("n / m", 3.5),
    ("n // m", 3),
    ("-n // m", -3),
    ("n % m", 1),
    ("-n % m", -1),
    ("n / 0", None),
    ("n // 0", None),
    ("n % 0", None),
    ("x % 0", None),
    ("x / 0", None),
    ("0 / 0", None),
    ("sqrt(-x)", None),
    ("ln(0)", None),
    ("log10(100)", 2.0),
    ("log(100)", 2.0),
    ("exp(1000)", None),
    ("power(0, -1)", None),
    ("x ^ 2", 6.25),
    ("1e200 * 1e200", None),
    ("round(x)", 3.0),
    ("round(-x)", -3.0),
    ("round(0.49999999999999994 * x / x)", 0.0),
    ("round(x * 100, -2)", 300.0),
    ("cast(x as bigint)", 2),
    ("cast(n as boolean)", True),
    ("cast(ok as int)", 1),
    ("least(n, y, 3.5)", 3.5),
    ("greatest(null, m)", 2),
    # Choices.
    ("case when y > 1 then 1 when n > 5 then 2 else 3 end", 2),
    ("case country when 'FR' then 'DE' end = 'DE'", True),
    ("case when flag then 1 end", None),
    ("if(ok, amount, 0)", Decimal("12.34")),
    ("iff(flag, 1, 2.5)", 2.5),
    ("nullif(n, 7)", None),
    ("nullif(n, y)", 7),
    ("coalesce(y, null, 3)", 3.0),
    # The word NULL fits every type.
    ("coalesce(abs(null), n)", 7),
    ("coalesce(round(null, 1), floor(null), n)", 7),
    ("hour(null) is null", True),
    ("epoch(null) is null", True),
    ("-null is null", True),
    ("(n + null) is null", True),
    ("coalesce(null * amount, 1)", 1.0),
    ("coalesce(null / 2, null // 2, null % 2, 1)", 1.0),
    ("greatest(null, amount, 0.5)", Decimal("12.34")),
    ("(null in countries) is null", True),
    ("(null in (1, 2)) is null", True),
    ("null or ok", True),
    ("(null = n) is null", True),
    ("cast(null as bigint) is null", True),
    ("cast(null as boolean) is null", True),
    ("cast(ok as boolean)", True),
    ("cast(ok as double)", 1.0),
    ("if(flag, n)", None),
    ("nullif(null, n) is null", True),
    # Membership.
    ("country in ('DE', 'FR')", True),
    ("country not in ('DE', null)", None),
    ("n in (1, 7, null)", True),
    ("n in (7.5, 2)", False),
    ("amount in (12.34)", True),
    ("x in (2.5, 1)", True),
    ("-0.0 * x in (0)", True),
    ("n in (m, 5 + 2)", True),
    ("ok in (true)", True),
    ("country in countries", True),
    ("city in countries", None),
    ("country in nothing", False),
    ("country not in countries", False),
    ("fee * 6 in amounts", True),
    ("event_time in ('1970-01-08 05:06:07.5')", True),
    # Time.
    ("hour(event_time)", 5),
    ("minute(event_time)", 6),
    ("second(event_time)", 7),
    ("extract(hour from event_time)", 5),
    ("dayofweek(event_time)", 4),
    ("isodow(event_time)", 4),
    ("year(event_time)", 1970),
    ("month(event_time)", 1),
    ("day(event_time)", 8),
    ("dayofweek(event_time + interval '3 days')", 0),
    ("isodow(event_time + interval '3 days')", 7),
    ("epoch(gap)", 86_400.0),
    ("gap <= interval '24' hour", True),
    ("gap < interval '24 hours'", False),
    ("gap / interval '1' hour", 24.0),
    ("gap * 2 = interval '2 days'", True),
    ("event_time - gap < event_time", True),
    ("event_time - (event_time - gap) = gap", True),
    ("interval '1 hour' + event_time > event_time", True),
    ("event_time > '1970-01-08 06:06:07+01:00'", True),
    ("event_time < timestamp '1970-01-08'", False),
    ("'1970-01-09' > event_time", True),
    ("event_time between '1970-01-08' and '1970-01-09'", True),
    # The distance from Paris to London.
    ("round(distance(48.8566, 2.3522, 51.5074, -0.1278))", 344.0),
    ("distance(0, 0, 0, 180)", 20015.114442035923),
    ("distance(x, x, x, x)", 0.0),
    ("distance(x, y, 0, 0)", None),
]
"""Expressions over ``ROW`` and what they give."""


@pytest.mark.parametrize(("text", "value"), MEANINGS)
def test_meaning(text: str, value: Any) -> None:
    found = evaluate(text)
    assert found == value
    assert type(found) is type(value)
    twin = Twin(TYPES, LISTS).evaluate(text, ROW).value
    assert twin == (pytest.approx(value) if isinstance(value, float) else value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("n + 1", FAILED),
        ("n - -1", FAILED),
        ("n * n", FAILED),
        ("-(-n - 1)", FAILED),
        ("abs(-n - 1)", FAILED),
        ("(-n - 1) // -1", FAILED),
        ("(-n - 1) % -1", 0),
        ("event_time + gap * n", FAILED),
        ("cast(x * 1e30 as bigint)", FAILED),
        ("amount * n > 5", FAILED),
        ("flag and n + 1 > 5", False),
        ("ok and n + 1 > 5", FAILED),
        ("ok or n + 1 > 5", True),
        ("y > 1 and n + 1 > 5", FAILED),
        ("not (n + 1 > 5)", FAILED),
        ("coalesce(n + 1, 3)", 3),
        ("coalesce(n + 1, null)", FAILED),
        ("greatest(n + 1, 3)", 3),
        ("(n + 1) is null", True),
        ("case when n + 1 > 5 then 1 else 2 end", 2),
        ("case when ok then n + 1 else 2 end", FAILED),
    ],
)
def test_overflow_fails_and_never_gives_a_wrong_number(text: str, value: Any) -> None:
    assert evaluate(text, n=2**63 - 1) == value
    assert Twin(TYPES, LISTS).evaluate(text, ROW | {"n": 2**63 - 1}).value == value


@pytest.mark.parametrize("units", [-(2**63), -(2**63) + 1, -(2**63) + 900, 2**63 - 900, 2**63 - 500, 2**63 - 1])
@pytest.mark.parametrize(
    "text",
    [
        "floor(points)",
        "ceil(points)",
        "round(points)",
        "round(points, 1)",
        "floor(round(points, 1))",
        "-points",
        "abs(points)",
        "points + points",
        "points - 1",
        "points + 1",
        "points * 2",
        "points * -1",
        "points % -0.001",
        "cast(points as bigint)",
    ],
)
def test_arithmetic_at_the_ends_of_64_bits(text: str, units: int) -> None:
    points = Decimal(units).scaleb(-3)
    assert evaluate(text, points=points) == Twin(TYPES, LISTS).evaluate(text, ROW | {"points": points}).value


def test_infinite_and_undefined_floats_are_null() -> None:
    assert evaluate("x", x=float("nan")) is None
    assert evaluate("ratio > 1", ratio=float("inf")) is None


def test_what_an_expression_uses() -> None:
    expression = compiler().compile("n > 1 and country in countries or amount > 2 * n", "rule")
    assert expression.uses == ("n", "country", "amount")
    assert expression.lists == ("countries",)
    assert expression.text == "n > 1 and country in countries or amount > 2 * n"


def test_quoted_names_are_taken_as_they_are() -> None:
    odd = ExpressionCompiler({"last amount": VARIABLES["amount"]}, KEY, {})
    assert odd.compile('"last amount" > 1', "rule").uses == ("last amount",)


def test_texts_are_hashed_with_the_key_of_the_installation() -> None:
    other = ExpressionCompiler(VARIABLES, IdentityKey(b"other"), LISTS).compile("country = 'FR'", "rule")
    (words,), _ = run([other], [ROW])
    assert words[0] == 0


def constants(expression: Expression) -> list[int]:
    return [each.first for each in expression.instructions if each.code.name == "CONSTANT"]


def test_a_literal_becomes_the_minor_units_of_its_money() -> None:
    assert constants(compiler().compile("amount > 10000", "rule")) == [1_000_000]
    assert constants(compiler().compile("points > 10000", "rule")) == [10_000_000]


@pytest.mark.parametrize(
    ("text", "expect", "base"),
    [
        ("n", Base.FLOAT, Base.FLOAT),
        ("amount", Base.FLOAT, Base.FLOAT),
        ("null", Base.BOOL, Base.BOOL),
        ("amount > 1", Base.BOOL, Base.BOOL),
        ("amount", None, Base.MONEY),
    ],
)
def test_expected_types(text: str, expect: Base | None, base: Base) -> None:
    assert compiler().compile(text, "rule", expect).type.base is base


FUNCTION_NAMES = (
    "abs, ceil, coalesce, day, dayofweek, distance, epoch, exp, floor, greatest, hour, if, isodow, least, ln, log10, "
    "minute, month, nullif, power, round, second, sqrt, year"
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("amout > 1", 'found "amout"; allowed: the name of a field or feature; did you mean "amount"?'),
        ("t.amount > 1", 'found "t.amount"; allowed: the name of a field or feature; did you mean "amount"?'),
        ("amount > 'x'", "found \"amount > 'x'\" of money and text; allowed: values of one type on both sides of >"),
        ("country < city", 'found "country < city" of text and text; allowed: = or <> for text'),
        (
            "n + country",
            'found "n + country" of int and text; allowed: number + number, time + interval, interval + interval',
        ),
        ("gap / n", 'found "gap / n" of interval and int; allowed: number / number, interval / interval'),
        ("n // x", 'found "n // x" of int and float; allowed: int // int'),
        ("-country", 'found "-country" of text; allowed: a number or an interval after -'),
        ("not n", 'found "n" of int; allowed: a condition: something that is true or false'),
        ("ok and n", 'found "n" of int; allowed: a condition: something that is true or false'),
        ("hour(n)", 'found "hour(n)" of int; allowed: hour(t) of a time'),
        ("epoch(n)", 'found "epoch(n)" of int; allowed: epoch(t) of a time or an interval'),
        ("power(country, 1)", 'found "power(country, 1)" of text and int; allowed: power(x, y) of numbers'),
        (
            "sqroot(x)",
            f'found function "sqroot(x)"; allowed: a function: {FUNCTION_NAMES}; did you mean "sqrt"?',
        ),
        (
            "extract(century from event_time)",
            (
                'found "EXTRACT(CENTURY FROM event_time)"; allowed: a part of a time: '
                "day, dayofweek, dow, epoch, hour, isodow, minute, month, second, weekday, year"
            ),
        ),
        (
            "distance(x, y)",
            'found "distance(x, y)" with 2 arguments; allowed: distance(lat1, lon1, lat2, lon2)',
        ),
        (
            "least(ok, flag)",
            'found "least(ok, flag)" of bool and bool; allowed: least(x, y, …) of values with an order',
        ),
        ("round(x, n)", 'found "n"; allowed: a whole number from -15 to 15 for the digits'),
        ("round(country)", 'found "round(country)" of text; allowed: round(x, digits) of numbers'),
        (
            "case when ok then 1 else 'x' end",
            "found \"CASE WHEN ok THEN 1 ELSE 'x' END\" of int and text; allowed: values of one type",
        ),
        ("country in contries", 'found "contries"; allowed: the name of a list after in; did you mean "countries"?'),
        ("n in ()", 'found "n IN ()"; allowed: at least one value between the parentheses'),
        ("n in (select 1)", 'found "n IN (SELECT 1)"; allowed: x in (constants) or x in list_name'),
        (
            "country in amounts",
            'found "country IN amounts" of text; allowed: a value of money, of which the list amounts is',
        ),
        (
            "countries = 'x'",
            (
                'found "countries"; allowed: the name of a field or feature; '
                '"countries" is a list: ask it with "field in countries"'
            ),
        ),
        (
            "gap > interval '1' month",
            (
                "found \"INTERVAL '1' MONTH\"; allowed: an interval in weeks, days, hours, minutes, seconds, "
                "milliseconds or microseconds; write interval '24 hours'"
            ),
        ),
        (
            "event_time > 'yesterday'",
            'found "yesterday"; allowed: a time as 2026-01-31 23:59:59, UTC or with its offset',
        ),
        (
            "cast(country as double)",
            (
                'found "CAST(country AS DOUBLE)" of text; allowed: cast(number as double), '
                "cast(number or bool as bigint), cast(int as boolean)"
            ),
        ),
        (
            "n is 3",
            'found "n IS 3"; allowed: is null, is not null, is true, is not true, is false, is not false',
        ),
        ("n > 1e400", 'found "1e400"; allowed: numbers between 1e-300 and 1e300'),
        (
            "n between symmetric 1 and 2",
            'found "(n BETWEEN 1 AND 2 OR n BETWEEN 2 AND 1)"; allowed: x between low and high',
        ),
        (
            "country like 'F%'",
            "found \"country LIKE 'F%'\"; allowed: names, constants, operators and functions of an expression",
        ),
        ("(select 1)", 'found "(SELECT 1)"; allowed: names, constants, operators and functions of an expression'),
        ("?", 'found "?"; allowed: names, constants, operators and functions of an expression'),
        ("null", 'found "NULL", which is always null; allowed: an expression with a value'),
        ("n >", 'found ">"; allowed: an SQL expression; something is missing at line 1, column 3'),
        ("n > 1 x", 'found "x"; allowed: an SQL expression; not understood at line 1, column 7'),
        ("select 1", 'found "select"; allowed: an SQL expression; not understood at line 1, column 6'),
        ("not foo", 'found "foo"; allowed: the name of a field or feature'),
        ("-foo", 'found "foo"; allowed: the name of a field or feature'),
        ("foo in (1)", 'found "foo"; allowed: the name of a field or feature'),
        ("foo in countries", 'found "foo"; allowed: the name of a field or feature'),
        ("foo is true", 'found "foo"; allowed: the name of a field or feature'),
        ("foo between 1 and 2", 'found "foo"; allowed: the name of a field or feature'),
        ("foo is distinct from n", 'found "foo"; allowed: the name of a field or feature'),
        ("cast(foo as double)", 'found "foo"; allowed: the name of a field or feature'),
        ("abs(foo)", 'found "foo"; allowed: the name of a field or feature'),
        ("if(foo, 1, 2)", 'found "foo"; allowed: the name of a field or feature'),
        ("if(ok, foo, 2)", 'found "foo"; allowed: the name of a field or feature'),
        ("case when foo then 1 end", 'found "foo"; allowed: the name of a field or feature'),
        ("case n when foo then 1 end", 'found "foo"; allowed: the name of a field or feature'),
        ("case when ok then foo end", 'found "foo"; allowed: the name of a field or feature'),
        (
            "n is distinct from 'x'",
            "found \"n IS DISTINCT FROM 'x'\" of int and text; allowed: values of one type on both sides of =",
        ),
        (
            "coalesce(n, 'x')",
            "found \"coalesce(n, 'x')\" of int and text; allowed: values of one type",
        ),
        ("nullif(n, 'x')", "found \"nullif(n, 'x')\" of int and text; allowed: values of one type on both sides of ="),
        ("'", "found \"'\"; allowed: an SQL expression; Error tokenizing ''"),
        ("n; m", "found 2 expressions; allowed: one expression; leave out the semicolon"),
        ("  ", "found nothing; allowed: an SQL expression"),
        ("-- note", "found nothing; allowed: an SQL expression"),
    ],
)
def test_errors(text: str, message: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        compiler().compile(text, "rules[3].when")
    assert str(caught.value) == f"rules[3].when: {message}"


def test_every_problem_is_named_at_once() -> None:
    with pytest.raises(DefinitionError) as caught:
        compiler().compile("amout > 1 and foo(3) and country < 'x' and amout = 2 and n in (nn, 'x')", "rule")
    assert [problem.found for problem in caught.value.problems] == [
        '"amout"',
        'function "foo(3)"',
        "\"country < 'x'\" of text and text",
        '"nn"',
        "\"n IN (nn, 'x')\" of int and text",
    ]


@pytest.mark.parametrize(
    ("text", "expect", "message"),
    [
        ("n", Base.BOOL, 'found "n" of int; allowed: a condition: something that is true or false'),
        ("country", Base.FLOAT, 'found "country" of text; allowed: a number'),
        ("x", Base.MONEY, 'found "x" of float; allowed: an amount of money'),
    ],
)
def test_wrong_expected_types(text: str, expect: Base, message: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        compiler().compile(text, "rule", expect)
    assert str(caught.value) == f"rule: {message}"


def test_a_wrong_value_in_a_list_is_named_there() -> None:
    lists = {"odd": ValueList("odd", "amount", ("1.50", "much", "0.001"))}
    with pytest.raises(DefinitionError) as caught:
        ExpressionCompiler(VARIABLES, KEY, lists).compile("amount in odd", "rule")
    assert [str(problem) for problem in caught.value.problems] == [
        'lists.odd[1]: found "much"; allowed: a value of money, as amount is',
        'lists.odd[2]: found "0.001"; allowed: a value of money, as amount is',
    ]


WORDS = """
amount n x ok country event_time gap countries 'FR' 1 0.5 1e3 null true interval '24 hours' hour ( ) ( ) , and or
not in is between case when then else end + - * / // % = <> < >= :: double bigint coalesce nullif round if least
extract from cast as select ; -- /* */ " ' . [ ] { } ? $1 @ ~ ^ ** || -> => lambda timestamp distinct
"""


@given(st.text(max_size=60) | st.lists(st.sampled_from(WORDS.split()), max_size=14).map(" ".join))
@example("'\ud800'")
@example("\x00")
@example("extract(from from from)")
@example("cast(n as decimal(1, 2))")
@example("n in (interval)")
@example("interval")
@example("case end")
def test_any_text_is_an_expression_or_a_definition_error(text: str) -> None:
    try:
        expression = compiler().compile(text, "rule")
    except DefinitionError:
        return
    run([expression], [ROW])
