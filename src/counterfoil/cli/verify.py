"""``counterfoil verify``: perform served decisions again and count differences."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from counterfoil.cli.console import examples, messages, output, prose, write_json
from counterfoil.cli.options import Follow, Json, SecretEnvironment, State, open_log
from counterfoil.words import counted

if TYPE_CHECKING:
    from counterfoil.runtimes.local.verification import Verified, Verifier

_POLL_SECONDS = 1.0


def verify(
    state: State = Path("state"),
    follow: Follow = False,
    metrics_port: Annotated[
        int | None,
        typer.Option(min=0, max=65_535, help="With --follow: serve Prometheus metrics on 127.0.0.1; 0 for any port."),
    ] = None,
    as_json: Json = False,
    secret_env: SecretEnvironment = None,
) -> None:
    """Perform the decisions of a state folder again, beside the run or after it, and count those that differ.

    What a model is served is what it would learn from the journal today, bit for bit. The exit code is 1 if not.
    Each decision is performed by the version of the detector that made it.
    """
    from counterfoil.errors import ConfigurationError
    from counterfoil.runtimes.local.verification import Verifier

    if metrics_port is not None and not follow:
        raise ConfigurationError("--metrics-port: found it without --follow; allowed: both, or neither")
    with open_log(state, secret_env) as log:
        verifier = Verifier(log.store, log.detectors(), log.key)
        if metrics_port is not None:
            _serve(verifier, metrics_port)
        found = _advance(verifier)
        while follow and not found.different:
            time.sleep(_POLL_SECONDS)
            found = verifier.advance()
    if as_json:
        write_json(found.as_dict(), indent=True)
    else:
        _print(found)
    if found.different:
        raise typer.Exit(1)


def _serve(verifier: Verifier, port: int) -> None:
    from prometheus_client import start_http_server

    server, _ = start_http_server(port, "127.0.0.1", registry=verifier.registry)
    messages().print(f"metrics on http://127.0.0.1:{server.server_port}/metrics", soft_wrap=True)


def _advance(verifier: Verifier) -> Verified:
    """Run it behind a progress bar."""
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    console = messages()
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn(),
        console=console, transient=True, disable=not console.is_terminal,
    )  # fmt: skip
    with bar:
        task = bar.add_task("performing again", total=None)
        return verifier.advance(lambda done, of: bar.update(task, completed=done, total=of))


def _print(found: Verified) -> None:
    console = output()
    if not found.different and not found.decisions:
        prose(console, "nothing was checked: the folder holds no decisions")
        return
    if not found.different:
        versions = sum(count > 0 for count in found.detectors.values())
        by = f" by the {versions:,} detector versions that made them" if versions > 1 else ""
        prose(
            console,
            f"[green]✓[/] {counted(found.decisions, 'decision')} performed again{by}, every feature included:"
            " [green]no difference[/]",
        )
        return
    places = ", ".join(f"{each:,}" for each in found.examples)
    prose(
        console,
        f"[bold red]✗[/] {found.different:,} of {found.decisions:,} decisions differ, at positions {places}",
    )


def register(application: typer.Typer, panel: str) -> None:
    """Add the command to the program."""
    epilog = examples("verify --state state", "verify --state state --follow --metrics-port 9109")
    application.command("verify", rich_help_panel=panel, epilog=epilog)(verify)
