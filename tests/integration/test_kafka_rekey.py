"""A topic gets keys of its own, exactly once, whatever ends the copying."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from tests.cli.conftest import Command, command
from tests.integration.kafka import SECONDS, Broker

__all__ = ["command"]

PROGRAM = Path(sys.executable).parent / "counterfoil"
COUNT = 3_000


def fill(kafka: Broker, topic: str, count: int, partitions: int = 3) -> None:
    """Write numbered payments of forty cards, by turns to each partition."""
    for partition in range(partitions):
        numbers = range(partition, count, partitions)
        kafka.produce(topic, [payment(number) for number in numbers], partition=partition)


def payment(number: int) -> bytes:
    card = random.Random(number).randrange(40)
    return json.dumps({"number": number, "card": f"k{card}"}).encode()


def written(kafka: Broker, topic: str) -> int:
    """Return how far a topic goes, uncommitted messages and marks included."""
    return sum(high for _, high in kafka.ends(topic, committed=False).values())


def test_each_key_lies_in_one_partition_and_keeps_its_order(command: Command, kafka: Broker) -> None:
    source, target = kafka.topic("in", partitions=3), kafka.topic("out", partitions=5)
    fill(kafka, source, COUNT)
    kafka.produce(
        source, [b'{"number": 1, "card": null}', b'{"broken', b'{\n "number": 2,\n "card": "k1"\n}'], partition=0
    )
    wanted = (kafka.url(source), target, "--key", "card", "--until-end", "--json")
    done = command("topics", "rekey", *wanted)
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout) == {"messages": COUNT + 3, "keyless": 2, "empty": 0}
    places: dict[bytes | None, set[int | None]] = {}
    found: dict[bytes | None, list[int]] = {}
    for message in kafka.read(target):
        key = message.key()
        if key is None:
            continue
        content = json.loads(message.value() or b"")
        assert content["card"].encode() == key
        places.setdefault(key, set()).add(message.partition())
        found.setdefault(key, []).append(content["number"])
    assert all(len(each) == 1 for each in places.values())
    assert len(found) == 40
    for numbers in found.values():
        for partition in range(3):
            of_one = [each for each in numbers[: len(numbers) - (2 in numbers)] if each % 3 == partition and each != 2]
            assert of_one == sorted(of_one)
    again = command("topics", "rekey", *wanted)
    assert json.loads(again.stdout)["messages"] == 0


def test_lines_are_keyed_by_a_column(command: Command, kafka: Broker) -> None:
    source, target = kafka.topic("in"), kafka.topic("out")
    kafka.produce(source, [b"1;66;26", b"2;67;26", b"3"])
    lines = ("--format", "lines", "--columns", "id,from,to", "--key", "from")
    assert command("topics", "rekey", kafka.url(source), target, *lines, "--until-end").exit_code == 0
    assert Counter(message.key() for message in kafka.read(target)) == {b"66": 1, b"67": 1, None: 1}


def test_a_copy_that_is_killed_loses_and_doubles_nothing(kafka: Broker) -> None:
    source, target = kafka.topic("in", partitions=3), kafka.topic("out", partitions=2)
    count = 150_000
    fill(kafka, source, count)
    arguments = [str(PROGRAM), "topics", "rekey", kafka.url(source), target, "--key", "card", "--until-end"]
    seen = [0]
    for more in (1, 40_000, 80_000):
        child = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + SECONDS
        while written(kafka, target) < more and time.monotonic() < deadline:
            time.sleep(0.01)
        child.kill()
        child.wait()
        seen.append(written(kafka, target))
    assert 0 < seen[1] < count, "killed in the middle"
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    found = Counter(json.loads(message.value() or b"")["number"] for message in kafka.read(target))
    assert found == Counter(range(count))


def test_wrong_use_of_rekey(command: Command, kafka: Broker) -> None:
    topic = kafka.topic()
    missing = f"{kafka.name}-never"
    for arguments, code, said in (
        ((kafka.url(topic), missing, "--key", "card"), 1, f"no topic {missing}; make it first"),
        ((kafka.url(topic), topic, "--key", "card"), 2, "allowed: another topic"),
        ((kafka.url(topic, "b"), "c", "--key", "card"), 2, "found 2 topics"),
        ((kafka.url(topic), "c", "--key", "card", "--format", "lines"), 2, "--columns: allowed with --format lines"),
        ((kafka.url(topic), "c", "--key", "x", "--format", "lines", "--columns", "a,b"), 2, "allowed: a, b"),
        (("kafka://127.0.0.1:1/a", "c", "--key", "x"), 1, "is a broker running there?"),
    ):
        done = command("topics", "rekey", *arguments)
        assert done.exit_code == code, done.stderr
        assert said in " ".join(done.stderr.split())
