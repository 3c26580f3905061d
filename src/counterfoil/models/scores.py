"""What models said of a batch, and which versions spoke: columns beside the decisions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from counterfoil.models import kernel
from counterfoil.models.definition import ModelUse
from counterfoil.models.signature import Input

SERVED, FENCED, RAISED, OVERRAN, ABSENT = "served", "fenced", "raised", "overran", "absent"
"""What became of a model in a batch: its scores stand; it was left out after an earlier fault; it raised an error; it
took too long; there was no version to ask."""


@dataclass(frozen=True, slots=True)
class Served:
    """Which version of a model served a batch, and whether it did.

    Parameters
    ----------
    name
        What the definition calls the model.
    reference
        The version: ``payments@3``; empty where there was none.
    sha256
        The hash of its content.
    mapping
        The hash of the mapping of its scores; empty for none.
    status
        ``served``, or why its scores are missing.
    """

    name: str
    reference: str = ""
    sha256: str = ""
    mapping: str = ""
    status: str = ABSENT

    def as_list(self) -> list[str]:
        """Return it as the log holds it."""
        return [self.name, self.reference, self.sha256, self.mapping, self.status]


@dataclass(slots=True)
class ModelScores:
    """The scores of a batch of m decisions; entries are the models of the definition, in its order."""

    uses: tuple[ModelUse, ...]
    served: tuple[Served, ...]
    """(entries,)."""
    raw: npt.NDArray[np.float64]
    """(entries, m): what each model said; NaN where it was not asked, or gave no score."""
    mapped: npt.NDArray[np.float64]
    """(entries, m): the same on the scale that thresholds are meant for."""
    arm: npt.NDArray[np.uint8]
    """(slots, m): the entry that served, for each model that acts for all."""
    slots: tuple[int, ...]
    """The entries that act for all."""
    matrices: dict[int, kernel.Floats] = field(default_factory=dict)
    """Entry to the columns that its model saw, (features, m): for explanations; not kept in the log."""
    explainers: dict[int, Callable[[npt.NDArray[np.float32]], list[Any]]] = field(default_factory=dict)
    """Entry to what says why its model scores rows of its matrix as it does."""
    told: dict[int, dict[str, Any]] = field(default_factory=dict)
    """Reasons that were asked for already."""
    inputs: dict[int, tuple[Input, ...]] = field(default_factory=dict)
    """Entry to what these columns are."""

    def acted(self, slot: int) -> npt.NDArray[np.float64]:
        """Return the score that rules and policy saw of a slot."""
        return np.take_along_axis(self.mapped, self.arm[slot][None, :].astype(np.int64), axis=0)[0]

    def take(self, columns: npt.NDArray[np.int64]) -> ModelScores:
        """Return some decisions' scores, in the order given."""
        matrices = {entry: matrix[:, columns] for entry, matrix in self.matrices.items()}
        return ModelScores(
            self.uses,
            self.served,
            self.raw[:, columns],
            self.mapped[:, columns],
            self.arm[:, columns],
            self.slots,
            matrices,
            self.explainers,
            inputs=self.inputs,
        )

    def reasons(self, columns: npt.NDArray[np.int64]) -> dict[int, dict[str, Any]]:
        """Return why the models that acted scored some decisions as they did: name of each to what speaks for it."""
        found = self.told
        columns = np.array([each for each in columns.tolist() if each not in found], np.int64)
        for slot, main in enumerate(self.slots):
            name = self.uses[main].name
            for entry in np.unique(self.arm[slot, columns]).tolist():
                chosen = columns[(self.arm[slot, columns] == entry) & ~np.isnan(self.raw[entry, columns])]
                if entry not in self.explainers or entry not in self.matrices or not len(chosen):
                    continue
                said = self.explainers[entry](self.matrices[entry][:, chosen].T)
                for column, each in zip(chosen.tolist(), said, strict=True):
                    found.setdefault(column, {})[name] = each
        return found

    def describe(self, column: int) -> dict[str, dict[str, Any]]:
        """Return what the models said of one decision, as JSON holds it."""
        return describe(self.uses, self.served, self.raw, self.mapped, self.arm, self.slots, column)


def describe(
    uses: Sequence[ModelUse],
    served: Sequence[Served],
    raw: npt.NDArray[np.float64],
    mapped: npt.NDArray[np.float64],
    arm: npt.NDArray[np.uint8],
    slots: Sequence[int],
    column: int,
) -> dict[str, dict[str, Any]]:
    """Return what models said of one decision: one member for each slot and each shadow."""
    found: dict[str, dict[str, Any]] = {}
    for slot, entry in enumerate(slots):
        speaker = int(arm[slot, column])
        found[uses[entry].name] = _said(served[speaker], raw[speaker, column], mapped[speaker, column])
        found[uses[entry].name]["arm"] = uses[speaker].name
    for entry, use in enumerate(uses):
        if use.shadow:
            found[use.name] = _said(served[entry], raw[entry, column], mapped[entry, column]) | {"shadow": True}
    return found


def _said(served: Served, raw: float, mapped: float) -> dict[str, Any]:
    said: dict[str, Any] = {
        "model": served.reference,
        "score": None if np.isnan(mapped) else float(mapped),
        "raw": None if np.isnan(raw) else float(raw),
    }
    if np.isnan(raw):
        said["failed"] = "no score" if served.status == SERVED else served.status
    return said


def slots_of(uses: Sequence[ModelUse]) -> tuple[int, ...]:
    """Return the entries that act for all."""
    return tuple(entry for entry, use in enumerate(uses) if use.acts)
