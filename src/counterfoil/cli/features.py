"""``counterfoil features``: what a detector computes, as a list, as SQL, and what it costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from counterfoil.cli.console import examples, output, write_json
from counterfoil.cli.options import Json, Set, load
from counterfoil.errors import ConfigurationError

if TYPE_CHECKING:
    from counterfoil.detector import Detector
    from counterfoil.features.cost import Costs

DIALECTS = ("flink", "spark")
"""Engines whose SQL is known; as in ``features/sql_windows.py``, which takes longer to import."""


def features(
    detector: Annotated[str, typer.Argument(metavar="DETECTOR", help="A built-in detector, or a definition's file.")],
    dialect: Annotated[
        str | None, typer.Argument(metavar="[flink|spark]", help="With --sql: window features for an engine.")
    ] = None,
    sql: Annotated[bool, typer.Option("--sql", help="Print the features as one DuckDB query.")] = False,
    cost: Annotated[bool, typer.Option("--cost", help="Show what each feature costs in memory.")] = False,
    as_json: Json = False,
    settings: Set = None,
) -> None:
    """List the features of a detector: name, type and meaning.

    With --sql: the same features as a query, and before it the tables that it reads, to check and to explore. With
    --sql flink or --sql spark: those that are windows there, and which are not.
    """
    if sql and cost:
        raise ConfigurationError("--sql: found together with --cost; allowed: one of them")
    if dialect is not None and not (sql and dialect in DIALECTS):
        raise ConfigurationError(f'features: found "{dialect}"; allowed: --sql {", or --sql ".join(DIALECTS)}')
    found = load(detector, settings)
    if sql and dialect is not None:
        _print_windows(found, dialect, as_json)
    elif sql:
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


def _print_windows(detector: Detector, dialect: str, as_json: bool) -> None:
    from counterfoil.features.sql_windows import window_sql

    found = window_sql(detector, dialect)
    if as_json:
        content = {"tables": found.table, "query": found.query, "features": list(found.features)}
        write_json({**content, "left_out": dict(found.left_out)}, indent=True)
        return
    typer.echo(str(found))


def _print_cost(detector: Detector, as_json: bool) -> None:
    from counterfoil.features.cost import feature_costs

    costs = feature_costs(detector)
    if as_json:
        write_json(_cost_content(costs), indent=True)
        return
    from rich.table import Table

    console = output()
    table = Table(box=None, pad_edge=False, header_style="bold", title="what each costs by itself", title_style="dim")
    table.add_column("aggregate", style="cyan", no_wrap=True)
    table.add_column("kept by")
    for name in ("an entity", "an event", "a value"):
        table.add_column(name, justify="right", no_wrap=True)
    for each in sorted(costs.features, key=lambda cost: (cost.stage, cost.name)):
        sizes = (each.bytes_per_entity, each.bytes_per_event, each.bytes_per_value)
        table.add_row(each.name, each.stage, *(_bytes(size) for size in sizes))
    console.print(table)
    console.print()
    stages = Table(box=None, pad_edge=False, header_style="bold", title="all together", title_style="dim")
    stages.add_column("kept by", style="cyan")
    stages.add_column("aggregates", justify="right")
    stages.add_column("an entity", justify="right")
    stages.add_column("an event", justify="left")
    stages.add_column("a value", justify="right")
    for stage in costs.stages:
        events = ", ".join(f"{kind} {_bytes(size)}" for kind, size in stage.bytes_per_event.items() if size)
        of_value = _bytes(stage.bytes_per_value)
        stages.add_row(stage.name, str(len(stage.features)), _bytes(stage.bytes_per_entity), events or "–", of_value)
    console.print(stages)


def _bytes(size: int) -> str:
    return f"{size:,} B" if size else "–"


def _cost_content(costs: Costs) -> dict[str, Any]:
    """Return costs for JSON."""
    return {
        "features": [
            {
                "name": each.name,
                "outputs": list(each.outputs),
                "stage": each.stage,
                "bytes_per_entity": each.bytes_per_entity,
                "bytes_per_event": each.bytes_per_event,
                "bytes_per_value": each.bytes_per_value,
                "shared_with": list(each.shared_with),
            }
            for each in costs.features
        ],
        "stages": [
            {
                "name": each.name,
                "features": list(each.features),
                "bytes_per_entity": each.bytes_per_entity,
                "bytes_per_event": dict(each.bytes_per_event),
                "bytes_per_value": each.bytes_per_value,
            }
            for each in costs.stages
        ],
    }


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
    epilog = examples(
        "features payments",
        "features payments --sql > features.sql",
        "features payments --sql flink",
        "features payments --cost",
    )
    application.command("features", rich_help_panel=panel, epilog=epilog)(features)
