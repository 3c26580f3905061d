"""A model that fails within a job gives no scores, and the rules decide."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from counterfoil.events.decode_json import JsonDecoder
from counterfoil.events.decoding import DecoderSettings
from counterfoil.events.identity import IdentityKey
from counterfoil.models.model import Model
from counterfoil.runtimes.engine.job import Job
from counterfoil.runtimes.engine.models import pinned_models
from tests.runtimes.engine.in_process import InProcess, in_batches
from tests.runtimes.local.models_sample import DETECTOR, add_versions
from tests.runtimes.sample import sample_lines

KEY = IdentityKey()


@pytest.mark.parametrize("shards", [1, 3])
def test_a_model_that_raises_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shards: int) -> None:
    add_versions(tmp_path / "registry")
    models = pinned_models(DETECTOR, KEY, str(tmp_path / "registry"))
    assert models["fraud"].reference == "sample@1"
    job = Job(DETECTOR, KEY, shards, models=models, clock=1)
    # Travelling changes nothing.
    job = Job.decode(job.encode())
    lines = b"\n".join(sample_lines(600, poison=False))
    batch = JsonDecoder(DETECTOR.schema, DecoderSettings(), KEY, 1 << 60).decode(lines, 0, 1 << 60).batch
    sound = InProcess(job)
    sound.run(in_batches(batch, 100))
    assert b'"model":"sample@1"' in sound.results[0].data

    def failing(self: Model, columns: object) -> object:
        raise RuntimeError("no memory")

    monkeypatch.setattr(Model, "score_columns", failing)
    broken = InProcess(replace(job))
    broken.run(in_batches(batch, 100))
    assert [len(each.positions) for each in broken.results] == [len(each.positions) for each in sound.results]
    assert b'"failed":"no score"' in broken.results[0].data
    assert not np.array_equal(broken.results[0].digests, sound.results[0].digests)
