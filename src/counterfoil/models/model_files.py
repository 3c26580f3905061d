"""The files of every model that ever served a state folder: a repeat needs neither the registry nor luck."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from counterfoil.errors import InputError, StorageError
from counterfoil.models.mapping import IDENTITY
from counterfoil.models.mapping import Mapping as ScoreMapping
from counterfoil.models.model import Model, load_model
from counterfoil.models.registry import write_file
from counterfoil.models.scores import Served
from counterfoil.models.serving_model import ServingModel
from counterfoil.models.signature import Signature

FOLDER_NAME = "models"
_CURRENT = "current.json"


class ModelFiles:
    """The models that ever served a state folder, by the hash of their content.

    Parameters
    ----------
    folder
        The state folder; None to keep nothing.
    words
        How features are called when reasons are told.
    """

    def __init__(self, folder: Path | None, words: Mapping[str, str] | None = None) -> None:
        self._folder = None if folder is None else folder / FOLDER_NAME
        self._words = dict(words or {})
        self._loaded: dict[tuple[str, str], ServingModel] = {}

    def keep(self, model: Model, reference: str, mapping: ScoreMapping, onnx: bytes | None) -> ServingModel:
        """Make a version durable before it serves, and return it."""
        serving = ServingModel(reference, model, mapping, self._words)
        if self._folder is not None:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if onnx is not None:
                write_file(self._folder / f"{model.sha256}.json", model.signature.encode())
                write_file(self._folder / f"{model.sha256}.onnx", onnx)
            if mapping.sha256:
                write_file(self._folder / f"mapping-{mapping.sha256}.json", mapping.encode())
        self._loaded[model.sha256, mapping.sha256] = serving
        return serving

    def load(self, served: Served) -> ServingModel:
        """Return a version that served before.

        Raises
        ------
        StorageError
            If its files are gone or damaged.
        """
        known = self._loaded.get((served.sha256, served.mapping))
        if known is not None:
            return replace(known, reference=served.reference) if known.reference != served.reference else known
        if self._folder is None:
            raise StorageError(f"{served.reference}: is needed for a repeat, and nothing was kept of it")
        try:
            onnx = (self._folder / f"{served.sha256}.onnx").read_bytes()
            signature = Signature.decode((self._folder / f"{served.sha256}.json").read_bytes())
            mapping = IDENTITY
            if served.mapping:
                mapping = ScoreMapping.decode((self._folder / f"mapping-{served.mapping}.json").read_bytes())
            model = load_model(onnx, signature, probed=True)
        except (OSError, InputError) as error:
            raise StorageError(
                f"{self._folder}: {served.reference} served here and cannot be read: {error}; restore the folder"
            ) from error
        if model.sha256 != served.sha256 or mapping.sha256 != served.mapping:
            raise StorageError(f"{self._folder}: {served.reference} is not what served; restore the folder from a copy")
        return self.keep(model, served.reference, mapping, None)

    def current(self) -> dict[str, Served]:
        """Return what served last, by name."""
        if self._folder is None or not (self._folder / _CURRENT).exists():
            return {}
        try:
            rows = json.loads((self._folder / _CURRENT).read_text("utf-8"))
            return {row[0]: Served(*row) for row in rows}
        except (OSError, ValueError, TypeError, IndexError):
            return {}

    def put_current(self, served: Sequence[Served]) -> None:
        """Note what serves now."""
        if self._folder is None:
            return
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = self._folder / f"{_CURRENT}.part"
        draft.write_text(json.dumps([each.as_list() for each in served]), "utf-8")
        draft.replace(self._folder / _CURRENT)
