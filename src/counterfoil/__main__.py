"""The program as a module: ``python -m counterfoil``."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the program; Ctrl-C while it is still being loaded ends it as quietly as later."""
    try:
        # Here, because loading the commands is the most of what may be interrupted.
        from counterfoil.cli import main as run  # noqa: PLC0415

        run()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
