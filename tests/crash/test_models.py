"""Models are promoted all the time while the process is killed again and again: nothing is lost, nothing is double."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from counterfoil.models.registry import FolderRegistry
from counterfoil.runtimes.local.runtime import LocalRuntime
from counterfoil.runtimes.local.store import Store
from tests.runtimes.local.models_sample import DETECTOR, WITH_MODELS, add_versions, config
from tests.runtimes.sample import sample_lines, write_lines

pytest.importorskip("onnx")
KILLS = 4

CONFIG = """
detector: {folder}/sample.yaml
source: {{path: {folder}/in.ndjson}}
sinks: [{{path: {folder}/out.ndjson}}]
state: {{folder: {folder}/state}}
limits: {{batch_events: 64, commit_events: 64}}
models: {{registry: {folder}/registry, poll_ms: 20}}
"""


def start(folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "counterfoil", "run", str(folder / "run.yaml"), "--quiet"]
    return subprocess.Popen(command, stderr=subprocess.PIPE)


def swap_until(stopped: threading.Event, folder: Path) -> None:
    number = 1
    with FolderRegistry(folder / "registry") as registry:
        while not stopped.wait(0.06):
            number = 4 - number
            registry.promote("sample", number, "champion", "test", "a swap under load")


def test_swaps_and_kills_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    write_lines(tmp_path / "in.ndjson", sample_lines(16_000, seed=9))
    (tmp_path / "sample.yaml").write_text(WITH_MODELS)
    (tmp_path / "run.yaml").write_text(CONFIG.format(folder=tmp_path))
    add_versions(tmp_path / "registry", 3).close()
    with LocalRuntime(config(tmp_path, state="quiet", out="quiet.ndjson"), DETECTOR) as runtime:
        expected = runtime.run()
    draw, stopped = random.Random(4), threading.Event()
    swapper = threading.Thread(target=swap_until, args=(stopped, tmp_path))
    swapper.start()
    killed = 0
    try:
        for _ in range(40):
            process = start(tmp_path)
            begun = _size(tmp_path)
            while process.poll() is None and killed < KILLS:
                if _size(tmp_path) > begun:
                    time.sleep(draw.random() * 0.4)
                    process.send_signal(signal.SIGKILL)
                time.sleep(0.01)
            _, errors = process.communicate(timeout=120)
            if process.returncode == 0:
                break
            assert process.returncode == -signal.SIGKILL, errors.decode()
            killed += 1
    finally:
        stopped.set()
        swapper.join()
    assert killed >= 1
    found = [json.loads(line) for line in (tmp_path / "out.ndjson").read_text().splitlines()]
    quiet = [json.loads(line)["id"] for line in (tmp_path / "quiet.ndjson").read_text().splitlines()]
    assert [each["id"] for each in found] == quiet
    assert len(found) == expected.decided
    served = {each["models"]["fraud"]["model"] for each in found if each["models"]["fraud"]["arm"] == "fraud"}
    assert served == {"sample@1", "sample@3"}
    # Everything again, with whatever served each block: a decision that differs is an error of its own.
    store = Store(tmp_path / "state")
    for snapshot in store.snapshots():
        store.remove_snapshot(snapshot.blocks)
    store.close()
    with LocalRuntime(config(tmp_path), DETECTOR) as runtime:
        assert runtime.recovery.replayed_events > 10_000


def _size(folder: Path) -> int:
    path = folder / "out.ndjson"
    return path.stat().st_size if path.exists() else 0
