"""The command line: one command a file, each a thin layer over calls that the library offers to everybody.

Importing a command costs next to nothing: what it works with (kernels, tables, stores) is imported when it runs, so
that ``--help`` answers at once. Data goes to standard output, everything else to standard error. The exit code is 0 for
done, 1 for failed and 2 for wrong use or a wrong definition.
"""

from __future__ import annotations

from counterfoil.cli.application import application, main

__all__ = ["application", "main"]
