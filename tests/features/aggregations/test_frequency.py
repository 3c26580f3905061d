from __future__ import annotations

from hypothesis import given, settings

from tests.features.harness import Arrival, ask, histories, payment, variants

WORLD = variants("frequency", "shop")


@settings(max_examples=10)
@given(history=histories())
def test_kernel_twin_and_sql_agree(history: list[Arrival]) -> None:
    WORLD.agree(history)


def test_how_usual_a_value_is() -> None:
    history = [payment(at, shop=shop) for at, shop in enumerate((1, 1, 2, None, 1))]
    assert ask(history, "frequency", "shop") == [1.0, 1.0, 1 / 3, None, 0.75]
    assert ask(history, "frequency", "shop", prior=True) == [None, 1.0, 0.0, None, 2 / 3]


def test_zero_is_one_value() -> None:
    assert ask([payment(0, weight=0.0), payment(1, weight=-0.0)], "frequency", "weight") == [1.0, 1.0]
