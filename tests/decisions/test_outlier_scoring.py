"""Outlier scores in a detector: in rules and policy, the same in any batches and shards, and after a restart."""

from __future__ import annotations

import numpy as np
import pytest

from counterfoil.decisions.decided import Decided
from counterfoil.definition.writing import write_detector
from counterfoil.detector import Detector
from counterfoil.detector_file import read_detector
from counterfoil.errors import DefinitionError
from counterfoil.events.batch import Batch
from counterfoil.program import Program
from counterfoil.runtimes.counterfactual import counterfactual

DEFINITION = """
detector: watched
events:
  payment: {id: id, time: at, decide: true, fields: {card: id, amount: money, abroad: bool}}
entities: {card: card}
features:
  - {name: spend, sum: amount, by: card, over: 1h}
  - {name: twice, expr: "2 * amount"}
outliers: {unusual: [amount, spend_1h, abroad, twice]}
rules:
  - {name: odd, when: "unusual_score > 0.999 and amount > 1", then: review, score: 0.6, reason: "rank {unusual_score}"}
policy: {block: "unusual_score > 0.99999", review: score >= 0.7}
"""
SIZE = 6_000


def detector() -> Detector:
    return read_detector(DEFINITION)


def payments(size: int = SIZE) -> Batch:
    random = np.random.default_rng(1)
    batch = Batch.empty(detector().schema, size)
    columns = detector().schema.column_index
    batch.values[columns["card"]] = random.integers(1, 500, size)
    batch.values[columns["amount"]] = (random.lognormal(3, 1, size) * 100).astype(np.int64)
    batch.values[columns["amount"], -1] = 10**12
    batch.values[columns["abroad"]] = random.random(size) < 0.05
    batch.nulls[:] = 0
    batch.time[:] = np.arange(size) * 1_000_000
    batch.identity[:] = np.arange(1, size + 1)
    return batch


def run(program: Program, batch: Batch, step: int) -> list[Decided]:
    return [program.process(batch.take(np.arange(at, min(at + step, len(batch))))) for at in range(0, len(batch), step)]


def test_rules_and_reasons_see_the_score() -> None:
    program, batch = Program(detector()), payments()
    decided = program.process(batch)
    assert decided.outliers is not None
    score = decided.outliers[0]
    assert np.isnan(score[:1_000]).all()
    assert np.array_equal(decided.hits[0] == 1, score > 0.999)
    assert decided.hits[0, -1] == 1
    values, sentence = program.explain_hit(batch, decided, SIZE - 1, 0)
    assert values["unusual_score"] == score[-1]
    assert sentence.startswith("rank ")


@pytest.mark.parametrize(("step", "shards"), [(1_000, 1), (777, 4), (SIZE, 8)])
def test_scores_do_not_depend_on_batches_or_shards(step: int, shards: int) -> None:
    whole = Program(detector()).process(payments()).outliers
    parts = [each.outliers for each in run(Program(detector(), shards=shards), payments(), step)]
    assert whole is not None
    assert np.array_equal(np.concatenate([each for each in parts if each is not None], axis=1), whole, equal_nan=True)


def test_scores_go_on_after_a_restart() -> None:
    batch = payments()
    first, second = batch.take(np.arange(3_000)), batch.take(np.arange(3_000, SIZE))
    program = Program(detector())
    program.process(first)
    kept = {name: array.copy() for name, array in program.snapshot().items()}
    again = Program(detector())
    again.restore(kept)
    one, other = program.process(second), again.process(second)
    assert one.outliers is not None
    assert other.outliers is not None
    assert np.array_equal(one.outliers, other.outliers)


def test_what_would_have_let_it_pass_leaves_the_score_and_the_state_alone() -> None:
    program, batch = Program(detector()), payments()
    decided = program.process(batch)
    before = {name: array.copy() for name, array in program.snapshot().items()}
    found = counterfactual(program, batch, decided, SIZE - 1, None)
    assert found is not None
    assert all(np.array_equal(array, before[name]) for name, array in program.snapshot().items())


def test_a_definition_with_outliers_is_written_as_it_was_read() -> None:
    assert read_detector(write_detector(detector())) == detector()
    assert "outliers" not in write_detector(read_detector(DEFINITION.split("outliers", maxsplit=1)[0]))


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ("[amuont]", 'did you mean "amount"'),
        ("[card]", "which is a text"),
        ("[amount, amount]", '"amount" again'),
        ("[unusual_score]", "a feature or a field of decided events"),
    ],
)
def test_what_makes_no_sense_is_named(features: str, message: str) -> None:
    text = DEFINITION.replace("[amount, spend_1h, abroad, twice]", features)
    with pytest.raises(DefinitionError, match=message):
        read_detector(text)
