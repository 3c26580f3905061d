from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from counterfoil import config as module
from counterfoil.config import RunConfig, Secret, load_config, parse_config, setting_names
from counterfoil.errors import ConfigurationError

ROOT = Path(__file__).resolve().parents[1]


def test_what_is_left_out_has_its_default() -> None:
    config = parse_config({"detector": "payments", "source": {"path": "day.ndjson"}})
    assert config.source.format == "json"
    assert config.limits.batch_events == 32_768
    assert config.sinks == ()
    assert config.state.folder is None
    assert config.metrics.host == "127.0.0.1"


def test_a_file_is_read_with_its_sections(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    content = {
        "detector": "payments",
        "source": {"type": "stdin", "format": "csv", "fields": {"amount": "Betrag"}, "delimiter": ";"},
        "sinks": [{"path": "out.ndjson"}, {"path": "out.parquet", "format": "parquet", "features": True}],
        "parameters": {"limit": 5},
        "state": {"replay_seconds": 1},
    }
    path.write_text(yaml.safe_dump(content))
    config = load_config(path)
    assert config.source.fields == {"amount": "Betrag"}
    assert [sink.format for sink in config.sinks] == ["json", "parquet"]
    assert config.parameters == {"limit": "5"}
    assert config.state.replay_seconds == 1.0


def test_every_problem_is_told_at_once() -> None:
    content = {
        "source": {"typ": "file", "format": "jsn", "count": 0},
        "sinks": [{"type": "file"}, 3],
        "limits": {"batch_events": "many", "commit_ms": True, "dead_letters": -1},
        "metrics": {"port": 70_000},
        "log": {"level": "loud"},
        "parameters": [],
    }
    with pytest.raises(ConfigurationError) as caught:
        parse_config(content)
    message = str(caught.value)
    for part in (
        "detector: found nothing",
        "source.typ: found an unknown setting",
        'did you mean "type"?',
        'source.format: found "jsn"; allowed: json, lines, debezium, ',
        'json-schema, debezium-json-schema, csv, parquet; did you mean "json"?',
        "source.count: found 0; allowed: 1 to",
        "sinks[1]: found int '3'; allowed: a mapping of settings",
        "limits.batch_events: found str 'many'; allowed: a whole number",
        "limits.commit_ms: found bool 'True'; allowed: a whole number",
        "limits.dead_letters: found -1",
        "metrics.port: found 70000; allowed: 0 to 65535",
        'log.level: found "loud"',
        "parameters: found list",
    ):
        assert part in message
    assert caught.value.exit_code == 2


def _topics(*names: str, sinks: Sequence[dict[str, str]] = (), **source: str) -> dict[str, Any]:
    """Return a run that reads topics."""
    topics = [{"name": name} for name in names]
    given = {"type": "kafka", "servers": "broker:1", "topics": topics, **source}
    return {"detector": "d", "source": given, "sinks": list(sinks)}


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ({"detector": "d"}, "source.path: found nothing"),
        ({"detector": "d", "source": {"type": "stdin", "format": "parquet"}}, "source.format"),
        ({"detector": "d", "source": {"path": "x", "delimiter": ";;"}}, "source.delimiter"),
        ({"detector": "d", "source": {"path": "x"}, "sinks": [{}]}, "sinks[0].path"),
        (
            {"detector": "d", "source": {"path": "x"}, "sinks": [{"type": "stdout", "format": "parquet"}]},
            "sinks[0].format",
        ),
        ({"detector": "d", "source": {"path": "x"}, "sinks": {}}, "sinks: found dict '{}'; allowed: a list"),
        ({"detector": "d", "source": {"path": "x"}, "state": {"replay_seconds": float("nan")}}, "replay_seconds"),
        ({"detector": "d", "source": {"path": "x"}, "secret": 7}, "secret: found something else"),
        ({"detector": "d", "source": {"path": 7}}, "source.path: found int '7'; allowed: text"),
        ({"detector": "d", "source": {"path": "x", "format": "json-schema"}}, 'source.format: found "json-schema"'),
        (_topics(), "source.topics: found nothing; allowed: at least one topic"),
        ({"detector": "d", "source": {"type": "kafka", "topics": [{"name": "a"}]}}, "source.servers: found nothing"),
        (_topics("a", "b", "a"), 'source.topics: found "a" twice; allowed: each topic once'),
        (_topics("a", format="csv"), 'source.topics[0].format: found "csv"'),
        (
            _topics("a", format="avro"),
            "source.registry.url: found nothing; allowed: the address of the schema registry",
        ),
        (_topics("a", sinks=[{"type": "kafka"}]), "sinks[0].topic: found nothing; allowed: the name of a topic"),
        (
            {"detector": "d", "source": {"path": "x"}, "sinks": [{"type": "kafka", "topic": "t"}]},
            "sinks[0].servers: found nothing; allowed: HOST:PORT of a broker",
        ),
        (_topics("a", sinks=[{"type": "kafka", "topic": "t", "format": "parquet"}]), "parquet is for files"),
        (_topics("a", sinks=[{"path": "x", "format": "packed"}]), "packed is for type: kafka"),
        (_topics("a", sinks=[{"type": "kafka", "topic": "a"}]), "another topic than those that are read"),
        (
            _topics("a", sinks=[{"type": "kafka", "topic": "t"}, {"type": "kafka", "topic": "t"}]),
            'sinks[1].topic: found "t" twice',
        ),
        (
            _topics(
                "a", sinks=[{"type": "kafka", "topic": "t"}, {"type": "kafka", "topic": "u", "servers": "other:1"}]
            ),
            'sinks[1].servers: found "other:1"; allowed: those of the first topic, or another run',
        ),
        (
            _topics(
                "a",
                sinks=[{"type": "kafka", "topic": "t"}, {"type": "kafka", "topic": "u", "delivery": "at-least-once"}],
            ),
            'sinks[1].delivery: found "at-least-once"; allowed: "exactly-once", as for the first topic',
        ),
        ("text", "configuration: found str 'text'; allowed: a mapping of settings"),
        (None, "configuration: found nothing"),
    ],
)
def test_what_does_not_fit_is_named(content: object, part: str) -> None:
    with pytest.raises(ConfigurationError, match=r".*") as caught:
        parse_config(content)
    assert part in str(caught.value)


def test_environment_variables_are_filled_in_and_secrets_stay_hidden() -> None:
    content = {
        "detector": "${WHICH}",
        "secret": "${KEY}",
        "source": {"path": "x"},
        "metrics": {"port": "${PORT}"},
        "state": {"replay_seconds": "${SECONDS}"},
    }
    environment = {"WHICH": "payments", "KEY": "swordfish", "PORT": "9100", "SECONDS": "1.5"}
    config = parse_config(content, environment)
    assert config.detector == "payments"
    assert config.metrics.port == 9100
    assert config.state.replay_seconds == 1.5
    assert config.secret == Secret("swordfish")
    assert "swordfish" not in repr(config)
    assert str(config.secret) == "***"
    with pytest.raises(ConfigurationError, match=r"secret: found \$\{KEY\}; allowed: an environment variable"):
        parse_config(content, {"WHICH": "x", "PORT": "1", "SECONDS": "1"})


def test_a_definition_is_no_configuration_and_that_is_said_once(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("{detector: mine, events: {}, features: {}, rules: [], policy: {review: score > 1}}")
    with pytest.raises(ConfigurationError) as caught:
        load_config(path)
    assert str(caught.value).startswith(f"{path}: is the definition of a detector, not the settings of a run")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_configuration_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_config(tmp_path / "absent.yaml")
    broken = tmp_path / "broken.yaml"
    broken.write_text("a: [")
    with pytest.raises(ConfigurationError, match="is not YAML"):
        load_config(broken)


def test_every_setting_is_documented() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text()
    assert [name for name in setting_names() if f"`{name}`" not in text] == []


def test_the_page_names_no_setting_that_is_not_there() -> None:
    names = set(setting_names())
    text = (ROOT / "docs" / "configuration.md").read_text()
    entries = [
        line.split("`")[1] for line in text.splitlines() if line.startswith("| `") and "counterfoil_" not in line
    ]
    assert sorted(set(entries) - names) == []


def test_every_setting_has_a_docstring() -> None:
    source = inspect.getsource(module)
    declared = source.count("= setting(")
    assert declared == len(list(setting_names())) + len(
        {"source", "topics", "registry", "sinks", "state", "limits", "models", "metrics", "log", "spark", "flink"}
    )
    lines = source.splitlines()
    for number, line in enumerate(lines):
        if "= setting(" in line:
            assert lines[number + 1].lstrip().startswith('"""'), line
    assert RunConfig.__doc__
