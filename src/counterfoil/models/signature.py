"""What a model expects and where it comes from: the JSON beside every model file."""

from __future__ import annotations

from typing import Any

import msgspec

from counterfoil.errors import InputError
from counterfoil.rules.types import Base

SIGNATURE_BYTES_MAX = 4 * 2**20
INPUTS_MAX = 2_000
"""As many as a detector may have features."""


class Input(msgspec.Struct, frozen=True, kw_only=False, forbid_unknown_fields=True):
    """One column of the matrix that a model sees.

    Parameters
    ----------
    name
        A feature, or a field of the decided events.
    type
        Its type in the detector: ``int``, ``money``, ``float``, ``bool``, ``interval``, ``time`` or ``text``.
    missing
        What a null becomes; None where the model takes care of missing values itself.
    values
        The texts of a ``text``, in the order of their numbers 0, 1, …; every other text counts as missing.
    """

    name: str
    type: str
    missing: float | None = None
    values: tuple[str, ...] = ()


class DataRange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a model was trained on: a time range and its size."""

    start: str
    end: str
    rows: int
    positives: int | None = None
    source: str = ""


class Signature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that must be known of a model beside its file.

    Parameters
    ----------
    name
        The model's name in the registry.
    kind
        What it is, for people: ``lightgbm``, ``sklearn.ensemble.RandomForestClassifier``.
    detector
        The version of the detector whose features it was trained on.
    inputs
        The columns of its matrix.
    output, column
        The output of the ONNX graph, and its column, that is the score.
    data, metrics, seed, libraries, parameters
        How it was made and how good it was.
    profile
        Distributions of the training table, for the watch on drift.
    notes
        For people.

    Examples
    --------
    >>> signature = Signature("demo", "logistic", "payments@0", (Input("amount", "money"),))
    >>> Signature.decode(signature.encode()) == signature
    True
    """

    name: str
    kind: str
    detector: str
    inputs: tuple[Input, ...]
    output: str = "score"
    column: int = -1
    data: DataRange | None = None
    metrics: dict[str, float] = {}
    seed: int | None = None
    libraries: dict[str, str] = {}
    parameters: dict[str, str | int | float | bool | None] = {}
    profile: dict[str, Any] = {}
    notes: str = ""

    def encode(self) -> bytes:
        """Return it as JSON, the same for the same content."""
        return msgspec.json.format(msgspec.json.encode(self, order="deterministic"), indent=1)

    @classmethod
    def decode(cls, data: bytes, place: str = "signature") -> Signature:
        """Return the signature that a JSON text holds.

        Raises
        ------
        InputError
            With what is wrong with it.
        """
        if len(data) > SIGNATURE_BYTES_MAX:
            raise InputError(f"{place}: found {len(data):,} bytes; allowed: {SIGNATURE_BYTES_MAX:,}")
        try:
            signature = msgspec.json.decode(data, type=cls)
        except (msgspec.DecodeError, RecursionError) as error:
            raise InputError(f"{place}: is no signature of a model: {error}") from error
        signature.check(place)
        return signature

    def check(self, place: str = "signature") -> None:
        """See to it that it makes sense.

        Raises
        ------
        InputError
            With the first thing that does not.
        """
        types = [base.value for base in Base]
        if not self.inputs or len(self.inputs) > INPUTS_MAX:
            raise InputError(f"{place}.inputs: found {len(self.inputs):,}; allowed: 1 to {INPUTS_MAX:,}")
        seen: set[str] = set()
        for index, each in enumerate(self.inputs):
            where = f"{place}.inputs[{index}]"
            if each.name in seen:
                raise InputError(f'{where}.name: found "{each.name}" again; allowed: each once')
            seen.add(each.name)
            if each.type not in types:
                raise InputError(f'{where}.type: found "{each.type}"; allowed: {", ".join(types)}')
            if (each.type == Base.TEXT.value) != bool(each.values):
                raise InputError(f"{where}.values: found {len(each.values)}; allowed: values for text, and only there")
            if len(set(each.values)) != len(each.values) or len(each.values) > 10_000:
                raise InputError(f"{where}.values: allowed: at most 10,000, each once")
