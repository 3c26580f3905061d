"""Programs with nothing to do: no features, no events, no decisions."""

from __future__ import annotations

import numpy as np
import pytest

from counterfoil.detector import Detector
from counterfoil.events.batch import Batch
from counterfoil.features.definition import AggregateFeature, DerivedFeature
from counterfoil.program import Program
from counterfoil.rules.definition import Outcome, Rule
from tests.features.harness import ENTITIES, SCHEMA, batch_of, change, payment

COUNT = AggregateFeature("n", "count", "payment", (), "card")
LARGE = Rule("large", "amount > 5", then=Outcome.REVIEW, score=0.8, reason="", episode="card")


@pytest.mark.parametrize("features", [(), (DerivedFeature("double", "amount * 2"),), (COUNT,)], ids=len)
@pytest.mark.parametrize("rules", [(), (LARGE,)], ids=len)
def test_few_features_and_rules(features: tuple[AggregateFeature, ...], rules: tuple[Rule, ...]) -> None:
    program = Program(Detector("small", SCHEMA, ENTITIES, features, rules), state_bytes=1 << 20)
    decided = program.process(batch_of([payment(1, amount=600), change(2), payment(3, amount=1)]))
    assert decided.features.shape == (len(features), 2)
    assert decided.hits.shape == (len(rules), 2)
    assert decided.outcome.tolist() == ([1, 0] if rules else [0, 0])
    assert decided.observed == 1
    program.restore({name: np.array(array) for name, array in program.snapshot().items()})


def test_no_events() -> None:
    program = Program(Detector("small", SCHEMA, ENTITIES, (COUNT,), (LARGE,)), state_bytes=1 << 20)
    before = program.state_bytes()
    decided = program.process(Batch.empty(SCHEMA, 0))
    assert (len(decided), decided.observed, program.entities(), program.state_bytes()) == (0, 0, {"card": 0}, before)


def test_nothing_to_decide() -> None:
    changes = AggregateFeature("n", "count", "change", (), "card")
    program = Program(Detector("small", SCHEMA, ENTITIES, (changes,), (LARGE,)), state_bytes=1 << 20)
    decided = program.process(batch_of([change(1), change(2, card=2), change(3, card=None)]))
    assert (len(decided), decided.observed, program.entities()) == (0, 3, {"card": 2})
    assert program.process(batch_of([payment(4)], 3)).features.tolist() == [[1]]
