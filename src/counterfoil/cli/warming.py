"""The first start on a machine: kernels are compiled once, and then loaded from a cache."""

from __future__ import annotations

from pathlib import Path

FIRST_START = "first start on this machine: compiling kernels, which takes a minute or two, once"


def first_start() -> bool:
    """Return whether no kernel has been compiled on this machine yet."""
    from counterfoil.decisions.scoring import settle

    folder = settle.stats.cache_path
    return folder is not None and not any(Path(folder).glob("scoring.settle-*.nbi"))
