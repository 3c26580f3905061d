"""Each case is a small definition with one thing wrong; the message names the place, what stands there and what may."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from counterfoil.definition.durations import UNITS
from counterfoil.detector import Detector
from counterfoil.detector_file import check_detector, read_detector
from counterfoil.errors import DefinitionError, Problem
from counterfoil.events.kinds import EventKind, Field, FieldType, Schema
from counterfoil.features.definition import AggregateFeature, DerivedFeature, Entity, Window
from counterfoil.rules.definition import Outcome, Policy, Rule, ValueList

BASE = """
detector: small
events:
  payment:
    id: payment_id
    time: paid_at
    decide: true
    fields: {card: id, payee: id, amount: money, latitude: float, longitude: float, online: bool}
  login:
    id: login_id
    time: logged_in_at
    fields: {card: id, user: id, success: bool, amount: money}
entities:
  card: card
  user: user
  pair: [card, payee]
"""


def problems(text: str) -> list[Problem]:
    try:
        read_detector(BASE + text, "x.yaml")
    except DefinitionError as error:
        return list(error.problems)
    return []


def only(text: str) -> Problem:
    found = problems(text)
    assert len(found) == 1, found
    return found[0]


def test_the_base_is_sound() -> None:
    assert problems("") == []


FEATURES: list[tuple[str, str, str, str]] = [
    # feature, path, part of what is found, part of what is allowed or of the hint
    ("name: f, count: paymnt, by: card", ".count", '"paymnt"', 'did you mean "payment"?'),
    ("name: f, cuont: payment, by: card", ".cuont", "unknown key", 'did you mean "count"?'),
    ("name: f, by: card", "", "no aggregation", "exactly one of count, sum"),
    ("name: f, count: payment, sum: amount, by: card", "", "count and sum", "exactly one of"),
    ("name: f, count: payment", ".by", "nothing", "by is required"),
    ("count: payment, by: card", ".name", "nothing", "name is required"),
    ("name: 1f, count: payment, by: card", ".name", '"1f"', "letters"),
    ("name: 'a b', count: payment, by: card", ".name", '"a b"', "letters"),
    ("name: score, count: payment, by: card", ".name", '"score"', "the policy"),
    ("name: Amount, count: payment, by: card", ".name", '"Amount"', "a field has this name"),
    ("name: f, count: payment, by: crad", ".by", '"crad"', 'did you mean "card"?'),
    ("name: f, count: login, by: user", ".by", "no deciding kind has", "decided events"),
    ("name: f, count: login, by: pair", ".by", '"payee", which login has not', "key login has"),
    ("name: f, count: payment, by: card, over: 5x", ".over", '"5x"', "10m, 24h or 7d"),
    ("name: f, count: payment, by: card, over: 10", ".over", "10", "duration"),
    ("name: f, count: payment, by: card, over: []", ".over", "a list of 0", "one of windows"),
    ("name: f, count: payment, by: card, over: [1h, 1h]", ".over[1]", '"1h"', "each window once"),
    ("name: f, count: payment, by: card, over: 0s", ".over", '"0s"', "longer than nothing"),
    ("name: f, last: amount, of: payment, by: card, over: 1h", ".over", "over beside last", "whole past"),
    ("name: f, age: payment, by: card, delay: 1h", ".delay", "delay beside age", "whole past"),
    ("name: f, count: payment, by: card, over: 1h, resolution: 2h", ".resolution", "a resolution", "shortest window"),
    ("name: f, max: amount, by: card, over: 1h, resolution: 1m", ".resolution", "beside max", "count, sum, mean"),
    ("name: f, count: payment, by: card, prior: maybe", ".prior", '"maybe"', "true or false"),
    ("name: f, count: payment, by: card, of: login", ".of", '"login"', "names the kind itself"),
    ("name: f, sum: amout, by: card", ".sum", '"amout"', 'did you mean "amount"?'),
    ("name: f, sum: amount, of: logn, by: card", ".of", '"logn"', 'did you mean "login"?'),
    ("name: f, sum: 'amount +', by: card", ".sum", "", "SQL expression"),
    ("name: f, sum: [amount], by: card", ".sum", "a list of 1", "an expression"),
    ("name: f, sum: payee, by: card", ".sum", "payee: text", "type bool or float or int or money"),
    ("name: f, max: online, by: card", ".max", "online: bool", "type float or int"),
    ("name: f, distinct: 'latitude + success', by: card", ".distinct", "fields of several", "one event kind"),
    ("name: f, share: amount, by: card", ".share", '"amount" of money', "a condition"),
    ("name: f, count: payment, by: card, where: amount", ".where", '"amount" of money', "a condition"),
    ("name: f, count: payment, by: card, where: success", ".where", '"success", which only login has', "payment"),
    ("name: f, distance: latitude, by: card", ".distance", '"latitude"', "[latitude, longitude]"),
    ("name: f, speed: [latitude], by: card", ".speed", "a list of 1", "[latitude, longitude]"),
    ("name: f, speed: [latitude, payee], by: card", ".speed[1]", "payee: text", "type float or int"),
    ("name: f, frequency: success, by: card", ".frequency", "no deciding kind has together", "compares"),
    ("name: f, sum: amount, of: payment, by: card, via: [card, payee]", ".via", "2 fields", "1, as many"),
    ("name: f, sum: amount, of: payment, by: card, via: user", ".via", '"user", which payment has not', "payment has"),
    ("name: f, sum: amount, of: payment, by: card, via: amount", ".via", "money", "the types of the key"),
    ("name: f, expr: g + 1", ".expr", '"g"', "field or feature"),
    ("name: f, expr: amount, by: card", ".by", "unknown key", "name, expr"),
    ("name: f, expr: user = 'x'", ".expr", "which only login has", "fields of decided events (payment)"),
    ("name: f, expr: null", ".expr", "nothing", "text"),
]  # fmt: skip


@pytest.mark.parametrize(("feature", "path", "found", "allowed"), FEATURES)
def test_a_wrong_feature(feature: str, path: str, found: str, allowed: str) -> None:
    problem = only(f"features:\n  - {{{feature}}}\n")
    assert problem.path == f"x.yaml:18 features[0]{path}"
    assert found in problem.found
    assert allowed in f"{problem.allowed} {problem.hint}"


PARTS: list[tuple[str, str, str, str]] = [
    ("rules: [{when: online}]", "rules[0].name", "nothing", "required"),
    ("rules: [{name: r}]", "rules[0].when", "nothing", "required"),
    ("rules: [{name: 'a b', when: online}]", "rules[0].name", '"a b"', "letters"),
    ("rules: [{name: r, when: amount}]", "rules[0].when", "of money", "a condition"),
    ("rules: [{name: r, when: onlin}]", "rules[0].when", '"onlin"', 'did you mean "online"?'),
    ("rules: [{name: r, when: success}]", "rules[0].when", "which only login has", "payment"),
    ("rules: [{name: r, when: online, then: blok}]", "rules[0].then", '"blok"', 'did you mean "block"?'),
    ("rules: [{name: r, when: online, score: 1.5}]", "rules[0].score", "1.5", "from 0 to 1"),
    ("rules: [{name: r, when: online, score: true}]", "rules[0].score", "true", "from 0 to 1"),
    ("rules: [{name: r, when: online, reason: '{amout}'}]", "rules[0].reason", '"amout"', 'did you mean "amount"?'),
    ("rules: [{name: r, when: online, reason: '{amount'}]", "rules[0].reason", "{amount", "braces"),
    ("rules: [{name: r, when: online, reason: '{user}'}]", "rules[0].reason", '"user"', "field or feature"),
    ("rules: [{name: r, when: online, episode: crad}]", "rules[0].episode", '"crad"', 'did you mean "card"?'),
    ("rules: [{name: r, when: online, episode: user}]", "rules[0].episode", "no deciding kind", "decided events"),
    ("rules: [{name: r, when: online, quiet: 0s}]", "rules[0].quiet", "0 microseconds", "duration"),
    ("rules: [{name: r, when: online}, {name: r, when: online}]", "rules[1].name", '"r" again', "once"),
    ("rules: {a: b}", "rules", "a mapping", "a list of rules"),
    ("rules: [5]", "rules[0]", "5", "a mapping with name"),
    ("policy: {block: scroe > 1}", "policy.block", '"scroe"', 'did you mean "score"?'),
    ("policy: {review: score}", "policy.review", "of float", "a condition"),
    ("policy: {combine: mx}", "policy.combine", '"mx"', 'did you mean "max"?'),
    ("policy: 5", "policy", "5", "a mapping"),
    ("models: {champion: x}", "models.champion.use", '"x"', "payments@champion"),
    ("models: {champion: {use: x@1, shade: true}}", "models.champion.shade", "unknown key", 'did you mean "share"?'),
    ("models: {a: x@1, b: {use: y@1, share: 2}}", "models.b.share", "2", "from 0 to 1"),
    ("models: {a: x@1, b: {use: y@1, share: 0.1, by: cart}}", "models.b.by", '"cart"', 'did you mean "card"?'),
    ("models: {a: x@1, b: {use: y@1, share: 0.1, instead_of: c}}", "models.b.instead_of", '"c"', "acts for all"),
    ("models: {a: {use: x@1, share: 0.1}}", "models.a", "no model that serves the others", "before it"),
    ("models: {a: {use: x@1, by: card}}", "models.a.by", '"card"', "only beside share"),
    ("models: {a: {use: x@1, budget: 1us}}", "models.a.budget", "1 microseconds", "duration"),
    ("models: {a b: x@1}", 'models["a b"]', '"a b"', "letters"),
    ("models: {a: x@1, b: {use: y@1, share: 0.1, shadow: true}}", "models.b.shadow", "shadow and share", "one of them"),
    (
        "models: {a: x@1, b: {use: y@1, share: 0.6}, c: {use: z@1, share: 0.6}}",
        "models.c.share",
        "1.2 with those before",
        "at most 1 in all",
    ),
    (
        "models: {a: x@1, b: {use: y@1, share: 0.1, by: user}}",
        "models.b.by",
        "user, whose key no deciding kind has",
        "an entity of decided events",
    ),
    ("outliers: {odd: [amount, amount]}", "outliers.odd[1]", '"amount" again', "each once"),
    ("outliers: {odd: [card]}", "outliers.odd[0]", '"card", which is a text', "numbers"),
    ("outliers: {odd: [amout]}", "outliers.odd[0]", '"amout"', 'did you mean "amount"?'),
    ("lists: {l: crad}", "lists.l.of", '"crad"', 'did you mean "card"?'),
    ("lists: {amount: card}", "lists.amount", '"amount"', "a field has this name"),
    ("lists: {l: {of: card, values: [a], file: b}}", "lists.l", "values and file", "values or file"),
    ("lists: {l: {values: [a]}}", "lists.l.of", "nothing", "required"),
    ("lists: {l: {of: card, file: b.txt}}", "lists.l.file", '"b.txt"', "may not read files"),
    ("lists: {l: {of: card, values: [[a]]}}", "lists.l.values[0]", "a list of 1", "text"),
    ("max_lateness: 5", "max_lateness", "5", "duration"),
    ("max_skew: soon", "max_skew", '"soon"', "duration"),
    ("dedupe: false", "dedupe", "false", "duration"),
    ("dedup: 1h", "dedup", "unknown key", 'did you mean "dedupe"?'),
    ("description: [a]", "description", "a list of 1", "text"),
    ("features: 5", "features", "5", "a list of features"),
    ("features: [x]", "features[0]", '"x"', "a mapping such as"),
]


@pytest.mark.parametrize(("text", "path", "found", "allowed"), PARTS)
def test_a_wrong_part(text: str, path: str, found: str, allowed: str) -> None:
    problem = only(text)
    assert problem.path == f"x.yaml:17 {path}" or (path in ("rules[0].name", "rules[0].when") and path in problem.path)
    assert found in problem.found
    assert allowed in f"{problem.allowed} {problem.hint}"


KINDS: list[tuple[str, str, str, str]] = [
    ("{}", "events", "no event kind", "at least one"),
    ("{p: {time: t}}", "events", "no kind with decide", "at least one"),
    ("{p: {decide: true}}", "events.p.time", "nothing", "required"),
    ("{p: 5}", "events.p", "5", "a mapping with id"),
    ("5", "events", "5", "a mapping"),
    ("{'a b': {time: t, decide: true}}", 'events["a b"]', '"a b"', "letters"),
    ("{p: {time: t, decide: 1}}", "events.p.decide", "1", "true or false"),
    ("{p: {time: t, decide: true, id: t}}", "events.p.id", '"t", the kind\'s time too', "its own"),
    ("{p: {time: t, decide: true, id: '1'}}", "events.p.id", '"1"', "letters"),
    ("{p: {time: 't t', decide: true}}", "events.p.time", '"t t"', "letters"),
    ("{p: {time: t, decide: true, tiem_unit: s}}", "events.p.tiem_unit", "unknown key", 'did you mean "time_unit"?'),
    ("{p: {time: t, decide: true, time_unit: m}}", "events.p.time_unit", '"m"', "s, ms, us, ns"),
    ("{p: {time: t, decide: true, fields: {a: mony}}}", "events.p.fields.a", '"mony"', 'did you mean "money"?'),
    ("{p: {time: t, decide: true, fields: {a: {scale: 2}}}}", "events.p.fields.a.type", "nothing", "required"),
    ("{p: {time: t, decide: true, fields: {a: {type: int, scale: 2}}}}", "events.p.fields.a.scale", "2", "money"),
    ("{p: {time: t, decide: true, fields: {a: {type: int, unit: s}}}}", "events.p.fields.a.unit", '"s"', "time"),
    ("{p: {time: t, decide: true, fields: {a: {type: money, scale: 9}}}}", "events.p.fields.a.scale", "9", "0 to 8"),
    ("{p: {time: t, decide: true, fields: {a-b: id}}}", "events.p.fields.a-b", '"a-b"', "letters"),
    ("{p: {time: t, decide: true, fields: {true: id}}}", "events.p.fields.true", '"true"', "letters"),
    ("{p: {time: t, decide: true, fields: {score: id}}}", "events.p.fields.score", '"score"', "policy"),
    ("{p: {time: t, decide: true, fields: {a: id, A: id}}}", "events.p.fields.A", '"A"', "a field has this name"),
    ("{p: {time: t, id: i, decide: true, fields: {i: id}}}", "events.p.fields.i", "the kind's id too", "once"),
    ("{p: {time: t, decide: true, fields: {a: id}, ignore: [a]}}", "events.p.ignore[0]", "another field", "not use"),
    (
        "{p: {time: t, decide: true, fields: {a: id}}, q: {time: a}}",
        "events.q.time",
        '"a", a field of another',
        "no field",
    ),
    (
        "{p: {time: t, decide: true, fields: {a: id}}, q: {time: t, fields: {a: int}}}",
        "events.q.fields.a",
        "int",
        "id, as",
    ),
    (
        "{p: {time: t, decide: true, fields: {a: id}}, q: {time: t, fields: {a: card}}}",
        "events.q.fields.a",
        "card",
        "id, as",
    ),
    (
        "{p: {time: t, decide: true, fields: {a: money}}, q: {time: t, fields: {a: {type: money, scale: 3}}}}",
        "events.q.fields.a",
        "money of scale 3",
        "money of scale 2",
    ),
]


@pytest.mark.parametrize(("events", "path", "found", "allowed"), KINDS)
def test_a_wrong_event_kind(events: str, path: str, found: str, allowed: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        read_detector(f"detector: d\nevents: {events}", "x.yaml")
    matching = [problem for problem in caught.value.problems if problem.path.endswith(f" {path}")]
    assert matching, str(caught.value)
    assert found in matching[0].found
    assert allowed in f"{matching[0].allowed} {matching[0].hint}"


ENTITIES: list[tuple[str, str, str, str]] = [
    ("e: crad", "entities.e", '"crad"', 'did you mean "card"?'),
    ("e: [card, card]", "entities.e", "a field twice", "once"),
    ("e: amount", "entities.e", '"amount": money', "id, category, card or int"),
    ("e: []", "entities.e", "a list of 0", "field names"),
    ("e: {}", "entities.e", "an empty mapping", "letters"),
    ("'a b': card", 'entities["a b"]', '"a b"', "letters"),
]


@pytest.mark.parametrize(("entity", "path", "found", "allowed"), ENTITIES)
def test_a_wrong_entity(entity: str, path: str, found: str, allowed: str) -> None:
    problem = only(f"  {entity}\n")
    assert problem.path == f"x.yaml:17 {path}"
    assert found in problem.found
    assert allowed in f"{problem.allowed} {problem.hint}"


def test_every_error_is_named_at_once_and_none_twice() -> None:
    found = problems(
        """
features:
  - {name: broken, sum: amont, by: card, over: [1h, 24h]}
  - {name: follows, expr: broken_1h + 1}
  - {name: good, count: payment, by: card, over: 1h}
rules:
  - {name: uses-broken, when: broken_24h > 1 and follows > 2, reason: "{broken_1h}"}
  - {name: uses-nothing, when: god_1h > 1}
policy: {block: follows > 2, combine: sum}
"""
    )
    assert [problem.path for problem in found] == [
        "x.yaml:19 features[0].sum",
        "x.yaml:24 rules[1].when",
        "x.yaml:25 policy.combine",
    ]
    assert found[1].hint == 'did you mean "good_1h"?'


def test_what_is_aggregated_is_made_of_fields_alone() -> None:
    base = "features:\n  - {name: a, count: payment, by: card}\n"
    problem = only(f"{base}  - {{name: b, count: payment, by: card, where: a > 3}}\n")
    assert (problem.found, problem.allowed) == ('"a", a feature', "fields of payment")


def test_a_feature_may_use_only_those_before_it() -> None:
    problem = only("features:\n  - {name: a, expr: b + 1}\n  - {name: b, expr: latitude + 1}\n")
    assert "defined later" in problem.found


def test_a_wrong_list_is_named_once_for_all_rules_that_ask_it() -> None:
    found = problems(
        "lists: {l: {of: amount, values: [1, x]}}\nrules:\n"
        "  - {name: a, when: amount in l}\n  - {name: b, when: not (amount in l)}\n"
    )
    assert len(found) == 1
    assert '"x"' in found[0].found


def test_the_kind_of_a_field_that_several_have_must_be_stated_where_none_decides() -> None:
    text = """
detector: d
events:
  p: {time: t, decide: true, fields: {c: id}}
  q: {time: t, fields: {c: id, x: int}}
  r: {time: t, fields: {c: id, x: int}}
entities: {c: c}
features:
"""
    with pytest.raises(DefinitionError, match="say which: of: q"):
        read_detector(f"{text}  - {{name: f, sum: x, by: c}}", "x")
    detector = read_detector(f"{text}  - {{name: f, sum: x, of: r, by: c}}", "x")
    assert isinstance(detector.features[0], AggregateFeature)
    assert detector.features[0].kind == "r"


def test_the_deciding_kind_is_meant_where_several_have_a_field() -> None:
    detector = read_detector(BASE + "features: [{name: f, sum: amount, by: card}]", "x")
    assert detector.features == (AggregateFeature("f", "sum", "payment", ("amount",), "card"),)


def test_the_time_of_an_event_can_be_named() -> None:
    text = "features:\n  - {name: f, frequency: hour(paid_at), by: card}\n  - {name: g, expr: hour(paid_at) < 6}\n"
    assert problems(text) == []
    assert "which only login has" in only("features: [{name: g, expr: hour(logged_in_at) < 6}]").found


def test_a_reason_cannot_show_a_feature_that_is_text() -> None:
    text = "features: [{name: f, last: payee, by: card}]\nrules: [{name: r, when: online, reason: '{payee} after {f}'}]"
    assert '"f", of which only a hash is kept' in only(text).found


def test_too_many_features_are_refused() -> None:
    lines = "".join(f"  - {{name: f{at}, count: payment, by: card, over: [1h, 2h, 3h]}}\n" for at in range(700))
    assert "2,100 features" in only(f"features:\n{lines}").found


# --- the same, made in Python ----------------------------------------------------------------------------------------

PAYMENT = EventKind(
    "payment", (Field("card", FieldType.ID), Field("amount", FieldType.MONEY)), "payment_id", "paid_at", decide=True
)
GOOD = Detector(
    "small",
    Schema((PAYMENT,)),
    (Entity("card", ("card",)),),
    (
        AggregateFeature("spend", "sum", "payment", ("amount",), "card", (Window("1h", UNITS["h"]),)),
        DerivedFeature("ratio", "amount / spend_1h"),
    ),
    (Rule("r", "ratio > 0.5", Outcome.REVIEW, 0.8, "{ratio}", "card"),),
    (ValueList("blocked", "card", ("a",)),),
)
SPEND = GOOD.features[0]
assert isinstance(SPEND, AggregateFeature)


def test_a_good_detector_made_in_python_passes() -> None:
    check_detector(GOOD)


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"name": "a b"}, "detector"),
        ({"max_skew": -1}, "max_skew"),
        ({"schema": Schema(())}, "events"),
        ({"schema": Schema((PAYMENT, PAYMENT))}, "events.payment"),
        (
            {"schema": Schema((replace(PAYMENT, fields=(PAYMENT.fields[0], *PAYMENT.fields)),))},
            "events.payment.fields.card",
        ),
        ({"entities": (Entity("card", ("card",)), Entity("card", ("card",)))}, "entities.card"),
        ({"entities": (Entity("card", ()),)}, "entities.card"),
        ({"features": (replace(SPEND, aggregation="summ"),)}, "features[0]"),
        ({"features": (replace(SPEND, kind="x"),)}, "features[0].of"),
        ({"features": (replace(SPEND, arguments=()),)}, "features[0].sum"),
        ({"features": (replace(SPEND, over=(Window("1h", 5),)),)}, "features[0].over"),
        ({"features": (replace(SPEND, over=(SPEND.over[0], SPEND.over[0])),)}, "features[0].name"),
        ({"features": (replace(SPEND, delay=-5),)}, "features[0].delay"),
        ({"features": (replace(SPEND, resolution=0),)}, "features[0].resolution"),
        ({"rules": (Rule("r", "true", score=float("nan")),)}, "rules[0].score"),
        ({"rules": (Rule("r", "true", quiet=0),)}, "rules[0].quiet"),
        ({"rules": (Rule("a b", "true"),)}, "rules[0].name"),
        ({"policy": Policy(combine="sum")}, "policy.combine"),
        ({"lists": (ValueList("l", "x"),)}, "lists.l.of"),
        (
            {
                "schema": Schema((replace(PAYMENT, fields=(*PAYMENT.fields, Field("pan", FieldType.CARD))),)),
                "lists": (ValueList("l", "pan", ("4111111111111111",)),),
            },
            "lists.l.of",
        ),
    ],
)
def test_a_wrong_detector_made_in_python(change: dict[str, Any], path: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        check_detector(replace(GOOD, **change))
    assert path in [problem.path for problem in caught.value.problems], str(caught.value)


def test_too_many_rules_are_refused() -> None:
    rules = tuple(Rule(f"r{number}", "true") for number in range(1_001))
    with pytest.raises(DefinitionError, match="rules: found 1,001; allowed: at most 1,000"):
        check_detector(replace(GOOD, rules=rules))


def test_too_many_values_are_refused() -> None:
    many = tuple(map(str, range(600_000)))
    lists = (ValueList("a", "card", many), ValueList("b", "card", many))
    with pytest.raises(DefinitionError, match="in all lists together"):
        check_detector(replace(GOOD, lists=lists))
