"""Words for features."""

from __future__ import annotations

import re

import pytest

from counterfoil.decisions.feature_words import feature_words
from counterfoil.detector_file import load_detector
from counterfoil.features.aggregations import AGGREGATIONS
from counterfoil.features.definition import AggregateFeature, Window


@pytest.mark.parametrize("name", ["payments", "laundering", "handbook"])
def test_every_aggregate_of_a_built_in_detector_has_words_of_its_own(name: str) -> None:
    detector = load_detector(name)
    words = feature_words(detector.features)
    outputs = [
        each for feature in detector.features if isinstance(feature, AggregateFeature) for each, _ in feature.outputs
    ]
    assert list(words) == outputs
    assert len(set(words.values())) == len(words)


@pytest.mark.parametrize("aggregation", sorted(AGGREGATIONS))
def test_every_aggregation_has_words(aggregation: str) -> None:
    feature = AggregateFeature("name", aggregation, "login", ("latitude", "longitude"), "card", (Window("7d", 1),))
    assert re.fullmatch(r"[a-z][\w /]+ of the card in 7 d", feature_words([feature])["name_7d"])
