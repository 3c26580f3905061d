from __future__ import annotations

from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from counterfoil.backtest.svg import (
    Series,
    curves,
    heat_map,
    legend,
    lying_bars,
    nice_ceiling,
    paired_bars,
    stacked_bars,
)

SVG = "{http://www.w3.org/2000/svg}"
names = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8)
counts = st.integers(0, 10**7)


def parse(text: str) -> ElementTree.Element:
    root = ElementTree.fromstring(text)
    assert root.tag == f"{SVG}svg"
    return root


@given(st.lists(st.tuples(names, counts, counts), max_size=30))
def test_bars_are_well_formed_and_inside(rows: list[tuple[str, int, int]]) -> None:
    places = [row[0] for row in rows]
    series = [Series("fraud", "fraud", [row[1] for row in rows]), Series("a<b", "genuine", [row[2] for row in rows])]
    for chart in (stacked_bars(places, series), lying_bars(places, series)):
        root = parse(chart)
        width, height = (float(each) for each in root.attrib["viewBox"].split()[2:])
        for box in root.iter(f"{SVG}rect"):
            assert float(box.attrib["width"]) >= 0
            assert float(box.attrib["x"]) + float(box.attrib["width"]) <= width + 1
            assert float(box.attrib["y"]) + float(box.attrib["height"]) <= height + 1


def test_heights_say_the_values() -> None:
    root = parse(stacked_bars(["a", "b"], [Series("n", "accent", [1, 4])]))
    heights = [float(box.attrib["height"]) for box in root.iter(f"{SVG}rect") if box.attrib["class"] == "accent"]
    assert heights[1] == 4 * heights[0]


@given(st.lists(st.tuples(names, st.floats(0, 1), st.floats(0, 1)), max_size=12))
def test_pairs_of_bars_are_well_formed_and_inside(rows: list[tuple[str, float, float]]) -> None:
    first, second = Series("then", "other", [row[1] for row in rows]), Series("now", "accent", [row[2] for row in rows])
    root = parse(paired_bars([row[0] for row in rows], first, second))
    width, height = (float(each) for each in root.attrib["viewBox"].split()[2:])
    boxes = list(root.iter(f"{SVG}rect"))
    assert len(boxes) == 2 * len(rows)
    for box in boxes:
        assert 0 <= float(box.attrib["x"]) <= width - float(box.attrib["width"]) + 1
        assert 0 <= float(box.attrib["y"]) <= height - float(box.attrib["height"]) + 1


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), names), max_size=10))
def test_curves(points: list[tuple[float, float, str]]) -> None:
    root = parse(curves([("one", "accent", points)], "recall", "precision"))
    assert len(list(root.iter(f"{SVG}circle"))) == len(points)


def test_heat_map() -> None:
    root = parse(heat_map(["one", "two"], [[5, 2], [2, 7]]))
    titles = [each.text for each in root.iter(f"{SVG}title")]
    assert titles == ["one: 5", "two and one: 2", "two: 7"]
    parse(heat_map(["one", "two"], [[0, 0], [0, 0]]))


@given(st.floats(1e-6, 1e12))
def test_axes_end_at_round_numbers(value: float) -> None:
    found = nice_ceiling(value)
    assert value <= found * (1 + 1e-9)
    assert found <= 1.7 * value


def test_legend() -> None:
    assert "a&lt;b" in legend([("a<b", "fraud")])


@given(st.integers(1, 10**7))
def test_ticks_are_where_their_lines_are(highest: int) -> None:
    root = parse(stacked_bars(["a"], [Series("n", "accent", [highest])]))
    ticks = [
        float((each.text or "").replace(",", ""))
        for each in root.iter(f"{SVG}text")
        if each.attrib["class"] == "tick end"
    ]
    assert ticks == [nice_ceiling(highest) * quarter / 4 for quarter in range(5)]
