"""The package as a user meets it: its version, its public names, its typing marker."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
import sys
import tomllib
from importlib import metadata, resources
from pathlib import Path

import counterfoil

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
MODULES = {"apache-flink": "pyflink", "mlflow-skinny": "mlflow", "pyyaml": "yaml"}
"""Distributions whose module has another name."""
CARRIED = {"joblib", "llvmlite"}
"""What comes with a declared dependency as part of its interface: numba's intrinsics are written with llvmlite,
models of scikit-learn are kept with joblib."""


def test_the_version_is_the_one_of_pyproject() -> None:
    assert metadata.version("counterfoil") == PROJECT["version"]


def _libraries(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return {name.partition(".")[0] for name in names} - set(sys.stdlib_module_names) - {"counterfoil"}


def test_every_library_that_is_imported_is_declared() -> None:
    """Otherwise a base install breaks where a developer's environment happens to hold more."""
    requirements = [
        *PROJECT["dependencies"],
        *(each for extra in PROJECT["optional-dependencies"].values() for each in extra),
    ]
    distributions = [re.split(r"[^\w-]", requirement)[0].lower() for requirement in requirements]
    declared = {MODULES.get(name, name.replace("-", "_")) for name in distributions} | CARRIED
    undeclared = {
        path.relative_to(ROOT).as_posix(): sorted(_libraries(path) - declared)
        for path in sorted((ROOT / "src").rglob("*.py"))
        if _libraries(path) - declared
    }
    assert undeclared == {}


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
        try:
            loaded = importlib.import_module(module.name)
        except ModuleNotFoundError as error:
            # An engine has an environment of its own.
            if (error.name or "").partition(".")[0] in {
                "pyarrow",
                "pyflink",
                "pyspark",
            } and ".runtimes." in module.name:
                continue
            raise
        missing = [name for name in getattr(loaded, "__all__", ()) if not hasattr(loaded, name)]
        assert missing == [], module.name
