"""The watch beside a run: what is watched, what is told, and what happens at a swap."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast

import msgspec
import numpy as np
import numpy.typing as npt
import pytest
from prometheus_client import CollectorRegistry

from counterfoil.models.definition import ModelUse
from counterfoil.models.drift import DriftSettings
from counterfoil.models.matrix import matrix_of_frame
from counterfoil.models.model import Model, load_model
from counterfoil.models.scores import FENCED, SERVED, ModelScores, Served
from counterfoil.models.serving import ModelHost
from counterfoil.models.serving_model import ServingModel
from counterfoil.runtimes.local.drift_watch import DriftWatch
from tests.training.demo_model import DAY, INPUTS, frame, model, write

USES = (ModelUse("fraud", "demo@champion"), ModelUse("next", "demo@2", 0.5, "customer", "fraud"))
SETTINGS = DriftSettings(every=4, rows_min=500)


@dataclass
class _Host:
    """What the watch asks of the host of models."""

    served: tuple[ServingModel | None, ...]

    def lineup(self) -> tuple[ServingModel | None, ...]:
        return self.served


@pytest.fixture
def loaded(tmp_path: Path) -> Model:
    onnx, signature = model(write(frame(np.random.default_rng(1), 20_000), tmp_path / "then.parquet"))
    return load_model(onnx, signature)


def show(
    watch: DriftWatch,
    loaded: Model,
    reference: str,
    day: int,
    shift: float = 1.0,
    share: float = 0.0,
    status: str = SERVED,
) -> None:
    """Show a watch the payments of a little more than a day; a share of them was asked of the arm."""
    random = np.random.default_rng(day)
    table = frame(random, 8_000, day, 1, shift)
    matrix = matrix_of_frame(table, INPUTS)
    times = day * DAY + np.linspace(0, 1.01 * DAY, len(matrix)).astype(np.int64)
    for at in range(0, len(matrix), 500):
        part = matrix[at : at + 500]
        raw = np.stack([loaded.score(part), np.full(len(part), np.nan)])
        arm = np.zeros((1, len(part)), np.uint8)
        of_arm = random.random(len(part)) < share
        raw[1, of_arm], raw[0, of_arm], arm[0, of_arm] = raw[0, of_arm], np.nan, 1
        served = (
            Served("fraud", reference, loaded.sha256, "", status),
            Served("next", "demo@9", loaded.sha256, "", SERVED),
        )
        columns: npt.NDArray[np.float32] = np.ascontiguousarray(part.T)
        scores = ModelScores(USES, served, raw, raw, arm, (0,), {0: columns, 1: columns})
        watch.observe(scores, times[at : at + 500])


def sample(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(f"counterfoil_drift_{name}", labels)


def watching(registry: CollectorRegistry, loaded: Model, reference: str = "demo@1") -> tuple[DriftWatch, _Host]:
    host = _Host((ServingModel(reference, loaded), ServingModel("demo@9", loaded)))
    return DriftWatch(registry, cast("ModelHost", host), SETTINGS), host


def test_a_shift_is_told_once_and_a_calm_day_is_not(loaded: Model, capsys: pytest.CaptureFixture[str]) -> None:
    registry = CollectorRegistry()
    watch, _ = watching(registry, loaded)
    for day in (0, 2):
        show(watch, loaded, "demo@1", day)
    assert sample(registry, "windows_total", model="demo@1") == 2
    assert sample(registry, "alarm", model="demo@1", feature="amount") == 0
    for day in (4, 6, 8):
        show(watch, loaded, "demo@1", day, shift=6.0)
    assert sample(registry, "alarm", model="demo@1", feature="amount") == 1
    assert sample(registry, "episodes_total", model="demo@1", feature="amount") == 1
    assert sample(registry, "alarm", model="demo@1", feature="new_device") == 0
    told = capsys.readouterr().err
    assert told.count("feature=amount") + told.count("'feature': 'amount'") <= 1


def test_an_arm_is_watched_on_its_own_payments(loaded: Model) -> None:
    registry = CollectorRegistry()
    watch, _ = watching(registry, loaded)
    show(watch, loaded, "demo@1", 0, share=0.5)
    rows = [sample(registry, "window_rows", model=model) or 0 for model in ("demo@1", "demo@9")]
    assert rows == pytest.approx([1_000, 1_000], rel=0.2)


def test_a_swap_forgets_the_former_version(loaded: Model) -> None:
    registry = CollectorRegistry()
    watch, host = watching(registry, loaded)
    show(watch, loaded, "demo@1", 0)
    other = Model(msgspec.structs.replace(loaded.signature, notes="other"), b"other", loaded._scorer, "linear")
    host.served = (ServingModel("demo@2", other), host.served[1])
    # Batches of the former version that are still on their way are passed over.
    show(watch, loaded, "demo@1", 2)
    show(watch, other, "demo@2", 4)
    assert sample(registry, "psi", model="demo@1", feature="amount") is None
    assert sample(registry, "windows_total", model="demo@2") == 1


def test_what_is_fenced_off_or_has_no_profile_is_not_watched(loaded: Model) -> None:
    registry = CollectorRegistry()
    watch, _ = watching(registry, loaded)
    show(watch, loaded, "demo@1", 0, status=FENCED)
    assert sample(registry, "windows_total", model="demo@1") is None
    bare = Model(msgspec.structs.replace(loaded.signature, profile={}), b"bare", loaded._scorer, "linear")
    watch, _ = watching(registry, bare)
    show(watch, bare, "demo@1", 2)
    assert sample(registry, "windows_total", model="demo@1") is None


def test_two_runs_in_one_process_share_the_metrics(loaded: Model) -> None:
    registry = CollectorRegistry()
    for day in (0, 2):
        show(watching(registry, loaded)[0], loaded, "demo@1", day)
    assert sample(registry, "windows_total", model="demo@1") == 2
