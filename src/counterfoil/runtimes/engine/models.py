"""Which versions of models serve a job: found once, when it starts, and sent along with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from counterfoil.errors import InputError
from counterfoil.runtimes.engine.job import PinnedModel

if TYPE_CHECKING:
    from counterfoil.detector import Detector
    from counterfoil.events.identity import IdentityKey


def pinned_models(detector: Detector, key: IdentityKey, registry: str | None) -> dict[str, PinnedModel]:
    """Return what a registry says serves now, by the names of the definition.

    Raises
    ------
    InputError
        If a model that acts for all is not there, or does not fit the detector.
    """
    if not detector.models:
        return {}
    from counterfoil.models.registry import open_registry  # noqa: PLC0415 - models are an extra
    from counterfoil.program import Program  # noqa: PLC0415

    planner = Program(detector, key).models
    found: dict[str, PinnedModel] = {}
    opened = open_registry(registry, read_only=True)
    try:
        for use in detector.models:
            try:
                version = opened.resolve(use.use)
            except InputError as error:
                if use.acts:
                    raise InputError(f"models.{use.name}: {error}") from error
                continue
            planner.plan(version.signature, version.sha256)
            found[use.name] = PinnedModel(version.reference, version.signature.encode(), opened.onnx(version))
    finally:
        opened.close()
    return found
