"""Labels: what is known today of a payment of the past.

They are read by a decoder of their own, so that the detector's batch is the same whether there are labels or not: a
label cannot reach a feature, and a label that cannot be read cannot turn an event into a dead letter.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from counterfoil.events.batch import Batch
from counterfoil.events.kinds import EventKind, Field, FieldType, Schema
from counterfoil.runtimes.local.arrays import texts_of
from counterfoil.runtimes.local.inputs import ChunkDecoder, decoder_settings, open_input

if TYPE_CHECKING:
    from counterfoil.config import LimitsConfig, SourceConfig
    from counterfoil.connectors.source import Chunk
    from counterfoil.detector import Detector
    from counterfoil.events.identity import IdentityKey

MISSING, GENUINE, FRAUD = -1, 0, 1
"""What a label says."""

Labels = npt.NDArray[np.int8]

_TRUE = frozenset({"1", "1.0", "true", "t", "yes", "y", "fraud", "fraudulent"})
_FALSE = frozenset({"0", "0.0", "false", "f", "no", "n", "genuine", "legit", "legitimate", "normal"})
_TYPES = (FieldType.BOOL, FieldType.FLOAT, FieldType.CATEGORY)
"""How a label may be written, in the order in which they are tried."""


def label_of_text(text: str | None) -> int:
    """Return what a label written as text says.

    Examples
    --------
    >>> label_of_text("Fraud"), label_of_text("no"), label_of_text("maybe")
    (1, 0, -1)
    """
    word = "" if text is None else text.strip().lower()
    return FRAUD if word in _TRUE else GENUINE if word in _FALSE else MISSING


class ColumnReader:
    """Reads one column of the deciding kinds beside the detector's own decoder.

    Parameters
    ----------
    name
        The detector's name of it, or the source's.
    source, limits, detector, key
        As for the detector's own decoder.
    types
        How it may be written, in the order in which they are tried.
    """

    def __init__(
        self,
        name: str,
        source: SourceConfig,
        limits: LimitsConfig,
        detector: Detector,
        key: IdentityKey,
        types: tuple[FieldType, ...],
    ) -> None:
        self.name = name
        self._decoders = [_decoder(Field(name, each), source, limits, detector, key) for each in types]
        self._best = 0

    def read(self, chunk: Chunk, first: int, arrival: int) -> list[Batch]:
        """Return the column, once for each type that was needed to read all of it.

        The type that could read the most of the last chunk is tried first, so that one is enough as a rule.
        """
        order = [self._best, *(index for index in range(len(self._decoders)) if index != self._best)]
        batches: list[Batch] = []
        read: dict[int, int] = {}
        for index in order:
            decoded = self._decoders[index](chunk, first, arrival)
            batches.append(decoded.batch)
            read[index] = int(np.count_nonzero(decoded.batch.nulls[0] == 0)) if len(decoded.batch) else 0
            if not decoded.dead:
                break
        self._best = max(read, key=lambda index: read[index])
        return batches


class LabelReader(ColumnReader):
    """Reads labels: true and false, numbers (anything but 0 is fraud), or words such as ``fraud`` and ``genuine``."""

    def __init__(
        self, name: str, source: SourceConfig, limits: LimitsConfig, detector: Detector, key: IdentityKey
    ) -> None:
        super().__init__(name, source, limits, detector, key, _TYPES)

    def labels(self, chunk: Chunk, first: int, arrival: int) -> Labels:
        """Return the label of every record of a chunk, ``MISSING`` where there is none."""
        found = np.full(chunk.next_position - chunk.position, MISSING, np.int8)
        # The first batch is the best: what it could read stands.
        for batch in reversed(self.read(chunk, first, arrival)):
            values = _labels_of(batch)
            known = values != MISSING
            found[batch.position[known] - first] = values[known]
        return found


class WordReader(ColumnReader):
    """Reads words that break a result down, such as the name of a fraud story."""

    def __init__(
        self, name: str, source: SourceConfig, limits: LimitsConfig, detector: Detector, key: IdentityKey
    ) -> None:
        types = (FieldType.CATEGORY, FieldType.INTEGER, FieldType.BOOL, FieldType.FLOAT)
        super().__init__(name, source, limits, detector, key, types)

    def words(self, chunk: Chunk, first: int, arrival: int) -> npt.NDArray[np.object_]:
        """Return the word of every record of a chunk, None where there is none."""
        found = np.full(chunk.next_position - chunk.position, None, np.object_)
        for batch in reversed(self.read(chunk, first, arrival)):
            present = np.flatnonzero(batch.nulls[0] == 0)
            found[batch.position[present] - first] = _words_of(batch, present)
        return found


def _decoder(
    field: Field, source: SourceConfig, limits: LimitsConfig, detector: Detector, key: IdentityKey
) -> ChunkDecoder:
    """Return a decoder that knows times and one column, and nothing else."""
    kinds = tuple(
        EventKind(
            kind.name,
            # The first column of the schema, so every kind has it; only deciding kinds are looked at.
            (field,),
            None,
            kind.time,
            kind.decide,
            kind.time_unit,
            tuple(name for name in _names(kind) if name not in (field.name, kind.time)),
        )
        for kind in detector.schema.kinds
    )
    if source.format == "lines":
        # What stands where in a line follows from the detector's own fields, not from the one that is read here.
        source = replace(source, columns=decoder_settings(source, limits, detector).fields)
    bare = replace(detector, schema=Schema(kinds), features=(), rules=(), lists=(), entities=())
    opened = open_input(source, limits, bare, key)
    opened.source.close()
    return opened.decode


def _names(kind: EventKind) -> list[str]:
    return [*([] if kind.id is None else [kind.id]), *(each.name for each in kind.fields), *kind.ignore]


def _labels_of(batch: Batch) -> Labels:
    labels = np.full(len(batch), MISSING, np.int8)
    present = np.flatnonzero(batch.nulls[0] == 0)
    kind = batch.schema.columns[0].type
    if kind is FieldType.CATEGORY:
        hashes, firsts, inverse = np.unique(batch.values[0, present], return_index=True, return_inverse=True)
        del hashes
        said = np.array([label_of_text(batch.texts.get(1, int(present[each]))) for each in firsts], np.int8)
        labels[present] = said[inverse]
    elif kind is FieldType.FLOAT:
        labels[present] = (batch.values[0].view(np.float64)[present] != 0).astype(np.int8)
    else:
        labels[present] = batch.values[0, present].astype(np.int8)
    return labels


def _words_of(batch: Batch, rows: npt.NDArray[np.int64]) -> list[str | None]:
    column = batch.schema.columns[0].type
    if column is FieldType.CATEGORY:
        return texts_of(batch.texts.heap, batch.texts.offset[1, rows], batch.texts.length[1, rows])
    if column is FieldType.FLOAT:
        return [f"{value:g}" for value in batch.values[0].view(np.float64)[rows].tolist()]
    values = batch.values[0, rows].tolist()
    return [("true" if value else "false") if column is FieldType.BOOL else str(value) for value in values]
