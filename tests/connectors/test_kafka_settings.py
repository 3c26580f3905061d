"""Addresses, settings that are passed through, and secrets that are never shown."""

from __future__ import annotations

import importlib
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from counterfoil.config import SourceConfig, parse_config
from counterfoil.connectors import kafka_settings
from counterfoil.connectors.kafka_producer import TopicProducer
from counterfoil.connectors.kafka_reader import TopicReader
from counterfoil.connectors.kafka_settings import (
    KafkaAddress,
    Patience,
    Troubles,
    client_settings,
    require_kafka,
    shown,
)
from counterfoil.connectors.kafka_sink import KafkaWriter
from counterfoil.connectors.kafka_source import KafkaSource, KafkaSourceSettings
from counterfoil.connectors.kafka_topics import TopicAdmin, WantedTopic
from counterfoil.errors import ConfigurationError, StorageError


@pytest.mark.parametrize("text", ["kafka://", "kafka://host", "kafka:///topic", "kafka://host:1/", "http://host/topic"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"--input: found .*kafka://HOST:PORT/TOPIC"):
        KafkaAddress.parse(text)


WRONG_SERVERS = ("host:abc", "host:", "host:99999", "host:0", "ho st:9092", "a:9092,,b:9092", "::1:9092")


@pytest.mark.parametrize("server", WRONG_SERVERS)
def test_a_server_that_cannot_be_one_is_refused_at_once(server: str) -> None:
    with pytest.raises(ConfigurationError, match=r"TOPICS: found the server .*; allowed: HOST:PORT"):
        KafkaAddress.parse(f"kafka://{server}/topic", "TOPICS")
    with pytest.raises(ConfigurationError, match="servers: found the server"):
        client_settings(server, {})


def nobody_listens() -> str:
    """Return an address that was free a moment ago."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{taken.getsockname()[1]}"


@pytest.mark.parametrize("what", ["source", "sink", "producer", "reader", "topics"])
def test_a_broker_that_is_not_there_is_said_soon(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_settings, "_UNREACHABLE_SECONDS", 0.5)
    servers, never = nobody_listens(), threading.Event()
    asks: dict[str, Callable[[], object]] = {
        "source": lambda: KafkaSource(KafkaSourceSettings(servers, ("t",), "g")),
        "sink": lambda: KafkaWriter(servers, {}, "t").open(),
        "producer": lambda: TopicProducer(servers, "t", {}, never).setup(),
        "reader": lambda: TopicReader(servers, ["t"], {}, never).backlog(),
        "topics": lambda: TopicAdmin(servers, {}).plan([WantedTopic("t")]),
    }
    started = time.monotonic()
    with pytest.raises(StorageError, match=rf"kafka://{servers}: .*Connection refused; is a broker running there\?"):
        asks[what]()
    assert time.monotonic() - started < 8, "all of them wait longer for one that is only slow"


@dataclass
class SaidError:
    """What the client library hands to its callback."""

    code: str

    def name(self) -> str:
        return self.code

    def str(self) -> str:
        return f"said {self.code}"

    def fatal(self) -> bool:
        return False


def test_patience_is_short_where_nobody_listens() -> None:
    troubles = Troubles("host:1")
    patience = Patience(troubles, 15.0)
    patience._started -= 6.0
    assert not patience.over, "nothing was said yet: it may be slow"
    troubles._on_error(SaidError("_TRANSPORT"))
    assert patience.over
    troubles._on_error(SaidError("_TIMED_OUT"))
    assert not patience.over, "somebody is there"
    patience._started -= 10.0
    assert patience.over


def test_a_password_in_an_address_is_refused_and_not_shown() -> None:
    with pytest.raises(ConfigurationError) as caught:
        KafkaAddress.parse("kafka://ann:s3cret@host:9092/topic")
    assert "s3cret" not in str(caught.value)


def test_a_secret_may_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("s3cret\n")
    found = client_settings("host:1", {"sasl.password.file": str(tmp_path / "password"), "linger.ms": "3"})
    assert (found["sasl.password"], found["linger.ms"], found["bootstrap.servers"]) == ("s3cret", "3", "host:1")
    assert "s3cret" not in str(shown(found))
    with pytest.raises(ConfigurationError, match=r"sasl\.password\.file: .*cannot be read"):
        client_settings("host:1", {"sasl.password.file": str(tmp_path / "none")})


def test_what_exactly_once_depends_on_cannot_be_set() -> None:
    with pytest.raises(ConfigurationError, match=r"here\.transactional\.id: cannot be set"):
        client_settings("host:1", {"transactional.id": "x"}, "here")


def test_settings_of_a_run_never_show_properties() -> None:
    config = parse_config(
        {
            "detector": "payments",
            "source": {
                "type": "kafka",
                "servers": "host:1",
                "topics": [{"name": "t"}],
                "properties": {"sasl.password": "${PASSWORD}", "enable.ssl.certificate.verification": True},
            },
        },
        {"PASSWORD": "s3cret"},
    )
    assert config.source.properties == {"sasl.password": "s3cret", "enable.ssl.certificate.verification": "true"}
    assert "s3cret" not in repr(config)
    with pytest.raises(ConfigurationError) as caught:
        parse_config({"detector": "payments", "source": {"path": "x", "properties": ["s3cret"]}})
    assert "s3cret" not in str(caught.value)


def test_settings_that_do_not_go_together_are_named_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_config(
            {
                "detector": "payments",
                "source": {"type": "kafka", "servers": "host:1", "topics": [{"name": "t"}, {"name": "t"}]},
                "sinks": [{"type": "kafka", "format": "parquet", "topic": "t"}, {"path": "x", "format": "packed"}],
            }
        )
    told = str(caught.value)
    for place in ("source.topics", "sinks[0].format", "sinks[0].topic", "sinks[1].format"):
        assert place in told


def test_topics_of_one_run_are_written_in_one_transaction() -> None:
    sinks = [
        {"type": "kafka", "servers": "host:1", "topic": "a"},
        {"type": "kafka", "servers": "host:2", "topic": "b"},
        {"type": "kafka", "servers": "host:1", "topic": "c", "delivery": "at-least-once"},
        {"type": "kafka", "servers": "host:1", "topic": "a"},
    ]
    with pytest.raises(ConfigurationError) as caught:
        parse_config({"detector": "payments", "source": {"path": "x"}, "sinks": sinks})
    assert [line.split(":")[0] for line in str(caught.value).splitlines()] == [
        "sinks[1].servers",
        "sinks[2].delivery",
        "sinks[3].topic",
    ]


def test_a_missing_client_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(ConfigurationError, match=r"pip install 'counterfoil\[kafka\]'"):
        require_kafka()


class _Error:
    """What the client library hands to its callback."""

    def __init__(self, name: str, text: str, fatal: bool = False) -> None:
        self._name, self._text, self._fatal = name, text, fatal

    def name(self) -> str:
        return self._name

    def str(self) -> str:
        return self._text

    def fatal(self) -> bool:
        return self._fatal


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("_AUTHENTICATION", "sasl.password"),
        ("_SSL", "ssl.ca.location"),
        ("_RESOLVE", "host's name"),
        ("_TRANSPORT", "broker"),
    ],
)
def test_troubles_end_in_one_clear_error(name: str, advice: str) -> None:
    troubles = Troubles("host:1")
    troubles.settings()["error_cb"](_Error(name, "went wrong (after 3ms in state CONNECT)"))
    error = str(troubles.error("cannot be reached"))
    assert error.startswith("kafka://host:1: cannot be reached: went wrong;")
    assert advice in error
    assert troubles.hopeless == (name in ("_AUTHENTICATION", "_SSL"))


def test_an_error_that_comes_again_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[object] = []

    class Log:
        def warning(self, event: str, **values: object) -> None:
            told.append(values["reason"])

    monkeypatch.setattr(kafka_settings, "_log", Log())
    troubles = Troubles("host:1")
    for milliseconds in range(50):
        troubles.settings()["error_cb"](_Error("_TRANSPORT", f"refused (after {milliseconds}ms in state CONNECT)"))
    assert told == ["refused"]


def test_a_fatal_error_is_kept() -> None:
    troubles = Troubles("host:1")
    troubles.settings()["error_cb"](_Error("FENCED_INSTANCE_ID", "fenced", fatal=True))
    assert troubles.fatal == "fenced"


def test_a_source_without_properties_has_none() -> None:
    assert SourceConfig(path="x").properties == {}


def test_tokens_that_nothing_makes_are_refused() -> None:
    wanted = {"security.protocol": "SASL_SSL", "sasl.mechanism": "OAUTHBEARER"}
    with pytest.raises(ConfigurationError, match=r"here\.sasl\.mechanism: found OAUTHBEARER and nothing that makes"):
        client_settings("host:1", wanted, "here")
    for more in ({"sasl.oauthbearer.method": "oidc"}, {"enable.sasl.oauthbearer.unsecure.jwt": "true"}):
        assert client_settings("host:1", wanted | more)["sasl.mechanism"] == "OAUTHBEARER"
