"""A model that can be asked for scores."""

from __future__ import annotations

import hashlib
from typing import Protocol

import numpy as np
import numpy.typing as npt

from counterfoil.errors import InputError
from counterfoil.models import kernel
from counterfoil.models.linear import LinearWeights
from counterfoil.models.onnx_file import read_onnx
from counterfoil.models.onnx_tables import tables_of
from counterfoil.models.signature import Signature
from counterfoil.models.trees import TreeTables

Matrix = npt.NDArray[np.float32]


class Scorer(Protocol):
    """What turns columns into scores."""

    def score(self, columns: kernel.Floats) -> kernel.Doubles:
        """Return the score of each row of (features, rows)."""
        ...


class Model:
    """A loaded model.

    Parameters
    ----------
    signature
        What it expects and where it comes from.
    onnx
        The bytes of its file.
    scorer
        What computes it.
    engine
        ``trees``, ``linear`` or ``onnxruntime``.
    """

    def __init__(self, signature: Signature, onnx: bytes, scorer: Scorer, engine: str) -> None:
        self.signature = signature
        self.sha256 = content_hash(onnx, signature)
        self.engine = engine
        self._scorer = scorer
        self._missing = np.array(
            [np.nan if each.missing is None else each.missing for each in signature.inputs], np.float32
        )
        self._fills = np.flatnonzero(~np.isnan(self._missing)).tolist()

    @property
    def trees(self) -> TreeTables | None:
        """Its trees, where it is a sum of trees."""
        return self._scorer if isinstance(self._scorer, TreeTables) else None

    @property
    def linear(self) -> LinearWeights | None:
        """Its weights, where it is linear."""
        return self._scorer if isinstance(self._scorer, LinearWeights) else None

    def score(self, matrix: Matrix) -> kernel.Doubles:
        """Return the score of each row; NaN where there is none.

        A row's score does not depend on the rows beside it, to the last bit.

        Parameters
        ----------
        matrix
            (rows, features), float32, NaN for null.
        """
        return self.score_columns(np.ascontiguousarray(matrix.T, np.float32))

    def score_columns(self, columns: kernel.Floats) -> kernel.Doubles:
        """Return the score of each row of (features, rows) in C order."""
        if columns.shape[0] != len(self.signature.inputs):
            raise InputError(f"matrix: found {columns.shape[0]} columns; allowed: {len(self.signature.inputs)}")
        score = self._scorer.score(self._filled(columns))
        score[~np.isfinite(score)] = np.nan
        return score

    def filled(self, matrix: Matrix) -> Matrix:
        """Return a matrix with missing values as training made them: what trees and weights see."""
        return self._filled(np.ascontiguousarray(matrix.T, np.float32)).T

    def _filled(self, columns: kernel.Floats) -> kernel.Floats:
        if not self._fills:
            return columns
        filled = columns.copy()
        for at in self._fills:
            column = filled[at]
            column[np.isnan(column)] = self._missing[at]
        return filled


def content_hash(onnx: bytes, signature: Signature) -> str:
    """Return the SHA-256 of a model: of its file and of its signature."""
    digest = hashlib.sha256(hashlib.sha256(onnx).digest())
    digest.update(signature.encode())
    return digest.hexdigest()


def load_model(onnx: bytes, signature: Signature, engine: str | None = None, probed: bool = False) -> Model:
    """Return a model after checking its file.

    Parameters
    ----------
    onnx
        The bytes of its file.
    signature
        What it expects.
    engine
        What must compute it; None for the fastest that can.
    probed
        Whether the file was tried in a process of its own before: a registry remembers that.

    Raises
    ------
    InputError
        If the file is damaged, hostile or does not fit the signature.
    """
    signature.check()
    try:
        graph = read_onnx(onnx, signature)
        tables = tables_of(graph, signature) if engine != "onnxruntime" else None
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        # What no check has foreseen is still a file that does not make sense.
        raise InputError(f"model file: is damaged: {type(error).__name__}: {str(error)[:200]}") from error
    if isinstance(tables, LinearWeights):
        return Model(signature, onnx, tables, "linear")
    if isinstance(tables, TreeTables):
        if tables.features > len(signature.inputs):
            raise InputError(
                f"model file: a tree asks column {tables.features}; the signature names {len(signature.inputs)} inputs"
            )
        return Model(signature, onnx, tables, "trees")
    from counterfoil.models.onnx_session import OnnxSession, probe  # noqa: PLC0415 - it needs onnxruntime

    if not probed:
        probe(onnx, graph, signature)
    return Model(signature, onnx, OnnxSession(onnx, graph, signature), "onnxruntime")
