"""What a worker must know of a job, and what it makes of that once.

Parts have numbers. Where state is in one piece (``shards == 1``) there is only ``WHOLE``, which is given whole batches
and answers results. Else pieces go to ``DUPLICATES`` (where the detector looks for any), then to ``FIRST_SHARD ..
FIRST_SHARD + shards - 1``, and the batch itself, which no part with state needs, passes by them under the number
``CARRIED`` or less.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

import msgspec

from counterfoil.config import LimitsConfig, SourceConfig
from counterfoil.decisions.feature_words import feature_words
from counterfoil.detector import Detector
from counterfoil.detector_file import read_detector
from counterfoil.events.identity import IdentityKey
from counterfoil.program import Program
from counterfoil.runtimes.special_kernels import attach

WHOLE = 0
DUPLICATES = 0
FIRST_SHARD = 1
CARRIED = -1
CARRIERS = 8
"""Numbers under which batches pass by: so many, so that they do not all go through one task."""
SPLIT_BITS = 40
"""A position is the number of a split of the source, shifted by so many bits, and the record's offset in it: those of
up to 8,192 splits are exact in a double."""
_STATE_BYTES = 1 << 34


class PinnedModel(msgspec.Struct, frozen=True):
    """A version of a model that serves a job from its start to its end."""

    reference: str
    signature: bytes
    onnx: bytes


class JobText(msgspec.Struct, frozen=True):
    """A job as it travels to workers: plain values."""

    definition: str
    secret: bytes
    shards: int
    source: SourceConfig
    limits: LimitsConfig
    models: dict[str, PinnedModel] = {}
    features: bool = False
    alerts: bool = False
    clock: int | None = None
    since: dict[int, int] = {}


@dataclass(frozen=True)
class Job:
    """A job of an engine.

    Parameters
    ----------
    detector
        What is computed.
    key
        Hashes ids.
    shards
        How many parts state is divided into; 1 for state in one piece.
    source, limits
        How records are decoded.
    models
        The versions that serve, by the names that the definition has for them.
    features
        Whether results carry every feature.
    alerts
        Whether episodes are wanted.
    clock
        What decisions are stamped with, in microseconds since 1970; None for the clock.
    since
        By split, the first position whose results are written, where workers write them themselves: what came before
        was written by a former generation of the state.
    """

    detector: Detector
    key: IdentityKey = field(default_factory=IdentityKey)
    shards: int = 1
    source: SourceConfig = field(default_factory=SourceConfig)
    limits: LimitsConfig = field(default_factory=LimitsConfig)
    models: Mapping[str, PinnedModel] = field(default_factory=dict)
    features: bool = False
    alerts: bool = False
    clock: int | None = None
    since: Mapping[int, int] = field(default_factory=dict)

    @property
    def whole(self) -> bool:
        """Whether state is in one piece."""
        return self.shards == 1

    @property
    def dedupes(self) -> bool:
        """Whether duplicates are looked for."""
        return self.detector.dedupe > 0

    @cached_property
    def program(self) -> Program:
        """The compiled detector: its pure pieces. Nothing may be given to its state but by the part of the whole."""
        return self.fresh_program()

    def fresh_program(self, threads: int = 1) -> Program:
        """Return a compiled detector with a state of its own; how many threads it has changes nothing of that."""
        program = Program(self.detector, self.key, threads=threads, state_bytes=_STATE_BYTES)
        attach(program)
        return program

    @cached_property
    def words(self) -> dict[str, str]:
        """How features are called when reasons are told."""
        return dict(feature_words(self.detector.features))

    def encode(self) -> bytes:
        """Return it as bytes. They hold the secret: they belong on the engine's own wires, in no file and no log."""
        from counterfoil.definition.writing import write_detector  # noqa: PLC0415 - only where a job is submitted

        return msgspec.json.encode(
            JobText(
                write_detector(self.detector),
                self.key.secret,
                self.shards,
                self.source,
                self.limits,
                dict(self.models),
                self.features,
                self.alerts,
                self.clock,
                dict(self.since),
            )
        )

    @classmethod
    def decode(cls, data: bytes) -> Job:
        """Return what was encoded: the same object for the same bytes, so that a worker compiles once."""
        return _decoded(bytes(data))


@lru_cache(maxsize=4)
def _decoded(data: bytes) -> Job:
    text = msgspec.json.decode(data, type=JobText)
    return Job(
        read_detector(text.definition, "the job's detector"),
        IdentityKey(text.secret),
        text.shards,
        text.source,
        text.limits,
        text.models,
        text.features,
        text.alerts,
        text.clock,
        text.since,
    )


def position_of(split: int, offset: int) -> int:
    """Return the input position of a record.

    Examples
    --------
    >>> position_of(0, 17), position_of(2, 17) == 2 * 2**40 + 17
    (17, True)
    """
    assert split >= 0
    assert 0 <= offset < 1 << SPLIT_BITS
    return split << SPLIT_BITS | offset


def place_of(position: int) -> tuple[int, int]:
    """Return the split and the offset of a position."""
    return position >> SPLIT_BITS, position & ((1 << SPLIT_BITS) - 1)


def carrier_of(batch: int) -> int:
    """Return the number under which a batch passes by the parts that have state."""
    split, offset = place_of(batch)
    return CARRIED - (split + offset // 1024) % CARRIERS


def text_of(data: bytes) -> str:
    """Return bytes as text, for engines that carry parameters as text."""
    return base64.b64encode(data).decode("ascii")
