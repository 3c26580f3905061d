"""What a Python worker of Flink needs before anything else is imported."""

from __future__ import annotations

import builtins


def ready() -> None:
    """Make this process ready to import kernels; a second call does nothing."""
    # Workers put a method in the place of `print`, and numba cannot be imported with that.
    own = getattr(getattr(builtins.print, "__self__", None), "_print", None)
    if own is not None:
        builtins.print = own
    from counterfoil.compiled import keep_kernels  # noqa: PLC0415 - must come before numba

    keep_kernels()
