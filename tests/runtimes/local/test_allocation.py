from __future__ import annotations

import sys

import pytest

from counterfoil.runtimes.local.allocation import keep_freed_memory


def test_it_does_nothing_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not keep_freed_memory()
