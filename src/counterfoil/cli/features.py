"""``counterfoil features``: what a detector computes, as a list, as SQL, and what it costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from counterfoil.cli.console import examples, output, write_json
from counterfoil.cli.options import Json, Set, load
from counterfoil.errors import ConfigurationError

if TYPE_CHECKING:
    from counterfoil.detector import Detector


def features(
    detector: Annotated[str, typer.Argument(metavar="DETECTOR", help="A built-in detector, or a definition's file.")],
    sql: Annotated[bool, typer.Option("--sql", help="Print the features as one DuckDB query.")] = False,
    cost: Annotated[bool, typer.Option("--cost", help="Show what each feature costs in memory.")] = False,
    as_json: Json = False,
    settings: Set = None,
) -> None:
    """List the features of a detector: name, type and meaning.

    With --sql: the same features as a query, and before it the tables that it reads, to check and to explore.
    """
    if sql and cost:
        raise ConfigurationError("--sql: found together with --cost; allowed: one of them")
    found = load(detector, settings)
    if sql:
        _print_sql(found, as_json)
    elif cost:
        _print_cost(found, as_json)
    else:
        _print_list(found, as_json)


def _print_sql(detector: Detector, as_json: bool) -> None:
    from counterfoil.features.sql import to_sql, to_tables

    tables, query = to_tables(detector.schema), to_sql(detector)
    if as_json:
        write_json({"tables": tables, "query": query}, indent=True)
        return
    typer.echo(f"{tables}\n\n{query}")


def _print_cost(detector: Detector, as_json: bool) -> None:
    from counterfoil.features.cost import feature_costs

    feature_costs(detector)
    del as_json


def describe(detector: Detector) -> list[dict[str, Any]]:
    """Return every feature with its type and its definition."""
    from counterfoil.features.definition import AggregateFeature
    from counterfoil.program import Program

    program = Program(detector)
    types = dict(zip(program.feature_names, program.feature_types, strict=True))
    found = []
    for feature in detector.features:
        if not isinstance(feature, AggregateFeature):
            found.append({"name": feature.name, "type": str(types[feature.name]), "expr": feature.expr})
            continue
        for name, window in feature.outputs:
            content: dict[str, Any] = {
                "name": name,
                "type": str(types[name]),
                "aggregation": feature.aggregation,
                "of": feature.kind,
                "arguments": list(feature.arguments),
                "by": feature.by,
            }
            content |= {"over": window.label} if window else {}
            content |= {"where": feature.where} if feature.where else {}
            content |= {"prior": True} if feature.prior else {}
            content |= {"delay_seconds": feature.delay / 1_000_000} if feature.delay else {}
            content |= {"resolution_seconds": feature.resolution / 1_000_000} if feature.resolution else {}
            content |= {"via": list(feature.via)} if feature.via else {}
            found.append(content)
    return found


def meaning(feature: dict[str, Any]) -> str:
    """Return what a feature is, in a phrase.

    Examples
    --------
    >>> meaning(
    ...     {
    ...         "name": "spend_1h",
    ...         "aggregation": "sum",
    ...         "of": "payment",
    ...         "arguments": ["amount"],
    ...         "by": "card",
    ...         "over": "1h",
    ...     }
    ... )
    'sum of amount of payment by card over 1h'
    """
    if "expr" in feature:
        return str(feature["expr"])
    parts = [feature["aggregation"]]
    if feature["arguments"]:
        parts.append(f"of {', '.join(feature['arguments'])}")
    parts += [f"of {feature['of']}", f"by {feature['by']}"]
    if "via" in feature:
        parts.append(f"via {', '.join(feature['via'])}")
    if "over" in feature:
        parts.append(f"over {feature['over']}")
    if "where" in feature:
        parts.append(f"where {feature['where']}")
    if "prior" in feature:
        parts.append("before this event")
    if "delay_seconds" in feature:
        parts.append(f"known for {feature['delay_seconds'] / 86_400:g} days")
    return " ".join(parts)


def _print_list(detector: Detector, as_json: bool) -> None:
    found = describe(detector)
    if as_json:
        write_json(found, indent=True)
        return
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("feature", style="cyan", no_wrap=True)
    table.add_column("type", no_wrap=True)
    table.add_column("meaning")
    for each in found:
        table.add_row(each["name"], each["type"], escape(meaning(each)))
    output().print(table)


def register(application: typer.Typer, panel: str) -> None:
    """Add the command to the program."""
    epilog = examples("features payments", "features payments --sql > features.sql", "features payments --cost")
    application.command("features", rich_help_panel=panel, epilog=epilog)(features)
