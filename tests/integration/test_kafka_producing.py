"""Events to topics and alerts from them, against a real broker: `generate`, `produce` and `alerts --from`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from counterfoil.cli import topic_view
from counterfoil.connectors import kafka_producer, kafka_reader
from counterfoil.events.generators import PaymentsGenerator, TransfersGenerator
from counterfoil.stack import Stack
from tests.cli.conftest import Command, command
from tests.integration.kafka import SECONDS, Broker

__all__ = ["command"]

PROGRAM = Path(sys.executable).parent / "counterfoil"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a broker that is not there less time than a user would."""
    monkeypatch.setattr(kafka_producer, "_SETUP_SECONDS", 2.0)
    monkeypatch.setattr(kafka_reader, "_SETUP_SECONDS", 2.0)


def alert(number: int, decisions: int = 1, outcome: str = "review") -> dict[str, Any]:
    """Return an alert as a run writes it to a topic."""
    return {
        "alert": f"over-limit@{number}", "rules": ["over-limit"], "entity": "pair",
        "key": {"sender": str(number), "receiver": "[66]"}, "opened": f"2017-07-23T01:{number:02}:47.000Z",
        "last": f"2017-07-23T01:{number:02}:59.000Z", "decisions": decisions, "first_id": "1", "last_id": "2",
        "outcome": outcome, "score": 0.9, "reasons": ["more than [10000]"], "position": number,
    }  # fmt: skip


def decision(number: int, outcome: str) -> dict[str, Any]:
    """Return a decision as a run writes it to a topic."""
    return {
        "id": f"t{number}", "position": number, "event_time": f"2026-01-05T00:00:{number:02}.000Z", "outcome": outcome,
        "score": 0.8, "rules": [{"name": "big"}], "reasons": ["large"], "late": False,
    }  # fmt: skip


def packed(*contents: dict[str, Any]) -> bytes:
    return b"\n".join(json.dumps(each).encode() for each in contents)


# generate ------------------------------------------------------------------------------------------------------------


def test_generated_payments_arrive_whole_and_each_customer_keeps_its_order(command: Command, kafka: Broker) -> None:
    topic = kafka.topic(partitions=3)
    result = command(
        "generate", "payments", "--count", 5_000, "--customers", 200, "--seed", 3, "--key", "customer_id",
        "--output", kafka.url(topic),
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert f"5,000 events to {kafka.url(topic)}" in result.stderr
    wanted = b"".join(each.to_ndjson() for each in PaymentsGenerator(seed=3, customers=200).chunks(5_000)).splitlines()
    by_customer: dict[str, list[bytes]] = {}
    for line in wanted:
        by_customer.setdefault(json.loads(line)["customer_id"], []).append(line)
    found: dict[str, list[bytes]] = {}
    partitions: dict[str, set[int | None]] = {}
    for message in kafka.read(topic):
        key = (message.key() or b"").decode()
        found.setdefault(key, []).append(message.value() or b"")
        partitions.setdefault(key, set()).add(message.partition())
    assert found == by_customer
    assert all(len(each) == 1 for each in partitions.values())
    assert len(set.union(*partitions.values())) == 3


def test_classic_lines_without_a_key_are_spread(command: Command, kafka: Broker) -> None:
    topic = kafka.topic(partitions=2)
    result = command("generate", "transfers", "--count", 3_000, "--rate", 100_000, "--output", kafka.url(topic))
    assert result.exit_code == 0, result.stderr
    lines = b"".join(each.to_lines() for each in TransfersGenerator(seed=1).chunks(3_000)).splitlines()
    messages = kafka.read(topic)
    assert Counter(message.value() for message in messages) == Counter(lines)
    assert {message.key() for message in messages} == {None}


def test_a_rate_is_held_for_as_long_as_asked(command: Command, kafka: Broker, tmp_path: Path) -> None:
    topic, summary = kafka.topic(), tmp_path / "summary.json"
    # So that the producer's first answer, which a new broker takes a second for, is no part of it.
    assert command("generate", "transfers", "--count", 10, "--output", kafka.url(topic)).exit_code == 0
    result = command(
        "generate", "transfers", "--rate", 2_000, "--seconds", 2, "--output", kafka.url(topic),
        "--summary-json", summary,
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    told = json.loads(summary.read_text())
    assert told["events"] == 4_000
    assert 1.9 <= told["seconds"] <= 2.0 + SECONDS
    assert told["held"] == ("could not be held" not in result.stderr)
    assert len(kafka.values(topic)) == 4_010


def test_a_rate_beyond_all_reach_is_told_with_what_was_reached(command: Command, kafka: Broker, tmp_path: Path) -> None:
    topic, summary = kafka.topic(), tmp_path / "summary.json"
    result = command(
        "generate", "transfers", "--rate", 50_000_000, "--seconds", 2, "--output", kafka.url(topic),
        "--summary-json", summary,
    )  # fmt: skip
    assert result.exit_code == 0
    assert "The rate could not be held: 50,000,000 a second were asked for" in " ".join(result.stderr.split())
    told = json.loads(summary.read_text())
    assert not told["held"]
    # It ends on time all the same, but for what was on its way.
    assert told["behind_seconds"] > 0.5
    assert told["events"] == sum(high - low for low, high in kafka.ends(topic).values())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_it_in_order(kafka: Broker, number: signal.Signals, tmp_path: Path) -> None:
    topic, summary = kafka.topic(), tmp_path / "summary.json"
    run = subprocess.Popen(
        [
            PROGRAM, "generate", "transfers", "--rate", "5000", "--seconds", "600", "--output", kafka.url(topic),
            "--summary-json", summary,
        ],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + SECONDS
        while not any(high > 1_000 for _, high in kafka.ends(topic).values()):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        run.send_signal(number)
        _, said = run.communicate(timeout=SECONDS)
    finally:
        run.kill()
        run.wait()
    assert run.returncode == 0, said
    assert said.startswith("stopped: ")
    assert "Traceback" not in said
    told = json.loads(summary.read_text())
    assert told["stopped"]
    assert told["events"] == sum(high - low for low, high in kafka.ends(topic).values())


def test_what_cannot_be_delivered_is_counted_and_exits_with_1(command: Command, kafka: Broker) -> None:
    topic = kafka.topic(max_message_bytes=400)
    result = command(
        "generate", "payments", "--count", 200, "--customers", 20, "--output", kafka.url(topic),
        "--kafka", "batch.num.messages=1", "--kafka", "compression.type=none",
    )  # fmt: skip
    arrived = len(kafka.values(topic))
    assert arrived < 200
    assert result.exit_code == 1
    assert f"{200 - arrived} events could not be delivered" in " ".join(result.stderr.split())
    assert f"{arrived} event" in result.stderr


def test_one_broken_message_does_not_stop_the_others(command: Command, kafka: Broker, tmp_path: Path) -> None:
    topic, path = kafka.topic(), tmp_path / "some.ndjson"
    path.write_bytes(b'{"n":1}\n{"n":"' + b"x" * 5_000 + b'"}\n{"n":3}\n')
    result = command("produce", path, "--to", kafka.url(topic), "--kafka", "message.max.bytes=2000")
    assert result.exit_code == 1
    assert "1 event could not be delivered" in " ".join(result.stderr.split())
    assert kafka.values(topic) == [b'{"n":1}', b'{"n":3}']


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--output", "kafka://127.0.0.1:1/none"), 1, "is a broker running there?"),
        (("--output", "kafka://{address}/absent-topic"), 1, "counterfoil topics apply"),
        (("--output", "kafka://{address}/one,two"), 2, "found 2 topics; allowed: one"),
        (("--output", "kafka://ann:hunter2@{address}/one"), 2, "no user or password"),
        (("--output", "kafka://{address}/one", "--key", "sendr"), 2, 'did you mean "sender"?'),
        (("--output", "kafka://{address}/one", "--format", "csv"), 2, "allowed for transfers: lines"),
        (("--output", "kafka://{address}/one", "--kafka", "no.such=1"), 2, 'No such configuration property: "no.such"'),
        (("--output", "kafka://{address}/one", "--kafka", "sasl.password=${ABSENT}"), 2, "ABSENT is not set"),
        (("--output", "/dev/null", "--key", "sender"), 2, "--key: found with a file"),
        (("--output", "/dev/null", "--kafka", "linger.ms=1"), 2, "--kafka: found with a file"),
    ],
)
def test_wrong_use_of_generate(
    command: Command, kafka_address: str, arguments: tuple[str, ...], code: int, said: str
) -> None:
    filled = [each.format(address=kafka_address) if "{address}" in each else each for each in arguments]
    result = command("generate", "transfers", "--count", 10, *filled)
    assert result.exit_code == code
    assert said in " ".join(result.stderr.split())
    assert "hunter2" not in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_it_goes_on_when_the_broker_comes_back(own_stack: Any, tmp_path: Path) -> None:
    stack: Stack = own_stack("kafka")
    broker = Broker(stack.up(["kafka"])[0].addresses["kafka"])
    topic, summary = broker.topic(), tmp_path / "summary.json"
    run = subprocess.Popen(
        [
            PROGRAM, "generate", "transfers", "--rate", "2000", "--seconds", "12", "--output", broker.url(topic),
            "--summary-json", summary,
        ],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + SECONDS
        while not any(high > 1_000 for _, high in broker.ends(topic).values()):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        stack.kill("kafka")
        stack.up(["kafka"])
        _, said = run.communicate(timeout=3 * SECONDS)
    finally:
        run.kill()
        run.wait()
    assert run.returncode == 0, said
    told = json.loads(summary.read_text())
    # Nothing lost, nothing twice, in order; and the time without a broker is told.
    assert told["behind_seconds"] > 0
    values = broker.values(topic)
    lines = b"".join(each.to_lines() for each in TransfersGenerator(seed=1).chunks(24_000)).splitlines()
    assert len(values) == told["events"]
    assert values == lines[: len(values)]


# produce -------------------------------------------------------------------------------------------------------------


def test_a_file_is_replayed_in_its_order_with_its_keys(command: Command, kafka: Broker, tmp_path: Path) -> None:
    topic, path = kafka.topic(partitions=2), tmp_path / "transfers.txt"
    path.write_bytes(b"".join(each.to_lines() for each in TransfersGenerator(seed=4).chunks(2_000)) + b"not a line\n")
    result = command(
        "produce", path, "--output", kafka.url(topic), "--key", "sender", "--columns", "time,sender,receiver,amount"
    )
    assert result.exit_code == 0, result.stderr
    lines = path.read_bytes().splitlines()
    messages = kafka.read(topic)
    assert Counter(message.value() for message in messages) == Counter(lines)
    for message in messages:
        values = (message.value() or b"").split(b";")
        assert message.key() == (values[1] if len(values) > 1 else None)
    of_66 = [message.value() for message in messages if message.key() == b"66"]
    assert of_66 == [line for line in lines if line.split(b";")[1:2] == [b"66"]]


def test_messages_without_a_key_are_counted(command: Command, kafka: Broker, tmp_path: Path) -> None:
    path, summary, url = tmp_path / "some.ndjson", tmp_path / "summary.json", kafka.url(kafka.topic())
    path.write_text('{"card":"a"}\n{"card":null}\nnot json\n{"card":"b"}\n')
    # Of what is sent only: the last has a key, and is not sent.
    for key, count, said in (("crad", 3, "3 events without a key"), ("card", 2, "1 event without a key")):
        arguments = ("produce", path, "--to", url, "--key", key, "--count", count)
        result = command(*arguments, "--summary-json", summary)
        assert result.exit_code == 0, result.stderr
        assert f"{said}: --key names no field of theirs" in result.stderr
        assert json.loads(summary.read_text())["without_key"] == int(said[0])
        assert command(*arguments, "--quiet").stderr == ""
    for more in (("--key", "card", "--count", 1), ()):
        assert "without a key" not in command("produce", path, "--to", url, *more).stderr


def test_its_own_pace_times_a_factor(command: Command, kafka: Broker, tmp_path: Path) -> None:
    topic, path, summary = kafka.topic(), tmp_path / "some.ndjson", tmp_path / "summary.json"
    # Twenty minutes with a gap in their middle.
    seconds = [*range(0, 300, 10), *range(900, 1_200, 10)]
    path.write_text("".join(f'{{"at":"2026-01-05T00:{each // 60:02}:{each % 60:02}Z"}}\n' for each in seconds))
    result = command(
        "produce", path, "--to", kafka.url(topic), "--time", "at", "--speed", 600, "--summary-json", summary
    )
    assert result.exit_code == 0, result.stderr
    told = json.loads(summary.read_text())
    assert told["events"] == 60
    assert 1_190 / 600 <= told["seconds"] <= 1_190 / 600 + SECONDS
    times = [message.timestamp()[1] for message in kafka.read(topic)]
    # The messages' own times show the gap of ten minutes as a second.
    assert times[30] - times[29] >= 900
    assert command("produce", path, "--to", kafka.url(topic), "--count", 7).exit_code == 0
    assert len(kafka.values(topic)) == 67


def test_standard_input_is_replayed_as_it_comes(kafka: Broker) -> None:
    topic = kafka.topic()
    with subprocess.Popen(
        [PROGRAM, "produce", "-", "--to", kafka.url(topic), "--quiet"], stdin=subprocess.PIPE, stderr=subprocess.PIPE
    ) as run:
        assert run.stdin is not None
        run.stdin.write(b'{"n":1}\n')
        run.stdin.flush()
        deadline = time.monotonic() + SECONDS
        while not kafka.values(topic):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        run.stdin.write(b'{"n":2}\n')
        run.stdin.close()
        assert run.wait(SECONDS) == 0
    assert kafka.values(topic) == [b'{"n":1}', b'{"n":2}']


def test_wrong_use_of_produce(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "some.ndjson"
    path.write_text("{}\n")
    for arguments, said in (
        (("--to", "some.txt"), "allowed: kafka://HOST:PORT/TOPIC"),
        (("--to", "kafka://h:1/t", "--speed", 1), "allowed: with --time FIELD or --detector D"),
        (("--to", "kafka://h:1/t", "--speed", 1, "--rate", 1), "--rate: found beside --speed"),
        (("--to", "kafka://h:1/t", "--time", "at", "--detector", "payments"), "--time: found beside --detector"),
    ):
        result = command("produce", path, *arguments)
        assert result.exit_code == 2
        assert said in " ".join(result.stderr.split())


# alerts --from -------------------------------------------------------------------------------------------------------


def test_alerts_of_a_topic_are_listed_once_as_they_are_now(command: Command, kafka: Broker) -> None:
    topic = kafka.topic(partitions=2)
    kafka.produce(topic, [packed(alert(number)) for number in range(30)], partition=0)
    kafka.produce(topic, [packed(alert(3, decisions=5, outcome="block")), b"what is this", b""], partition=1)
    listed = command("alerts", "--from", kafka.url(topic), "--json")
    assert listed.exit_code == 0
    assert [json.loads(line)["alert"] for line in listed.stdout.splitlines()] == [f"over-limit@{n}" for n in range(30)]
    assert json.loads(listed.stdout.splitlines()[3])["decisions"] == 5
    assert f"1 message read of {kafka.url(topic)} were neither" in " ".join(listed.stderr.split())
    people = command("alerts", "--from", kafka.url(topic), "--limit", 2).stdout
    # What stands in brackets is data and no style.
    assert people.count("receiver [66]") == people.count("more than [10000]") == 2
    blocked = command("alerts", "--from", kafka.url(topic), "--outcome", "block", "--json").stdout
    assert [json.loads(line)["alert"] for line in blocked.splitlines()] == ["over-limit@3"]
    assert command("alerts", "--from", kafka.url(topic), "--rule", "no-such", "--json").stdout == ""
    since = command("alerts", "--from", kafka.url(topic), "--since", "2017-07-23T01:29:00Z", "--json").stdout
    assert len(since.splitlines()) == 1
    one = command("alerts", "--from", kafka.url(topic), "--id", "over-limit@7", "--json").stdout
    assert json.loads(one)["position"] == 7


def test_alerts_are_found_behind_many_other_messages(command: Command, kafka: Broker) -> None:
    topic = kafka.topic()
    kafka.produce(topic, [packed(alert(1), alert(2)), *[b"{}"] * 2_000])
    found = command("alerts", "--from", kafka.url(topic), "--limit", 2)
    assert found.stdout.count("over-limit@") == 2
    assert "2,000 messages read of" in " ".join(found.stderr.split())


def test_it_says_how_far_it_has_looked_for_alerts(
    command: Command, kafka: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topic_view, "_DEPTH_MAX", 100)
    topic = kafka.topic()
    kafka.produce(topic, [packed(alert(1)), *[b"{}"] * 1_000])
    found = command("alerts", "--from", kafka.url(topic))
    assert (found.exit_code, found.stdout) == (0, "")
    said = " ".join(found.stderr.split())
    assert "found 0 among the newest 100 messages of a partition; --limit 0 looks at all" in said
    assert command("alerts", "--from", kafka.url(topic), "--limit", 0).stdout.count("over-limit@1") == 1


def test_of_decisions_those_that_want_attention_are_shown(command: Command, kafka: Broker) -> None:
    topic = kafka.topic()
    kafka.produce(topic, [packed(decision(1, "approve"), decision(2, "review")), packed(decision(3, "block"))])
    shown = command("alerts", "--from", kafka.url(topic), "--json").stdout
    assert [json.loads(line)["id"] for line in shown.splitlines()] == ["t2", "t3"]
    assert "big: large" in command("alerts", "--from", kafka.url(topic), "--rule", "big").stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_alerts_are_followed_as_they_are_committed(kafka: Broker, number: signal.Signals) -> None:
    topic = kafka.topic()
    kafka.produce(topic, [packed(alert(1))])
    viewer = subprocess.Popen(
        [PROGRAM, "alerts", "--follow", "--from", kafka.url(topic), "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    try:
        assert viewer.stdout is not None
        assert json.loads(viewer.stdout.readline())["position"] == 1
        producer = Producer(kafka.settings(transactional_id=kafka.name))
        producer.init_transactions(SECONDS)
        producer.begin_transaction()
        producer.produce(topic, packed(alert(2)))
        producer.flush(SECONDS)
        producer.abort_transaction(SECONDS)
        producer.begin_transaction()
        producer.produce(topic, packed(alert(3)))
        producer.commit_transaction(SECONDS)
        # What was taken back is never seen.
        assert json.loads(viewer.stdout.readline())["position"] == 3
        viewer.send_signal(number)
        rest, said = viewer.communicate(timeout=SECONDS)
    finally:
        viewer.kill()
        viewer.wait()
    assert (viewer.returncode, rest, said) == (0, "", "")


def test_wrong_use_of_alerts(command: Command, kafka_address: str) -> None:
    for arguments, code, said in (
        (("--from", "kafka://127.0.0.1:1/none"), 1, "is a broker running there?"),
        (("--from", f"kafka://{kafka_address}/absent-topic"), 1, "give the name of a topic"),
        (("--from", "fraud"), 2, "allowed: kafka://HOST:PORT/TOPIC"),
        (("--kafka", "linger.ms=1"), 2, "--kafka: found without --from"),
    ):
        result = command("alerts", *arguments)
        assert result.exit_code == code
        assert said in " ".join(result.stderr.split())
        assert len(result.stderr.splitlines()) == 1


# dead-letters --from -------------------------------------------------------------------------------------------------


def test_dead_letters_of_a_topic(command: Command, kafka: Broker, tmp_path: Path) -> None:
    source, dead, path = kafka.topic("in"), kafka.topic("dead"), tmp_path / "transfers.txt"
    path.write_bytes(b"2026-01-05T00:00:00Z;1;2;50\nnever [ever];1;2;50\n2026-01-05T00:00:02Z;1;2;-5\nalone\n")
    assert command("produce", path, "--to", kafka.url(source)).exit_code == 0
    assert command("dead-letters", "list", "--from", kafka.url(dead)).stdout == "no dead letters\n"
    run = command(
        "run", "--detector", "laundering", "--format", "lines", "--input", kafka.url(source), "--until-end",
        "--dead-letters-to", kafka.url(dead), "--state", tmp_path / "state",
    )  # fmt: skip
    assert run.exit_code == 0, run.stderr
    kept = [
        json.loads(line)
        for line in command("dead-letters", "list", "--state", tmp_path / "state", "--json").stdout.splitlines()
    ]
    listed = command("dead-letters", "list", "--from", kafka.url(dead), "--json")
    found = [json.loads(line) for line in listed.stdout.splitlines()]
    assert [each["source"] for each in found] == [f"{source}/0/{offset}" for offset in (1, 2, 3)]
    assert [(each["reason"], each["detail"]) for each in found] == [(each["reason"], each["detail"]) for each in kept]
    assert kafka.values(dead) == path.read_bytes().splitlines()[1:]
    people = command("dead-letters", "list", "--from", kafka.url(dead), "--limit", 1).stdout
    assert f"record {source}/0/3" in people
    assert "3 in all: " in people
    one = command("dead-letters", "list", "--from", kafka.url(dead), "--reason", found[0]["reason"], "--json").stdout
    assert {json.loads(line)["reason"] for line in one.splitlines()} == {found[0]["reason"]}
    assert command("dead-letters", "list", "--kafka", "linger.ms=1").exit_code == 2
