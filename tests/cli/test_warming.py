from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from counterfoil.cli.warming import first_start
from counterfoil.decisions import scoring


@pytest.mark.parametrize(
    ("names", "expected"), [([], True), (["scoring.settle-54.py311.nbi"], False), (["x.nbi"], True)]
)
def test_it_is_the_first_start_while_no_kernel_is_cached(
    names: list[str], expected: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in names:
        (tmp_path / name).touch()
    monkeypatch.setattr(scoring, "settle", SimpleNamespace(stats=SimpleNamespace(cache_path=str(tmp_path))))
    assert first_start() == expected


def test_it_is_not_after_a_kernel_has_run() -> None:
    import numpy as np

    work, nulls = np.zeros((2, 1), np.int64), np.zeros((2, 1), np.uint8)
    none = np.zeros((0, 1), np.uint8)
    scoring.settle(work, nulls, 0, 1, none, np.zeros(0, np.uint8), 1, np.zeros(1, np.uint8))
    assert not first_start()
