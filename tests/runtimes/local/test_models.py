"""Models in the local runtime: arms, swaps under load, fences; and everything performed again, bit for bit."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from structlog.testing import capture_logs

from counterfoil.backtest.replay import Backtest
from counterfoil.errors import InputError, StorageError
from counterfoil.models.mapping import IDENTITY
from counterfoil.models.registry import FolderRegistry
from counterfoil.models.signature import Signature
from counterfoil.runtimes.local.log import StateLog
from counterfoil.runtimes.local.outputs import read_decisions
from counterfoil.runtimes.local.runtime import FIXED_CLOCK_VARIABLE, LocalRuntime
from counterfoil.runtimes.local.store import Store
from tests.runtimes.local.models_sample import DETECTOR, INPUTS, add_versions, config, weights
from tests.runtimes.sample import sample_lines, write_lines

pytest.importorskip("onnx")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(FIXED_CLOCK_VARIABLE, "1767900000000000")
    write_lines(tmp_path / "in.ndjson", sample_lines(1500))
    add_versions(tmp_path / "registry", 3).close()
    return tmp_path


def run(folder: Path, **more: Any) -> LocalRuntime:
    with LocalRuntime(config(folder, **more), DETECTOR) as runtime:
        runtime.run()
    return runtime


def decisions(folder: Path, out: str = "out.ndjson") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / out).read_text().splitlines()]


def promote(folder: Path, number: int) -> None:
    with FolderRegistry(folder / "registry") as opened:
        opened.promote("sample", number, "champion", "test", "a swap")


def forget_snapshots(folder: Path) -> None:
    store = Store(folder)
    for snapshot in store.snapshots():
        store.remove_snapshot(snapshot.blocks)
    store.close()


def test_each_decision_names_its_model_and_arm(folder: Path) -> None:
    run(folder)
    found = decisions(folder)
    arms = Counter(each["models"]["fraud"]["arm"] for each in found)
    assert set(arms) == {"fraud", "arm"}
    for each in found:
        fraud, watched = each["models"]["fraud"], each["models"]["next"]
        assert fraud["model"] == ("sample@2" if fraud["arm"] == "arm" else "sample@1")
        assert watched["shadow"] is True
        assert 0 <= fraud["score"] <= 1
        assert ("odd" in [rule["name"] for rule in each["rules"]]) == (fraud["score"] > 0.8)
        if fraud["arm"] == "arm":
            assert fraud["raw"] == watched["raw"]
    raised = [each for each in found if each["outcome"] != "approve"]
    assert raised
    assert all(each["model_reasons"]["fraud"]["features"] for each in raised)


@pytest.mark.parametrize(("batch", "shards"), [(1, 1), (37, 3), (4096, 8)])
def test_decisions_do_not_depend_on_batches_and_shards(folder: Path, batch: int, shards: int) -> None:
    run(folder)
    run(folder, state="other", out="other.ndjson", batch=batch, shards=shards)
    assert (folder / "other.ndjson").read_bytes() == (folder / "out.ndjson").read_bytes()


def test_a_customer_stays_in_an_arm_over_restarts_and_when_its_share_grows(folder: Path) -> None:
    from dataclasses import replace

    from counterfoil.events.identity import IdentityKey
    from counterfoil.program import Program

    def arms(share: float) -> np.ndarray[Any, np.dtype[np.uint8]]:
        uses = tuple(replace(use, share=share) if use.share is not None else use for use in DETECTOR.models)
        program = Program(replace(DETECTOR, models=uses), IdentityKey(b"k"))
        keys = np.random.default_rng(1).integers(-(2**63), 2**63 - 1, (4, 100_000))
        return program.models.assign(keys, np.arange(100_000))[0]

    small, again, large = arms(0.1), arms(0.1), arms(0.25)
    assert (small == again).all()
    assert abs((small == 1).mean() - 0.1) < 0.005
    assert abs((large == 1).mean() - 0.25) < 0.005
    assert (large[small == 1] == 1).all()


def test_a_swap_between_two_runs_is_performed_again_as_it_was(folder: Path) -> None:
    lines = (folder / "in.ndjson").read_bytes().splitlines(keepends=True)
    (folder / "in.ndjson").write_bytes(b"".join(lines[:700]))
    run(folder)
    promote(folder, 3)
    (folder / "in.ndjson").write_bytes(b"".join(lines))
    run(folder)
    found = decisions(folder)
    assert {each["models"]["fraud"]["model"] for each in found} == {"sample@1", "sample@2", "sample@3"}
    forget_snapshots(folder / "state")
    # Not even the registry is needed for a repeat.
    (folder / "registry").rename(folder / "gone")
    with LocalRuntime(config(folder), DETECTOR) as runtime:
        assert runtime.recovery.replayed_events > 1_000
        assert runtime._models is not None
        assert runtime._models.lineup()[0].reference == "sample@3"  # type: ignore[union-attr]
    for each in (found[10], found[-10]):
        explained = StateLog(folder / "state", None).explain(each["id"])
        assert explained.equal
        assert explained.models["fraud"]["raw"] == each["models"]["fraud"]["raw"]
        assert explained.models["fraud"]["why"]["features"]


def test_a_damaged_copy_of_a_model_is_found(folder: Path) -> None:
    run(folder)
    forget_snapshots(folder / "state")
    for path in (folder / "state" / "models").glob("*.onnx"):
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(StorageError, match="served here and cannot be read"), LocalRuntime(config(folder), DETECTOR):
        pass


def test_swaps_under_load_lose_nothing_and_double_nothing(folder: Path) -> None:
    write_lines(folder / "in.ndjson", sample_lines(12_000, seed=5))
    run(folder, state="quiet", out="quiet.ndjson", batch=64)
    stopped = threading.Event()

    def swap() -> None:
        number = 1
        while not stopped.wait(0.05):
            number = 4 - number
            promote(folder, number)

    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        run(folder, batch=64)
    finally:
        stopped.set()
        swapper.join()
    quiet, found = decisions(folder, "quiet.ndjson"), decisions(folder)
    assert [each["id"] for each in found] == [each["id"] for each in quiet]
    served = {each["models"]["fraud"]["model"] for each in found if each["models"]["fraud"]["arm"] == "fraud"}
    assert served == {"sample@1", "sample@3"}
    store = Store(folder / "state", read_only=True)
    for _, records in read_decisions(store, 0, store.totals.blocks):
        assert records.models is not None
        assert len(records.models.served) == 3
    store.close()
    forget_snapshots(folder / "state")
    with LocalRuntime(config(folder), DETECTOR) as runtime:
        assert runtime.recovery.replayed_blocks > 50


def test_a_promotion_takes_effect_within_a_second(folder: Path) -> None:
    with LocalRuntime(config(folder), DETECTOR) as runtime:
        assert runtime._models is not None
        assert runtime._models.lineup()[0].reference == "sample@1"  # type: ignore[union-attr]
        promote(folder, 3)
        deadline = time.monotonic() + 1.0
        while runtime._models.lineup()[0].reference != "sample@3":  # type: ignore[union-attr]
            assert time.monotonic() < deadline
            time.sleep(0.01)


class Broken:
    """A scorer that does something wrong."""

    def __init__(self, how: str) -> None:
        self.how = how

    def score(self, columns: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        if self.how == "raised":
            raise ValueError("no")
        if self.how == "overran":
            time.sleep(0.3)
        return np.full(columns.shape[1], np.nan)


@pytest.mark.parametrize(("how", "said"), [("raised", "raised"), ("overran", "overran"), ("nan", "no score")])
def test_a_model_that_fails_is_fenced_off_and_rules_decide(
    folder: Path, how: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_lines(folder / "in.ndjson", sample_lines(400))
    with LocalRuntime(config(folder, batch=50), DETECTOR) as runtime:
        assert runtime._models is not None
        champion = runtime._models.lineup()[0]
        assert champion is not None
        champion.model._scorer = Broken(how)
        champion.model.engine = "onnxruntime"
        runtime._models.uses = tuple(_hasty(use) for use in runtime._models.uses)
        runtime.run()
        failures = {
            (sample.labels["model"], sample.labels["reason"]): sample.value
            for metric in runtime.metrics.model_failures.collect()
            for sample in metric.samples
            if sample.name.endswith("_total")
        }
        assert (how == "nan") != bool(failures)
    found = decisions(folder)
    reasons = {each["models"]["fraud"].get("failed") for each in found if each["models"]["fraud"]["arm"] == "fraud"}
    assert said in reasons
    assert reasons <= {said, "fenced"}
    silent = [each for each in found if each["models"]["fraud"]["arm"] == "fraud"]
    assert all(each["models"]["fraud"]["score"] is None for each in silent)
    assert any(each["rules"] for each in silent)
    assert all(each["models"]["fraud"]["score"] is not None for each in found if each not in silent)
    if how != "nan":
        # What happened is recorded: the repeat does not ask a model that gave nothing then.
        forget_snapshots(folder / "state")
        with LocalRuntime(config(folder), DETECTOR) as runtime:
            assert runtime.recovery.replayed_events > 300


def _hasty(use: Any) -> Any:
    from dataclasses import replace

    return replace(use, budget=100_000)


def test_an_arm_that_fails_is_spoken_for_by_its_model(folder: Path) -> None:
    with LocalRuntime(config(folder), DETECTOR) as runtime:
        assert runtime._models is not None
        arm = runtime._models.lineup()[1]
        assert arm is not None
        arm.model._scorer = Broken("raised")
        runtime.run()
    assert {each["models"]["fraud"]["arm"] for each in decisions(folder)} == {"fraud"}


def test_a_back_test_scores_as_the_run_did(folder: Path) -> None:
    run(folder)
    seen: list[Any] = []
    Backtest(
        DETECTOR,
        (folder / "in.ndjson",),
        models=str(folder / "registry"),
        on_decided=lambda batch, decided, labels: seen.append(decided),
    ).run()
    raw = np.concatenate([each.models.acted(0) for each in seen])
    assert raw.tolist() == [each["models"]["fraud"]["score"] for each in decisions(folder)]


def test_a_model_that_is_not_there_is_told_at_the_start(folder: Path) -> None:
    from counterfoil.detector_file import read_detector
    from tests.runtimes.local.models_sample import WITH_MODELS

    other = read_detector(WITH_MODELS.replace("sample@champion", "sampel@champion"))
    with pytest.raises(InputError, match=r"models\.fraud: .*sampel@champion"), LocalRuntime(config(folder), other):
        pass


def test_a_model_of_another_version_of_the_detector_serves_with_a_warning(folder: Path) -> None:
    with FolderRegistry(folder / "registry") as registry:
        registry.add(weights(3), Signature("sample", "logistic", "sample@before", INPUTS), "test", "older")
    with capture_logs() as logs, LocalRuntime(config(folder), DETECTOR) as runtime:
        assert runtime._models is not None
        promote(folder, 4)
        # Its own thread looks at the registry: another look beside it would use the connection of that thread.
        until = time.monotonic() + 60
        while (serving := runtime._models.lineup()[0]) is None or serving.reference != "sample@4":
            assert time.monotonic() < until
            time.sleep(0.01)
    warnings = [each for each in logs if "another version of the detector" in each["event"]]
    assert [(each["model"], each["trained_on"], each["detector"]) for each in warnings] == [
        ("sample@4", "sample@before", DETECTOR.version)
    ]


def test_a_new_version_that_does_not_fit_is_refused_and_the_old_serves(folder: Path) -> None:
    from counterfoil.models.signature import Input
    from tests.models.making import linear_of

    with FolderRegistry(folder / "registry") as registry:
        strange = Signature("sample", "logistic", "other@0", (Input("moon_phase", "float"),))
        registry.add(linear_of([1.0]), strange, "test", "does not fit")
    with LocalRuntime(config(folder), DETECTOR) as runtime:
        assert runtime._models is not None
        promote(folder, 4)
        time.sleep(0.3)
        assert runtime._models.lineup()[0].reference == "sample@1"  # type: ignore[union-attr]
        runtime.run()
    assert len(decisions(folder)) > 1_000


def test_single_calls_are_scored_too(folder: Path) -> None:
    line = next(each for each in sample_lines(50, poison=False) if b'"payment"' in each)
    with LocalRuntime(config(folder), DETECTOR) as runtime:
        answer = runtime.decide(line)
    assert answer.decision is not None
    assert answer.decision["models"]["fraud"]["model"] in ("sample@1", "sample@2")


def test_a_version_that_comes_back_is_on_its_former_scale(folder: Path) -> None:
    write_lines(folder / "in.ndjson", sample_lines(5_000, seed=11, poison=False))
    with LocalRuntime(config(folder), DETECTOR) as runtime:
        runtime.run()
        models = runtime._models
        assert models is not None
        seen = {}
        for turn, number in enumerate((3, 1, 3, 1)):
            promote(folder, number)
            deadline = time.monotonic() + 5.0
            while models.lineup()[0].reference != f"sample@{number}":  # type: ignore[union-attr]
                assert time.monotonic() < deadline
                time.sleep(0.01)
            seen[turn] = models.lineup()[0].mapping  # type: ignore[union-attr]
    assert seen[0].rows > 2_000
    assert seen[1] is IDENTITY
    assert (seen[2], seen[3]) == (seen[0], seen[1])


def test_thresholds_keep_their_alert_rate_over_a_swap(folder: Path) -> None:
    lines = sample_lines(9_000, seed=11, poison=False)
    write_lines(folder / "in.ndjson", lines[:5_000])
    with LocalRuntime(config(folder), DETECTOR) as runtime:
        runtime.run()
        promote(folder, 3)
        assert runtime._models is not None
        deadline = time.monotonic() + 5.0
        while runtime._models.lineup()[0].reference != "sample@3":  # type: ignore[union-attr]
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert runtime._models.lineup()[0].mapping.rows > 2_000  # type: ignore[union-attr]
        write_lines(folder / "in.ndjson", lines)
        runtime.run()
    spoke = [each["models"]["fraud"] for each in decisions(folder)]
    before = np.array([each["score"] for each in spoke if each["model"] == "sample@1"])
    after = np.array([each["score"] for each in spoke if each["model"] == "sample@3"])
    raw = np.array([each["raw"] for each in spoke if each["model"] == "sample@3"])
    threshold = np.quantile(before, 0.8)
    assert abs((after >= threshold).mean() / (before >= threshold).mean() - 1) < 0.10
    assert abs((raw >= threshold).mean() / (before >= threshold).mean() - 1) > 0.15
    # The mapping is recorded, too.
    forget_snapshots(folder / "state")
    with LocalRuntime(config(folder), DETECTOR) as runtime:
        assert runtime.recovery.replayed_events > 8_000
        assert runtime._models is not None
        assert runtime._models.lineup()[0].mapping.rows > 2_000  # type: ignore[union-attr]
