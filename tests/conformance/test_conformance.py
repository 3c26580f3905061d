"""Engines decide what the local runtime decides, to the byte; what they do not do is declared."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from counterfoil.config import RunConfig, parse_config
from counterfoil.detector import Detector
from counterfoil.detector_file import read_detector
from counterfoil.errors import ConfigurationError
from counterfoil.runtimes.flink.gaps import check_gaps as check_flink
from counterfoil.runtimes.spark.gaps import check_gaps as check_spark
from tests.conformance.cases import CASES, FLINK_GAPS, GAPS, SPARK_GAPS, WITH_MODELS, Gap
from tests.conformance.engines import Run, carry_out, prepare, python_of
from tests.conftest import absent

# Every case once, with state in one piece and in three by turns; `make conformance` tries each both ways.
TRIED = [(case, 3 if number % 2 else 1) for number, case in enumerate((*CASES, WITH_MODELS))]
NAMES = [case.name for case, _ in TRIED]
CHECKS: dict[str, Callable[[Detector, RunConfig], None]] = {"spark": check_spark, "flink": check_flink}


@pytest.fixture(scope="module", params=["spark", "flink"])
def runs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """Carry out all cases on an engine."""
    engine = request.param
    if not python_of(engine).exists():
        absent(f"the environment of {engine} (make .venv-{engine})")
    folder = tmp_path_factory.mktemp(engine)
    found = prepare(TRIED, folder, engine)
    said = carry_out(found, folder, engine)
    assert not said, said
    return {run.case.name: run for run in found}


@pytest.mark.parametrize("name", NAMES)
def test_an_engine_writes_what_the_local_runtime_writes(runs: dict[str, Run], name: str) -> None:
    run = runs[name]
    assert run.expected.stat().st_size > 10_000
    assert run.equal(), f"{run.name}: {run.found} is not {run.expected}"


def _gaps() -> list[tuple[str, Gap]]:
    gaps = {"spark": (*GAPS, *SPARK_GAPS), "flink": (*GAPS, *FLINK_GAPS)}
    return [(engine, gap) for engine, declared in gaps.items() for gap in declared]


@pytest.mark.parametrize(("engine", "gap"), _gaps(), ids=lambda each: each if isinstance(each, str) else each.name)
def test_a_declared_gap_is_one(engine: str, gap: Gap) -> None:
    """A gap that closes must leave the declaration, and come into the cases."""
    config = parse_config({"detector": "sample", **gap.settings})
    detector = read_detector(gap.definition)
    with pytest.raises(ConfigurationError, match="allowed"):
        CHECKS[engine](detector, config)


def test_gaps_are_told_all_at_once() -> None:
    settings = {"source": {"type": "stdin"}, "metrics": {"port": 0}}
    with pytest.raises(ConfigurationError) as caught:
        check_spark(read_detector(GAPS[0].definition), parse_config({"detector": "sample", **settings}))
    assert len(str(caught.value).splitlines()) == 2


def test_nothing_else_is_refused(tmp_path: Path) -> None:
    config = parse_config({"detector": "sample", "source": {"path": "in.ndjson"}, "limits": {"shards": 4}})
    for check in CHECKS.values():
        check(WITH_MODELS.load(), config)
