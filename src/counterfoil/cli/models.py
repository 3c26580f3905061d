"""``counterfoil models``: what the registry of models holds, and which version serves."""

from __future__ import annotations

import getpass
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from counterfoil.cli import models_compare, models_drift
from counterfoil.cli.console import examples, messages, output, write_json
from counterfoil.cli.options import Json, Set, load
from counterfoil.errors import ConfigurationError, InputError

if TYPE_CHECKING:
    from counterfoil.models.registry import AuditEntry, Registry, Version
    from counterfoil.models.signature import Input, Signature
    from counterfoil.rules.expression import Variable

models_application = typer.Typer(
    help="Models: add, import, list, show, promote, roll back, compare.", no_args_is_help=True, rich_markup_mode="rich"
)

Place = Annotated[
    str | None,
    typer.Option(
        "--registry",
        metavar="DIR",
        help="The registry; left out: $COUNTERFOIL_MODELS, or models; mlflow:URI for MLflow.",
    ),
]
Who = Annotated[str | None, typer.Option("--who", metavar="NAME", help="Who does it; left out: your login.")]
Why = Annotated[str, typer.Option("--why", metavar="TEXT", help="What for: it goes into the audit trail.")]
Reference = Annotated[str, typer.Argument(metavar="MODEL", help="NAME@NUMBER or NAME@ALIAS: payments@3.")]


def who_of(given: str | None) -> str:
    """Return who does it."""
    try:
        return given or getpass.getuser()
    except OSError:
        raise ConfigurationError("--who: found nothing, and no login; allowed: a name for the audit trail") from None


def open_place(place: str | None, read_only: bool = True) -> Registry:
    """Return the registry."""
    from counterfoil.models.registry import open_registry

    return open_registry(place, read_only)


def add(
    model: Annotated[Path, typer.Argument(metavar="MODEL.onnx", help="The model's file.")],
    why: Why,
    signature: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Its signature; left out: the same name with .json.")
    ] = None,
    detector: Annotated[
        str | None, typer.Option("--detector", metavar="D", help="Refuse a model that this detector cannot serve.")
    ] = None,
    settings: Set = None,
    who: Who = None,
    registry: Place = None,
    as_json: Json = False,
) -> None:
    """Add a version from an ONNX file and its signature; --detector looks whether that detector can serve it."""
    from counterfoil.models.signature import Signature

    onnx = _read(model)
    described = signature or model.with_suffix(".json")
    if signature is None and not described.exists():
        raise InputError(f"{model}: its signature {described} is missing; allowed: --signature FILE, or models import")
    found = Signature.decode(_read(described), str(described))
    if detector is not None:
        _check_detector(found, detector, settings)
    _add(onnx, found, who, why, registry, as_json)


def _check_detector(signature: Signature, detector: str, settings: list[str] | None) -> None:
    """Refuse a model that a detector cannot serve, and say so where it was trained on another version of one."""
    from counterfoil.events.identity import IdentityKey
    from counterfoil.models.matrix import MatrixPlan

    version, variables = _variables(detector, settings)
    try:
        MatrixPlan(signature, variables, IdentityKey())
    except InputError as error:
        raise InputError(f"--detector {detector}: {error}") from error
    if signature.detector != version:
        messages().print(
            f"trained on {signature.detector or 'no detector that it names'}, and {detector} is {version}: it has all"
            " inputs in the same types; whether they mean the same, only you can tell",
            style="yellow",
            markup=False,
            soft_wrap=True,
        )


def import_(
    model: Annotated[Path, typer.Argument(metavar="FILE", help="ONNX, LightGBM's text, or a pickle (joblib).")],
    name: Annotated[str, typer.Option(metavar="NAME", help="What the registry calls the model.")],
    detector: Annotated[str, typer.Option("--detector", metavar="D", help="Whose features it sees.")],
    why: Why,
    inputs: Annotated[
        str | None,
        typer.Option(metavar="NAMES", help="Features and fields, with commas, as its columns; left out, what it says."),
    ] = None,
    missing: Annotated[float | None, typer.Option(help="What null becomes; left out, the model takes NaN.")] = None,
    score: Annotated[
        str | None, typer.Option("--output", metavar="NAME", help="ONNX: the output that is the score.")
    ] = None,
    trusted: Annotated[
        bool, typer.Option("--trusted", help="Load a pickle: you trust whoever wrote it to run code here.")
    ] = False,
    settings: Set = None,
    who: Who = None,
    registry: Place = None,
    as_json: Json = False,
) -> None:
    """Bring in a model that was trained elsewhere: ONNX and LightGBM's text as they are, a pickle with --trusted.

    A pickle is loaded once, in a process without network, and what comes out must score a thousand random rows as the
    original does. Nothing is ever unpickled where payments are decided.
    """
    from counterfoil.models.importing import import_model
    from counterfoil.models.signature import Signature

    found = import_model(model, trusted, lambda text: messages().print(text, style="yellow", markup=False))
    if found.difference is not None:
        messages().print(
            f"Converted with {found.isolation}; largest difference to the original: {found.difference:.2g}.",
            markup=False,
        )
    names = tuple(inputs.split(",")) if inputs else found.names
    if not names:
        raise ConfigurationError("--inputs: found nothing, and the model does not name its columns; allowed: names")
    version, columns = _columns(detector, settings, names, missing)
    signature = Signature(name, found.kind, version, columns, score or "score", libraries=dict(found.libraries))
    _add(found.onnx, signature, who, why, registry, as_json)


def _columns(
    detector: str, settings: list[str] | None, names: tuple[str, ...], missing: float | None
) -> tuple[str, tuple[Input, ...]]:
    """Return the detector's version, and the columns as it has them."""
    from counterfoil.models.importing import inputs_of

    version, variables = _variables(detector, settings)
    return version, inputs_of(names, variables, missing)


def _variables(detector: str, settings: list[str] | None) -> tuple[str, Mapping[str, Variable]]:
    """Return a detector's version, and its features and fields by name."""
    from counterfoil.events.identity import IdentityKey
    from counterfoil.features.plan import FeaturePlan

    found = load(detector, settings)
    plan = FeaturePlan(found.schema, found.entities, found.features, found.lists, found.max_lateness, IdentityKey())
    return found.version, plan.names


def _add(onnx: bytes, signature: Signature, who: str | None, why: str, place: str | None, as_json: bool) -> None:
    registry = open_place(place, read_only=False)
    try:
        version = registry.add(onnx, signature, who_of(who), why)
        if as_json:
            write_json(_facts(registry, version), indent=True)
        else:
            output().print(f"{version.reference}  {version.engine}  {version.sha256[:16]}", markup=False)
    finally:
        registry.close()


def list_(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Only this model.")] = None,
    registry: Place = None,
    as_json: Json = False,
) -> None:
    """List the versions of all models, and which alias points where."""
    from rich.table import Table

    opened = open_place(registry)
    try:
        rows = [_facts(opened, version) for version in opened.versions(name)]
    finally:
        opened.close()
    if as_json:
        write_json(rows, indent=True)
        return
    table = Table("version", "serves as", "kind", "scored by", "added", "by", "why", box=None, pad_edge=False)
    for row in rows:
        aliases = ", ".join(row["aliases"])
        table.add_row(row["version"], aliases, row["kind"], row["engine"], row["added"], row["who"], row["why"])
    output().print(table)


def show(model: Reference, registry: Place = None, as_json: Json = False) -> None:
    """Show one version: what it expects, where it comes from, how good it was, and its changes."""
    opened = open_place(registry)
    try:
        version = opened.resolve(model)
        facts = _facts(opened, version)
        changes = [_change(entry) for entry in opened.audit(version.name)]
    finally:
        opened.close()
    facts["inputs"] = [
        {"name": each.name, "type": each.type, "missing": each.missing} for each in version.signature.inputs
    ]
    facts["changes"] = changes
    if as_json:
        write_json(facts, indent=True)
        return
    console = output()
    for key, value in facts.items():
        if key == "inputs":
            console.print(f"inputs: {', '.join(each['name'] for each in value)}", markup=False, soft_wrap=True)
        elif key == "changes":
            console.print("changes:")
            for change in value:
                console.print(f"  {_line(change)}", markup=False, soft_wrap=True)
        elif value not in (None, {}, [], ""):
            console.print(f"{key}: {value}", markup=False, soft_wrap=True)


def promote(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="NAME@NUMBER, or NAME@ALIAS for what that points at.")],
    why: Why,
    to: Annotated[str, typer.Option("--to", metavar="ALIAS", help="champion, challenger, shadow, or a word of yours.")],
    who: Who = None,
    registry: Place = None,
) -> None:
    """Let a version serve: running systems take it over within a second, between two batches."""
    opened = open_place(registry, read_only=False)
    try:
        version = opened.resolve(model)
        former = opened.aliases(version.name).get(to)
        opened.promote(version.name, version.number, to, who_of(who), why)
    finally:
        opened.close()
    if former == version.number:
        output().print(f"{version.name}@{to} is {version.reference} already; nothing was changed", markup=False)
        return
    before = "" if former is None else f", before: {version.name}@{former}"
    output().print(f"{version.name}@{to} is {version.reference}{before}", markup=False)


def rollback(
    alias: Annotated[str, typer.Argument(metavar="NAME@ALIAS", help="Which alias: payments@champion.")],
    why: Why,
    who: Who = None,
    registry: Place = None,
) -> None:
    """Let an alias point where it did before."""
    from counterfoil.models.definition import parse_reference

    opened = open_place(registry, read_only=False)
    try:
        name, rest = parse_reference(alias)
        version = opened.rollback(name, rest, who_of(who), why)
    finally:
        opened.close()
    output().print(f"{alias} is {version.reference} again", markup=False)


def diff(
    first: Annotated[str, typer.Argument(metavar="MODEL", help="payments@3.")],
    second: Annotated[str, typer.Argument(metavar="OTHER", help="payments@champion.")],
    registry: Place = None,
    as_json: Json = False,
) -> None:
    """Show in what two versions differ: inputs, data, metrics, parameters, libraries."""
    opened = open_place(registry)
    try:
        one, other = opened.resolve(first), opened.resolve(second)
    finally:
        opened.close()
    found = differences(one, other)
    if as_json:
        write_json(found, indent=True)
        return
    console = output()
    console.print(f"{one.reference} → {other.reference}", markup=False)
    for key, (left, right) in found.items():
        console.print(f"{key}: {left} → {right}", markup=False, soft_wrap=True)


def differences(one: Version, other: Version) -> dict[str, tuple[Any, Any]]:
    """Return everything in which two versions differ."""
    left, right = _flat(one), _flat(other)
    keys = [*left, *(key for key in right if key not in left)]
    return {key: (left.get(key), right.get(key)) for key in keys if left.get(key) != right.get(key)}


def _flat(version: Version) -> dict[str, Any]:
    signature = version.signature
    found: dict[str, Any] = {
        "kind": signature.kind,
        "detector": signature.detector,
        "engine": version.engine,
        "seed": signature.seed,
        "sha256": version.sha256[:16],
    }
    found |= {f"input {each.name}": each.type for each in signature.inputs}
    found |= {f"metric {name}": value for name, value in version.metrics.items()}
    found |= {f"parameter {name}": value for name, value in signature.parameters.items()}
    found |= {f"library {name}": value for name, value in signature.libraries.items()}
    if signature.data is not None:
        data = signature.data
        found |= {
            "data from": data.start,
            "data to": data.end,
            "data rows": data.rows,
            "data positives": data.positives,
        }
    return found


def audit(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Only this model.")] = None,
    registry: Place = None,
    as_json: Json = False,
) -> None:
    """List every change: who did what, when and why."""
    opened = open_place(registry)
    try:
        changes = [_change(entry) for entry in opened.audit(name)]
    finally:
        opened.close()
    if as_json:
        write_json(changes, indent=True)
        return
    for change in changes:
        output().print(_line(change), markup=False, soft_wrap=True)


def _facts(registry: Registry, version: Version) -> dict[str, Any]:
    signature, data = version.signature, version.signature.data
    aliases = [alias for alias, number in registry.aliases(version.name).items() if number == version.number]
    return {
        "version": version.reference,
        "aliases": aliases,
        "kind": signature.kind,
        "engine": version.engine,
        "detector": signature.detector,
        "features": len(signature.inputs),
        "data": None if data is None else f"{data.start} to {data.end}, {data.rows:,} rows",
        "metrics": dict(version.metrics),
        "seed": signature.seed,
        "parameters": dict(signature.parameters),
        "libraries": dict(signature.libraries),
        "sha256": version.sha256,
        "added": _time(version.created_at),
        "who": version.who,
        "why": version.why,
        "notes": signature.notes,
    }


def _change(entry: AuditEntry) -> dict[str, Any]:
    return {
        "at": _time(entry.at),
        "who": entry.who,
        "action": entry.action,
        "version": f"{entry.name}@{entry.number}",
        "alias": entry.alias or None,
        "former": None if entry.former is None else f"{entry.name}@{entry.former}",
        "why": entry.why,
    }


def _line(change: dict[str, Any]) -> str:
    alias = "" if change["alias"] is None else f" to {change['alias']}"
    former = "" if change["former"] is None else f" (before: {change['former']})"
    return f"{change['at']}  {change['who']}  {change['action']} {change['version']}{alias}{former}: {change['why']}"


def _time(microseconds: int) -> str:
    return datetime.fromtimestamp(microseconds / 1_000_000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _read(path: Path) -> bytes:
    from counterfoil.models.onnx_file import MODEL_BYTES_MAX

    try:
        if path.stat().st_size > MODEL_BYTES_MAX:
            raise InputError(f"{path}: found {path.stat().st_size:,} bytes; allowed: {MODEL_BYTES_MAX:,}")
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error


def register(application: typer.Typer, panel: str) -> None:
    """Add the commands to the program."""
    models_application.command("list", epilog=examples("models list"))(list_)
    models_application.command("show", epilog=examples("models show payments@champion"))(show)
    models_application.command("add", epilog=examples('models add model.onnx --why "first try"'))(add)
    models_application.command(
        "import",
        epilog=examples(
            'models import model.joblib --trusted --name payments --detector payments --why "trained in a notebook"'
        ),
    )(import_)
    models_application.command(
        "promote", epilog=examples('models promote payments@3 --to champion --why "better on March"')
    )(promote)
    models_application.command(
        "rollback", epilog=examples('models rollback payments@champion --why "too many alerts"')
    )(rollback)
    models_application.command("diff", epilog=examples("models diff payments@2 payments@3"))(diff)
    models_application.command("audit", epilog=examples("models audit payments"))(audit)
    models_compare.register(models_application)
    models_drift.register(models_application)
    epilog = examples("models list", 'models promote payments@3 --to champion --why "better on March"')
    application.add_typer(models_application, name="models", rich_help_panel=panel, epilog=epilog)
