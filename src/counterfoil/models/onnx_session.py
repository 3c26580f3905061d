"""Everything that is neither trees nor linear: onnxruntime, in blocks of one size.

Blocks of one size, because its kernels choose other orders of summation for other numbers of rows: a score would depend
on the batch in its last bit, and a repeat would not be equal.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from counterfoil.errors import ConfigurationError, InputError
from counterfoil.models import kernel, probing
from counterfoil.models.onnx_file import DOUBLE, Graph
from counterfoil.models.probing import PROBE_MEMORY, ROWS
from counterfoil.models.signature import Signature

PROBE_SECONDS = 60.0
"""However busy the machine is; the process's own time is bounded far below."""


def _runtime() -> Any:
    try:
        import onnxruntime  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ConfigurationError(
            "this model is neither trees nor linear and needs onnxruntime: pip install 'counterfoil[models]'"
        ) from error
    return onnxruntime


class OnnxSession:
    """A model in onnxruntime.

    Parameters
    ----------
    onnx
        The bytes of a file that ``read_onnx`` has checked.
    graph
        What it found.
    signature
        Which output is the score.
    """

    def __init__(self, onnx: bytes, graph: Graph, signature: Signature) -> None:
        runtime = _runtime()
        options = runtime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = runtime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise InputError(f"model file: onnxruntime refuses it: {str(error)[:300]}") from error
        self._options = runtime.RunOptions
        self._input, self._output, self._column = graph.input, signature.output, signature.column
        self._type = np.float64 if graph.element == DOUBLE else np.float32
        self._stop: Any = None

    def score(self, columns: kernel.Floats) -> kernel.Doubles:
        """Return the score of each row of (features, rows)."""
        rows = columns.shape[1]
        out = np.empty(rows)
        block = np.zeros((ROWS, columns.shape[0]), self._type)
        for start in range(0, rows, ROWS):
            count = min(ROWS, rows - start)
            block[:count] = columns[:, start : start + count].T
            out[start : start + count] = self._block(block)[:count]
        return out

    def _block(self, block: Any) -> Any:
        found = np.asarray(self._session.run([self._output], {self._input: block})[0])
        if found.shape[:1] != (ROWS,) or found.ndim > 2 or found.dtype.kind != "f":
            raise InputError(
                f'model file: the output "{self._output}" is {found.dtype} of shape {found.shape};'
                " allowed: one row of floats for each row of the input"
            )
        return found.astype(np.float64) if found.ndim == 1 else found[:, self._column].astype(np.float64)


def probe(onnx: bytes, graph: Graph, signature: Signature) -> None:
    """Load and run a file once in a process with little memory and time.

    Parameters
    ----------
    onnx
        The bytes of a file that ``read_onnx`` has checked.
    graph, signature
        What it found, and what is expected.

    Raises
    ------
    InputError
        If it fails there, or needs too much.
    """
    _runtime()
    kind = "float64" if graph.element == DOUBLE else "float32"
    with tempfile.TemporaryDirectory(prefix="counterfoil-probe-") as folder:
        model = Path(folder, "model.onnx")
        model.write_bytes(onnx)
        environment = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME")}
        environment |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, probing.__file__, str(model), graph.input, kind, str(len(signature.inputs))]
        try:
            done = subprocess.run(  # noqa: S603 - our own module, and a file that was just written
                [*command, signature.output],
                capture_output=True,
                timeout=PROBE_SECONDS,
                env=environment,
                check=False,
                cwd=folder,
            )
        except subprocess.TimeoutExpired as error:
            raise InputError(f"model file: trying it took more than {PROBE_SECONDS:g} s") from error
    if done.returncode != 0:
        reason = done.stdout.decode("utf-8", "replace").strip()[-300:] or f"it ended with {done.returncode}"
        raise InputError(f"model file: trying it on {ROWS} rows in {PROBE_MEMORY >> 20} MiB failed: {reason}")
