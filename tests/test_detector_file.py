from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil import detector_file
from counterfoil.definition import reading
from counterfoil.definition.tree import parse
from counterfoil.detector import Detector
from counterfoil.detector_file import load_detector, read_detector, write_detector
from counterfoil.detectors import builtin_names, builtin_path
from counterfoil.errors import DefinitionError, Problem
from counterfoil.features.typing import SIGNATURES
from counterfoil.rules.definition import ValueList

SMALL = "detector: d\nevents: {p: {time: t, decide: true, fields: {c: id}}}\n"


def test_a_built_in_is_found_by_its_name_and_a_file_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes("\ufeff".encode() + builtin_path("payments").read_bytes())
    assert load_detector(path) == load_detector(str(path)) == load_detector("payments")


def test_a_file_may_name_files_of_lists_beside_it(tmp_path: Path) -> None:
    (tmp_path / "blocked.txt").write_text("a\nb\n")
    (tmp_path / "d.yaml").write_text(f"{SMALL}lists: {{blocked: {{of: c, file: blocked.txt}}}}\n")
    detector = load_detector(tmp_path / "d.yaml")
    assert detector.lists == (ValueList("blocked", "c", ("a", "b")),)
    (tmp_path / "blocked.txt").write_text("a\nb\nc\n")
    assert load_detector(tmp_path / "d.yaml").version != detector.version


def test_values_of_lists_stay_as_they_are_written() -> None:
    detector = read_detector(f"{SMALL}lists: {{l: {{of: c, values: [007, NO, 1.50, true, '']}}}}\n")
    assert detector.lists[0].values == ("007", "NO", "1.50", "true", "")


def test_parameters_are_part_of_the_version() -> None:
    standard = load_detector("laundering")
    assert load_detector("laundering", {"window": "24h"}) == standard
    classic = load_detector("laundering", {"window": "10m", "limit": 10_000})
    assert classic.version != standard.version
    assert "pair_total_10m" in classic.feature_names
    with pytest.raises(DefinitionError, match=r'laundering.yaml:\d+ parameters.windw: .* did you mean "window"'):
        load_detector("laundering", {"windw": "10m"})


def test_a_wrong_parameter_is_found_where_it_stands() -> None:
    with pytest.raises(DefinitionError, match=r"laundering.yaml:\d+ features\[0\].over: found \"soon\""):
        load_detector("laundering", {"window": "soon"})


def test_a_name_that_nothing_has_is_answered_with_the_nearest() -> None:
    with pytest.raises(DefinitionError, match=r'paymnts.* did you mean "payments"') as caught:
        load_detector("paymnts")
    assert caught.value.exit_code == 2


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "d.yaml"
    path.write_bytes(b"detector: \xff")
    with pytest.raises(DefinitionError, match="no UTF-8 at byte 10"):
        load_detector(path)
    path.write_bytes(b"a" * (4 * 2**20 + 1))
    with pytest.raises(DefinitionError, match="at most 4,194,304 bytes"):
        load_detector(path)
    with pytest.raises(DefinitionError, match="is a directory"):
        load_detector(tmp_path)


@pytest.mark.parametrize("text", ["", "5", "[]", "null", "a: b", "detector:\nevents:\n"])
def test_what_is_no_definition_is_refused(text: str) -> None:
    with pytest.raises(DefinitionError):
        read_detector(text)


def test_problems_stand_in_the_order_of_the_file() -> None:
    text = f"{SMALL}policy: {{block: x > 1}}\nrules:\n  - {{name: r, when: y > 1}}\nfeatures: [5]\ndedupe: soon\n"
    with pytest.raises(DefinitionError) as caught:
        read_detector(text, "x.yaml")
    assert [problem.path for problem in caught.value.problems] == [
        "x.yaml:3 policy.block",
        "x.yaml:5 rules[0].when",
        "x.yaml:6 features[0]",
        "x.yaml:7 dedupe",
    ]


TEXT = builtin_path("laundering").read_text()


def read_or_refuse(text: str) -> tuple[Detector | None, tuple[Problem, ...]]:
    try:
        return read_detector(text, "x.yaml"), ()
    except DefinitionError as error:
        return None, error.problems


@given(st.data())
def test_a_damaged_definition_is_read_or_refused_with_a_place(data: st.DataObject) -> None:
    text = TEXT
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 40)))
    piece = data.draw(
        st.text(max_size=8) | st.sampled_from(["{", "}", "[", ": ", "\n", "- ", "'", '"', "&a ", "*a ", "${x}"])
    )
    detector, refusal = read_or_refuse(text[:start] + piece + text[end:])
    if detector is not None:
        assert read_detector(write_detector(detector)) == detector
    else:
        assert refusal
        assert all(problem.path.startswith("x.yaml") for problem in refusal)


def test_the_public_names_exist() -> None:
    assert all(hasattr(detector_file, name) for name in detector_file.__all__)
    assert set(builtin_names()) == {
        "payments", "laundering", "laundering-accounts", "profile-change", "account-burst", "handbook",
        "handbook-extended", "paysim",
    }  # fmt: skip


PAGE = (Path(__file__).parents[1] / "docs" / "definition.md").read_text()
BLOCKS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


def test_the_page_begins_with_a_definition_that_works() -> None:
    detector = read_detector(BLOCKS[0], "small.yaml")
    assert detector.feature_names == ("spend_1h", "spend_24h", "failed_logins_1h", "ratio")


@pytest.mark.parametrize("block", BLOCKS)
def test_every_example_of_the_page_is_yaml_with_known_keys(block: str) -> None:
    root = parse(block, "page").value
    assert isinstance(root, dict)
    assert set(root) <= set(reading.DETECTOR_KEYS)


def test_every_key_and_aggregation_has_its_place_on_the_page() -> None:
    keys = {*reading.DETECTOR_KEYS, *reading.FEATURE_KEYS, *reading.RULE_KEYS, *reading.POLICY_KEYS, *SIGNATURES}
    assert [key for key in sorted(keys) if f"`{key}`" not in PAGE] == []
    nested = {*reading.KIND_KEYS, *reading.FIELD_KEYS, *reading.LIST_KEYS}
    assert [key for key in sorted(nested) if not re.search(rf"\b{key}\b", PAGE)] == []
