"""Runs between topics of a real broker: positions, deliveries, and what is refused."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.cimpl import NewPartitions

from counterfoil.config import LimitsConfig, RunConfig, SinkConfig, SourceConfig, StateConfig, TopicConfig
from counterfoil.errors import ConfigurationError, InputError, StorageError
from counterfoil.observability import configure_logs
from counterfoil.program import Program
from counterfoil.runtimes.local.runtime import LocalRuntime
from counterfoil.runtimes.local.summary import RunSummary
from tests.crash.kafka_sample import Numbered, numbered_detector
from tests.integration.kafka import Broker

DETECTOR = numbered_detector()
NUMBERED = Numbered.draw(2_000, seed=4)
MESSAGES = NUMBERED.messages()
SECONDS = 60.0


def fill(kafka: Broker, topic: str, start: int = 0, stop: int | None = None) -> None:
    """Write some of the numbered payments."""
    chosen = MESSAGES[start:stop]
    for partition in sorted({each[0] for each in chosen}):
        kafka.produce(topic, [(key, value) for at, key, value in chosen if at == partition], partition=partition)


def settings(kafka: Broker, folder: Path, source: str, sinks: list[SinkConfig], **more: Any) -> RunConfig:
    source_settings: dict[str, Any] = {"until_end": True, "group": kafka.group(), "session_ms": 6_000} | more
    return RunConfig(
        detector="numbered",
        source=SourceConfig(type="kafka", servers=kafka.address, topics=(TopicConfig(name=source),), **source_settings),
        sinks=tuple(sinks),
        state=StateConfig(folder=str(folder)),
        limits=LimitsConfig(batch_events=500),
    )


def run(config: RunConfig) -> RunSummary:
    with LocalRuntime(config, DETECTOR) as runtime:
        return runtime.run()


def sink(topic: str, **more: Any) -> SinkConfig:
    return SinkConfig(type="kafka", topic=topic, **more)


def numbers(values: list[bytes]) -> list[int]:
    """Return the numbers of decided payments, sorted."""
    return sorted(int(json.loads(value)["id"][1:]) for value in values)


ALL = list(range(len(MESSAGES)))


@pytest.fixture
def source(kafka: Broker) -> str:
    topic = kafka.topic("in", partitions=4)
    fill(kafka, topic)
    return topic


def test_every_event_is_decided_once_and_says_where_it_came_from(kafka: Broker, source: str, tmp_path: Path) -> None:
    out = kafka.topic("out", partitions=2)
    summary = run(settings(kafka, tmp_path, source, [sink(out, features=True)]))
    assert summary.decided == len(MESSAGES)
    messages = kafka.read(out)
    assert numbers([message.value() or b"" for message in messages]) == ALL
    oracle = NUMBERED.oracle()
    places = set()
    for message in messages:
        decision = json.loads(message.value() or b"")
        headers = dict(message.headers() or [])
        assert message.key() == headers["id"] == decision["id"].encode()
        topic, partition, _ = headers["source"].decode().split("/")  # type: ignore[union-attr]
        number = int(decision["id"][1:])
        assert (topic, int(partition)) == (source, MESSAGES[number][0])
        places.add(headers["source"])
        found = decision["features"]
        assert [found["count_1h"], found["count_24h"]] == oracle[:2, number].tolist()
        assert round(100 * found["spend_24h"]) == oracle[3, number]
    assert len(places) == len(MESSAGES)


def test_a_second_run_goes_on_where_the_first_ended(kafka: Broker, tmp_path: Path) -> None:
    source, out = kafka.topic("in", partitions=4), kafka.topic("out")
    fill(kafka, source, 0, 700)
    config = settings(kafka, tmp_path, source, [sink(out)])
    assert run(config).decided == 700
    fill(kafka, source, 700)
    assert run(config).decided == len(MESSAGES) - 700
    assert run(config).decided == 0
    assert numbers(kafka.values(out)) == ALL
    assert sum(kafka.position(kafka.group(), source, range(4))) == len(MESSAGES)


def test_a_position_that_the_group_has_forgotten_is_read_back_from_the_topic(
    kafka: Broker, tmp_path: Path, source: str
) -> None:
    out = kafka.topic("out")
    config = settings(kafka, tmp_path, source, [sink(out)])
    run(config)
    # Another name is a group that knows nothing.
    again = replace(config, source=replace(config.source, group=kafka.group("other")))
    assert run(again).decided == 0
    assert numbers(kafka.values(out)) == ALL


def test_packed_messages_hold_every_decision(kafka: Broker, source: str, tmp_path: Path) -> None:
    out = kafka.topic("out")
    run(settings(kafka, tmp_path, source, [sink(out, format="packed")]))
    messages = kafka.read(out)
    assert len(messages) < 20
    assert numbers([line for message in messages for line in (message.value() or b"").splitlines()]) == ALL
    assert sum(int(dict(message.headers() or [])["count"] or b"0") for message in messages) == len(MESSAGES)


def test_without_transactions_each_decision_comes_too(kafka: Broker, source: str, tmp_path: Path) -> None:
    out = kafka.topic("out")
    run(settings(kafka, tmp_path, source, [sink(out, delivery="at-least-once")]))
    assert numbers(kafka.values(out)) == ALL


def test_alerts_and_dead_letters_have_topics_of_their_own(kafka: Broker, source: str, tmp_path: Path) -> None:
    kafka.produce(source, [b"{", b"no json", (b"key", b'{"kind":"other"}')], partition=2)
    out, alerts, dead = (kafka.topic(name) for name in ("out", "alerts", "dead"))
    sinks = [sink(out), sink(alerts, content="alerts"), sink(dead, content="dead-letters")]
    summary = run(settings(kafka, tmp_path, source, sinks))
    assert (summary.decided, summary.dead_letters) == (len(MESSAGES), 3)
    letters = {dict(each.headers() or [])["source"]: each for each in kafka.read(dead)}
    first = kafka.ends(source)[2][1] - 3
    assert set(letters) == {f"{source}/2/{first + index}".encode() for index in range(3)}
    headers = dict(letters[f"{source}/2/{first}".encode()].headers() or [])
    assert headers["reason"] == b"truncated"
    assert letters[f"{source}/2/{first}".encode()].value() == b"{"
    found = {(each.key() or b"").decode() for each in kafka.read(alerts)}
    assert len(found) == summary.alerts > 0


def test_a_file_goes_to_a_topic_once(kafka: Broker, tmp_path: Path) -> None:
    out = kafka.topic("out")
    path = tmp_path / "events.ndjson"
    path.write_bytes(b"".join(value + b"\n" for _, _, value in MESSAGES[:900]))
    config = RunConfig(
        detector="numbered",
        source=SourceConfig(path=str(path)),
        sinks=(sink(out, servers=kafka.address),),
        state=StateConfig(folder=str(tmp_path / "state")),
        limits=LimitsConfig(batch_events=100),
    )
    run(config)
    with path.open("ab") as file:
        file.write(b"".join(value + b"\n" for _, _, value in MESSAGES[900:]))
    run(config)
    assert numbers(kafka.values(out)) == ALL


def test_a_topic_goes_to_a_file(kafka: Broker, source: str, tmp_path: Path) -> None:
    path = tmp_path / "decisions.ndjson"
    config = settings(kafka, tmp_path / "state", source, [SinkConfig(path=str(path))])
    assert run(config).decided == len(MESSAGES)
    assert numbers(path.read_bytes().splitlines()) == ALL


def test_a_retried_dead_letter_is_delivered_by_the_next_run(kafka: Broker, tmp_path: Path) -> None:
    source, out = kafka.topic("in"), kafka.topic("out")
    kafka.produce(source, [MESSAGES[0][2], MESSAGES[1][2].replace(b'"payment"', b'"wrong"')])
    config = settings(kafka, tmp_path, source, [sink(out)])
    assert run(config).dead_letters == 1
    mended = replace(config, sinks=(), source=SourceConfig(path=__file__, kind="payment"))
    with LocalRuntime(mended, DETECTOR) as runtime:
        assert runtime.retry_dead_letters().decided == 1
    assert numbers(kafka.values(out)) == [0]
    for _ in range(2):
        run(config)
        assert numbers(kafka.values(out)) == [0, 1]


def test_tombstones_and_many_lines_in_a_record_are_no_trouble(kafka: Broker, tmp_path: Path) -> None:
    source, out = kafka.topic("in"), kafka.topic("out")
    pretty = json.dumps(json.loads(MESSAGES[0][2]), indent=2).encode()
    kafka.produce(source, [pretty, MESSAGES[1][2] + b"\n"])
    client = kafka.settings()
    from confluent_kafka import Producer

    producer = Producer(client)
    producer.produce(source, None, b"key")
    assert producer.flush(SECONDS) == 0
    kafka.produce(source, [MESSAGES[2][2]])
    summary = run(settings(kafka, tmp_path, source, [sink(out)]))
    assert (summary.decided, summary.dead_letters) == (3, 0)
    offsets = {dict(each.headers() or [])["source"] for each in kafka.read(out)}
    assert offsets == {f"{source}/0/{offset}".encode() for offset in (0, 1, 3)}


def test_what_was_aborted_is_no_event(kafka: Broker, tmp_path: Path) -> None:
    from confluent_kafka import Producer

    source, out = kafka.topic("in"), kafka.topic("out")
    producer = Producer(kafka.settings(transactional_id=kafka.group("writer")))
    producer.init_transactions(SECONDS)
    for number in range(6):
        producer.begin_transaction()
        producer.produce(source, MESSAGES[number][2])
        if number % 2:
            producer.flush(SECONDS)
            producer.abort_transaction(SECONDS)
        else:
            producer.commit_transaction(SECONDS)
    config = settings(kafka, tmp_path, source, [sink(out)])
    assert run(config).decided == 3
    assert numbers(kafka.values(out)) == [0, 2, 4]
    assert run(config).decided == 0


@pytest.mark.parametrize("start", ["latest", "time", "position"])
def test_it_begins_where_it_is_told_to(kafka: Broker, tmp_path: Path, start: str) -> None:
    source, out = kafka.topic("in"), kafka.topic("out")
    kafka.produce(source, [value for _, _, value in MESSAGES[:10]])
    time.sleep(0.05)
    moment = time.time()
    time.sleep(0.05)
    from datetime import UTC, datetime

    places = {
        "latest": "latest",
        "time": datetime.fromtimestamp(moment, UTC).isoformat(),
        "position": f"{source}:0:10",
    }
    config = settings(kafka, tmp_path, source, [sink(out)], start=places[start])
    if start == "latest":
        assert run(config).events == 0
    kafka.produce(source, [value for _, _, value in MESSAGES[10:15]])
    run(config)
    assert numbers(kafka.values(out)) == ([10, 11, 12, 13, 14] if start != "latest" else [])


def test_where_it_cannot_begin_is_refused_or_told(
    kafka: Broker, source: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(
        ConfigurationError, match=rf'--from\): found "nowhere"; allowed: a topic of the source: {source}'
    ):
        run(settings(kafka, tmp_path, source, [], start="nowhere:0:0"))
    with pytest.raises(ConfigurationError, match=rf'found partition 4 of "{source}"; allowed: 0 to 3'):
        run(settings(kafka, tmp_path, source, [], start=f"{source}:0:0,{source}:4:0"))
    configure_logs("warning")
    beyond = ",".join(f"{source}:{partition}:99999999" for partition in range(4))
    assert run(settings(kafka, tmp_path, source, [], start=beyond)).events == 0
    told = capsys.readouterr().err
    assert told.count("--from names an offset that the partition does not have") == 4
    assert "asked=99999999" in told.replace("\x1b[0m", "")


def test_a_hole_is_refused_with_its_range_unless_it_is_accepted(kafka: Broker, tmp_path: Path) -> None:
    source, out = kafka.topic("in"), kafka.topic("out")
    kafka.produce(source, [value for _, _, value in MESSAGES[:10]])
    config = settings(kafka, tmp_path, source, [sink(out)])
    run(config)
    kafka.produce(source, [value for _, _, value in MESSAGES[10:20]])
    # Kept while it works: its answers come only as long as it lives.
    admin = kafka.admin
    admin.delete_records([TopicPartition(source, 0, 16)])[TopicPartition(source, 0, 16)].result(SECONDS)
    with pytest.raises(InputError, match=r"the records 10 to 15 \(6\) .*--accept-gap"):
        run(config)
    assert run(replace(config, source=replace(config.source, accept_gap=True))).decided == 4
    assert numbers(kafka.values(out)) == [*range(10), *range(16, 20)]


def test_a_topic_that_was_made_anew_is_refused(kafka: Broker, tmp_path: Path) -> None:
    source, out = kafka.topic("in"), kafka.topic("out")
    kafka.produce(source, [value for _, _, value in MESSAGES[:10]])
    config = settings(kafka, tmp_path, source, [sink(out)])
    run(config)
    kafka.delete(source)
    time.sleep(1.0)
    assert kafka.topic("in") == source
    kafka.produce(source, [MESSAGES[0][2]])
    with pytest.raises(InputError, match="made anew"):
        run(config)


def test_a_partition_that_is_added_is_read_from_its_beginning(kafka: Broker, tmp_path: Path) -> None:
    source, out = kafka.topic("in"), kafka.topic("out")
    config = settings(kafka, tmp_path, source, [sink(out)], until_end=False, start="latest")
    config = replace(config, source=replace(config.source, properties={"topic.metadata.refresh.interval.ms": "500"}))
    admin = kafka.admin
    with going(config) as runtime:
        deadline = time.monotonic() + SECONDS
        while not runtime.metrics.registry.get_sample_value("counterfoil_kafka_partitions"):
            assert time.monotonic() < deadline, "no partition was assigned"
            time.sleep(0.05)
        kafka.produce(source, [value for _, _, value in MESSAGES[:5]], partition=0)
        wait_for(kafka, out, 5)
        admin.create_partitions([NewPartitions(source, 2)])[source].result(SECONDS)
        time.sleep(0.3)
        kafka.produce(source, [value for _, _, value in MESSAGES[5:10]], partition=1)
        wait_for(kafka, out, 10)
    assert numbers(kafka.values(out)) == list(range(10))


def test_two_instances_share_the_partitions_and_one_takes_over(kafka: Broker, tmp_path: Path) -> None:
    source, out = kafka.topic("in", partitions=4), kafka.topic("out")
    one = settings(kafka, tmp_path / "one", source, [sink(out, features=True)], until_end=False)
    two = replace(one, state=StateConfig(folder=str(tmp_path / "two")))
    with going(one):
        fill(kafka, source, 0, 500)
        wait_for(kafka, out, 500)
        with going(two):
            time.sleep(3.0)
            fill(kafka, source, 500, 1_200)
            wait_for(kafka, out, 1_200)
        # Its partitions come back after the session's time-out: then the first takes them into its state.
        fill(kafka, source, 1_200, 1_600)
        wait_for(kafka, out, 1_600)
    with going(two):
        fill(kafka, source, 1_600)
        wait_for(kafka, out, len(MESSAGES))
    values = kafka.values(out)
    assert numbers(values) == ALL
    oracle = NUMBERED.oracle()
    decided = [json.loads(value) for value in values]
    found = np.array([each["features"]["count_24h"] for each in decided])
    assert found.tolist() == [oracle[1, int(each["id"][1:])] for each in decided]


def test_a_topic_that_is_not_there_is_named(kafka: Broker, source: str, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no topic nowhere; create it"):
        run(settings(kafka, tmp_path, source, [sink("nowhere")]))
    with pytest.raises(InputError, match="no topic nothing; create it"):
        run(settings(kafka, tmp_path, "nothing", []))


def test_a_setting_that_it_depends_on_is_refused(kafka: Broker, source: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"isolation\.level: cannot be set"):
        run(settings(kafka, tmp_path, source, [], properties={"isolation.level": "read_uncommitted"}))
    with pytest.raises(ConfigurationError, match=r'No such configuration property: "no\.such"'):
        run(settings(kafka, tmp_path, source, [], properties={"no.such": "1"}))


def test_metrics_tell_of_the_group_and_of_transactions(kafka: Broker, source: str, tmp_path: Path) -> None:
    config = settings(kafka, tmp_path, source, [sink(kafka.topic("out"))])
    with LocalRuntime(config, DETECTOR) as runtime:
        runtime.run()
        registry = runtime.metrics.registry
        assert registry.get_sample_value("counterfoil_kafka_rebalances_total") == 1
        assert registry.get_sample_value("counterfoil_kafka_partitions") == 4
        assert (registry.get_sample_value("counterfoil_kafka_transactions_total", {"result": "committed"}) or 0) > 0
        topic = config.sinks[0].topic or ""
        assert registry.get_sample_value("counterfoil_kafka_messages_total", {"topic": topic}) == len(MESSAGES)


@contextmanager
def going(config: RunConfig) -> Iterator[LocalRuntime]:
    """Run in a thread until the end of the block."""
    runtime = LocalRuntime(config, DETECTOR, Program(DETECTOR))
    stopped = threading.Event()
    failures: list[BaseException] = []

    def work() -> None:
        try:
            with runtime:
                runtime.run(stopped)
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield runtime
    finally:
        stopped.set()
        thread.join(SECONDS)
    assert not failures, failures
    assert not thread.is_alive()


def wait_for(kafka: Broker, topic: str, count: int) -> None:
    """Wait until a topic holds at least so many committed messages."""
    reader = Consumer(kafka.settings(group_id="unused", isolation_level="read_committed"))
    partitions = list(reader.list_topics(topic, timeout=SECONDS).topics[topic].partitions)
    reader.assign([TopicPartition(topic, partition, 0) for partition in partitions])
    found, deadline = 0, time.monotonic() + SECONDS
    while found < count:
        assert time.monotonic() < deadline, f"{topic}: {found} of {count} messages"
        found += sum(message.error() is None for message in reader.consume(1_000, 0.2))
    reader.close()
