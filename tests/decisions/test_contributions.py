"""Contributions of rules: the definition, counted out, is the slow twin."""

from __future__ import annotations

from itertools import permutations
from math import prod

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.decisions.contributions import rule_contributions

SCORES = st.lists(st.sampled_from([0.0, 0.2, 0.35, 0.5, 0.7, 0.99, 1.0]), max_size=6)


def _combined(scores: list[float], combine: str) -> float:
    return max(scores, default=0.0) if combine == "max" else 1.0 - prod(1.0 - each for each in scores)


def _shapley(scores: list[float], combine: str) -> list[float]:
    shares = [0.0] * len(scores)
    orders = list(permutations(range(len(scores))))
    for order in orders:
        for place, rule in enumerate(order):
            before = [scores[each] for each in order[:place]]
            shares[rule] += _combined([*before, scores[rule]], combine) - _combined(before, combine)
    return [each / len(orders) for each in shares]


@pytest.mark.parametrize("combine", ["max", "noisy_or"])
@given(scores=SCORES)
def test_contributions_are_the_shapley_values_of_the_definition(combine: str, scores: list[float]) -> None:
    found = rule_contributions(scores, combine)
    assert found == pytest.approx(_shapley(scores, combine), abs=1e-12)
    assert sum(found) == pytest.approx(_combined(scores, combine), abs=1e-12)


@pytest.mark.parametrize("combine", ["max", "noisy_or"])
def test_forty_rules_at_once_sum_to_the_score(combine: str) -> None:
    scores = [(each % 10) / 10 for each in range(40)]
    assert sum(rule_contributions(scores, combine)) == pytest.approx(_combined(scores, combine), abs=1e-9)
