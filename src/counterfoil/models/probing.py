"""Try a model file in onnxruntime, in a process of its own with little memory and time.

It gets a file that passed every check, and asks only whether it loads, runs, and gives a row for each row. It imports
nothing of counterfoil: what it costs is the file's own doing.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

PROBE_MEMORY = 448 * 2**20
PROBE_CPU_SECONDS = 3
ROWS = 64
"""Rows of a block: one row costs as much as a block, and a block of a small network takes some 50 µs."""


def main(arguments: list[str]) -> int:
    """Load a model and run it once: its file, input, type, number of columns, and output; what is wrong is printed."""
    resource.setrlimit(resource.RLIMIT_CPU, (PROBE_CPU_SECONDS, PROBE_CPU_SECONDS))
    # Writable memory of its own: libraries that are mapped and threads' reserved stacks do not count.
    resource.setrlimit(resource.RLIMIT_DATA, (PROBE_MEMORY, PROBE_MEMORY))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    import numpy as np  # noqa: PLC0415 - within the limits
    import onnxruntime  # noqa: PLC0415

    path, name, kind, columns, output = arguments
    try:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        data = Path(path).read_bytes()
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        found = session.run([output], {name: np.zeros((ROWS, int(columns)), kind)})[0]
    except MemoryError:
        return _said("out of memory")
    except Exception as error:
        return _said(f"{type(error).__name__}: {error}")
    shape = np.shape(found)
    if shape[:1] != (ROWS,) or len(shape) > 2:
        return _said(f"the output is of shape {shape}; allowed: a row for each row of the input")
    return 0


def _said(reason: str) -> int:
    sys.stdout.write(reason)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
