"""``counterfoil stack``: real servers on this machine, without Docker, to try things out and to test against."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from counterfoil.cli.console import examples, messages, output, write_json
from counterfoil.cli.options import Json
from counterfoil.errors import ConfigurationError

if TYPE_CHECKING:
    from counterfoil.stack import Stack

Folder = Annotated[
    Path | None,
    typer.Option(
        "--folder", metavar="DIR", help="Where data, logs and secrets are; a folder of the user when left out."
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="Say nothing on standard error while it goes well.")]

stack = typer.Typer(
    help="Start and stop real servers on this machine: Kafka, Redis, PostgreSQL and others.", no_args_is_help=True
)


def _open(folder: Path | None, quiet: bool) -> Stack:
    from rich.markup import escape

    from counterfoil.stack import Stack

    console = messages()

    def report(text: str) -> None:
        if not quiet:
            console.print(f"[dim]{escape(text)}[/]", soft_wrap=True)

    return Stack(folder, report=report)


@stack.command(
    "up", epilog=examples("stack up kafka", "stack up kafka redis --json", "stack up kafka --port kafka=9092")
)
def up(
    services: Annotated[list[str], typer.Argument(metavar="SERVICE…", help="What to start; see `stack status`.")],
    port: Annotated[
        list[str] | None,
        typer.Option("--port", metavar="SERVICE=PORT", help="Its port; 0 for any free one. May be repeated."),
    ] = None,
    secure: Annotated[
        bool, typer.Option("--secure", help="Kafka: also listeners with TLS, with SCRAM passwords and with tokens.")
    ] = False,
    folder: Folder = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Start servers, wait until they serve, and print where.

    They listen on loopback only and go on running until `stack down`. One that runs already is left as it is. What they
    are made of is fetched the first time.
    """
    ports = dict(_port(each) for each in port or ())
    started = _open(folder, quiet).up(services, ports, secure)
    addresses = {name: address for each in started for name, address in each.addresses.items()}
    if as_json:
        write_json(addresses)
        return
    for name, address in addresses.items():
        output().print(f"[cyan]{name:<12}[/] {address}", soft_wrap=True)


def _port(text: str) -> tuple[str, int]:
    name, _, number = text.partition("=")
    if not name or not number.isdecimal() or int(number) > 65_535:
        raise ConfigurationError(f'--port: found "{text}"; allowed: SERVICE=PORT with a port from 0 to 65535')
    return name, int(number)


@stack.command("down", epilog=examples("stack down", "stack down kafka --delete"))
def down(
    services: Annotated[
        list[str] | None, typer.Argument(metavar="[SERVICE…]", help="What to stop; everything when left out.")
    ] = None,
    delete: Annotated[bool, typer.Option("--delete", help="Remove its data, logs and secrets, too.")] = False,
    folder: Folder = None,
    quiet: Quiet = False,
) -> None:
    """Stop servers in order. Their data stay, unless they are to be deleted."""
    opened = _open(folder, quiet)
    stopped = opened.down(services or (), delete)
    if not stopped and not quiet:
        messages().print("[dim]nothing ran[/]")


@stack.command("status", epilog=examples("stack status", "stack status --json"))
def status(folder: Folder = None, as_json: Json = False) -> None:
    """List all servers: which run, and where. As JSON: service name to address of those that run."""
    found = _open(folder, quiet=True).status()
    if as_json:
        write_json({name: address for each in found for name, address in each.addresses.items()})
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("service", style="cyan", no_wrap=True)
    table.add_column("address", no_wrap=True)
    table.add_column("memory", justify="right", no_wrap=True)
    table.add_column("what it is")
    for each in found:
        addresses = "\n".join(each.addresses.values()) or "–"
        memory = f"{each.memory_bytes / 1e6:,.0f} MB" if each.memory_bytes else ""
        table.add_row(each.name, addresses, memory, each.summary)
    output().print(table)


def register(application: typer.Typer, panel: str) -> None:
    """Add the commands to the program."""
    epilog = examples("stack up kafka", "stack status", "stack down")
    application.add_typer(stack, name="stack", rich_help_panel=panel, epilog=epilog)
