"""Where compiled kernels are kept, so that a new process starts in a second and never runs an old kernel.

Numba keeps what it has compiled beside the source and makes it anew when that file changes. But kernels are inlined
into one another: a change in one file must also renew those that use it. So kernels of one state of the source share a
folder, named by the content of every module that any kernel depends on.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import os
import re
import sys
from functools import cache
from pathlib import Path

_PACKAGE = Path(__file__).parent
_KERNEL_MARKS = (b"\n@nb.njit", b"\n@intrinsic")
_IMPORT = re.compile(rb"^from counterfoil((?:\.\w+)*) import (\([^)]*\)|[^\n]*)", re.MULTILINE)
_WORD = re.compile(rb"\w+")


def fingerprint(package: Path = _PACKAGE) -> str:
    """Return 16 hex digits that change with any module that a kernel depends on.

    Parameters
    ----------
    package
        The folder of the package.
    """
    modules = {path.relative_to(package).as_posix(): path.read_bytes() for path in sorted(package.rglob("*.py"))}
    needed = {name for name, content in modules.items() if any(mark in content for mark in _KERNEL_MARKS)}
    open_names = list(needed)
    while open_names:
        for found in _imports(modules[open_names.pop()]):
            if found in modules and found not in needed:
                needed.add(found)
                open_names.append(found)
    digest = hashlib.sha256()
    for name in sorted(needed):
        digest.update(name.encode() + b"\0" + modules[name] + b"\0")
    return digest.hexdigest()[:16]


def _known_fingerprint(folder: Path, package: Path = _PACKAGE) -> str:
    """Return the fingerprint, read from the folder where no file of the package has changed since it was reckoned.

    Reading and searching every module takes a tenth of a second of every start.
    """
    state = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        status = path.stat()
        state.update(f"{path.relative_to(package)} {status.st_size} {status.st_mtime_ns}\n".encode())
    known = folder / "kernels.txt"
    with contextlib.suppress(OSError, ValueError):
        seen, found = known.read_text().split()
        if seen == state.hexdigest():
            return found
    found = fingerprint(package)
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        fresh = known.with_suffix(f".{os.getpid()}")
        fresh.write_text(f"{state.hexdigest()} {found}")
        fresh.replace(known)
    return found


def _imports(content: bytes) -> set[str]:
    """Return the files that a module may mean by its imports from this package."""
    names: set[str] = set()
    for path, imported in _IMPORT.findall(content):
        parent = path.decode().replace(".", "/").lstrip("/")
        names.add(f"{parent}.py")
        names.update(f"{parent}/{word.decode()}.py".lstrip("/") for word in _WORD.findall(imported))
    return names


def _cache_folder() -> Path:
    folder = _PACKAGE / "__pycache__"
    if os.access(folder if folder.exists() else _PACKAGE, os.W_OK):
        return folder
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "counterfoil"


def keep_kernels() -> None:
    """Tell numba where to keep kernels, unless the user has; it must happen before numba is imported.

    Kernels of other states of the source are left where they are: another process may be using them. ``make clean``
    removes them with the rest of ``__pycache__``.
    """
    folder = _cache_folder()
    os.environ.setdefault("NUMBA_CACHE_DIR", str(folder / f"kernels-{_known_fingerprint(folder)}"))
    # Vector mathematics of Intel's library, where it is installed, differs in the last bit between the body of a loop
    # and its remainder: decisions would depend on the size of a batch.
    os.environ.setdefault("NUMBA_DISABLE_INTEL_SVML", "1")


@cache
def stages_folder() -> Path:
    """Return where kernels of single stages are kept: of this source, whatever else is kept beside them."""
    return Path(os.environ["NUMBA_CACHE_DIR"]) / f"stages-{_known_fingerprint(_cache_folder())}"


def load_compiler() -> None:
    """Load numba as where SciPy is not installed; for processes that run nothing but this program.

    Numba asks SciPy for matrix products, which no kernel of ours has, and loading it takes a fifth of a second of every
    start. SciPy can be imported as ever afterwards.
    """
    name = "scipy.linalg"
    if name in sys.modules:
        return
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        importlib.import_module("numba.np.arraymath")
    finally:
        del sys.modules[name]
