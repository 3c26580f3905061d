"""What all commands promise: help with an example, a place in the documentation, exit codes, and a quick start."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.main import get_command
from typer.testing import CliRunner

from counterfoil.cli import application
from counterfoil.cli.console import print_error
from counterfoil.errors import ConfigurationError, InputError

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = (ROOT / "docs" / "cli.md").read_text("utf-8")
runner = CliRunner()

EXPECTED = {
    "alerts", "backtest", "check", "compile", "dataset", "dead-letters", "decisions", "demo", "detectors", "explain",
    "features", "generate", "models", "plan", "produce", "run", "schema", "stack", "submit", "topics", "train",
    "verify", "version",
}  # fmt: skip


def commands(command: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every command with its path, groups first."""
    command = command or get_command(application)
    if path:
        yield path, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, (*path, name))


COMMANDS = dict(commands())


def section(path: tuple[str, ...]) -> str:
    """Return what stands in the documentation between a command's heading and the next."""
    mark = "##" if len(path) == 1 else "###"
    found = re.search(rf"^{mark} {' '.join(path)}\n(.*?)(?=^##|\Z)", DOCUMENT, re.MULTILINE | re.DOTALL)
    assert found is not None, f"docs/cli.md has no section {mark} {' '.join(path)}"
    return found[1]


def test_every_command_is_there() -> None:
    assert {path[0] for path in COMMANDS} == EXPECTED


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_has_an_example(path: tuple[str, ...]) -> None:
    result = runner.invoke(application, [*path, "--help"], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    assert f"$ counterfoil {path[0]}" in result.output
    assert COMMANDS[path].help


def test_the_program_has_an_example_and_a_version() -> None:
    result = runner.invoke(application, ["--help"], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    assert "$ counterfoil demo" in result.output
    assert "fraud and money-laundering" in result.output
    assert "About the program" in result.output
    result = runner.invoke(application, ["--version"])
    assert result.exit_code == 0
    assert re.fullmatch(r"counterfoil \d+\.\d+\.\d+\n", result.output)


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_option_is_documented(path: tuple[str, ...]) -> None:
    text = section(path)
    options = {
        name
        for parameter in COMMANDS[path].params
        for name in (*parameter.opts, *parameter.secondary_opts)
        if name.startswith("--") and name != "--help"
    }
    assert {name for name in options if not re.search(rf"{name}(?![\w-])", text)} == set()


def test_what_is_documented_exists() -> None:
    headings = {tuple(each.split()) for each in re.findall(r"^#{2,3} (.+)$", DOCUMENT, re.MULTILINE)}
    assert headings == set(COMMANDS)


def test_examples_of_the_documentation_are_real() -> None:
    for line in re.findall(r"^\$ counterfoil (.+)$", DOCUMENT, re.MULTILINE):
        words = line.split("|")[0].split(">")[0].split()
        path = tuple(words[:2]) if tuple(words[:2]) in COMMANDS else (words[0],)
        known = {name for parameter in COMMANDS[path].params for name in (*parameter.opts, *parameter.secondary_opts)}
        assert {word for word in words if word.startswith("--")} <= known, line


@pytest.mark.parametrize(
    "arguments",
    [[], ["nonsense"], ["check"], ["run"], ["run", "--detector", "payments"], ["backtest", "payments"],
     ["decisions", "--since", "yesterday"], ["generate", "payments", "--count", "0"], ["check", "paymets"],
     ["run", "--detector", "payments", "--input", "-", "--map", "amount"], ["detectors", "show", "paymets"]],
    ids=" ".join,
)  # fmt: skip
def test_wrong_use_is_2_and_says_so_on_standard_error(arguments: list[str], tmp_path: Path) -> None:
    result = runner.invoke(application, arguments)
    assert result.exit_code == 2
    if arguments:
        assert result.stdout == ""
        assert result.stderr


@pytest.mark.parametrize(
    "arguments",
    [["decisions", "--state", "{}/absent"], ["alerts", "--state", "{}/absent"],
     ["explain", "x", "--state", "{}/absent"],
     ["backtest", "payments", "{}/absent.ndjson"], ["run", "--detector", "payments", "--input", "{}/absent.ndjson"],
     ["dead-letters", "list", "--state", "{}/absent"]],
    ids=lambda arguments: arguments[0],
)  # fmt: skip
def test_failures_are_1(arguments: list[str], tmp_path: Path) -> None:
    result = runner.invoke(application, [each.format(tmp_path) for each in arguments])
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "failed" in result.stderr
    assert "absent" in result.stderr
    assert not isinstance(result.exception, Exception) or isinstance(result.exception, SystemExit)


def test_errors_are_shown_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    print_error(ConfigurationError("x: found [bold]; allowed: y"))
    print_error(InputError("file: gone"))
    text = capsys.readouterr().err
    assert "wrong use x: found [bold]; allowed: y" in text
    assert "failed file: gone" in text


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from counterfoil.cli import application\n"
        f"for name in {sorted(EXPECTED)!r}:\n"
        "    assert CliRunner().invoke(application, [name, '--help']).exit_code == 0, name\n"
        "heavy = {'numba', 'numpy', 'polars', 'sqlglot', 'structlog', 'prometheus_client', 'cryptography', 'yaml'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    program = Path(sys.executable).parent / "counterfoil"
    command = f"{program} generate payments --count 50000 --quiet | head -n 1"
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=True, timeout=300)
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""


def test_the_program_is_typed_as_typer_has_it() -> None:
    assert isinstance(application, typer.Typer)
