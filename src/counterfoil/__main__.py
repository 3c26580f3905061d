"""The program as a module: ``python -m counterfoil``."""

from __future__ import annotations

import gc
import sys

_COLLECT_AFTER = 200_000
"""Objects made beyond those freed, after which Python looks for cycles: loading what a command needs makes some
hundred thousand that stay, and looking through them again and again takes an eighth of the start."""


def main() -> None:
    """Run the program; Ctrl-C while it is still being loaded ends it as quietly as later."""
    gc.set_threshold(_COLLECT_AFTER, 20, 100)
    try:
        # Here, because loading the commands is the most of what may be interrupted.
        from counterfoil.cli import main as run  # noqa: PLC0415

        run()
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        # What is left lives until the process ends: to look for cycles in it would take half a second of the end.
        gc.freeze()


if __name__ == "__main__":
    main()
