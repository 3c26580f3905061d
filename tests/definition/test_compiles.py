"""What the check accepts, the program takes: nothing is found out only when the first event arrives."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from counterfoil.detector import Detector
from counterfoil.detector_file import load_detector
from counterfoil.detectors import builtin_names
from counterfoil.program import Program

from .test_writing import detectors


@settings(max_examples=30)
@given(detectors())
def test_what_is_accepted_compiles(detector: Detector) -> None:
    program = Program(detector)
    assert program.feature_names == detector.feature_names


@pytest.mark.parametrize("name", builtin_names())
def test_built_ins_compile(name: str) -> None:
    detector = load_detector(name)
    program = Program(detector)
    assert program.feature_names == detector.feature_names
    assert program.rule_names == tuple(rule.name for rule in detector.rules)
