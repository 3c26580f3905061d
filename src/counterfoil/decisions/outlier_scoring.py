"""The online outlier scores of a detector: between features and rules, with a state of their own.

They see every decided event in order of arrival, so their scores depend neither on batches nor on shards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from counterfoil.models.definition import SCORE_SUFFIX, OutlierUse
from counterfoil.models.matrix import MatrixPlan
from counterfoil.models.outlier import OutlierState
from counterfoil.models.signature import Input, Signature

if TYPE_CHECKING:
    from counterfoil.events.batch import Batch, Bytes, Words
    from counterfoil.events.identity import IdentityKey
    from counterfoil.rules.expression import Variable


class OutlierScoring:
    """Keeps the outlier scores of a detector.

    Parameters
    ----------
    uses
        What the definition says of them.
    variables
        Features and fields of decided events, by name.
    key
        Hashes texts.
    """

    def __init__(self, uses: Sequence[OutlierUse], variables: Mapping[str, Variable], key: IdentityKey) -> None:
        self.names = tuple(f"{use.name}{SCORE_SUFFIX}" for use in uses)
        self._plans = [
            MatrixPlan(
                Signature(
                    use.name,
                    "outlier",
                    "",
                    tuple(Input(name, variables[name].type.base.value) for name in use.features),
                ),
                variables,
                key,
            )
            for use in uses
        ]
        self._states = [OutlierState(len(use.features)) for use in uses]

    def update(self, batch: Batch, rows: Words, work: Words, work_nulls: Bytes) -> npt.NDArray[np.float64]:
        """Return the scores (scores, rows) of decided events, and learn from them.

        Parameters
        ----------
        batch
            The events.
        rows
            Those that are decided, in order of arrival.
        work, work_nulls
            Their features.
        """
        out = np.empty((len(self._states), len(rows)), np.float64)
        for at, (plan, state) in enumerate(zip(self._plans, self._states, strict=True)):
            out[at] = state.update(plan.build(batch, rows, work, work_nulls).T)[1]
        return out

    def snapshot(self) -> dict[str, Words]:
        """Return the state as named arrays: views, valid until the next batch."""
        return {
            f"outliers/{name}:{part}": array
            for name, state in zip(self.names, self._states, strict=True)
            for part, array in state.snapshot().items()
        }

    def restore(self, arrays: Mapping[str, Words]) -> None:
        """Take over what ``snapshot`` gave.

        Raises
        ------
        StorageError
            If it is of another shape.
        """
        for name, state in zip(self.names, self._states, strict=True):
            state.restore({part: arrays[f"outliers/{name}:{part}"] for part in state.snapshot()})
