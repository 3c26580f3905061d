"""The package as a user meets it: its version, its public names, its typing marker."""

from __future__ import annotations

import importlib
import pkgutil
import tomllib
from importlib import metadata, resources
from pathlib import Path

import counterfoil

ROOT = Path(__file__).resolve().parents[1]


def test_the_version_is_the_one_of_pyproject() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert metadata.version("counterfoil") == declared


def test_the_package_is_marked_as_typed() -> None:
    assert resources.files(counterfoil).joinpath("py.typed").is_file()


def test_every_package_opens_with_a_paragraph_that_says_what_lives_there() -> None:
    packages = [counterfoil.__name__] + [
        module.name
        for module in pkgutil.walk_packages(counterfoil.__path__, counterfoil.__name__ + ".")
        if module.ispkg
    ]
    without = [name for name in packages if not (importlib.import_module(name).__doc__ or "").strip()]
    assert without == []


def test_every_public_name_exists() -> None:
    for module in pkgutil.walk_packages(counterfoil.__path__, counterfoil.__name__ + "."):
        if module.name.endswith("__main__"):
            continue
        loaded = importlib.import_module(module.name)
        missing = [name for name in getattr(loaded, "__all__", ()) if not hasattr(loaded, name)]
        assert missing == [], module.name
