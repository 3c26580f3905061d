"""What is pressed is read as what was not, and damage is found: by Spark's Python, which has Arrow."""

from __future__ import annotations

import subprocess

from tests.conformance.engines import ROOT, python_of
from tests.conftest import absent

PROGRAM = """
import numpy as np
from counterfoil.errors import CorruptionError
from counterfoil.runtimes.engine.blob import decode, encode
from counterfoil.runtimes.engine.pressing import pressed

plain = encode("thing", {"a": np.arange(500), "b": np.ones((2, 3), np.uint8)}, {"note": 1})
data = pressed(plain)
assert len(data) < len(plain) and pressed(data) == data
for form in (data, memoryview(data), bytearray(data)):
    found = decode(form, "thing")
    assert found.meta == {"note": 1} and np.array_equal(found.arrays["a"], np.arange(500))
    assert all(array.flags.writeable for array in found.arrays.values())
damaged = [data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :] for at in range(len(data))]
for form in (*damaged, data[:-1], data[:12], data[:4]):
    try:
        found = decode(form)
    except CorruptionError:
        continue
    # Some bits of zstd's own header say nothing.
    assert found.meta == {"note": 1} and np.array_equal(found.arrays["a"], np.arange(500)), "damage was not found"
"""


def test_what_is_pressed_is_read_and_damage_is_found() -> None:
    if not python_of("spark").exists():
        absent("the environment of spark (make .venv-spark)")
    words = [str(python_of("spark")), "-c", PROGRAM]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2_000:]
