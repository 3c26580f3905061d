"""Where kernels are kept: a change in anything that they depend on renews them, another change does not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from counterfoil.compiled import fingerprint

KERNEL = """import numba as nb
from counterfoil import sizes
from counterfoil.parts import helper


@nb.njit
def f(): ...
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    for name, content in {
        "kernel.py": KERNEL,
        "parts/__init__.py": "",
        "parts/helper.py": "from counterfoil.parts.deep import (\n    one,\n    two,\n)\n",
        "parts/deep.py": "one = 1\ntwo = 2\n",
        "sizes.py": "SIZE = 1\n",
        "command.py": "from counterfoil import kernel\n",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
    return tmp_path


@pytest.mark.parametrize("changed", ["kernel.py", "parts/helper.py", "parts/deep.py", "sizes.py"])
def test_a_change_in_what_a_kernel_needs_renews_it(package: Path, changed: str) -> None:
    before = fingerprint(package)
    with (package / changed).open("a") as file:
        file.write("# changed\n")
    assert fingerprint(package) != before


def test_a_change_elsewhere_does_not(package: Path) -> None:
    before = fingerprint(package)
    (package / "command.py").write_text("print('another')\n")
    (package / "more.py").write_text("\n")
    assert fingerprint(package) == before


def test_numba_keeps_kernels_there() -> None:
    assert "NUMBA_CACHE_DIR" in os.environ
    assert os.environ["NUMBA_DISABLE_INTEL_SVML"] == "1"


def test_numba_is_loaded_without_scipy_which_can_be_loaded_afterwards() -> None:
    script = (
        "import sys; from counterfoil.compiled import load_compiler; load_compiler();"
        "assert 'numba.np.arraymath' in sys.modules;"
        "assert not any(name.startswith('scipy.linalg') for name in sys.modules);"
        "import scipy.linalg; load_compiler(); assert sys.modules['scipy.linalg'] is scipy.linalg"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
