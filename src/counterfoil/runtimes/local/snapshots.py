"""Snapshots of a program's state: plain NumPy files in a folder of their own, each with its checksum.

A snapshot saves replay and nothing else: with none, or with damaged ones only, the state comes from the journal. It
becomes valid with its row in the database, which is written after its files are on disk and after the blocks that it
stands for are committed.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash

from counterfoil.errors import StorageError
from counterfoil.features.layout import VERSION
from counterfoil.observability import get_logger
from counterfoil.runtimes.local.failpoints import reach
from counterfoil.runtimes.local.places import writing_to
from counterfoil.runtimes.local.store import SnapshotRecord, Store, sync_folder

FOLDER_NAME = "snapshots"
SPARE_NAME = "spare"
"""A former snapshot whose files the next one is written over: their blocks are on the disk already, so that writing
700 MB takes 0.15 s; as new files it took 0.2 to 2 s."""
PARALLEL = 4
"""Files that are read or written side by side: checksums and copies run without the interpreter's lock."""
DIRECT_SECONDS = 0.4
"""How long a snapshot is written to the disk itself, past the page cache. That takes a tenth of the processor's time
(0.03 s against 0.3 s for 600 MB) and on a fast disk no longer. What is left then goes to the page cache, so that a slow
disk does not hold the program up."""
_DIRECT_BYTES = 1 << 20
"""Arrays from this size on go to the disk itself."""
_DIRECT_PART = 8 << 20
"""Bytes of one such write: after each the time is looked at."""
_PAGE = 4_096
"""What such a write begins and ends at, in memory and in the file; a file's header takes one."""
_DIRECT_FLAG: int | None = getattr(os, "O_DIRECT", None)

Arrays = dict[str, npt.NDArray[Any]]

_log = get_logger(__name__)


def layout_of(shards: int) -> str:
    """Return the layout of a program's snapshots: one of another layout is not read, but made again from the log."""
    return f"shards={shards} state={VERSION}"


def shards_of(record: SnapshotRecord) -> int:
    """Return how many shards a snapshot's program had."""
    return int(json.loads(record.manifest)["layout"].split()[0].removeprefix("shards="))


@dataclass(frozen=True, slots=True)
class PendingSnapshot:
    """Files that are written and not yet known to be on disk."""

    blocks: int
    folder: Path
    manifest: str


class Snapshots:
    """Writes, reads and prunes the snapshots of one state folder.

    Parameters
    ----------
    store
        The database that lists them.
    kept
        How many stay.
    replay_seconds, share
        See ``StateConfig``.
    layout
        What a snapshot depends on beside the journal (the number of shards): one of another layout is not used.
    """

    def __init__(self, store: Store, kept: int, replay_seconds: float, share: float, layout: str) -> None:
        self._store = store
        self._folder = store.folder / FOLDER_NAME
        self._kept = kept
        self._replay_seconds = replay_seconds
        self._share = share
        self._layout = layout
        self._cost_seconds = 0.0

    def due(self, busy_seconds: float) -> bool:
        """Say whether it is time for one, after so many seconds of deciding since the last.

        Replay repeats the deciding, so seconds of deciding bound the replay. Where the snapshots themselves are dear,
        their share of the time has precedence.
        """
        return busy_seconds >= max(self._replay_seconds, self._cost_seconds / self._share)

    def write(self, arrays: Mapping[str, npt.NDArray[Any]], blocks: int) -> PendingSnapshot:
        """Write the files, not yet for good; the program may go on once this returns."""
        with writing_to(self._folder):
            return self._write(arrays, blocks)

    def _write(self, arrays: Mapping[str, npt.NDArray[Any]], blocks: int) -> PendingSnapshot:
        started = time.monotonic()
        folder = self._folder / f"{blocks}.writing"
        shutil.rmtree(folder, ignore_errors=True)
        spare = self._folder / SPARE_NAME
        if spare.exists():
            spare.rename(folder)
        else:
            folder.mkdir(parents=True)
        reach("snapshot.folder.after")
        names = sorted(arrays)
        reach("snapshot.write.before")
        direct_until = started + DIRECT_SECONDS

        def write(number: int) -> dict[str, Any]:
            return _write_file(folder / f"{number}.npy", arrays[names[number]], direct_until)

        with ThreadPoolExecutor(PARALLEL) as pool:
            # The large ones first, so that no thread is left alone with one at the end.
            order = sorted(range(len(names)), key=lambda number: -arrays[names[number]].nbytes)
            written = dict(zip(order, pool.map(write, order), strict=True))
        entries = [written[number] for number in range(len(names))]
        for file in {each.name for each in folder.iterdir()} - {entry["file"] for entry in entries}:
            (folder / file).unlink()
        reach("snapshot.write.after")
        manifest = json.dumps({"layout": self._layout, "files": dict(zip(names, entries, strict=True))})
        self._cost_seconds = time.monotonic() - started
        return PendingSnapshot(blocks, folder, manifest)

    def finish(self, pending: PendingSnapshot) -> SnapshotRecord:
        """Wait until the files are on disk and give the folder its name; safe beside the program."""
        with writing_to(self._folder):
            return self._finish(pending)

    def _finish(self, pending: PendingSnapshot) -> SnapshotRecord:
        reach("snapshot.sync.before")
        for file in sorted(pending.folder.iterdir()):
            descriptor = os.open(file, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        sync_folder(pending.folder)
        reach("snapshot.sync.after")
        final = self._folder / str(pending.blocks)
        shutil.rmtree(final, ignore_errors=True)
        reach("snapshot.rename.before")
        pending.folder.rename(final)
        sync_folder(self._folder)
        sync_folder(self._store.folder)
        reach("snapshot.rename.after")
        return SnapshotRecord(pending.blocks, final.name, pending.manifest)

    def record(self, snapshot: SnapshotRecord) -> None:
        """Make a finished snapshot valid and drop those beyond the number kept; the blocks are committed."""
        assert snapshot.blocks <= self._store.totals.blocks
        reach("snapshot.record.before")
        self._store.put_snapshot(snapshot)
        reach("snapshot.record.after")
        for old in self._store.snapshots()[self._kept :]:
            self._remove(old)

    def restore(self, most_blocks: int | None = None) -> tuple[int, Arrays] | None:
        """Return the newest snapshot that is whole, as blocks and arrays; None when there is none.

        One that is damaged is named in the log and forgotten; the next older is tried.

        Parameters
        ----------
        most_blocks
            Only snapshots that stand for at most so many blocks.
        """
        for record in self._store.snapshots():
            if most_blocks is not None and record.blocks > most_blocks:
                continue
            try:
                return record.blocks, self._read(record)
            except (StorageError, OSError, ValueError, KeyError) as error:
                _log.warning("snapshot unusable; using an older one", blocks=record.blocks, error=str(error))
                if not self._store.read_only:
                    self._remove(record)
        return None

    def clear(self) -> None:
        """Put aside the files of snapshots that are not listed: a crash left them."""
        listed = {record.folder for record in self._store.snapshots()}
        if self._folder.exists():
            for each in self._folder.iterdir():
                if each.name not in listed and each.name != SPARE_NAME:
                    self._put_aside(each)

    def forget(self) -> None:
        """Remove all snapshots: they belong to another detector."""
        for record in self._store.snapshots():
            self._remove(record)

    def _remove(self, record: SnapshotRecord) -> None:
        # The row goes first: a listed snapshot whose files are half gone would look damaged.
        reach("snapshot.remove.before")
        self._store.remove_snapshot(record.blocks)
        self._put_aside(self._folder / record.folder)
        reach("snapshot.remove.after")

    def _put_aside(self, folder: Path) -> None:
        """Keep one folder that is no snapshot any more, to be written over, and remove others."""
        spare = self._folder / SPARE_NAME
        if folder.is_dir() and not spare.exists():
            folder.rename(spare)
        else:
            shutil.rmtree(folder, ignore_errors=True)

    def _read(self, record: SnapshotRecord) -> Arrays:
        if not record.manifest:
            raise StorageError("its entry in the database is damaged")
        manifest = json.loads(record.manifest)
        if manifest["layout"] != self._layout:
            raise StorageError(f"its layout is {manifest['layout']}, not {self._layout}")
        folder = self._folder / record.folder
        files: dict[str, dict[str, Any]] = manifest["files"]
        # The large ones first, so that no thread is left alone with one at the end.
        names = sorted(files, key=lambda name: -int(files[name]["bytes"]))
        with ThreadPoolExecutor(PARALLEL) as pool:
            arrays = pool.map(lambda name: _read_file(folder, files[name]), names)
            return dict(zip(names, arrays, strict=True))


def _write_file(path: Path, array: npt.NDArray[Any], direct_until: float) -> dict[str, Any]:
    contiguous = np.ascontiguousarray(array)
    data = contiguous.reshape(-1).view(np.uint8)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        written = 0
        if len(data) >= _DIRECT_BYTES and data.ctypes.data % _PAGE == 0:
            written = _write_direct(path, data.data, direct_until)
        _write_all(descriptor, memoryview(_header(contiguous)), 0)
        size = _write_all(descriptor, data.data[written:], _PAGE + written)
        os.ftruncate(descriptor, size)
    finally:
        os.close(descriptor)
    kind = {"type": contiguous.dtype.str, "shape": list(contiguous.shape)}
    return {"file": path.name, "bytes": size, **kind, "checksum": _checksum(contiguous)}


def _header(array: npt.NDArray[Any]) -> bytes:
    """Return the header of a NumPy file, as long as a page."""
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, np.lib.format.header_data_from_array_1_0(array))
    magic, text = head.getvalue()[:8], head.getvalue()[10:].rstrip()
    return magic + (_PAGE - 10).to_bytes(2, "little") + text.ljust(_PAGE - 11) + b"\n"


def _write_direct(path: Path, data: memoryview, until: float) -> int:
    """Write whole pages behind the header, past the page cache; return how many bytes, 0 where that cannot be done.

    What goes wrong here goes wrong again, and is told, when the rest is written in the ordinary way.
    """
    if _DIRECT_FLAG is None:
        return 0
    written, end = 0, len(data) // _PAGE * _PAGE
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC | _DIRECT_FLAG)
    except OSError:
        return 0
    try:
        while written < end and time.monotonic() < until:
            part = os.pwrite(descriptor, data[written : min(end, written + _DIRECT_PART)], _PAGE + written)
            written += part // _PAGE * _PAGE
            if part % _PAGE:
                break
    except OSError:
        pass
    finally:
        os.close(descriptor)
    return written


def _write_all(descriptor: int, data: memoryview, at: int) -> int:
    """Write at a place of a file; return where it ends."""
    while len(data):
        written = os.pwrite(descriptor, data, at)
        data = data[written:]
        at += written
    return at


def _read_file(folder: Path, entry: dict[str, Any]) -> npt.NDArray[Any]:
    path = folder / entry["file"]
    with path.open("rb", buffering=0) as file:
        if os.fstat(file.fileno()).st_size != entry["bytes"]:
            raise StorageError(f"{path}: has another size than was written")
        version = np.lib.format.read_magic(file)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, kind = read_header(file)
        if fortran or kind.str != entry["type"] or list(shape) != entry["shape"]:
            raise StorageError(f"{path}: is not an array that was written here")
        array = np.empty(shape, kind)
        view = array.reshape(-1).view(np.uint8).data
        while len(view):
            read = file.readinto(view)
            if not read:
                raise StorageError(f"{path}: ends too early")
            view = view[read:]
    if _checksum(array) != entry["checksum"]:
        raise StorageError(f"{path}: its checksum does not fit")
    return array


def _checksum(array: npt.NDArray[Any]) -> str:
    return xxhash.xxh3_64_hexdigest(array.reshape(-1).view(np.uint8).data)
