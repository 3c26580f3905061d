"""A schema registry that speaks Confluent's HTTP interface: Confluent's own, Apicurio, Karapace, Redpanda.

Schemas never change under their number, so each is asked for once. A registry that does not answer is not the fault of
the records: the reader waits for it, and after a bounded time ends with an error that says so. Nothing is skipped, and
the next run goes on with the same record.
"""

from __future__ import annotations

import contextlib
import ssl
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit, urlunsplit

import msgspec

from counterfoil.errors import ConfigurationError, InputError
from counterfoil.events.schemas import RegisteredSchema
from counterfoil.observability import get_logger

if TYPE_CHECKING:
    import httpx

    from counterfoil.config import RegistryConfig

SCHEMAS_MAX = 1_000
"""Most schemas that are kept; one that was not used for longest goes first."""
UNKNOWN_MAX = 10_000
"""Most numbers that are remembered as unknown."""
UNKNOWN_SECONDS = 30.0
"""How long a number counts as unknown before it is asked for again: it may be registered by then."""
REFERENCES_MAX = 100
"""Most schemas that one schema may refer to."""
ANSWER_BYTES_MAX = 16 << 20
"""Longest answer that is read."""
_PAUSE_SECONDS_MIN, _PAUSE_SECONDS_MAX = 0.1, 2.0
_UNKNOWN_CODES = {40401, 40402, 40403}
_OK, _UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _TOO_MANY, _SERVER_FAULT = 200, 401, 403, 404, 429, 500

_log = get_logger(__name__)


class SchemaRegistry:
    """Asks a registry for schemas by their number.

    May be shared by threads.

    Parameters
    ----------
    config
        Where it is and how we show who we are.
    clock, sleep
        For tests.

    Raises
    ------
    ConfigurationError
        The settings cannot be used, or the library that asks is not installed.
    """

    def __init__(
        self,
        config: RegistryConfig,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if not config.url:
            message = (
                "source.registry.url: found nothing; allowed: http://HOST:PORT or https://…; this format needs one"
            )
            raise ConfigurationError(message)
        self._config = config
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._schemas: OrderedDict[int, RegisteredSchema] = OrderedDict()
        self._unknown: OrderedDict[int, float] = OrderedDict()
        self._url = _plain_url(config.url)
        self._client = _client(config)

    def __repr__(self) -> str:
        return f"SchemaRegistry({self._url!r})"

    def get(self, number: int) -> RegisteredSchema | None:
        """Return a schema; None where there is none of this number.

        Raises
        ------
        InputError
            The registry does not answer for as long as we wait.
        ConfigurationError
            It refuses us, or is no schema registry.
        """
        with self._lock:
            found = self._schemas.get(number)
            if found is not None:
                self._schemas.move_to_end(number)
                return found
            if self._unknown.get(number, 0.0) > self._clock():
                return None
            answer = self._ask(f"/schemas/ids/{number}")
            if answer is None:
                self._unknown.pop(number, None)
                self._unknown[number] = self._clock() + UNKNOWN_SECONDS
                if len(self._unknown) > UNKNOWN_MAX:
                    self._unknown.popitem(last=False)
                return None
            found = self._schemas[number] = self._registered(answer)
            if len(self._schemas) > SCHEMAS_MAX:
                self._schemas.popitem(last=False)
            return found

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _registered(self, answer: dict[str, Any]) -> RegisteredSchema:
        texts: OrderedDict[tuple[str, int], str] = OrderedDict()
        self._gather(answer, texts, ())
        return RegisteredSchema(
            str(answer.get("schemaType") or "AVRO"), _text(answer, self._url), tuple(texts.values())
        )

    def _gather(
        self, answer: dict[str, Any], texts: OrderedDict[tuple[str, int], str], above: tuple[tuple[str, int], ...]
    ) -> None:
        """Put the schemas that an answer refers to in an order in which each only needs those before it."""
        for each in answer.get("references") or ():
            key = (str(each.get("subject")), int(each.get("version", -1)))
            if key in texts or key in above:
                continue
            if len(texts) + len(above) >= REFERENCES_MAX:
                raise InputError(f"{self._url}: a schema refers to more than {REFERENCES_MAX} others")
            inner = self._ask(f"/subjects/{quote(key[0], safe='')}/versions/{key[1]}")
            if inner is None:
                raise InputError(f"{self._url}: a schema refers to {key[0]} version {key[1]}, which is not there")
            self._gather(inner, texts, (*above, key))
            texts[key] = _text(inner, self._url)

    def _ask(self, path: str) -> dict[str, Any] | None:
        """Return an answer; None where the registry says that there is no such schema."""
        import httpx  # noqa: PLC0415 - only who has a registry needs it

        begun = self._clock()
        pause = _PAUSE_SECONDS_MIN
        while True:
            try:
                status, content = self._request(path)
                if status < _SERVER_FAULT and status != _TOO_MANY:
                    return self._understood(path, status, content)
                reason = f"it answers {status}"
            except httpx.TransportError as error:
                reason = str(error) or type(error).__name__
                if "CERTIFICATE_VERIFY_FAILED" in reason or "certificate" in reason.lower():
                    message = (
                        f"{self._url}: its certificate is not trusted: {reason}; check source.registry.authority_file"
                    )
                    raise ConfigurationError(message) from None
            waited = self._clock() - begun
            if waited + pause > self._config.wait_seconds:
                message = (
                    f"{self._url}: the schema registry did not answer for {waited:.0f} s: {reason}; no record was"
                    " skipped: start again when it answers, or raise source.registry.wait_seconds"
                )
                raise InputError(message)
            if pause == _PAUSE_SECONDS_MIN:
                _log.warning("the schema registry does not answer; waiting", url=self._url, reason=reason)
            self._sleep(pause)
            pause = min(2 * pause, _PAUSE_SECONDS_MAX)

    def _request(self, path: str) -> tuple[int, bytes]:
        content = bytearray()
        with self._client.stream("GET", self._url + path) as response:
            for part in response.iter_bytes():
                content += part
                if len(content) > ANSWER_BYTES_MAX:
                    raise InputError(f"{self._url}{path}: the answer has more than {ANSWER_BYTES_MAX:,} bytes")
            return response.status_code, bytes(content)

    def _understood(self, path: str, status: int, content: bytes) -> dict[str, Any] | None:
        answer: object = None
        with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
            answer = msgspec.json.decode(content)
        if status == _OK and isinstance(answer, dict):
            return answer
        if status == _NOT_FOUND and isinstance(answer, dict) and answer.get("error_code") in _UNKNOWN_CODES:
            return None
        if status in {_UNAUTHORIZED, _FORBIDDEN}:
            message = (
                f"{self._url}: refuses us ({status}); check source.registry.user and password, or token, or the"
                " certificate"
            )
            raise ConfigurationError(message)
        message = (
            f"{self._url}{path}: answers {status}, and not as a schema registry does; check the path in"
            " source.registry.url (Apicurio: /apis/ccompat/v7)"
        )
        raise ConfigurationError(message)


def _text(answer: dict[str, Any], url: str) -> str:
    text = answer.get("schema")
    if not isinstance(text, str):
        raise ConfigurationError(f"{url}: answers without a schema; check source.registry.url")
    return text


def _plain_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        # What was found is not shown: it may hold a password.
        raise ConfigurationError("source.registry.url: found no address; allowed: http://HOST:PORT or https://…")
    if "@" in parts.netloc:
        message = "source.registry.url: holds a user or a password; put them into source.registry.user and password"
        raise ConfigurationError(message)
    return urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/"), "", ""))


def _client(config: RegistryConfig) -> httpx.Client:
    try:
        import httpx  # noqa: PLC0415
    except ImportError as error:
        message = "a schema registry needs the library httpx; pip install 'counterfoil[kafka]'"
        raise ConfigurationError(message) from error
    password = _secret(config.password, config.password_file, "password")
    token = _secret(config.token, config.token_file, "token")
    headers = {"Accept": "application/vnd.schemaregistry.v1+json, application/json"}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    return httpx.Client(
        auth=None if config.user is None else (config.user, password or ""),
        headers=headers,
        verify=_trust(config),
        timeout=config.timeout_seconds,
        # Requests are rare, so no connection is kept open for the next one.
        limits=httpx.Limits(max_keepalive_connections=0),
        # No proxy and no password file of the environment: what is used is what the settings say.
        trust_env=False,
    )


def _secret(value: object, path: str | None, name: str) -> str | None:
    if path is None:
        return None if value is None else str(getattr(value, "value", value))
    try:
        return Path(path).read_text("utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not text"
        message = f"source.registry.{name}_file: {path} cannot be read: {reason}; give the path of a file"
        raise ConfigurationError(message) from None


def _trust(config: RegistryConfig) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=config.authority_file)
        if config.certificate_file is not None:
            context.load_cert_chain(config.certificate_file, config.key_file)
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        message = (
            f"source.registry: {config.authority_file or ''} {config.certificate_file or ''}: no usable certificate:"
            f" {reason}; give files in PEM form"
        )
        raise ConfigurationError(message) from None
    return context
