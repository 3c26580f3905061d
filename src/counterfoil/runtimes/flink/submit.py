"""The command that hands a run to a cluster."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from counterfoil.runtimes.flink.session import settings

if TYPE_CHECKING:
    from counterfoil.config import RunConfig

PROGRAM = Path(__file__).with_name("main.py")
"""What a cluster's job manager runs."""
TARGETS = ("remote", "kubernetes-application", "yarn-application")
"""A running cluster, or one that is made for the job and runs its program (application mode)."""


def submit_command(
    config: RunConfig, path: Path, jars: Sequence[Path], target: str = "remote", arguments: Sequence[str] = ()
) -> list[str]:
    """Return the words of ``flink run``.

    Parameters
    ----------
    config
        The run.
    path
        Its settings; in application mode they must be in the image, or be shipped.
    jars
        Archives beyond Flink's own.
    target
        One of ``TARGETS``.
    arguments
        Further words for ``flink run``: ``-pyarch environment.tar.gz``, say.
    """
    words = ["flink", "run", "--detached", "--target", target]
    if target == "remote" and config.flink.address is not None:
        words += ["--jobmanager", config.flink.address]
    own = {"execution.target", "rest.address", "rest.port", "python.executable", "python.client.executable"}
    for name, value in sorted(settings(config).items()):
        # What the user passes through may be secret: the program itself reads it from the settings.
        if name not in own and name not in config.flink.properties:
            words.append(f"-D{name}={value}")
    if config.state.folder is not None:
        for name in ("checkpoint", "savepoint"):
            words.append(f"-Dexecution.checkpointing.{_FOLDERS[name]}={config.state.folder.rstrip('/')}/{name}s")
    for jar in jars:
        words += ["--jarfile", str(jar)]
    return [*words, *arguments, "--python", str(PROGRAM), str(path)]


_FOLDERS = {"checkpoint": "dir", "savepoint": "savepoint-dir"}


def written(words: Sequence[str]) -> str:
    """Return a command as one would type it, a setting a line."""
    text = ""
    for word in words:
        opens = word.startswith("-")
        text += (" \\\n  " if opens and text else " " if text else "") + shlex.quote(word)
    return text
