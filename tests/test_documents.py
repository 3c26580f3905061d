"""What the documents say exists: links, files, make's commands."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
_LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
_FILE = re.compile(r"`((?:[\w.-]+/)*[\w.-]+\.(?:py|yaml|toml|md))`")
_MAKE = re.compile(r"`make ([a-z]+)|^ {4}make ([a-z]+)", re.MULTILINE)


def test_there_are_documents() -> None:
    assert ROOT / "README.md" in DOCUMENTS


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_relative_link_leads_somewhere(document: Path) -> None:
    links = _LINK.findall(document.read_text(encoding="utf-8"))
    assert [link for link in links if not (document.parent / link).exists()] == []


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop().resolve()
        if page in reached:
            continue
        reached.add(page)
        if page.is_dir():
            waiting += page.glob("*.md")
        elif page.suffix == ".md":
            waiting += [page.parent / link for link in _LINK.findall(page.read_text(encoding="utf-8"))]
    assert [path.name for path in DOCUMENTS if path not in reached] == []


def test_every_file_that_the_architecture_names_exists() -> None:
    names = _FILE.findall((ROOT / "docs" / "architecture.md").read_text(encoding="utf-8"))
    assert len(names) > 20
    # A name may stand for any file of the package that ends so: `twin.py` is beside what it checks.
    known = ["/" + path.relative_to(ROOT).as_posix() for path in (*ROOT.glob("src/**/*"), *ROOT.glob("*.*"))]
    assert [name for name in names if not any(path.endswith("/" + name.lstrip("./")) for path in known)] == []


def test_the_architecture_says_where_every_package_starts() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = {
        name for row in re.findall(r"^\| (`.*?) \|", text, re.MULTILINE) for name in re.findall(r"`([\w/]+)`", row)
    }
    packages = {path.parent.name for path in (ROOT / "src" / "counterfoil").glob("*/__init__.py")}
    assert packages <= {name.partition("/")[0] for name in table}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_command_of_make_exists(document: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {first or second for first, second in _MAKE.findall(document.read_text(encoding="utf-8"))}
    assert named <= targets


def test_every_command_of_make_has_a_line_of_help() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert phony is not None
    assert [name for name in phony[1].split() if not re.search(rf"^{name}:.* ## \S", makefile, re.MULTILINE)] == []
    listed = subprocess.run(["make", "-C", ROOT], capture_output=True, text=True, check=True).stdout.splitlines()
    found = {line.split()[1]: line for line in listed if line.startswith("  make ")}
    assert sorted(found) == sorted(phony[1].split())
    # Even columns, within a small terminal.
    assert all(line[19] == " " != line[20] for line in found.values())
    assert max(map(len, found.values())) <= 80


def test_no_file_names_a_package_index() -> None:
    files = [*ROOT.glob("requirements/*"), ROOT / "Makefile", ROOT / "pyproject.toml", ROOT / ".ci" / "run"]
    assert [path.name for path in files if "index-url" in path.read_text(encoding="utf-8")] == []
