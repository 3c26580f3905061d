"""``counterfoil submit``: hand a run to a cluster."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Annotated

import typer

from counterfoil.cli.console import examples, output
from counterfoil.errors import ConfigurationError

submit = typer.Typer(
    help="Hand a run to a cluster, or show the command that does.",
    no_args_is_help=True,
    epilog=examples("submit spark run.yaml --print", "submit flink run.yaml --print"),
)

Print = Annotated[bool, typer.Option("--print", help="Show the command and run nothing.")]


@submit.command(
    "spark",
    epilog=examples("submit spark run.yaml --print"),
)
def spark(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="A run's settings.")],
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="-- WORD…", help="Further words for spark-submit.")
    ] = None,
    show: Print = False,
) -> None:
    """Hand a run to Spark with spark-submit, which must be on the path.

    What stands behind -- goes to spark-submit: --deploy-mode cluster, say. The workers need counterfoil in their
    Python.
    """
    from counterfoil.cli.engines import jars_of, needs_kafka
    from counterfoil.config import load_config
    from counterfoil.detector_file import load_detector
    from counterfoil.runtimes.spark.gaps import check_gaps
    from counterfoil.runtimes.spark.submit import submit_command, written

    settled = load_config(config)
    check_gaps(load_detector(settled.detector, dict(settled.parameters)), settled)
    jars = jars_of("spark", quiet=show) if needs_kafka(settled) else []
    words = submit_command(settled, config, jars, arguments or ())
    if show:
        output().print(written(words), markup=False, highlight=False, soft_wrap=True)
        return
    program = shutil.which(words[0])
    if program is None:
        raise ConfigurationError(
            "spark-submit: is not on the path; install Spark's client, or pip install 'counterfoil[spark]'"
        )
    done = subprocess.run([program, *words[1:]], check=False)  # noqa: S603 - its words are ours and the user's
    raise typer.Exit(done.returncode)


@submit.command("flink", epilog=examples("submit flink run.yaml --print"))
def flink(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="A run's settings.")],
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="-- WORD…", help="Further words for flink run.")
    ] = None,
    target: Annotated[
        str, typer.Option("--target", metavar="T", help="remote, kubernetes-application or yarn-application.")
    ] = "remote",
    show: Print = False,
) -> None:
    """Hand a run to Flink with flink run, which must be on the path.

    What stands behind -- goes to flink run: -pyarch environment.tar.gz, say. Task managers need counterfoil in their
    Python.
    """
    from counterfoil.cli.engine_flink import uses_kafka
    from counterfoil.cli.engines import jars_of
    from counterfoil.config import load_config
    from counterfoil.detector_file import load_detector
    from counterfoil.runtimes.flink.gaps import check_gaps
    from counterfoil.runtimes.flink.submit import TARGETS, submit_command, written

    if target not in TARGETS:
        raise ConfigurationError(f'--target: found "{target}"; allowed: {", ".join(TARGETS)}')
    settled = load_config(config)
    check_gaps(load_detector(settled.detector, dict(settled.parameters)), settled)
    jars = jars_of("flink", quiet=show) if uses_kafka(settled) else []
    words = submit_command(settled, config, jars, target, arguments or ())
    if show:
        output().print(written(words), markup=False, highlight=False, soft_wrap=True)
        return
    program = shutil.which(words[0])
    if program is None:
        raise ConfigurationError("flink: is not on the path; install Flink, or show the command with --print")
    done = subprocess.run([program, *words[1:]], check=False)  # noqa: S603 - its words are ours and the user's
    raise typer.Exit(done.returncode)


def register(application: typer.Typer, panel: str) -> None:
    """Add the command to the program."""
    application.add_typer(submit, name="submit", rich_help_panel=panel)
