"""The README's four commands between topics work as they stand, and find what is there to be found."""

from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO

from tests.cli.conftest import Command, command
from tests.integration.kafka import Broker

__all__ = ["command"]

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(sys.executable).parent / "counterfoil"
SECONDS = 240.0
"""The kernels may have to be compiled meanwhile."""


def commands(kafka: Broker, folder: Path) -> list[list[str]]:
    """Return the commands of the README, for this broker, with topics and a folder of their own."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    block = re.search(r"## Between topics of Kafka.*?^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert block is not None
    lines = block[1].splitlines()
    for name in ("transactions", "fraud"):
        lines = [re.sub(rf"(?<=[/,]){name}\b", f"{kafka.name}-{name}", line) for line in lines]
    lines = [line.replace("localhost:9092", kafka.address) for line in lines]
    words = [shlex.split(line) for line in lines]
    assert [each[0] for each in words] == ["counterfoil"] * 4
    return [[str(folder / word) if word == "fraud-state" else word for word in each[1:]] for each in words]


@contextmanager
def started(words: list[str], output: IO[str] | int) -> Iterator[subprocess.Popen[str]]:
    """Run a command beside the others, as in a terminal of its own."""
    process = subprocess.Popen([PROGRAM, *words], stdout=output, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stderr is not None
        process.stderr.close()


def stop(process: subprocess.Popen[str]) -> str:
    """Press Ctrl-C; return what it said on standard error."""
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, said
    assert "Traceback" not in said
    return said


def pairs_over_the_limit(lines: list[bytes]) -> set[tuple[str, str]]:
    """Return who sent whom more than 10,000 within ten minutes: one look at each line, no state, no streaming."""
    sent: dict[tuple[str, str], list[tuple[float, int]]] = {}
    for line in lines:
        time_text, sender, receiver, amount = line.decode().split(";")
        at = datetime.strptime(time_text, "%A, %d-%b-%y %H:%M:%S %Z").timestamp()
        sent.setdefault((sender, receiver), []).append((at, int(amount)))
    return {
        pair
        for pair, found in sent.items()
        if any(sum(amount for then, amount in found if at - 600 < then <= at) > 10_000 for at, _ in found)
    }


def test_the_classic_demo(command: Command, kafka: Broker, tmp_path: Path) -> None:
    topics, generate, run, alerts = commands(kafka, tmp_path)
    assert command(*topics).exit_code == 0
    shown = tmp_path / "shown.txt"
    with (
        started(generate, subprocess.DEVNULL) as generator,
        started(run, subprocess.DEVNULL) as detector,
        shown.open("w") as screen,
        started(alerts, screen) as viewer,
    ):
        deadline = time.monotonic() + SECONDS
        while "over-limit@" not in shown.read_text():
            assert time.monotonic() < deadline, "no alert was shown"
            assert {generator.poll(), detector.poll(), viewer.poll()} == {None}
            time.sleep(0.2)
        # In the midst of it, as the README invites to.
        detector.kill()
        detector.wait()
        with started(run, subprocess.DEVNULL) as again:
            threading.Event().wait(2)
            assert " events to kafka://" in stop(generator)
            stop(again)
        rest = command(*run, "--until-end")
        assert rest.exit_code == 0, rest.stderr
        time.sleep(2)
        assert stop(viewer) == ""

    lines = kafka.values(f"{kafka.name}-transactions")
    wanted = pairs_over_the_limit(lines)
    assert wanted
    written = [json.loads(value) for value in kafka.values(f"{kafka.name}-fraud")]
    found = {(each["key"]["sender"], each["key"]["receiver"]) for each in written if each["rules"] == ["over-limit"]}
    assert found == wanted
    seen = set(re.findall(r"(over-limit@\d+)", shown.read_text()))
    assert seen == {each["alert"] for each in written if each["rules"] == ["over-limit"]}
    listed = command("alerts", "--state", tmp_path / "fraud-state", "--json").stdout.splitlines()
    assert {json.loads(line)["alert"] for line in listed} == {each["alert"] for each in written}
