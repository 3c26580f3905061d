from __future__ import annotations

from counterfoil.words import counted


def test_one_is_not_many() -> None:
    assert [counted(count, "hit") for count in (0, 1, 2, 1_000)] == ["0 hits", "1 hit", "2 hits", "1,000 hits"]
    assert counted(2, "entry", "entries") == "2 entries"
