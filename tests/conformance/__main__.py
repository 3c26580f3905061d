"""``make conformance``: a line a runtime: cases, equal, gaps."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.conformance.cases import CASES, FLINK_GAPS, GAPS, SPARK_GAPS, WITH_MODELS
from tests.conformance.engines import carry_out, prepare, python_of

ENGINES = {"spark": (*GAPS, *SPARK_GAPS), "flink": (*GAPS, *FLINK_GAPS)}


def main() -> int:
    """Compare every engine that is installed with the local runtime; return the exit code."""
    failed = 0
    cases = [(case, shards) for case in (*CASES, WITH_MODELS) for shards in (1, 3)]
    print(f"local: {len(cases)} cases, the reference")  # noqa: T201
    for engine, gaps in ENGINES.items():
        if not python_of(engine).exists():
            print(f"{engine}: not installed; run: make .venv-{engine}")  # noqa: T201
            failed = 1
            continue
        with tempfile.TemporaryDirectory() as made:
            folder = Path(made)
            runs = prepare(cases, folder, engine)
            said = carry_out(runs, folder, engine)
            different = [run.name for run in runs if not run.equal()]
        named = ", ".join(gap.name for gap in gaps)
        print(f"{engine}: {len(runs)} cases, {len(runs) - len(different)} equal, {len(gaps)} gaps ({named})")  # noqa: T201
        for name in different:
            print(f"  differs: {name}")  # noqa: T201
        if said:
            print(said, file=sys.stderr)  # noqa: T201
        failed |= bool(different or said)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
