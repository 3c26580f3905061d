"""Whose state a checkpoint holds, and whether a job may go on in it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from counterfoil.definition.writing import write_detector
from counterfoil.detector_file import read_detector
from counterfoil.errors import StorageError

if TYPE_CHECKING:
    from counterfoil.detector import Detector
    from counterfoil.runtimes.engine.job import Job


class JobState(msgspec.Struct, frozen=True):
    """What is noted beside a checkpoint."""

    query: str
    """The name of the query, for its outputs."""
    version: str
    """The detector's."""
    definition: str
    key: str
    """A fingerprint of the secret."""
    shards: int
    alerts: bool
    engine: dict[str, int] = {}
    """What else the engine fixes with its first checkpoint."""
    generation: int = 0
    """How often state was made anew from the source."""
    since: dict[str, dict[int, int]] = {}
    """Of each output, by split, the first position that is written: what came before was written by a former
    generation, and is read only so that there is state."""
    sizes: dict[str, int] = {}
    """Of each output that is a file, its size when this generation began."""

    @classmethod
    def of(cls, job: Job, engine: dict[str, int], query: str) -> JobState:
        """Return what a job would note."""
        fingerprint = str(job.key.hash("counterfoil"))
        detector = job.detector
        return cls(query, detector.version, write_detector(detector), fingerprint, job.shards, job.alerts, engine)


Renew = Callable[[JobState], JobState]
"""Given what is known of a checkpoint's former job, returns what a job notes that makes its state anew: ``generation``,
``since`` and ``sizes``, and the name of its query."""


def check_state(path: Path, job: JobState, place: str, renew: Renew | None = None) -> JobState:
    """Return what stands beside a checkpoint, noted for the job where nothing did.

    Parameters
    ----------
    path
        The file.
    job
        The job that wants to go on.
    place
        The checkpoint, for messages.
    renew
        Called where the detector cannot take the state over, but a new one may be made from the source; None where it
        may not.

    Raises
    ------
    StorageError
        If the job cannot go on in it.
    """
    known = read_state(path)
    if known is None:
        _write(path, job)
        return job
    if known.key != job.key:
        raise StorageError(f"{place}: was made with another secret; give that one, or another checkpoint")
    reason = _change(known, job)
    if reason is not None and renew is not None:
        fresh = renew(known)
        _write(path, fresh)
        return fresh
    if known.shards != job.shards:
        raise StorageError(
            f"{place}: its state is in {known.shards} shards, not {job.shards}: state cannot be divided anew; set"
            f" limits.shards (--shards) to {known.shards}, or begin a new checkpoint"
        )
    for name, value in known.engine.items():
        if job.engine.get(name) != value:
            raise StorageError(
                f"{place}: {name} is {value} there, not {job.engine.get(name)}: the engine fixes it with the first"
                f" checkpoint; set it to {value}, or begin a new checkpoint"
            )
    if known.alerts != job.alerts:
        wanted = "does" if known.alerts else "does not"
        raise StorageError(f"{place}: its job {wanted} write alerts; do likewise, or begin a new checkpoint")
    if reason is not None:
        raise StorageError(
            f"{place}: belongs to detector {known.version}, and {job.version} cannot take its state over: {reason};"
            " begin a new checkpoint, or accept the new detector: then its state is made anew from what the source"
            " still has, and what was decided stands (state.accept_detector, --accept-detector)"
        )
    if known.version != job.version:
        fresh = msgspec.structs.replace(known, version=job.version, definition=job.definition)
        _write(path, fresh)
        return fresh
    return known


def read_state(path: Path) -> JobState | None:
    """Return what stands beside a checkpoint; None where nothing does.

    Raises
    ------
    StorageError
        If it cannot be read.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=JobState)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise StorageError(f"{path}: cannot be read: {error}; choose another checkpoint") from None


def _change(known: JobState, job: JobState) -> str | None:
    """Return why a job's detector cannot take the state over."""
    if known.version == job.version:
        return None
    return state_change(read_detector(known.definition), read_detector(job.definition))


def _write(path: Path, state: JobState) -> None:
    draft = path.with_name(f"{path.name}.part")
    try:
        with draft.open("wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(state), indent=2) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise StorageError(f"{path}: cannot be written: {error.strerror}; choose another checkpoint") from error


def state_change(known: Detector, wanted: Detector) -> str | None:
    """Return why a detector cannot take over another's state; None where it can.

    State follows from the kinds of events, the entities, the aggregates and how long things are remembered, in their
    order. Derived features, rules, models, lists that only rules use, and the policy have none.

    Parameters
    ----------
    known
        Whose state it is.
    wanted
        Who wants it.
    """
    from counterfoil.features.definition import AggregateFeature  # noqa: PLC0415

    if known.schema != wanted.schema:
        return "the kinds of events or their fields differ"
    if known.entities != wanted.entities:
        return "the entities differ"
    before = [each for each in known.features if isinstance(each, AggregateFeature)]
    after = [each for each in wanted.features if isinstance(each, AggregateFeature)]
    if before != after:
        names = {each.name for each in before} ^ {each.name for each in after}
        named = ", ".join(sorted(names)) or "the same ones in another order or with other settings"
        return f"the aggregates differ ({named}), and their history is not in the state"
    for name in ("max_lateness", "dedupe"):
        if getattr(known, name) != getattr(wanted, name):
            return f"{name} differs"
    conditions = {text for each in after for text in (each.where, *each.arguments) if text}
    lists = {each.name: each for each in known.lists}
    for each in wanted.lists:
        used = any(each.name in text for text in conditions)
        if used and lists.get(each.name) != each:
            return f"the list {each.name}, which aggregates depend on, differs"
    places = [(rule.name, rule.episode) for rule in known.rules]
    if [(rule.name, rule.episode) for rule in wanted.rules][: len(places)] != places:
        return (
            "rules were removed, renamed or reordered, and open episodes know them by their place; add rules at the end"
        )
    if known.outliers != wanted.outliers:
        return "the outlier scores differ"
    return None
