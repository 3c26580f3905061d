"""Output files as copies of the decision log: written behind the commit, and corrected from the log after a crash."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from counterfoil.connectors.line_output import LineOutput
from counterfoil.connectors.parquet_output import ParquetOutput
from counterfoil.connectors.standard_output import StandardOutput
from counterfoil.connectors.stream_output import StreamOutput, is_stream
from counterfoil.errors import StorageError
from counterfoil.observability import get_logger
from counterfoil.runtimes.local.failpoints import reach
from counterfoil.runtimes.local.records import Records, decode_records
from counterfoil.runtimes.local.store import Group, Header, OutputRecord, Store, sync_folder

if TYPE_CHECKING:
    from counterfoil.runtimes.local.lines import LineEncoder

SYNC_SECONDS = 1.0
"""How often an output file is synced. It is no promise, only a bound on how much of it is written again."""
STANDARD_OUTPUT = "-"

_log = get_logger(__name__)


def read_decisions(store: Store, start: int, stop: int) -> Iterator[tuple[Header, Records]]:
    """Yield the decisions of the blocks from ``start`` to ``stop`` (excluded); blocks without any are left out."""
    for header in store.headers(start, stop):
        if header.decided:
            yield header, decode_records(store.decisions(header))


class LineSink:
    """One output of JSON lines.

    Parameters
    ----------
    path
        The file, or ``-`` for standard output. A named pipe or a device is written as standard output is.
    features
        Whether its lines carry features.
    encoder
        Writes the lines.
    """

    def __init__(self, path: str, features: bool, encoder: LineEncoder) -> None:
        self.features = features
        self.encoder = encoder
        self._output: StandardOutput | LineOutput
        if path == STANDARD_OUTPUT:
            self._name, self._output = path, StandardOutput()
        elif is_stream(Path(path)):
            # Not resolved: what /dev/stdout leads to has another name in every process.
            self._name, self._output = str(Path(path).absolute()), StreamOutput(Path(path))
        else:
            self._name, self._output = str(Path(path).resolve()), LineOutput(Path(path))
        self._record = OutputRecord(self._name, features, 0, 0)
        self._blocks = 0
        self._synced = time.monotonic()

    def open(self, store: Store, first_block: int) -> None:
        """Bring the output to where the log stands.

        Parameters
        ----------
        store
            The log.
        first_block
            Where an output that is not known yet begins. A file that is there already is overwritten then.

        Raises
        ------
        StorageError
            If the file was begun with other settings.
        """
        known = store.outputs().get(self._name)
        if known is not None and isinstance(self._output, LineOutput) and known.features != self.features:
            raise StorageError(f"{self._name}: was begun with features={known.features}; choose another output")
        self._record = self._standing(store, known, first_block)
        # Known before the first byte is written: else a crash would leave bytes that nobody knows to cut off.
        store.commit(Group(outputs=[self._record]))
        if isinstance(self._output, LineOutput) and self._output.size != self._record.bytes:
            reach("output.truncate.before")
            self._output.truncate(self._record.bytes)
            reach("output.truncate.after")
        for header, records in read_decisions(store, self._record.blocks, store.totals.blocks):
            self.write(
                self.encoder.encode(records, header.decided_at, store.version_at(header.block)), header.block + 1
            )
        self._blocks = store.totals.blocks
        store.commit(Group(outputs=[self._sync_now()]))

    def _standing(self, store: Store, known: OutputRecord | None, first_block: int) -> OutputRecord:
        """Return up to where the output is good as it is."""
        if not isinstance(self._output, LineOutput):
            # What a pipe got before a crash is not known; a new one gets what is decided from now on.
            fresh = OutputRecord(self._name, self.features, store.totals.blocks, store.totals.blocks)
            return fresh if known is None else replace(known, features=self.features)
        if known is None:
            return OutputRecord(self._name, self.features, first_block, first_block)
        if self._output.size < known.bytes or self._output.tail_checksum(known.bytes) != known.tail_checksum:
            _log.warning("output file was changed; writing it again from the log", path=self._name)
            return OutputRecord(self._name, self.features, known.first_block, known.first_block)
        return known

    def write(self, lines: bytes, blocks: int) -> None:
        """Append the lines of the committed blocks before ``blocks``."""
        reach("output.write.before")
        half = len(lines) // 2
        if half:
            # In two parts, so that tests can kill the process between them.
            self._output.write(memoryview(lines)[:half])
            reach("output.write.middle")
        self._output.write(memoryview(lines)[half:])
        self._blocks = blocks
        reach("output.write.after")

    def sync(self, now: bool = False) -> OutputRecord | None:
        """Sync when it is time; return what the next commit shall record."""
        if not now and time.monotonic() - self._synced < SYNC_SECONDS:
            return None
        return self._sync_now()

    def _sync_now(self) -> OutputRecord:
        reach("output.sync.before")
        self._output.sync()
        reach("output.sync.after")
        size = self._output.size
        tail = self._output.tail_checksum(size) if isinstance(self._output, LineOutput) else 0
        self._record = replace(self._record, blocks=self._blocks, bytes=size, tail_checksum=tail)
        self._synced = time.monotonic()
        return self._record

    def close(self) -> None:
        """Close the file."""
        self._output.close()


def export_parquet(output: ParquetOutput, frames: Iterator[pl.DataFrame]) -> int:
    """Write decisions as one Parquet file, whole or not at all; return the number of rows."""
    reach("export.write.before")
    with output:
        for frame in frames:
            output.write(frame)
    sync_folder(output.path.resolve().parent)
    reach("export.write.after")
    return output.rows
