"""Try a model file, in a process of its own: ``python -m counterfoil.models.probing MODEL.onnx MODEL.json``."""

from __future__ import annotations

import resource
import sys
from pathlib import Path


def main(arguments: list[str]) -> int:
    """Load a model and run it once within limits; what is wrong goes to standard output."""
    from counterfoil.models.onnx_session import PROBE_MEMORY, ROWS, OnnxSession  # noqa: PLC0415
    from counterfoil.models.signature import Signature  # noqa: PLC0415

    _limit(PROBE_MEMORY)
    import numpy as np  # noqa: PLC0415

    from counterfoil.errors import CounterfoilError  # noqa: PLC0415
    from counterfoil.models.onnx_file import read_onnx  # noqa: PLC0415

    onnx, signature = Path(arguments[0]).read_bytes(), Signature.decode(Path(arguments[1]).read_bytes())
    try:
        session = OnnxSession(onnx, read_onnx(onnx, signature), signature)
        session.score(np.zeros((len(signature.inputs), ROWS), np.float32))
    except (CounterfoilError, MemoryError) as error:
        return _said(str(error) or "out of memory")
    except Exception as error:
        return _said(f"{type(error).__name__}: {error}")
    return 0


def _limit(memory: int) -> None:
    # Writable memory of its own: libraries that are mapped and threads' reserved stacks do not count.
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (5, 5))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _said(reason: str) -> int:
    sys.stdout.write(reason)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
