"""``counterfoil schema``: JSON Schemas for editors."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from counterfoil.cli.console import examples, write_json


class Document(StrEnum):
    """What a schema describes."""

    DETECTOR = "detector"
    RUN = "run"


def schema(
    document: Annotated[
        Document, typer.Argument(help="detector: a definition. run: the configuration of `counterfoil run`.")
    ] = Document.DETECTOR,
) -> None:
    """Print the JSON Schema (2020-12) of a definition or of a run's configuration.

    An editor that knows it completes names and marks mistakes while you type.
    """
    if document is Document.DETECTOR:
        from counterfoil.detector_file import json_schema

        write_json(json_schema(), indent=True)
        return
    from counterfoil.config_schema import run_schema

    write_json(run_schema(), indent=True)


def register(application: typer.Typer, panel: str) -> None:
    """Add the command to the program."""
    epilog = examples("schema > detector.schema.json", "schema run > run.schema.json")
    application.command("schema", rich_help_panel=panel, epilog=epilog)(schema)
