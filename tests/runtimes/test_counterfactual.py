"""Counterfactuals: each is decided again here, nothing nearer passes, and nothing is claimed that does not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from counterfoil.decisions.decided import Decided
from counterfoil.detector_file import load_detector
from counterfoil.events.batch import Batch
from counterfoil.program import Program
from counterfoil.runtimes.counterfactual import Counterfactual, counterfactual

DEFINITION = """
detector: tried
events:
  payment:
    id: id
    time: at
    decide: true
    fields: {card: id, amount: money, abroad: bool, tries: int, risk: float}
entities: {card: card}
features:
  - {name: spend, sum: amount, by: card, over: 1h}
  - {name: times, count: payment, by: card, over: 1h}
  - {name: per_try, expr: "amount / nullif(tries, 0)"}
rules: RULES
policy: {review: score >= 0.7, block: score >= 0.95, combine: COMBINE}
"""


def tried(tmp_path: Path, rules: str, combine: str = "max") -> Program:
    path = tmp_path / "tried.yaml"
    path.write_text(DEFINITION.replace("RULES", rules).replace("COMBINE", combine), "utf-8")
    return Program(load_detector(str(path)))


def pay(
    program: Program, amount: int, abroad: bool = False, tries: int = 3, risk: float = 0.5
) -> tuple[Batch, Decided]:
    """Decide one payment of so many cents, the third of its card."""
    batch = Batch.empty(program.detector.schema, 3)
    columns = program.detector.schema.column_index
    words = {
        "card": 77,
        "amount": amount,
        "abroad": int(abroad),
        "tries": tries,
        "risk": int(np.float64(risk).view(np.int64)),
    }
    for name, word in words.items():
        batch.values[columns[name]] = word
        batch.nulls[columns[name]] = 0
    batch.time[:] = np.arange(3) * 60_000_000
    batch.identity[:] = np.arange(1, 4)
    batch.values[columns["amount"], :2] = 1_000
    return batch, program.process(batch)


def search(program: Program, batch: Batch, decided: Decided) -> Counterfactual:
    found = counterfactual(program, batch, decided, 2, None)
    assert found is not None
    return found


def test_the_boundary_of_an_amount_is_found_to_the_cent(tmp_path: Path) -> None:
    program = tried(tmp_path, '[{name: large, when: "amount > 500.50", score: 0.8}]')
    found = search(program, *pay(program, 123_456))
    assert [str(each.needed) for each in found.changes] == ["500.00"]
    assert str(found.changes[0].value) == "1234.56"
    assert found.rules == ("large",)
    assert found.text == "It would have passed with amount of 500.00 instead of 1,234.56."
    # So near to the bound that a round number would be ten times as far.
    near = search(Program(program.detector), *pay(Program(program.detector), 50_051))
    assert str(near.changes[0].needed) == "500.50"


def test_the_smallest_change_comes_first(tmp_path: Path) -> None:
    program = tried(tmp_path, '[{name: both, when: "amount > 100 and tries >= 3 and times_1h >= 3", score: 0.8}]')
    found = search(program, *pay(program, 10_100))
    assert [each.name for each in found.changes] == ["amount", "times_1h", "tries"]
    assert [each.needed for each in found.changes[1:]] == [2, 2]
    assert found.changes[0].size < found.changes[1].size


def test_a_flag_is_turned_and_a_float_is_halved_down_to(tmp_path: Path) -> None:
    program = tried(tmp_path, '[{name: risky, when: "abroad and risk > 0.123456", score: 0.8}]')
    changes = {each.name: each for each in search(program, *pay(program, 100, abroad=True)).changes}
    assert changes["abroad"].needed is False
    assert changes["abroad"].text == "abroad no instead of yes"
    assert changes["risk"].needed == pytest.approx(0.12)


def test_what_is_derived_follows(tmp_path: Path) -> None:
    program = tried(tmp_path, '[{name: dear, when: "per_try > 100", score: 0.8}]')
    changes = {each.name: each for each in search(program, *pay(program, 60_000, tries=3)).changes}
    assert str(changes["amount"].needed) == "300.00"
    assert changes["tries"].needed == 6
    assert "per_try" not in changes


def test_a_rule_that_is_needless_is_named_and_one_that_is_not_is_not(tmp_path: Path) -> None:
    rules = '[{name: a, when: "amount > 1", score: 0.6}, {name: b, when: "risk > 0", score: 0.5}]'
    program = tried(tmp_path, rules, "noisy_or")
    assert search(program, *pay(program, 1_000)).rules == ("a", "b")
    twice = '[{name: a, when: "amount > 1", score: 0.8}, {name: b, when: "risk > 0", score: 0.8}]'
    program = tried(tmp_path, twice)
    found = search(program, *pay(program, 1_000))
    assert (found.changes, found.rules) == ((), ())
    assert found.text == "No single change that was tried would have let it pass."


def test_without_a_value_there_may_still_be_a_rule(tmp_path: Path) -> None:
    program = tried(tmp_path, '[{name: always, when: "amount > 1 or risk > 0", score: 0.8}]')
    assert search(program, *pay(program, 1_000)).text.startswith("It would have passed without rule always")


def test_a_payment_that_passed_has_none_and_the_state_stays_as_it_was(tmp_path: Path) -> None:
    program = tried(tmp_path, '[{name: large, when: "amount > 500", score: 0.8}]')
    batch, decided = pay(program, 1_000)
    assert counterfactual(program, batch, decided, 2, None) is None
    program = Program(program.detector)
    batch, decided = pay(program, 90_000)
    before = {name: array.copy() for name, array in program.snapshot().items()}
    search(program, batch, decided)
    assert all(np.array_equal(array, before[name]) for name, array in program.snapshot().items())


@pytest.mark.parametrize("seed", range(6))
def test_every_change_passes_and_nothing_nearer_to_the_value_does(tmp_path: Path, seed: int) -> None:
    """Held against every cent and every number there is."""
    random = np.random.default_rng(seed)
    bound, tries = int(random.integers(2, 400)), int(random.integers(1, 9))
    program = tried(tmp_path, f'[{{name: r, when: "amount >= {bound} and tries <= {tries}", score: 0.8}}]')
    batch, decided = pay(
        program, bound * 100 + int(random.integers(0, 5_000)), tries=int(random.integers(0, tries + 1))
    )
    found = {each.name: each for each in search(program, batch, decided).changes}
    amount = found["amount"].needed
    assert 0.9 * bound - 1 <= float(str(amount)) < bound
    assert found["tries"].needed in {tries + 1, tries + 2}
