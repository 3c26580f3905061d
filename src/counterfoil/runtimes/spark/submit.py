"""The command that hands a run to a cluster."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from counterfoil.runtimes.spark.session import settings

if TYPE_CHECKING:
    from counterfoil.config import RunConfig

PROGRAM = Path(__file__).with_name("main.py")
"""What a cluster's driver runs."""


def submit_command(config: RunConfig, path: Path, jars: Sequence[Path], arguments: Sequence[str] = ()) -> list[str]:
    """Return the words of ``spark-submit``.

    Parameters
    ----------
    config
        The run.
    path
        Its settings.
    jars
        Archives beyond Spark's own.
    arguments
        Further words for ``spark-submit``: ``--deploy-mode cluster``, say.
    """
    words = ["spark-submit", "--name", f"counterfoil {config.detector}"]
    if config.spark.master is not None:
        words += ["--master", config.spark.master]
    found = settings(config, (), submitted=True)
    # Passed on by the settings themselves: what the user puts there may be secret.
    for name, value in sorted(found.items()):
        if name not in config.spark.properties:
            words += ["--conf", f"{name}={value}"]
    if jars:
        words += ["--jars", ",".join(str(jar) for jar in jars)]
    return [*words, *arguments, str(PROGRAM), str(path)]


def written(words: Sequence[str]) -> str:
    """Return a command as one would type it, a setting a line."""
    text = ""
    for word in words:
        opens = word.startswith("--") or word.endswith(".py")
        text += (" \\\n  " if opens and text else " " if text else "") + shlex.quote(word)
    return text
