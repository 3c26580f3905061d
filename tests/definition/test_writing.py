from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from counterfoil.definition.durations import UNITS
from counterfoil.definition.writing import write_detector
from counterfoil.detector import Detector
from counterfoil.detector_file import check_detector, read_detector
from counterfoil.events.kinds import EventKind, Field, FieldType, Schema, TimeUnit
from counterfoil.features.aggregations import AGGREGATIONS
from counterfoil.features.definition import AggregateFeature, DerivedFeature, Entity, Feature, Window
from counterfoil.rules.definition import Outcome, Policy, Rule, ValueList

texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=20)
titles = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,9}", fullmatch=True)
lengths = st.integers(1, 10**9).map(lambda milliseconds: milliseconds * 1_000)

PAYMENT = EventKind(
    "payment",
    (
        Field("card", FieldType.ID, required=True),
        Field("payee", FieldType.ID),
        Field("amount", FieldType.MONEY, scale=3),
        Field("known", FieldType.TIME, unit=TimeUnit.NANOSECONDS),
        Field("latitude", FieldType.FLOAT),
    ),
    None,
    "at",
    decide=True,
    time_unit=TimeUnit.MILLISECONDS,
    ignore=("x y",),
)
LOGIN = EventKind("login", (Field("card", FieldType.ID), Field("ok", FieldType.BOOL)), "login_id", "at")

windows = st.lists(st.sampled_from(sorted(UNITS)), max_size=4, unique=True).map(
    lambda units: tuple(Window(f"3{unit}", 3 * UNITS[unit]) for unit in units)
)


@st.composite
def aggregates(draw: st.DrawFn, name: str) -> AggregateFeature:
    aggregation, arguments = draw(
        st.sampled_from(
            [
                ("count", ()),
                ("sum", ("amount",)),
                ("max", ("latitude * 2",)),
                ("share", ("latitude > 3",)),
                ("distinct", ("payee",)),
            ]
        )
    )
    over = draw(windows)
    cut = bool(over) and AGGREGATIONS[aggregation].resolvable
    return AggregateFeature(
        name,
        aggregation,
        "payment",
        arguments,
        "card",
        over,
        draw(st.none() | st.just("latitude > 1")),
        draw(st.booleans()),
        draw(st.just(0) | lengths),
        draw(st.none() | st.just(min(window.length for window in over))) if cut else None,
        draw(st.none() | st.just(("payee",))),
    )


@st.composite
def features(draw: st.DrawFn) -> tuple[Feature, ...]:
    number = draw(st.integers(0, 4))
    found: list[Feature] = [draw(aggregates(f"f{at}")) for at in range(number)]
    found.append(AggregateFeature("moved", "distance", "payment", ("latitude", "latitude"), "card"))
    found.append(AggregateFeature("logins", "count", "login", (), "card", where="not ok"))
    found.append(DerivedFeature("twice", "latitude * 2"))
    return tuple(found)


@st.composite
def rules(draw: st.DrawFn) -> tuple[Rule, ...]:
    names = draw(st.lists(titles, max_size=4, unique=True))
    return tuple(
        Rule(
            name,
            draw(st.sampled_from(["latitude > 3", "card = 'it''s ${x}'", "card in blocked", "true"])),
            draw(st.none() | st.sampled_from(Outcome)),
            draw(st.floats(0, 1)),
            draw(texts).replace("{", "{{").replace("}", "}}"),
            draw(st.sampled_from([None, "card", "pair"])),
            draw(lengths),
        )
        for name in names
    )


@st.composite
def detectors(draw: st.DrawFn) -> Detector:
    return Detector(
        draw(titles),
        Schema((PAYMENT, LOGIN)),
        (Entity("card", ("card",)), Entity("pair", ("card", "payee"))),
        draw(features()),
        draw(rules()),
        (
            ValueList("blocked", "card", tuple(draw(st.lists(texts, max_size=4)))),
            ValueList("empty", "amount"),
        ),
        Policy(
            draw(st.sampled_from([None, "score >= 0.95", "score > 0.5"])),
            draw(st.sampled_from([None, "score >= 0.7", "twice > 2"])),
            draw(st.sampled_from(["max", "noisy_or"])),
        ),
        draw(lengths),
        draw(lengths),
        draw(st.just(0) | lengths),
        draw(texts),
    )


@given(detectors())
def test_what_is_written_reads_back_to_an_equal_value(detector: Detector) -> None:
    check_detector(detector)
    again = read_detector(write_detector(detector), "x.yaml")
    assert again == detector
    assert again.version == detector.version


def test_defaults_are_left_out() -> None:
    kind = EventKind("p", (), None, "at", decide=True)
    assert (
        write_detector(Detector("d", Schema((kind,)))) == "detector: d\nevents:\n  p:\n    time: at\n    decide: true\n"
    )


def test_features_stand_on_one_line_each() -> None:
    window: Any = (Window("1h", UNITS["h"]),)
    feature = AggregateFeature("f", "count", "payment", (), "card", window)
    detector = Detector("d", Schema((PAYMENT,)), (Entity("card", ("card",)),), (feature,))
    assert "\n- {name: f, count: payment, by: card, over: 1h}\n" in write_detector(detector)
    changed = replace(detector, description="another")
    assert changed.version == detector.version
    assert read_detector(write_detector(changed), "x") != detector
