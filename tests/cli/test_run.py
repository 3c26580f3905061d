from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import polars as pl
import pytest

from counterfoil.__main__ import main
from counterfoil.connectors.line_output import LineOutput
from counterfoil.connectors.parquet_output import ParquetOutput
from counterfoil.detector_file import load_detector
from counterfoil.runtimes.local.inputs import Input
from counterfoil.runtimes.local.runtime import LocalRuntime
from counterfoil.runtimes.local.summary import RunSummary
from tests.cli.conftest import Command, Kept

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(sys.executable).parent / "counterfoil"
SUMMARY = {
    "events", "decided", "observed", "duplicates", "dead_letters", "alerts", "seconds", "events_per_second",
    "latency_ms",
}  # fmt: skip


def test_the_summary(kept: Kept) -> None:
    summary = kept.summary
    assert set(summary) >= SUMMARY
    assert summary["events"] == 12_002
    assert summary["dead_letters"] == 2
    assert summary["events"] == sum(summary[name] for name in ("decided", "observed", "duplicates", "dead_letters"))
    assert set(summary["latency_ms"]) == {"p50", "p99"}


def test_a_decision_has_what_scripts_rely_on(kept: Kept) -> None:
    decisions = kept.decisions()
    assert len(decisions) == kept.summary["decided"]
    assert [each["position"] for each in decisions] == sorted(each["position"] for each in decisions)
    for each in decisions:
        assert set(each) >= {
            "id", "position", "event_time", "decided_at", "outcome", "score", "rules", "reasons", "detector", "late",
        }  # fmt: skip
        assert each["outcome"] in ("approve", "review", "block")
        assert len(each["rules"]) == len(each["reasons"])
        assert all(set(rule) == {"name", "score", "values", "contribution"} for rule in each["rules"])
    assert any(each["rules"] for each in decisions)
    assert {each["detector"] for each in decisions} == {load_detector("payments").version}


def test_again_it_goes_on_where_it_stood(kept: Kept, command: Command, tmp_path: Path) -> None:
    state, output, source = tmp_path / "state", tmp_path / "out.ndjson", tmp_path / "in.ndjson"
    lines = kept.source.read_text().splitlines(keepends=True)
    for stop in (3_000, 3_000, len(lines)):
        source.write_text("".join(lines[:stop]))
        result = command("run", "--detector", "payments", "--input", source, "--output", output, "--state", state)
        assert result.exit_code == 0, result.stderr
    found = [json.loads(line) for line in output.read_text().splitlines()]
    for each in [*found, *(expected := kept.decisions())]:
        del each["decided_at"]
    assert found == expected


def test_standard_input_and_output(kept: Kept) -> None:
    head = "".join(kept.source.read_text().splitlines(keepends=True)[:300])
    done = subprocess.run(
        [PROGRAM, "run", "--detector", "payments", "--input", "-", "--output", "-", "--features", "--quiet"],
        input=head, capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [each["id"] for each in found] == [each["id"] for each in kept.decisions()[: len(found)]]
    assert tuple(found[0]["features"]) == load_detector("payments").feature_names
    assert done.stderr == ""


def test_classic_lines(command: Command, tmp_path: Path) -> None:
    source, output = tmp_path / "transfers.txt", tmp_path / "out.ndjson"
    minutes = "".join(f"Sunday, 23-Jul-17 01:{minute:02}:47 UTC;66;26;3000\n" for minute in range(5))
    source.write_text(minutes)
    result = command(
        "run", "--detector", "laundering", "--set", "window=10m", "--input", source, "--output", output,
        "--state", tmp_path / "state",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    found = [json.loads(line) for line in output.read_text().splitlines()]
    assert [each["outcome"] for each in found] == ["approve", "approve", "approve", "review", "review"]
    alerts = command("alerts", "--state", tmp_path / "state", "--json").stdout.splitlines()
    assert len(alerts) == 1
    assert json.loads(alerts[0])["key"] == {"sender": "66", "receiver": "26"}


def test_foreign_names_csv_and_parquet_output(command: Command, tmp_path: Path) -> None:
    source, output = tmp_path / "data.csv", tmp_path / "out.parquet"
    source.write_text("when,from,to,much\n2026-01-01T00:00:00Z,a,b,10001.00\n2026-01-01T00:01:00Z,a,c,1.00\n")
    result = command(
        "run", "--detector", "laundering", "--input", source, "--output", output, "--kind", "transfer",
        *("--map", "time=when", "--map", "sender=from", "--map", "receiver=to", "--map", "amount=much"),
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert pl.read_parquet(output)["outcome"].to_list() == ["review", "approve"]


def test_a_configuration_file_and_options_that_win_over_it(kept: Kept, command: Command, tmp_path: Path) -> None:
    output, other = tmp_path / "one.ndjson", tmp_path / "two.ndjson"
    config = tmp_path / "run.yaml"
    config.write_text(
        f"detector: payments\nsource: {{path: {kept.source}}}\nsinks: [{{path: {output}}}]\nlog: {{level: error}}\n"
    )
    assert command("run", config).exit_code == 0
    assert command("run", config, "--output", other, "--features", "--shards", 2).exit_code == 0
    one = [json.loads(line) for line in output.read_text().splitlines()]
    two = [json.loads(line) for line in other.read_text().splitlines()]
    assert [each["score"] for each in one] == [each["score"] for each in two]
    assert "features" in two[0]


@pytest.mark.parametrize("content", ["[]", "detector: [", "detector: payments\nsuorce: {}\n"])
def test_a_wrong_configuration_file(command: Command, tmp_path: Path, content: str) -> None:
    config = tmp_path / "run.yaml"
    config.write_text(content)
    result = command("run", config)
    assert result.exit_code == 2
    assert "allowed" in result.stderr or "not YAML" in result.stderr
    assert command("run", tmp_path / "absent.yaml").exit_code == 2


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("detecter: payments\nsource: {path: in.ndjson}\n", ("detecter: found an unknown setting", "detector")),
        ("detector: payments\nsuorce: {}\n", ("suorce: found an unknown setting", '"source"?')),
        ("detector: payments\n", ("--input: found nothing",)),
        ("detector: mine\nevents: {}\n", ("is the definition of a detector", "--detector run.yaml")),
        (None, ("run.yaml: cannot be read: No such file or directory;",)),
    ],
)
def test_what_is_wrong_with_settings_is_named(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None, said: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    if content is not None:
        Path("run.yaml").write_text(content)
    result = command("run", "run.yaml")
    assert result.exit_code == 2
    told = " ".join(result.stderr.split())
    assert all(each in told for each in said), told
    assert "Errno" not in told


def test_another_detector_needs_consent(kept: Kept, command: Command, tmp_path: Path) -> None:
    source, state = tmp_path / "in.txt", tmp_path / "state"
    source.write_text("2026-01-01T00:00:00Z;a;b;1\n")
    arguments = ("run", "--detector", "laundering", "--input", source, "--state", state)
    assert command(*arguments).exit_code == 0
    result = command(*arguments, "--set", "window=10m")
    assert result.exit_code == 1
    assert "--accept-detector" in result.stderr
    assert command(*arguments, "--set", "window=10m", "--accept-detector").exit_code == 0


def test_a_secret_from_the_environment(command: Command, tmp_path: Path) -> None:
    source, state = tmp_path / "in.txt", tmp_path / "state"
    source.write_text("2026-01-01T00:00:00Z;a;b;10001\n")
    arguments = ("run", "--detector", "laundering", "--input", source, "--state", state, "--secret-env", "BANK_SECRET")
    assert command(*arguments).exit_code == 2
    secret = {"BANK_SECRET": "between us"}
    assert command(*arguments, env=secret).exit_code == 0
    assert command("explain", "0", "--state", state).exit_code == 1
    assert command("explain", "0", "--state", state, "--secret-env", "BANK_SECRET", env=secret).exit_code == 0


def test_a_summary_that_cannot_be_written(kept: Kept, command: Command, tmp_path: Path) -> None:
    source = tmp_path / "in.txt"
    source.write_text("2026-01-01T00:00:00Z;a;b;1\n")
    target = tmp_path / "absent" / "summary.json"
    assert command("run", "--detector", "laundering", "--input", source, "--summary-json", target).exit_code == 1


def test_a_signal_ends_it_in_order_and_metrics_are_served(tmp_path: Path) -> None:
    config, summary = tmp_path / "run.yaml", tmp_path / "summary.json"
    config.write_text(
        "detector: payments\n"
        "source: {type: generator, count: 100000000, rate: 2000, customers: 500}\n"
        f"state: {{folder: {tmp_path / 'state'}}}\n"
    )
    run = subprocess.Popen(
        [PROGRAM, "run", config, "--summary-json", summary, "--metrics-port", "0"], stderr=subprocess.PIPE, text=True
    )
    try:
        assert run.stderr is not None
        line = ""
        while "metrics at" not in line:
            line = run.stderr.readline()
            assert line, "the run ended early"
        url = line.split("metrics at ")[1].strip()
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            text = urllib.request.urlopen(url, timeout=5).read().decode()
            if 'counterfoil_decisions_total{outcome="approve"}' in text:
                break
            time.sleep(0.2)
        run.send_signal(signal.SIGTERM)
        _, rest = run.communicate(timeout=60)
    finally:
        if run.poll() is None:
            os.kill(run.pid, signal.SIGKILL)
            run.wait()
    assert run.returncode == 0, rest
    assert "goes on from here" in rest
    found = json.loads(summary.read_text())
    assert found["stopped"]
    assert found["decided"] > 0


@pytest.mark.parametrize("kept", [True, False])
def test_a_stop_says_whether_the_next_run_goes_on(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: bool
) -> None:
    real = LocalRuntime.run

    def run_stopped(runtime: LocalRuntime, stopped: threading.Event, feed: Input) -> RunSummary:
        stopped.set()
        return real(runtime, stopped, feed)

    source = _events(tmp_path / "in.ndjson")
    run = ("run", "--detector", "laundering", "--input", source)
    monkeypatch.setattr(LocalRuntime, "run", run_stopped)
    result = command(*run, *(("--state", tmp_path / "state") if kept else ()))
    assert ("stopped before the end; the same command goes on from here" in result.stderr) == kept
    assert ("nothing is kept without --state" in result.stderr) == (not kept)


def test_the_input_is_not_overwritten(command: Command, tmp_path: Path) -> None:
    source, link = tmp_path / "events.ndjson", tmp_path / "link"
    source.write_bytes(b"{}\n")
    os.link(source, link)
    for option in ("--output", "--summary-json"):
        result = command("run", "--detector", "payments", "--input", source, option, link)
        assert result.exit_code == 2
        assert "would be overwritten" in result.stderr
        assert source.read_bytes() == b"{}\n"
    settings = tmp_path / "run.yaml"
    settings.write_text(f"detector: payments\nsource: {{path: {source}}}\nsinks: [{{path: {link}}}]\n")
    for arguments in ([settings], [settings, "--output", settings]):
        result = command("run", *arguments)
        assert result.exit_code == 2
        assert "would be overwritten" in result.stderr
        assert source.read_bytes() == b"{}\n"


@pytest.mark.parametrize("name", ["same.ndjson", "-"])
def test_one_output_is_not_written_twice(command: Command, tmp_path: Path, name: str) -> None:
    source, out = tmp_path / "events.ndjson", name if name == "-" else str(tmp_path / name)
    source.write_bytes(b"{}\n")
    result = command("run", "--detector", "payments", "--input", source, "--output", out, "--output", out)
    assert result.exit_code == 2
    assert "written already" in result.stderr


def _events(path: Path) -> Path:
    path.write_text(
        "".join(
            f'{{"time":"2026-01-01T00:00:0{second}Z","sender":"a","receiver":"b","amount":10001}}\n'
            for second in range(5)
        )
    )
    return path


def _shell(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    given = ["/bin/bash", "-c", command.replace("counterfoil", str(PROGRAM))]
    return subprocess.run(given, cwd=folder, capture_output=True, text=True, timeout=300, check=False)


def test_what_the_system_refuses_is_one_line(tmp_path: Path) -> None:
    _events(tmp_path / "in.ndjson")
    run = "counterfoil run --quiet --detector laundering"
    for command, words in (
        (f"{run} --input .", (".: cannot be read: Is a directory",)),
        (f"{run} --input in.ndjson --output /dev/full", ("/dev/full: cannot be written: No space left on device",)),
        (f"{run} --input in.ndjson --output - > /dev/full", ("standard output: ", "No space left on device")),
        ("counterfoil generate payments --count 9 --output /dev/full", ("/dev/full: ", "No space left on device")),
        ("counterfoil generate payments --count 9 > /dev/full", ("standard output: ", "No space left on device")),
        ("counterfoil version > /dev/full", ("standard output: No space left on device",)),
        ("PYTHONUNBUFFERED=1 counterfoil version > /dev/full", ("standard output: No space left on device",)),
        ("counterfoil --help > /dev/full", ("standard output: No space left on device",)),
    ):
        done = _shell(command, tmp_path)
        assert done.returncode == 1, command
        assert all(word in done.stderr for word in words), done.stderr
        assert done.stderr.count("\n") == 1, done.stderr


def test_a_device_is_an_output_and_a_pipe_an_input(tmp_path: Path) -> None:
    _events(tmp_path / "in.ndjson")
    run = "counterfoil run --quiet --detector laundering"
    done = _shell(f"{run} --input in.ndjson --output /dev/null", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    for words in ("--input <(cat in.ndjson) --output -", "--input in.ndjson --output /dev/stdout"):
        done = _shell(f"{run} {words}", tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.count("\n") == 5
    os.mkfifo(tmp_path / "pipe")
    done = _shell(f"cat pipe > out.ndjson & {run} --input in.ndjson --output pipe; wait", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "out.ndjson").read_text().count("\n") == 5


def test_a_stream_goes_on_with_what_comes_and_may_change_its_form(tmp_path: Path) -> None:
    whole = _events(tmp_path / "in.ndjson").read_text()
    run = "counterfoil run --quiet --detector laundering --input in.ndjson --state state --output /dev/stdout"
    (tmp_path / "in.ndjson").write_text("".join(whole.splitlines(keepends=True)[:3]))
    first = _shell(f"{run} | cat", tmp_path)
    (tmp_path / "in.ndjson").write_text(whole)
    then = _shell(f"{run} --features | cat", tmp_path)
    found = [[json.loads(line)["position"] for line in each.stdout.splitlines()] for each in (first, then)]
    assert found == [[0, 1, 2], [3, 4]], first.stderr + then.stderr
    assert all(("features" in json.loads(line)) for line in then.stdout.splitlines())


def test_what_has_no_name_is_not_blamed_on_standard_output(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise OSError(errno.ESPIPE, "Illegal seek")

    monkeypatch.setattr("counterfoil.cli.version.write_json", refuse)
    result = command("version", "--json")
    assert result.exit_code == 1
    words = r"failed counterfoil version: Illegal seek; the system does not say of what \(cli/version\.py, line \d+\)\n"
    assert re.fullmatch(words, result.stderr), result.stderr


def test_nobody_wants_what_is_printed(tmp_path: Path) -> None:
    for command in ("counterfoil version >&-", "counterfoil --help >&-", "counterfoil schema | head -1"):
        done = _shell(command, tmp_path)
        assert (done.returncode, done.stderr) == (0, ""), command


def test_an_interrupt_is_quiet(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("counterfoil.cli.main", interrupt)
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 130
    monkeypatch.setattr("counterfoil.cli.version.write_json", interrupt)
    result = command("version", "--json")
    assert (result.exit_code, result.output) == (130, "")


@pytest.mark.parametrize(
    ("form", "text"),
    [("csv", "time,sender,receiver,amount\n2026-01-01 00:00:01,a,b,10001\n"),
     ("lines", "2026-01-01T00:00:01;a;b;10001\n"),
     ("json", '{"time":"2026-01-01T00:00:01","sender":"a","receiver":"b","amount":10001}\n')],
)  # fmt: skip
def test_times_without_a_zone_are_utc_when_told_so(command: Command, tmp_path: Path, form: str, text: str) -> None:
    source, state, output = tmp_path / "in", tmp_path / "state", tmp_path / "out.ndjson"
    source.write_text(text)
    given = ("--detector", "laundering", "--format", form)
    result = command("run", *given, "--input", source, "--state", state)
    assert "1 dead letter;" in result.stderr
    assert command("backtest", "laundering", source, "--format", form, "--naive-utc").exit_code == 0
    result = command("run", *given, "--input", source, "--output", output, "--naive-utc")
    assert result.exit_code == 0, result.stderr
    assert json.loads(output.read_text())["event_time"] == "2026-01-01T00:00:01.000Z"
    if form != "csv":
        result = command("dead-letters", "retry", "--state", state, "--format", form, "--naive-utc", "--json")
        assert json.loads(result.stdout)["decided"] == 1


@pytest.mark.parametrize("name", ["out.ndjson", "out.parquet"])
def test_two_runs_do_not_write_one_file(command: Command, tmp_path: Path, name: str) -> None:
    source, out = _events(tmp_path / "in.ndjson"), tmp_path / name
    run = ("run", "--detector", "laundering", "--input", source, "--output", out, "--state")
    assert command(*run, tmp_path / "one").exit_code == 0
    written = out.read_bytes()
    other = ParquetOutput(out) if name.endswith(".parquet") else LineOutput(out)
    result = command(*run, tmp_path / "two")
    assert result.exit_code == 1
    assert "is being written by another run" in result.stderr
    assert out.read_bytes() == written
    other.close()
    assert command(*run, tmp_path / "two").exit_code == 0
    assert sorted(each.name for each in tmp_path.iterdir()) == ["in.ndjson", "one", name, "two"]


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ("nope,nope2", ("time, sender, receiver, amount not among them", "not known: nope, nope2")),
        ("time,sender,receiver", ("must have: amount not among them\n",)),
        ("kind,time", ("found no", "with one kind for all")),
    ],
)
def test_columns_that_no_record_can_be_read_by_are_refused(
    command: Command, tmp_path: Path, columns: str, words: tuple[str, ...]
) -> None:
    source = tmp_path / "in.txt"
    source.write_text("2026-01-01T00:00:00Z;a;b;1\n")
    detector = "payments" if "kind" in columns else "laundering"
    more = ("--kind-field", "sort") if "kind" in columns else ()
    result = command("run", "--detector", detector, "--input", source, "--format", "lines", "--columns", columns, *more)
    assert result.exit_code == 2
    assert all(word in result.stderr for word in words), result.stderr


def test_columns_may_hold_more_than_is_needed(command: Command, tmp_path: Path) -> None:
    source, out = tmp_path / "in.txt", tmp_path / "out.ndjson"
    source.write_text("x;2026-01-01T00:00:00Z;a;b;1;y\n")
    columns = "more,at,sender,receiver,amount,label"
    result = command(
        "run", "--detector", "laundering", "--input", source, "--columns", columns, "--map", "time=at", "--output", out
    )
    assert result.exit_code == 0, result.stderr
    assert out.read_text().count("\n") == 1


def test_where_most_records_are_refused_it_says_why(command: Command, tmp_path: Path) -> None:
    source = _events(tmp_path / "in.ndjson")
    run = ("run", "--detector", "laundering", "--input", source)
    assert "could not be read" not in command(*run).stderr
    result = command(*run, "--map", "amount=nope")
    assert result.exit_code == 0
    assert "5 of 5 records could not be read, 5 of them for missing_field; position 0: " in result.stderr
    assert "nope" in result.stderr.split("position 0: ")[1]
    result = command("run", "--detector", "payments", "--input", source, "--kind-field", "nope")
    assert "5 of them for missing_kind" in result.stderr


def test_a_position_that_there_is_not_can_be_left_out(command: Command, tmp_path: Path) -> None:
    """As docs/features.md says: neither the journey there nor the one back."""
    document = (ROOT / "docs" / "features.md").read_text("utf-8")
    found = re.search(r"```yaml\n(- name: speed\n(?:  .*\n)+)```", document)
    assert found is not None
    definition = tmp_path / "travel.yaml"
    definition.write_text(
        "detector: travel\nevents: {payment: {time: at, decide: true, fields: {customer: id, latitude: float,"
        " longitude: float}}}\nentities: {customer: customer}\nfeatures:\n"
        "- {name: taken, speed: [latitude, longitude], by: customer}\n" + found[1]
    )
    places = [(52.5, 13.4), (5250.0, 13.4), (52.5, 13.4), (52.5, 1340.0), (48.1, 11.6)]
    lines = [
        f'{{"at":"2026-01-01T0{hour}:00:00Z","customer":"c","latitude":{north},"longitude":{east}}}\n'
        for hour, (north, east) in enumerate(places)
    ]
    (tmp_path / "in.ndjson").write_text("".join(lines))
    out = tmp_path / "out.ndjson"
    run = ("run", "--detector", definition, "--input", tmp_path / "in.ndjson", "--output", out, "--features")
    assert command(*run).exit_code == 0
    features = [json.loads(line)["features"] for line in out.read_text().splitlines()]
    assert [each["speed"] for each in features] == [None, None, 0.0, None, pytest.approx(252.8, abs=0.1)]
    assert features[1]["taken"] > 10_000
