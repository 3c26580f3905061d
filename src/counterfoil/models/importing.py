"""A model from elsewhere: ONNX and LightGBM's text as they are, a pickle once and only when it is trusted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from counterfoil.errors import ConfigurationError, InputError, nearest
from counterfoil.models.conversion import lightgbm_onnx
from counterfoil.models.model import load_model
from counterfoil.models.onnx_file import MODEL_BYTES_MAX
from counterfoil.models.signature import Input, Signature
from counterfoil.rules.expression import Variable
from counterfoil.rules.types import Base

PICKLES = (".joblib", ".pkl", ".pickle")
TEXTS = (".txt", ".lgb", ".model")
TOLERANCE = 1e-6
"""How far a converted model may be from the original, on any of a thousand rows."""
_FILE_BYTES_MAX = 2 * 2**30
_SECONDS = 900.0


@dataclass(frozen=True, slots=True)
class Imported:
    """A model that is ready for the registry.

    Parameters
    ----------
    onnx
        Its file.
    kind
        What it was.
    names
        What its training called its columns; empty where it does not say.
    libraries
        Versions of what made and converted it.
    isolation
        How its process was kept from the network; empty where none was needed.
    difference
        The largest difference to the original on random rows; None where there is no original to ask.
    """

    onnx: bytes
    kind: str
    names: tuple[str, ...]
    libraries: Mapping[str, str]
    isolation: str = ""
    difference: float | None = None


def import_model(path: Path, trusted: bool = False, say: Callable[[str], None] | None = None) -> Imported:
    """Read a model file of any kind.

    Parameters
    ----------
    path
        ONNX, LightGBM's text, or a pickle that joblib or pickle wrote.
    trusted
        Whether the user trusts whoever wrote it: only asked for pickles.
    say
        Is told what is about to be done, before it is.

    Raises
    ------
    ConfigurationError
        If a pickle is not trusted.
    InputError
        If it cannot be read or converted, or what came out scores differently.
    """
    say = say or (lambda _: None)
    ending = path.suffix.lower()
    size = _size(path)
    if ending in PICKLES:
        return _unpickled(path, trusted, say)
    if size > _FILE_BYTES_MAX // 8:
        raise InputError(f"{path}: found {size:,} bytes; allowed: {_FILE_BYTES_MAX // 8:,}")
    if ending == ".onnx":
        if size > MODEL_BYTES_MAX:
            raise InputError(f"{path}: found {size:,} bytes; allowed: {MODEL_BYTES_MAX:,}")
        return Imported(path.read_bytes(), "onnx", (), {})
    if ending in TEXTS:
        text = path.read_text("utf-8", "replace")
        return Imported(lightgbm_onnx(text), "lightgbm", _lightgbm_names(text), {})
    endings = ", ".join((".onnx", *TEXTS, *PICKLES))
    raise InputError(f"{path}: found the ending {ending or 'none'}; allowed: {endings}")


def _size(path: Path) -> int:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    if not path.is_file() or size > _FILE_BYTES_MAX:
        raise InputError(f"{path}: allowed is a file of at most {_FILE_BYTES_MAX:,} bytes")
    return size


def _lightgbm_names(text: str) -> tuple[str, ...]:
    for line in text.splitlines()[:50]:
        if line.startswith("feature_names="):
            names = tuple(line[14:].split())
            return () if names[:1] == ("Column_0",) else names
    return ()


def _unpickled(path: Path, trusted: bool, say: Callable[[str], None]) -> Imported:
    if not trusted:
        raise ConfigurationError(
            f"{path}: is a pickle: loading it runs whatever code its author put into it. If you trust them, repeat with"
            " --trusted; ONNX and LightGBM's text need no trust"
        )
    say(
        f"Loading {path} once, in a process without network, and converting it to ONNX. Code in the file runs with your"
        " rights on this machine. Afterwards only the ONNX file is used."
    )
    with tempfile.TemporaryDirectory(prefix="counterfoil-import-") as name:
        folder = Path(name)
        said = _converted(path.resolve(), folder)
        onnx = (folder / "model.onnx").read_bytes()
        rows, expected = np.load(folder / "rows.npy"), np.load(folder / "expected.npy")
    inputs = tuple(Input(f"column {number}", "float") for number in range(int(said["features"])))
    model = load_model(onnx, Signature("imported", said["kind"], "", inputs))
    difference = float(np.abs(model.score(rows) - expected).max())
    if not difference <= TOLERANCE:
        raise InputError(
            f"{path}: the converted model differs from the original by {difference:.3g} on random rows; allowed:"
            f" {TOLERANCE:g}. Export it to ONNX with its own tools and import that"
        )
    return Imported(onnx, said["kind"], tuple(said["names"]), said["libraries"], said["isolation"], difference)


def _converted(path: Path, folder: Path) -> dict[str, Any]:
    """Run the conversion in a process of its own and return what it says."""
    kept = ("PATH", "HOME", "LANG", "NUMBA_CACHE_DIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    environment |= {"PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(folder)}
    command = [sys.executable, "-m", "counterfoil.models.unpickling", str(path), str(folder)]
    try:
        done = subprocess.run(  # noqa: S603 - our own module, on a file that the user trusts
            command, capture_output=True, timeout=_SECONDS, env=environment, cwd=folder, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise InputError(f"{path}: converting it took more than {_SECONDS:g} s") from error
    result = folder / "said.json"
    if done.returncode != 0 or not result.exists():
        tail = done.stderr.decode("utf-8", "replace").strip()[-300:]
        raise InputError(f"{path}: the process that converts it ended with {done.returncode}: {tail}")
    said: dict[str, Any] = json.loads(result.read_text("utf-8"))
    if "error" in said:
        raise InputError(f"{path}: {said['error']}")
    return said


def inputs_of(
    names: Sequence[str], variables: Mapping[str, Variable], missing: float | None = None
) -> tuple[Input, ...]:
    """Return the inputs that some names of a detector stand for.

    Parameters
    ----------
    names
        Features, or fields of decided events, in the order of the model's columns.
    variables
        What the detector has.
    missing
        What null becomes; None where the model takes missing values.

    Raises
    ------
    InputError
        If the detector lacks one, or it is text.
    """
    inputs = []
    for name in names:
        variable = variables.get(name)
        if variable is None:
            hint = nearest(name, variables) or "name the columns with --inputs"
            raise InputError(f'inputs: found "{name}"; allowed: features and fields of the detector; {hint}')
        if variable.type.base is Base.TEXT:
            raise InputError(
                f'inputs: found "{name}", which is text; its values must be listed: write a signature file'
            )
        inputs.append(Input(name, variable.type.base.value, missing))
    return tuple(inputs)
