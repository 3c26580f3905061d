"""MLflow as the registry, for those who have it: the same interface over its registered models.

A version's files are artifacts of a run of their own; who and why, the engine and the hash are tags. MLflow keeps no
audit trail that says who moved an alias and why, so one is kept as tags of the registered model, a tag a change.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from counterfoil.errors import ConfigurationError, InputError, StorageError
from counterfoil.models.definition import is_alias, is_model_name, parse_reference
from counterfoil.models.model import Model, load_model
from counterfoil.models.registry import AuditEntry, Version, check_words
from counterfoil.models.signature import Signature

EXPERIMENT = "counterfoil"
_PREFIX = "counterfoil."
_AUDIT = f"{_PREFIX}audit."
_ONNX, _SIGNATURE = "model.onnx", "model.json"
_CHANGES_MAX = 10_000
_PAGE = 100
_REACH_SECONDS = 5.0
_ENVIRONMENT = {
    # Standard output belongs to what our commands print.
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # Whoever decides payments tells nobody that it does.
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # Left alone, MLflow goes on asking a server that is gone for minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}
"""What MLflow reads from the environment, unless the user has set it."""
_WRONG = frozenset({"RESOURCE_DOES_NOT_EXIST", "RESOURCE_ALREADY_EXISTS", "INVALID_PARAMETER_VALUE"})
"""What MLflow says of a request that is wrong; everything else is said of the server."""


class MlflowRegistry:
    """A registry in MLflow.

    Parameters
    ----------
    uri
        Of the tracking server and registry, as MLflow takes it: ``http://127.0.0.1:5000``. Its small package, which is
        what ``counterfoil[mlflow]`` installs, speaks to servers; ``sqlite:///mlflow.db`` needs the whole of MLflow.

    Raises
    ------
    ConfigurationError
        If MLflow is not installed.
    StorageError
        If no server listens there, or MLflow cannot use the URI.
    """

    def __init__(self, uri: str) -> None:
        self.place = f"mlflow:{uri}"
        _reach(uri, self.place)
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        try:
            from mlflow import MlflowClient  # noqa: PLC0415 - an extra
            from mlflow.exceptions import MlflowException  # noqa: PLC0415
        except ImportError as error:
            raise ConfigurationError("MLflow needs one more package: pip install 'counterfoil[mlflow]'") from error
        # It tells that it waits for what is there at once.
        logging.getLogger("mlflow.store.model_registry.abstract_store").setLevel(logging.WARNING)
        self._failure: type[Exception] = MlflowException
        self._client: Any = self._asked(MlflowClient, tracking_uri=uri, registry_uri=uri)

    def _asked(self, call: Any, *values: object, **named: object) -> Any:
        """Call MLflow, and turn what it raises into our own errors."""
        try:
            return call(*values, **named)
        except (self._failure, OSError) as error:
            text = str(error).strip()[:500]
            if getattr(error, "error_code", "") in _WRONG:
                raise InputError(f"{self.place}: {text}") from error
            raise StorageError(f"{self.place}: {text}; is the server running, and does it let us in?") from error

    def _ask(self, name: str, *values: object, **named: object) -> Any:
        return self._asked(getattr(self._client, name), *values, **named)

    def add(self, onnx: bytes, signature: Signature, who: str, why: str) -> Version:
        """Add a version; the same content again gives the version that is there."""
        check_words(who, why)
        if not is_model_name(signature.name):
            raise InputError(f'model: found the name "{signature.name[:100]}"; allowed: letters, digits, _ . and -')
        model = load_model(onnx, signature)
        for version in self.versions(signature.name):
            if version.sha256 == model.sha256:
                return version
        if signature.name not in self.names():
            self._ask("create_registered_model", signature.name)
        run = self._ask("create_run", self._experiment(), run_name=signature.name)
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, _ONNX).write_bytes(onnx)
            Path(folder, _SIGNATURE).write_bytes(signature.encode())
            self._ask("log_artifacts", run.info.run_id, folder)
        for name, value in signature.metrics.items():
            self._ask("log_metric", run.info.run_id, name, value)
        self._ask("set_terminated", run.info.run_id)
        tags = {"sha256": model.sha256, "engine": model.engine, "who": who, "why": why}
        made = self._ask(
            "create_model_version",
            signature.name,
            source=run.info.artifact_uri,
            run_id=run.info.run_id,
            tags={_PREFIX + name: value for name, value in tags.items()},
        )
        number = int(made.version)
        self._note(AuditEntry(time.time_ns() // 1000, who, why, "add", signature.name, number))
        return self.version(signature.name, number)

    def promote(self, name: str, number: int, alias: str, who: str, why: str) -> None:
        """Let an alias point at a version; where it does already, nothing is changed, and nothing noted."""
        check_words(who, why)
        if not is_alias(alias):
            raise InputError(f'alias: found "{alias[:100]}"; allowed: a word such as champion, challenger or shadow')
        self.version(name, number)
        if self.aliases(name).get(alias) != number:
            self._point(name, number, alias, "promote", who, why)

    def rollback(self, name: str, alias: str, who: str, why: str) -> Version:
        """Let an alias point where it did before."""
        check_words(who, why)
        steps: list[int] = []
        for entry in self.audit(name):
            if entry.alias != alias:
                continue
            if entry.action == "rollback" and len(steps) > 1:
                steps.pop()
            elif entry.action == "promote" and (not steps or steps[-1] != entry.number):
                steps.append(entry.number)
        if len(steps) < 2:
            raise InputError(f"{name}@{alias}: has no version before this one; see: counterfoil models show {name}")
        self._point(name, steps[-2], alias, "rollback", who, why)
        return self.version(name, steps[-2])

    def _point(self, name: str, number: int, alias: str, action: str, who: str, why: str) -> None:
        former = self.aliases(name).get(alias)
        self._note(AuditEntry(time.time_ns() // 1000, who, why, action, name, number, alias, former))
        self._ask("set_registered_model_alias", name, alias, str(number))

    def put_metrics(self, name: str, number: int, metrics: Mapping[str, float], who: str, why: str) -> None:
        """Add measurements to a version."""
        check_words(who, why)
        run = self._ask("get_model_version", name, str(number)).run_id
        for metric, value in metrics.items():
            self._ask("log_metric", run, metric, float(value))
        self._note(AuditEntry(time.time_ns() // 1000, who, why, "metrics", name, number))

    def resolve(self, reference: str) -> Version:
        """Return the version that ``name@alias`` or ``name@number`` stands for."""
        name, rest = parse_reference(reference)
        if rest.isdecimal():
            return self.version(name, int(rest))
        aliases = self.aliases(name)
        if rest not in aliases:
            raise InputError(f'model: found "{reference}", which {self.place} does not have')
        return self.version(name, aliases[rest])

    def version(self, name: str, number: int) -> Version:
        """Return one version."""
        try:
            found = self._ask("get_model_version", name, str(number))
        except InputError as error:
            raise InputError(f"model: found {name}@{number}, which {self.place} does not have") from error
        tags = {key.removeprefix(_PREFIX): value for key, value in found.tags.items() if key.startswith(_PREFIX)}
        signature = Signature.decode(self._artifact(found.run_id, _SIGNATURE))
        metrics = signature.metrics | dict(self._ask("get_run", found.run_id).data.metrics)
        created = int(found.creation_timestamp) * 1000
        sha256, engine = tags.get("sha256", ""), tags.get("engine", "onnxruntime")
        return Version(
            name, number, sha256, engine, signature, created, tags.get("who", ""), tags.get("why", ""), metrics
        )

    def onnx(self, version: Version) -> bytes:
        """Return a version's file, verified."""
        data = self._artifact(self._ask("get_model_version", version.name, str(version.number)).run_id, _ONNX)
        return version.checked(data, self.place)

    def model(self, version: Version) -> Model:
        """Return a version, loaded."""
        return version.loaded(self.onnx(version))

    def names(self) -> list[str]:
        """Return the names of all models."""
        return sorted(each.name for each in self._models())

    def _models(self) -> list[Any]:
        """Return all registered models, page by page."""
        found: list[Any] = []
        token = None
        while True:
            page = self._ask("search_registered_models", max_results=_PAGE, page_token=token)
            found += page
            token = page.token
            if not token:
                return found

    def versions(self, name: str | None = None) -> list[Version]:
        """Return the versions of one model or of all, oldest first."""
        names = self.names() if name is None else [name]
        found = [
            (each, int(version.version))
            for each in names
            for version in self._ask("search_model_versions", f"name='{each}'")
        ]
        return [self.version(each, number) for each, number in sorted(found)]

    def aliases(self, name: str) -> dict[str, int]:
        """Return a model's aliases, each with the number of its version."""
        if name not in self.names():
            return {}
        aliases = self._ask("get_registered_model", name).aliases
        return {alias: int(number) for alias, number in sorted(aliases.items())}

    def audit(self, name: str | None = None) -> list[AuditEntry]:
        """Return the changes to one model or to all, oldest first."""
        found = []
        for each in [known for known in self.names() if name in (None, known)]:
            tags = self._ask("get_registered_model", each).tags
            found += [AuditEntry(**json.loads(text)) for key, text in tags.items() if key.startswith(_AUDIT)]
        return sorted(found, key=lambda entry: entry.at)

    def stamp(self) -> object:
        """Return what differs after any change."""
        return tuple(
            (each.name, each.last_updated_timestamp, tuple(sorted(each.aliases.items()))) for each in self._models()
        )

    def close(self) -> None:
        """Do nothing: there is no connection to close."""

    def _note(self, entry: AuditEntry) -> None:
        if len(self.audit(entry.name)) >= _CHANGES_MAX:
            raise StorageError(f"{self.place}: {entry.name} has {_CHANGES_MAX:,} changes; begin another name")
        names = ("at", "who", "why", "action", "name", "number", "alias", "former")
        text = json.dumps({name: getattr(entry, name) for name in names})
        self._ask("set_registered_model_tag", entry.name, f"{_AUDIT}{entry.at}", text)

    def _experiment(self) -> str:
        known = self._ask("get_experiment_by_name", EXPERIMENT)
        return str(known.experiment_id if known is not None else self._ask("create_experiment", EXPERIMENT))

    def _artifact(self, run: str, name: str) -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            return Path(self._ask("download_artifacts", run, name, folder)).read_bytes()


def _reach(uri: str, place: str) -> None:
    """Say soon that no server listens; MLflow would try for minutes."""
    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https") or parts.hostname is None:
        return
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname, port), _REACH_SECONDS).close()
    except OSError as error:
        raise StorageError(
            f"{place}: cannot be reached: {error.strerror or error}; is an MLflow server there?"
        ) from None
