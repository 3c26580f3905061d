"""Where a former job's source stood, from the savepoint with which it ended: Flink alone knows, within its own files.

For a detector that cannot take the state over, a new generation reads everything that the source still has, and writes
what no former generation has written. A savepoint commits what was written before it; a checkpoint, which a crash
leaves, does not: what it has prepared is committed when a job goes on from it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from counterfoil.errors import StorageError
from counterfoil.observability import get_logger
from counterfoil.runtimes.engine.history import check_history
from counterfoil.runtimes.engine.job import position_of

if TYPE_CHECKING:
    from counterfoil.config import RunConfig
    from counterfoil.runtimes.engine.results import Splits
    from counterfoil.runtimes.engine.states import JobState
    from counterfoil.runtimes.flink.states import StateFolder

_log = get_logger(__name__)
ALL = "all"
"""The name of all outputs together: a checkpoint commits them at once."""
_STATE = "SourceReaderState"
_SPLITS_MOST = 1 << 20


def renewed(known: JobState, folder: StateFolder, config: RunConfig, fresh: JobState, splits: Splits) -> JobState:
    """Return what a new generation notes: from where on it writes.

    Parameters
    ----------
    known
        The former generation's note.
    folder
        The state folder.
    config
        The run.
    fresh
        What a first generation would note.
    splits
        How splits of the source are called.

    Raises
    ------
    StorageError
        If the former run did not stop in order.
    InputError
        If records were deleted that were never decided.
    """
    newest = type(folder)(folder.path, known.generation).newest()
    ended: dict[int, int] = {}
    if newest is not None:
        if "/savepoints/" not in newest:
            raise StorageError(
                f"{folder.path}: its last run was killed; run the former detector once more and stop it (Ctrl-C) before"
                " state is made anew for another one"
            )
        ended = _ends(newest, splits)
    check_history(config, ended, splits)
    former = known.since.get(ALL, {})
    since = {split: max(ended.get(split, 0), former.get(split, 0)) for split in ended.keys() | former.keys()}
    _log.info("state is made anew from the source", splits=len(since))
    return replace(fresh, query=known.query, generation=known.generation + 1, since={ALL: since})


def _ends(savepoint: str, splits: Splits) -> dict[int, int]:
    """Return where the source stood: by split, the position behind the last record that was read."""
    try:
        entries = _entries(savepoint)
        found = {}
        for topic, partition, offset in map(split_of, entries):
            if topic in splits.topics and offset >= 0:
                split = splits.number(topic, partition)
                found[split] = position_of(split, offset)
    except (ValueError, struct.error) as error:
        raise StorageError(
            f"{savepoint}: does not say where its source stood: {error}; choose another --state"
        ) from None
    if not found:
        raise StorageError(f"{savepoint}: does not say where its source stood; choose another --state")
    return found


def split_of(entry: bytes) -> tuple[str, int, int]:
    """Return topic, partition and offset of a split as Flink's Kafka source keeps it.

    Examples
    --------
    >>> text = bytes([0, 1]) + b"t" + (7).to_bytes(4, "big") + (9).to_bytes(8, "big") + bytes(8)
    >>> split_of((0).to_bytes(4, "big") + len(text).to_bytes(4, "big") + text)
    ('t', 7, 9)
    """
    _, size = struct.unpack_from(">ii", entry)
    body = entry[8 : 8 + size]
    (length,) = struct.unpack_from(">H", body)
    partition, offset = struct.unpack_from(">iq", body, 2 + length)
    return body[2 : 2 + length].decode(), partition, offset


def _entries(savepoint: str) -> list[bytes]:
    """Return the splits of a savepoint's sources, as they are kept."""
    from pyflink.java_gateway import get_gateway  # noqa: PLC0415 - an extra

    java: Any = get_gateway().jvm
    access = java.org.apache.flink.runtime.state.filesystem.AbstractFsCheckpointStorageAccess
    try:
        pointer = access.resolveCheckpointPointer(savepoint)
        stream = java.java.io.DataInputStream(pointer.getMetadataHandle().openInputStream())
        loader = java.java.lang.Thread.currentThread().getContextClassLoader()
        metadata = java.org.apache.flink.runtime.checkpoint.Checkpoints.loadCheckpointMetadata(
            stream, loader, savepoint
        )
        stream.close()
        handles = [
            handle
            for operator in _each(metadata.getOperatorStates())
            for subtask in _each(operator.getStates())
            for handle in _each(subtask.getManagedOperatorState())
        ]
        return [entry for handle in handles for entry in _of_handle(handle)]
    except Exception as error:
        reason = str(error).partition("\n")[0][:300]
        raise StorageError(f"{savepoint}: cannot be read: {reason}; choose another --state") from None


def _each(collection: Any) -> Iterator[Any]:
    """Yield what is in a collection of Java's that Python does not take for one."""
    iterator = collection.iterator()
    while iterator.hasNext():
        yield iterator.next()


def _of_handle(handle: Any) -> list[bytes]:
    states = handle.getStateNameToPartitionOffsets()
    if not states.containsKey(_STATE):
        return []
    offsets = list(states.get(_STATE).getOffsets())
    assert len(offsets) < _SPLITS_MOST
    found = []
    stream = handle.openInputStream()
    try:
        for offset in offsets:
            stream.seek(offset)
            size = int.from_bytes(bytes(stream.readNBytes(4)), "big")
            found.append(bytes(stream.readNBytes(size)))
    finally:
        stream.close()
    return found
