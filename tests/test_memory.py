from __future__ import annotations

import numpy as np
import pytest

from counterfoil.errors import LimitError
from counterfoil.memory import reserve


@pytest.mark.parametrize("words", [0, 1, 1_000, 1 << 21])
def test_is_zero_and_writable(words: int) -> None:
    array = reserve(words)
    assert len(array) == max(words, 1)
    assert array.dtype == np.int64
    assert not array.any()
    array[-1] = 7
    assert array[-1] == 7


def test_address_space_is_not_memory() -> None:
    """A terabyte, of which one page is used."""
    array = reserve(1 << 37)
    array[1 << 36] = 1
    assert array[1 << 36] == 1
    assert array[(1 << 36) + 1] == 0


def test_says_what_to_do_where_the_system_refuses() -> None:
    with pytest.raises(LimitError, match=r"cannot reserve .* bytes of address space .*limits\.state_bytes.*ulimit -v"):
        reserve(1 << 58)
