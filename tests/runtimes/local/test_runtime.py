from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from counterfoil.config import RunConfig, Secret, SinkConfig, SourceConfig
from counterfoil.errors import CorruptionError, InputError, StorageError
from counterfoil.runtimes.local.canonical import canonical_lines
from counterfoil.runtimes.local.failpoints import arm
from counterfoil.runtimes.local.pipeline import GroupReport
from counterfoil.runtimes.local.runtime import FIXED_CLOCK_VARIABLE, LocalRuntime, default_clock
from counterfoil.runtimes.local.store import Store
from counterfoil.runtimes.local.summary import RunSummary
from tests.runtimes.sample import DEFINITION, sample_config, sample_detector, sample_lines, write_lines

CLOCK = 1_800_000_000_000_000


def clock() -> int:
    return CLOCK


def run(config: RunConfig, definition: str = DEFINITION) -> RunSummary:
    with LocalRuntime(config, sample_detector(definition), clock=clock) as runtime:
        return runtime.run()


def log_of(config: RunConfig) -> bytes:
    assert config.state.folder is not None
    store = Store(Path(config.state.folder), read_only=True)
    try:
        return b"".join(canonical_lines(store, sample_detector().schema))
    finally:
        store.close()


def lines_of(config: RunConfig) -> bytes:
    assert config.sinks[0].path is not None
    return Path(config.sinks[0].path).read_bytes()


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_lines(tmp_path_factory.mktemp("source") / "events.ndjson", sample_lines(300))


@pytest.fixture(scope="module")
def expected(source: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes, RunSummary]:
    config = sample_config(tmp_path_factory.mktemp("expected"), source, batch_events=4096)
    summary = run(config)
    return log_of(config), lines_of(config), summary


def test_what_goes_in_comes_out_once(expected: tuple[bytes, bytes, RunSummary]) -> None:
    log, lines, summary = expected
    numbers = summary.as_dict()
    assert numbers["events"] == 300
    assert numbers["events"] == sum(numbers[name] for name in ("decided", "observed", "duplicates", "dead_letters"))
    assert min(numbers[name] for name in ("decided", "observed", "duplicates", "dead_letters", "alerts")) > 0
    assert numbers["latency_ms"]["p50"] <= numbers["latency_ms"]["p99"]
    decisions = [json.loads(line) for line in lines.splitlines()]
    assert len(decisions) == numbers["decided"]
    positions = [decision["position"] for decision in decisions]
    assert positions == sorted(set(positions))
    assert {decision["outcome"] for decision in decisions} == {"approve", "review", "block"}
    assert log.count(b"\ndecision ") == numbers["decided"]
    first = decisions[0]
    assert list(first) == [
        "id", "position", "event_time", "decided_at", "outcome", "score", "rules", "reasons", "detector", "late",
    ]  # fmt: skip


@pytest.mark.parametrize("batch_events", [1, 7, 128])
def test_batches_of_any_size_give_the_identical_log(
    batch_events: int, source: Path, expected: tuple[bytes, bytes, RunSummary], tmp_path: Path
) -> None:
    config = sample_config(tmp_path, source, batch_events=batch_events)
    run(config)
    assert (log_of(config), lines_of(config)) == expected[:2]


@pytest.mark.parametrize("shards", [2, 8])
def test_any_number_of_shards_gives_the_identical_log(
    shards: int, source: Path, expected: tuple[bytes, bytes, RunSummary], tmp_path: Path
) -> None:
    config = sample_config(tmp_path, source, shards=shards)
    run(config)
    assert (log_of(config), lines_of(config)) == expected[:2]


@pytest.mark.parametrize("snapshots", [True, False])
def test_a_file_that_grows_is_read_on(
    snapshots: bool, source: Path, expected: tuple[bytes, bytes, RunSummary], tmp_path: Path
) -> None:
    everything = source.read_bytes().splitlines(keepends=True)
    path = tmp_path / "events.ndjson"
    seconds = 0.0 if snapshots else 1000.0
    config = sample_config(tmp_path, path, batch_events=16, replay_seconds=seconds, snapshot_share=1.0)
    for upto in (0, 1, 100, 300):
        path.write_bytes(b"".join(everything[:upto]))
        run(config)
    assert (log_of(config), lines_of(config)) == expected[:2]
    again = run(config)
    assert (again.events, again.total_events) == (0, 300)


def test_shards_may_change_between_runs(
    source: Path, expected: tuple[bytes, bytes, RunSummary], tmp_path: Path
) -> None:
    path = write_lines(tmp_path / "events.ndjson", source.read_bytes().splitlines()[:150])
    run(sample_config(tmp_path, path, batch_events=32, replay_seconds=0.0, snapshot_share=1.0))
    path.write_bytes(source.read_bytes())
    config = sample_config(tmp_path, path, batch_events=32, shards=2)
    run(config)
    assert (log_of(config), lines_of(config)) == expected[:2]


def test_features_and_tables_on_request(source: Path, tmp_path: Path) -> None:
    config = sample_config(tmp_path, source, features=True, parquet=True)
    summary = run(config)
    table = pl.read_parquet(tmp_path / "decisions.parquet")
    decisions = [json.loads(line) for line in lines_of(config).splitlines()]
    assert len(table) == len(decisions) == summary.decided
    assert table["id"].to_list() == [decision["id"] for decision in decisions]
    assert table["score"].to_list() == [decision["score"] for decision in decisions]
    for name in ("count_1h", "spend_24h", "usual_24h", "since_change", "ratio"):
        assert table[name].to_list() == [decision["features"][name] for decision in decisions], name
    assert [json.loads(rules) for rules in table["rules"]] == [decision["rules"] for decision in decisions]
    assert table["reasons"].to_list() == [decision["reasons"] for decision in decisions]


def test_a_stop_leaves_nothing_half_done(
    source: Path, expected: tuple[bytes, bytes, RunSummary], tmp_path: Path
) -> None:
    config = sample_config(tmp_path, source, batch_events=8)
    stopped = threading.Event()
    reports: list[GroupReport] = []

    def stop_after_three(report: GroupReport) -> None:
        reports.append(report)
        if len(reports) == 3:
            stopped.set()

    with LocalRuntime(config, sample_detector(), clock=clock, on_group=stop_after_three) as runtime:
        summary = runtime.run(stopped)
    assert summary.stopped
    assert 0 < summary.events < 300
    assert lines_of(config) == expected[1][: len(lines_of(config))]
    run(config)
    assert (log_of(config), lines_of(config)) == expected[:2]


def test_a_signal_stops_a_run(source: Path, tmp_path: Path) -> None:
    config = sample_config(tmp_path, source, batch_events=1)

    def interrupt(report: GroupReport) -> None:
        del report
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    former = signal.signal(signal.SIGTERM, lambda number, frame: None)
    try:
        with LocalRuntime(config, sample_detector(), clock=clock, on_group=interrupt) as runtime:
            assert runtime.run().stopped
    finally:
        signal.signal(signal.SIGTERM, former)
    assert signal.getsignal(signal.SIGTERM) == before


def test_the_folder_may_be_temporary(source: Path, tmp_path: Path) -> None:
    config = sample_config(tmp_path, source)
    config = replace(config, state=replace(config.state, folder=None))
    with LocalRuntime(config, sample_detector(), clock=clock) as runtime:
        assert runtime.run().events == 300
        assert runtime.folder.exists()
    assert not runtime.folder.exists()


def test_two_files_follow_one_another(tmp_path: Path) -> None:
    first = write_lines(tmp_path / "monday.ndjson", sample_lines(60, seed=1))
    second = write_lines(tmp_path / "tuesday.ndjson", sample_lines(60, seed=2))
    run(sample_config(tmp_path, first))
    config = sample_config(tmp_path, second)
    summary = run(config)
    assert (summary.events, summary.total_events) == (60, 120)
    positions = [json.loads(line)["position"] for line in lines_of(config).splitlines()]
    assert positions == sorted(set(positions))
    assert positions[-1] >= 100
    other = replace(config, sinks=(SinkConfig(path=str(tmp_path / "tuesday.out")),))
    run(other)
    assert lines_of(config).endswith(lines_of(other))
    assert json.loads(lines_of(other).splitlines()[0])["position"] >= 60


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:50]), "begins with other bytes"),
        (lambda path: path.write_bytes(b"x" + path.read_bytes()[1:]), "begins with other bytes"),
    ],
)
def test_another_file_under_the_same_name_is_refused(
    change: Callable[[Path], int], message: str, tmp_path: Path
) -> None:
    path = write_lines(tmp_path / "events.ndjson", sample_lines(50))
    config = sample_config(tmp_path, path)
    run(config)
    change(path)
    with pytest.raises(InputError, match=message):
        run(config)


def test_an_output_that_was_changed_is_written_again(
    source: Path, expected: tuple[bytes, bytes, RunSummary], tmp_path: Path
) -> None:
    config = sample_config(tmp_path, source)
    run(config)
    output = tmp_path / "decisions.ndjson"
    for damaged in (b"", b"nonsense", expected[1][:-1] + b"x", expected[1] + b'{"half a li'):
        output.write_bytes(damaged)
        run(config)
        assert output.read_bytes() == expected[1]
    output.unlink()
    run(config)
    assert output.read_bytes() == expected[1]
    with pytest.raises(StorageError, match="was begun with features=False"):
        run(sample_config(tmp_path, source, features=True))


def test_the_folder_belongs_to_one_detector(source: Path, tmp_path: Path) -> None:
    config = sample_config(tmp_path, source, replay_seconds=0.0, snapshot_share=1.0)
    run(config)
    stricter = DEFINITION.replace("count_1h >= 5", "count_1h >= 2")
    with pytest.raises(StorageError, match=r"belongs to detector sample@[0-9a-f]+, not sample@"):
        run(config, stricter)
    before = lines_of(config)
    accepting = replace(config, state=replace(config.state, accept_detector=True))
    path = write_lines(tmp_path / "more.ndjson", sample_lines(40, seed=9))
    more = replace(accepting, source=SourceConfig(path=str(path)))
    assert run(more, stricter).events == 40
    after = lines_of(config)
    assert after.startswith(before)
    versions = {json.loads(line)["detector"] for line in after.splitlines()}
    assert versions == {sample_detector().version, sample_detector(stricter).version}
    # The state knows what came before: the new rules count the old payments.
    with LocalRuntime(more, sample_detector(stricter), clock=clock) as runtime:
        assert runtime.recovery.replayed_events + runtime.recovery.snapshot_blocks > 0


def test_the_folder_belongs_to_one_secret(source: Path, tmp_path: Path) -> None:
    config = sample_config(tmp_path, source)
    run(replace(config, secret=Secret("one")))
    with pytest.raises(StorageError, match="made with another secret"):
        run(replace(config, secret=Secret("two")))


def test_a_replay_that_decides_otherwise_is_an_error(source: Path, tmp_path: Path) -> None:
    config = sample_config(tmp_path, source, replay_seconds=1000.0)
    run(config)
    detector = sample_detector()
    other = replace(sample_detector(DEFINITION.replace("> 900", "> 700")), name="sample")
    # A program that lies about its version, as a changed kernel would.
    object.__setattr__(other, "version", detector.version)
    with pytest.raises(CorruptionError, match="the replay gives another decision at position"):
        LocalRuntime(config, other, clock=clock).__enter__()


def test_a_failing_source_ends_the_run_and_keeps_what_was_committed(source: Path, tmp_path: Path) -> None:
    config = sample_config(tmp_path, tmp_path / "absent.ndjson")
    with pytest.raises(InputError, match="cannot be read"):
        run(config)
    config = sample_config(tmp_path, source, batch_events=8)

    def fail(report: GroupReport) -> None:
        del report
        raise OSError("the disk has gone")

    with (
        LocalRuntime(config, sample_detector(), clock=clock, on_group=fail) as runtime,
        pytest.raises(OSError, match="the disk has gone"),
    ):
        runtime.run()
    assert run(config).total_events == 300


def test_a_field_that_is_not_known_is_told_of_once(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(sample_config(tmp_path, source, batch_events=16))
    told = [line for line in capsys.readouterr().err.splitlines() if "field not known" in line]
    assert len(told) == 1
    assert "extra" in told[0]


def test_metrics_count_what_happened(source: Path, tmp_path: Path) -> None:
    with LocalRuntime(sample_config(tmp_path, source), sample_detector(), clock=clock) as runtime:
        summary = runtime.run()
        registry = runtime.metrics.registry

    def value(name: str, **labels: str) -> float:
        return registry.get_sample_value(name, labels) or 0.0

    assert value("counterfoil_events_total", kind="payment", result="decided") == summary.decided
    assert value("counterfoil_events_total", kind="change", result="observed") == summary.observed
    assert value("counterfoil_events_total", kind="unknown", result="dead") == summary.dead_letters
    outcomes = sum(value("counterfoil_decisions_total", outcome=each) for each in ("approve", "review", "block"))
    assert outcomes == summary.decided
    assert value("counterfoil_alerts_total") == summary.alerts
    assert value("counterfoil_rule_hits_total", rule="large") > 0
    assert value("counterfoil_step_seconds_count", step="decide") >= 5
    assert value("counterfoil_latency_seconds_count") >= 5


def test_single_events_are_decided_and_durable(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "events.ndjson", sample_lines(30))
    config = sample_config(tmp_path, path, replay_seconds=0.0, snapshot_share=1.0)
    event = {"kind": "payment", "payment_id": "z1", "at": 1_767_240_000, "customer": "customer-1", "shop": "shop-1"}
    record = json.dumps({**event, "amount": 5000.5}).encode()
    with LocalRuntime(config, sample_detector(), clock=clock) as runtime:
        runtime.run()
        answer = runtime.decide(record)
        assert answer.result == "decided"
        assert answer.decision is not None
        assert answer.decision["outcome"] == "block"
        assert answer.decision["position"] == 30
        repeat = runtime.decide(record)
        assert repeat.result == "duplicate"
        assert repeat.decision == answer.decision
        assert runtime.decide(b'{"kind":"change","change_id":"x","at":1767240000,"customer":"c"}').result == "observed"
        dead = runtime.decide(b'{"kind":\n"payment"}')
        assert dead.result == "dead"
        assert dead.reason is not None
        assert dead.reason.startswith("missing_id")
    with LocalRuntime(config, sample_detector(), clock=clock) as runtime:
        assert runtime.store.totals.received == 34
        assert runtime.decide(record).decision == answer.decision
        runtime.run()
    decisions = [json.loads(line) for line in lines_of(config).splitlines()]
    assert decisions[-1] == answer.decision


def test_without_the_journal_nothing_is_kept_and_nothing_may_follow(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "events.ndjson", sample_lines(30))
    config = sample_config(tmp_path, path)
    record = b'{"kind":"payment","payment_id":"z1","at":1767240000,"customer":"customer-1","amount":1}'
    with LocalRuntime(config, sample_detector(), clock=clock) as runtime:
        assert runtime.decide(record, journal=False).result == "decided"
        assert runtime.decide(record, journal=False).result == "duplicate"
        with pytest.raises(StorageError, match="without the journal"):
            runtime.decide(record)
        with pytest.raises(StorageError, match="without the journal"):
            runtime.run()
    assert run(config).total_events == 30


def test_dead_letters_are_retried_when_they_can_be_read(tmp_path: Path) -> None:
    lines = sample_lines(40, poison=False)
    lines[5] = b'{"art":"payment","payment_id":"late","at":1767225900,"customer":"customer-1","amount":7}'
    lines[9] = b"{"
    path = write_lines(tmp_path / "events.ndjson", lines)
    config = sample_config(tmp_path, path)
    assert run(config).dead_letters == 2
    repaired = replace(config, source=replace(config.source, kind="payment"))
    with LocalRuntime(repaired, sample_detector(), clock=clock) as runtime:
        summary = runtime.retry_dead_letters()
        assert (summary.events, summary.decided, summary.dead_letters) == (1, 1, 0)
        assert [letter.retried for letter in runtime.store.dead_letters()] == [True, False]
        assert runtime.retry_dead_letters().events == 0
        assert runtime.retry_dead_letters([1]).events == 0
    decisions = [json.loads(line) for line in lines_of(config).splitlines()]
    assert decisions[-1]["position"] == 40


def test_dead_letters_are_bounded(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "events.ndjson", [b"{" * (number + 1) for number in range(30)])
    config = sample_config(tmp_path, path)
    config = replace(config, limits=replace(config.limits, dead_letters=10, dead_letter_bytes=24))
    assert run(config).dead_letters == 30
    with LocalRuntime(config, sample_detector(), clock=clock) as runtime:
        letters = list(runtime.store.dead_letters())
    assert [letter.position for letter in letters] == list(range(20, 30))
    assert [letter.cut for letter in letters] == [False] * 4 + [True] * 6
    assert {len(letter.bytes) for letter in letters} == {21, 22, 23, 24}


def test_the_clock_may_stand_still(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FIXED_CLOCK_VARIABLE, "17")
    assert default_clock()() == 17
    monkeypatch.delenv(FIXED_CLOCK_VARIABLE)
    assert default_clock()() > CLOCK - 10**15


def test_standard_output_gets_the_decisions(
    source: Path, expected: tuple[bytes, bytes, RunSummary], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    config = sample_config(tmp_path, source)
    run(replace(config, sinks=(SinkConfig(type="stdout"),)))
    assert capfd.readouterr().out.encode() == expected[1]


def test_a_fail_point_must_exist() -> None:
    with pytest.raises(Exception, match=r"COUNTERFOIL_FAIL_AT: found 'commit.befor:1'"):
        arm("commit.befor:1")
    arm(None)


@pytest.mark.parametrize("cut", [1, 30, 0])
def test_a_last_line_that_is_half_written_is_left_for_the_next_run(
    cut: int, source: Path, expected: tuple[bytes, bytes, RunSummary], tmp_path: Path
) -> None:
    everything = source.read_bytes()
    lines = everything.splitlines(keepends=True)
    path = tmp_path / "events.ndjson"
    config = sample_config(tmp_path, path, batch_events=16)
    path.write_bytes(b"".join(lines[:100]) + lines[100][: -1 - cut])
    summary = run(config)
    # Without its newline alone the object is whole and is taken; half an object is not.
    assert summary.events == (101 if cut == 0 else 100)
    assert run(config).events == 0
    path.write_bytes(everything)
    run(config)
    assert (log_of(config), lines_of(config)) == expected[:2]


def test_without_a_state_folder_half_a_line_is_a_dead_letter(source: Path, tmp_path: Path) -> None:
    path = tmp_path / "events.ndjson"
    path.write_bytes(source.read_bytes()[:-30])
    config = sample_config(tmp_path, path)
    whole = run(
        replace(config, source=replace(config.source, path=str(source)), state=replace(config.state, folder=None))
    )
    summary = run(replace(config, state=replace(config.state, folder=None)))
    assert (summary.events, summary.dead_letters) == (whole.events, whole.dead_letters + 1)


def test_nobody_else_reads_a_state_folder(source: Path, tmp_path: Path) -> None:
    config = sample_config(tmp_path, source, batch_events=16, replay_seconds=0.0, snapshot_share=1.0)
    assert config.state.folder is not None
    folder = Path(config.state.folder)
    modes = {}

    def look(report: GroupReport) -> None:
        del report
        modes.update({each: each.stat().st_mode & 0o777 for each in folder.iterdir() if each.is_file()})

    with LocalRuntime(config, sample_detector(), clock=clock, on_group=look) as runtime:
        runtime.run()
    assert {each.name for each in modes} >= {"counterfoil.sqlite", "counterfoil.sqlite-wal", "counterfoil.head"}
    modes.update({each: each.stat().st_mode & 0o777 for each in folder.rglob("*.npy")})
    assert set(modes.values()) == {0o600}
    assert folder.stat().st_mode & 0o777 == 0o700
