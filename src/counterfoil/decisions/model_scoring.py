"""Which model speaks for which payment, and what it says: between features and rules.

Who is in the share of an experiment follows from a hash of the entity's key and the experiment's name alone: it is the
same on every machine, in every batch and after every restart, and a share that grows keeps those who were in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from counterfoil.events.batch import Batch, Bytes, Words
from counterfoil.events.identity import IdentityKey
from counterfoil.models.definition import ModelUse
from counterfoil.models.kernel import Doubles, Floats
from counterfoil.models.matrix import MatrixPlan
from counterfoil.models.scores import ModelScores, Served, slots_of
from counterfoil.models.signature import Signature
from counterfoil.rules.expression import Variable


class Asked(Protocol):
    """One model for one batch."""

    @property
    def signature(self) -> Signature:
        """What it expects."""
        ...

    @property
    def sha256(self) -> str:
        """The hash of its content."""
        ...

    def explain(self, rows: npt.NDArray[np.float32]) -> list[Any]:
        """Return why rows (rows, features) are scored as they are, each for JSON."""
        ...

    def map(self, raw: Doubles) -> Doubles:
        """Return raw scores on the scale of the thresholds."""
        ...


class Serving(Protocol):
    """Which versions serve a batch: what a runtime hands over beside the events, and records."""

    def asked(self, entry: int) -> Asked | None:
        """Return the model of an entry; None where there is none to ask."""
        ...

    def score(self, entry: int, columns: Floats) -> Doubles | None:
        """Return the scores of (features, rows), or None where the model failed as a whole."""
        ...

    def served(self) -> tuple[Served, ...]:
        """Return who served, after all were asked."""
        ...


class NobodyServes:
    """What a detector with models has where nobody hands over any: every score is missing."""

    def __init__(self, uses: Sequence[ModelUse]) -> None:
        self._served = tuple(Served(use.name) for use in uses)

    def asked(self, entry: int) -> Asked | None:
        """Return None."""
        del entry
        return None

    def score(self, entry: int, columns: Floats) -> Doubles | None:
        """Return None."""
        del entry, columns
        return None

    def served(self) -> tuple[Served, ...]:
        """Return that nobody did."""
        return self._served


class ModelScoring:
    """Asks the models of a detector.

    Parameters
    ----------
    uses
        The models of the definition.
    variables
        Features and fields of decided events, by name.
    key_rows
        Name of each entity to the row of the batch's keys that identifies it.
    key
        Hashes texts.
    """

    def __init__(
        self,
        uses: Sequence[ModelUse],
        variables: Mapping[str, Variable],
        key_rows: Mapping[str, int],
        key: IdentityKey,
    ) -> None:
        self.uses = tuple(uses)
        self.slots = slots_of(uses)
        self._variables, self._key = dict(variables), key
        self._plans: dict[str, MatrixPlan] = {}
        names = [use.name for use in self.uses]
        self._arms: list[list[tuple[int, float, int, np.uint64]]] = [[] for _ in self.slots]
        for entry, use in enumerate(self.uses):
            if use.share is not None and use.by is not None:
                slot = self.slots.index(names.index(use.instead_of or ""))
                salt = np.uint64(key.hash(f"share of {use.instead_of}") & 0xFFFF_FFFF_FFFF_FFFF)
                self._arms[slot].append((entry, use.share, key_rows[use.by], salt))

    def plan(self, signature: Signature, sha256: str = "") -> MatrixPlan:
        """Return where a model's columns come from.

        Parameters
        ----------
        signature
            What it expects.
        sha256
            Its hash; plans are kept by it.

        Raises
        ------
        InputError
            If the detector does not have what the model needs.
        """
        if sha256 and sha256 in self._plans:
            return self._plans[sha256]
        plan = MatrixPlan(signature, self._variables, self._key)
        if sha256:
            self._plans[sha256] = plan
        return plan

    def assign(self, keys: Words, rows: Words) -> npt.NDArray[np.uint8]:
        """Return the entry that speaks for each decision, a row for each slot."""
        arm = np.repeat(np.array(self.slots, np.uint8)[:, None], len(rows), axis=1)
        for slot, arms in enumerate(self._arms):
            begin: dict[int, float] = {}
            for entry, share, key_row, salt in arms:
                key = keys[key_row, rows]
                place = _places(key, salt)
                low = begin.get(key_row, 0.0)
                arm[slot, (place >= low) & (place < low + share) & (key != 0)] = entry
                begin[key_row] = low + share
        return arm

    def score(
        self, batch: Batch, rows: Words, work: Words, work_nulls: Bytes, keys: Words, serving: Serving | None
    ) -> ModelScores:
        """Ask every model for the decisions that it speaks for.

        Parameters
        ----------
        batch
            The events.
        rows
            Those that are decided.
        work, work_nulls
            The features.
        keys
            (keys, n): 0 where an event does not belong to such an entity.
        serving
            Which versions serve; None for none.
        """
        serving = serving or NobodyServes(self.uses)
        entries, size = len(self.uses), len(rows)
        scores = ModelScores(
            self.uses,
            (),
            np.full((entries, size), np.nan),
            np.full((entries, size), np.nan),
            self.assign(keys, rows),
            self.slots,
        )
        matrices: dict[int, Floats] = {}
        failed: set[int] = set()
        # Those in a share come before the models that they stand for: who fails is spoken for by the other.
        for entry in sorted(range(entries), key=lambda each: (self.uses[each].share is None, each)):
            columns = self._columns_of(entry, scores.arm)
            if not self._ask(entry, serving, columns, (batch, rows, work, work_nulls), scores, matrices):
                failed.add(entry)
                for slot, main in enumerate(self.slots):
                    if main != entry:
                        scores.arm[slot, scores.arm[slot] == entry] = main
        scores.matrices = matrices
        scores.served = serving.served()
        return scores

    def _columns_of(self, entry: int, arm: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64] | None:
        """Return the decisions that a model is asked for; None for all."""
        if self.uses[entry].shadow or (entry in self.slots and not self._arms[self.slots.index(entry)]):
            return None
        return np.flatnonzero((arm == entry).any(axis=0))

    def _ask(
        self,
        entry: int,
        serving: Serving,
        columns: npt.NDArray[np.int64] | None,
        events: tuple[Batch, Words, Words, Bytes],
        scores: ModelScores,
        matrices: dict[int, Floats],
    ) -> bool:
        """Ask one model; return whether it answered."""
        asked = serving.asked(entry)
        if asked is None:
            return False
        same = next((at for at in matrices if scores.inputs[at] == asked.signature.inputs), None)
        matrix = self.plan(asked.signature, asked.sha256).build(*events) if same is None else matrices[same]
        matrices[entry] = matrix
        scores.inputs[entry] = asked.signature.inputs
        scores.explainers[entry] = asked.explain
        if columns is not None and not len(columns):
            return True
        raw = serving.score(entry, matrix if columns is None else np.ascontiguousarray(matrix[:, columns]))
        if raw is None:
            return False
        chosen = slice(None) if columns is None else columns
        scores.raw[entry, chosen] = raw
        scores.mapped[entry, chosen] = asked.map(raw)
        return True


def _places(keys: Words, salt: np.uint64) -> npt.NDArray[np.float64]:
    """Return a number from 0 to 1 for each key: evenly spread, and the same for ever."""
    mixed = keys.view(np.uint64) ^ salt
    for factor in (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(31))) * factor
    mixed ^= mixed >> np.uint64(29)
    return (mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53
