"""How to reach a Kafka cluster: addresses, the client library's own settings, and secrets that are never shown."""

from __future__ import annotations

import importlib
import logging
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from counterfoil.errors import ConfigurationError, CounterfoilError, StorageError
from counterfoil.observability import get_logger

if TYPE_CHECKING:
    from types import ModuleType

SCHEME = "kafka://"
FILE_SUFFIX = ".file"
"""``sasl.password.file: PATH`` sets ``sasl.password`` to what the file holds."""

_SECRET_WORDS = ("password", "secret", "token", "key.pem", "credential", "jaas")
_OWNED = {
    "bootstrap.servers": "the servers of the address",
    "group.id": "source.group (--group)",
    "enable.auto.commit": "nothing: positions are committed with the decisions",
    "enable.auto.offset.store": "nothing: positions are committed with the decisions",
    "auto.offset.reset": "source.start (--from)",
    "isolation.level": "nothing: what was not committed is no event",
    "transactional.id": "nothing: it belongs to the state folder",
    "group.instance.id": "nothing: it belongs to the state folder",
    "enable.partition.eof": "nothing",
    "on_commit": "nothing",
}
"""Settings that exactly once depends on, and what to use instead."""

_ANY_AUTHORITY = "probe"
"""``ssl.ca.location: probe`` looks for the system's authorities."""
_AFTER = re.compile(r" \(after .*?\)| \(.* identical error\(s\) suppressed\)")
_TELLING = ("_AUTHENTICATION", "_SSL", "_RESOLVE", "_TRANSPORT")
"""Errors that say why a cluster cannot be reached, the most telling first."""
_UNREACHABLE = frozenset({"_TRANSPORT", "_RESOLVE", "_ALL_BROKERS_DOWN"})
"""Errors of connections that were never made: nobody listens there, or there is no such host."""
_UNREACHABLE_SECONDS = 3.0
"""How long nobody may listen before a command says so: five seconds with the start of a run."""
_SERVER = re.compile(r"(?:[\w+]+://)?(?:\[[0-9A-Fa-f:.%]+\]|[^:\[\]/@\s]+)(?::(\d{1,5}))?")
_QUIET_SECONDS = 30.0
"""How long an error that comes again is not told again."""

_log = get_logger(__name__)


def require_kafka() -> ModuleType:
    """Return the client library.

    Raises
    ------
    ConfigurationError
        If it is not installed.
    """
    try:
        return importlib.import_module("confluent_kafka")
    except ImportError as error:
        message = "kafka: the client library is not installed; run: pip install 'counterfoil[kafka]'"
        raise ConfigurationError(message) from error


def is_address(text: str) -> bool:
    """Say whether a text names topics of a cluster."""
    return text.startswith(SCHEME)


@dataclass(frozen=True, slots=True)
class KafkaAddress:
    """A cluster and some of its topics.

    Examples
    --------
    >>> KafkaAddress.parse("kafka://one:9092,two:9092/payments,changes")
    KafkaAddress(servers='one:9092,two:9092', topics=('payments', 'changes'))
    """

    servers: str
    """``host:port``, several with commas between them."""
    topics: tuple[str, ...]

    @classmethod
    def parse(cls, text: str, option: str = "--input") -> KafkaAddress:
        """Take an address apart.

        Raises
        ------
        ConfigurationError
            If it is none; what it says never shows what stands before an ``@``.
        """
        rest = text.removeprefix(SCHEME)
        servers, slash, topics = rest.partition("/")
        if "@" in servers:
            message = (
                f"{option}: an address holds no user or password; put them into the settings of a configuration"
                " file (source.properties: sasl.username, sasl.password as ${NAME})"
            )
            raise ConfigurationError(message)
        names = tuple(unquote(each) for each in topics.split(",") if each)
        if not text.startswith(SCHEME) or not servers or not slash or not names:
            raise ConfigurationError(f'{option}: found "{text}"; allowed: kafka://HOST:PORT/TOPIC[,TOPIC…]')
        check_servers(servers, option)
        return cls(servers, names)


def check_servers(servers: str, place: str) -> None:
    """Refuse what cannot be the servers of a cluster: the client library would take a strange port for port 0.

    Raises
    ------
    ConfigurationError
        If one of them is not ``HOST:PORT``.

    Examples
    --------
    >>> check_servers("one:9092,[::1]:9093,three", "--input")
    """
    for each in servers.split(","):
        found = _SERVER.fullmatch(each.strip())
        if found is None or (found[1] is not None and not 0 < int(found[1]) < 65_536):
            shown_server = each.rpartition("@")[2]
            raise ConfigurationError(f'{place}: found the server "{shown_server}"; allowed: HOST:PORT, a port to 65535')


def reason_of(error: BaseException) -> str:
    """Return what an error of the client library says."""
    inner = error.args[0] if error.args else error
    return str(inner.str()) if hasattr(inner, "str") else str(inner)


def is_secret(name: str) -> bool:
    """Say whether a setting of the client library must not be shown."""
    return any(word in name for word in _SECRET_WORDS)


def client_settings(servers: str, properties: Mapping[str, str], place: str = "source.properties") -> dict[str, Any]:
    """Return settings for the client library: the servers and what the user passes through.

    Parameters
    ----------
    servers
        ``host:port``, several with commas between them.
    properties
        librdkafka's own settings; ``NAME.file`` reads one from a file.
    place
        Where they stand, for messages.

    Raises
    ------
    ConfigurationError
        If one of them belongs to counterfoil, or its file cannot be read.
    """
    check_servers(servers, "servers")
    settings: dict[str, Any] = {
        "bootstrap.servers": servers,
        # librdkafka otherwise waits up to 10 s between two attempts to reach a broker that comes back.
        "reconnect.backoff.ms": 50,
        "reconnect.backoff.max.ms": 1_000,
        "socket.keepalive.enable": True,
    }
    for name, value in properties.items():
        if name in _OWNED:
            raise ConfigurationError(f"{place}.{name}: cannot be set; allowed: {_OWNED[name]}")
        if name.endswith(FILE_SUFFIX):
            settings[name.removesuffix(FILE_SUFFIX)] = _read_secret(value, f"{place}.{name}")
        else:
            _check_file(name, value, f"{place}.{name}")
            settings[name] = value
    _check_tokens(settings, place)
    return settings


def _check_tokens(settings: Mapping[str, Any], place: str) -> None:
    """Refuse tokens that nothing makes: the client library would wait for one and say nothing."""
    mechanism = str(settings.get("sasl.mechanism", settings.get("sasl.mechanisms", "")))
    unsigned = str(settings.get("enable.sasl.oauthbearer.unsecure.jwt", "")).lower() == "true"
    if mechanism == "OAUTHBEARER" and not unsigned and settings.get("sasl.oauthbearer.method") != "oidc":
        raise ConfigurationError(
            f"{place}.sasl.mechanism: found OAUTHBEARER and nothing that makes tokens; allowed:"
            " sasl.oauthbearer.method: oidc with sasl.oauthbearer.token.endpoint.url, .client.id and .client.secret;"
            " or, to try it out, enable.sasl.oauthbearer.unsecure.jwt: true and sasl.oauthbearer.config: principal=NAME"
        )


def _check_file(name: str, path: str, place: str) -> None:
    """Name a file that is not there: the client library only says that its reading library has failed."""
    if name.startswith("ssl.") and name.endswith(".location") and path and path != _ANY_AUTHORITY:
        try:
            with Path(path).open("rb"):
                pass
        except IsADirectoryError:
            pass
        except OSError as error:
            message = f"{place}: {path} cannot be read: {error.strerror}; give the path of a file"
            raise ConfigurationError(message) from None


def _read_secret(path: str, place: str) -> str:
    try:
        return Path(path).read_text("utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not text"
        raise ConfigurationError(f"{place}: {path} cannot be read: {reason}; give the path of a file") from None


def shown(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings for a log or a listing: secrets are stars.

    Examples
    --------
    >>> shown({"sasl.username": "ann", "sasl.password": "x"})
    {'sasl.username': 'ann', 'sasl.password': '***'}
    """
    return {name: "***" if is_secret(name) else value for name, value in settings.items()}


class Troubles:
    """What the client library says of its connections: the callbacks that it wants, and the last words.

    librdkafka goes on trying whatever happens, so an error is only something to tell, until a command has waited long
    enough for an answer.

    Parameters
    ----------
    servers
        For messages.
    """

    def __init__(self, servers: str) -> None:
        self.servers = servers
        self.last = ""
        self.fatal: str | None = None
        self._codes: list[str] = []
        self._reasons: dict[str, str] = {}
        self._told: dict[str, float] = {}

    def settings(self) -> dict[str, Any]:
        """Return the callbacks, as settings."""
        return {"error_cb": self._on_error, "logger": client_logger(), "log_level": 4}

    def _on_error(self, error: Any) -> None:
        text = _AFTER.sub("", str(error.str()))
        now = time.monotonic()
        if now - self._told.get(text, -_QUIET_SECONDS) >= _QUIET_SECONDS:
            # A broker that is gone gives dozens of errors a second.
            self._told = {known: at for known, at in self._told.items() if now - at < _QUIET_SECONDS} | {text: now}
            _log.warning("kafka", reason=text)
        self.last = text
        self._reasons[str(error.name())] = text
        self._codes.append(str(error.name()))
        del self._codes[:-20]
        if error.fatal():
            self.fatal = text

    @property
    def hopeless(self) -> bool:
        """Whether waiting longer will not help: the cluster refuses who asks."""
        return any(code in {"_AUTHENTICATION", "_SSL"} for code in self._codes)

    @property
    def unreachable(self) -> bool:
        """Whether no connection has come about: nobody listens there, or there is no such host."""
        return bool(self._codes) and _UNREACHABLE.issuperset(self._codes)

    def error(self, what: str, fallback: str = "no answer") -> CounterfoilError:
        """Return one clear error for a command that could not reach the cluster."""
        # Each of these is followed by "all brokers are down", which says nothing.
        known = [self._reasons[code] for code in _TELLING if code in self._reasons]
        reason = (known or [self.last])[0] or fallback
        advice = "is a broker running there?"
        if "_AUTHENTICATION" in self._codes or "uthentication" in reason:
            advice = "check sasl.mechanism, sasl.username and sasl.password"
        elif "_SSL" in self._codes or "SSL" in reason or "certificate" in reason:
            advice = "check ssl.ca.location and that the certificate names this host"
        elif "_RESOLVE" in self._codes or "resolve" in reason:
            advice = "check the host's name"
        return StorageError(f"kafka://{self.servers}: {what}: {reason}; {advice}")


class Patience:
    """How long a command waits for its cluster's first answer: less where nobody listens at all.

    A cluster that is starting listens before it answers, so it gets the whole time.

    Parameters
    ----------
    troubles
        What the client library says of its connections; the client must be polled between two questions.
    seconds
        The whole time.
    """

    def __init__(self, troubles: Troubles, seconds: float) -> None:
        self._troubles = troubles
        self._started = time.monotonic()
        self._seconds = seconds

    @property
    def over(self) -> bool:
        """Whether it is time to give up."""
        waited = time.monotonic() - self._started
        if waited >= self._seconds or self._troubles.hopeless:
            return True
        return waited >= _UNREACHABLE_SECONDS and self._troubles.unreachable


def client_logger() -> logging.Logger:
    """Return where the client library logs to: our own log, and not standard error at its own will."""
    logger = logging.getLogger("counterfoil.kafka.client")
    if not logger.handlers:
        logger.addHandler(_Silent())
        logger.setLevel(logging.WARNING)
        logger.propagate = False
    return logger


class _Silent(logging.Handler):
    """Takes what the client library would write to standard error; its errors come by the callback."""

    def emit(self, record: logging.LogRecord) -> None:
        """Say nothing: the callback says what matters."""


def attempt(call: Callable[[], Any], what: str, troubles: Troubles) -> Any:
    """Call the client library once; turn what it raises into our own error.

    Raises
    ------
    StorageError
        If it fails.
    """
    kafka = require_kafka()
    try:
        return call()
    except kafka.KafkaException as error:
        raise troubles.error(what, str(error.args[0].str())) from None
