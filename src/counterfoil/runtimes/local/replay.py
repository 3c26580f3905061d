"""A file as messages: its records one by one, each with its key and the time at which it once happened."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl
import yaml

from counterfoil.connectors.message_keys import Keys, delimited_keys, json_keys, split_lines
from counterfoil.connectors.parquet_file import ParquetFileSource
from counterfoil.connectors.standard_input import PipeSource, StandardInputSource
from counterfoil.connectors.table_lines import table_lines
from counterfoil.connectors.text_file import TextFileSource
from counterfoil.detector_file import read_detector
from counterfoil.errors import ConfigurationError, DefinitionError, InputError, nearest
from counterfoil.events.identity import IdentityKey
from counterfoil.events.record_batch import RecordBatch
from counterfoil.runtimes.local.decoders import decoder_settings
from counterfoil.runtimes.local.inputs import open_input

if TYPE_CHECKING:
    from counterfoil.config import LimitsConfig, SourceConfig
    from counterfoil.connectors.source import Chunk, Source
    from counterfoil.detector import Detector
    from counterfoil.runtimes.local.inputs import ChunkDecoder

TIME_KIND = "record"
"""The one kind of ``time_reader``."""
_ARRIVAL = 100_000_000_000_000_000
"""The year 5138: a replay may hold events of any time, and none of them lies in the future."""

Times = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Portion:
    """Some messages, in the order of the file.

    Parameters
    ----------
    values
        What each holds: a JSON object, or a delimited line.
    keys
        The key of each; None where none was asked for.
    times
        (n,): when each happened, in microseconds since 1970; None where nobody asked. A record that cannot be read
        goes with the one before it.
    """

    values: list[bytes]
    keys: list[bytes | str | None] | None
    times: Times | None

    def __len__(self) -> int:
        return len(self.values)


def time_reader(field: str) -> Detector:
    """Return a detector that knows nothing but when an event happened.

    Parameters
    ----------
    field
        The field that says so.

    Raises
    ------
    ConfigurationError
        If it cannot be a field's name.
    """
    text = yaml.safe_dump({"detector": "replay", "events": {TIME_KIND: {"time": field, "decide": True}}})
    try:
        return read_detector(text, "--time")
    except DefinitionError as error:
        raise ConfigurationError(f'--time: found "{field}"; allowed: the name of a field') from error


class Replay:
    """Reads a file, or standard input, as messages.

    Lines go as they are, be they good or bad; rows of CSV and Parquet become JSON. Blank lines are left out.

    Parameters
    ----------
    config
        Where the records are, and how they are written.
    limits
        Bounds on what is read at once.
    detector
        Knows when an event happened, and how delimited values are called; None where neither is asked for.
    timed
        Whether the times are wanted.
    key
        The field that is the key of each message; None for no keys.

    Raises
    ------
    ConfigurationError
        If a name that is asked for is not known.
    InputError
        If the file cannot be read.
    """

    def __init__(
        self, config: SourceConfig, limits: LimitsConfig, detector: Detector | None, timed: bool, key: str | None
    ) -> None:
        if timed and detector is None:
            raise ConfigurationError(
                "--speed: found without a clock; allowed: with --time FIELD or --detector D, which say when each event"
                " happened"
            )
        self._delimiter = config.delimiter or (";" if config.format == "lines" else ",")
        self._keys = None if key is None else _key_finder(key, config, limits, detector, self._delimiter)
        self._decode: ChunkDecoder | None = None
        if timed and detector is not None:
            opened = open_input(config, limits, detector, IdentityKey())
            self._source, self._decode = opened.source, opened.decode
        else:
            self._source = _open(config, limits)
        self._header = getattr(self._source, "header", b"") if config.format == "csv" else b""
        self._last: int | None = None

    def portions(self, stopped: Callable[[], bool]) -> Iterator[Portion]:
        """Yield the messages.

        Parameters
        ----------
        stopped
            Says when to end before the end.
        """
        try:
            while (chunk := self._source.read(stopped)) is not None:
                portion = self._portion(chunk)
                if len(portion):
                    yield portion
        finally:
            self._source.close()

    def _portion(self, chunk: Chunk) -> Portion:
        times = None if self._decode is None else self._times(chunk, self._decode)
        lines = self._lines(chunk)
        values = split_lines(lines)
        keys = None if self._keys is None else self._keys(lines)
        # A blank line of a CSV file is a row in which nothing stands.
        blank = b"{}" if self._header else b""
        kept = [index for index, value in enumerate(values) if value.strip() not in {b"", blank}]
        if len(kept) < len(values):
            values = [values[index] for index in kept]
            keys = None if keys is None else [keys[index] for index in kept]
            times = None if times is None else times[kept]
        return Portion(values, keys, times)

    def _lines(self, chunk: Chunk) -> bytes:
        """Return a chunk's records as lines."""
        if isinstance(chunk.data, pl.DataFrame):
            return table_lines(chunk.data)
        assert not isinstance(chunk.data, RecordBatch), "a file of lines or a table"
        data = bytes(chunk.data)
        if not self._header:
            return data.replace(b"\r\n", b"\n") if b"\r\n" in data else data
        try:
            table = pl.read_csv(
                io.BytesIO(self._header + data),
                separator=self._delimiter,
                infer_schema=False,
                truncate_ragged_lines=True,
            )
        except pl.exceptions.PolarsError as error:
            place = f"{self._source.name}: near line {chunk.position + 1}"
            raise InputError(f"{place}: cannot be read as CSV: {error}") from error
        if len(table) != data.removesuffix(b"\n").count(b"\n") + 1:
            message = "a quoted value goes over the end of its line; write it without"
            raise InputError(f"{self._source.name}: near line {chunk.position + 1}: {message}")
        return table_lines(table, texts=True)

    def _times(self, chunk: Chunk, decode: ChunkDecoder) -> Times:
        """Return when each record happened; one that cannot be read, when its predecessor did."""
        decoded = decode(chunk, chunk.position, _ARRIVAL)
        batch = decoded.batch
        if self._last is None:
            self._last = int(batch.time[0]) if len(batch) else 0
        times = np.full(decoded.records, self._last)
        times[batch.position - chunk.position] = batch.time
        unread = np.ones(len(times), np.bool_)
        unread[batch.position - chunk.position] = False
        before = np.maximum.accumulate(np.where(unread, -1, np.arange(len(times))))
        times = np.where(before < 0, self._last, times[np.maximum(before, 0)])
        self._last = int(times[-1]) if len(times) else self._last
        return times


def _open(config: SourceConfig, limits: LimitsConfig) -> Source:
    """Open a source whose records nobody looks into."""
    bounds = (limits.batch_bytes, limits.batch_events, limits.record_bytes)
    header = config.format == "csv"
    if config.type == "stdin":
        return StandardInputSource(*bounds, header=header)
    path = Path(config.path or "")
    if config.format == "parquet":
        return ParquetFileSource(path, limits.batch_events)
    return PipeSource(path, *bounds, header=header) if path.is_fifo() else TextFileSource(path, *bounds, header=header)


def _key_finder(
    key: str, config: SourceConfig, limits: LimitsConfig, detector: Detector | None, delimiter: str
) -> Keys:
    if config.format != "lines":
        return json_keys(key)
    if config.columns:
        names = config.columns
    elif detector is not None:
        names = decoder_settings(config, limits, detector).fields
    else:
        raise ConfigurationError(
            f'--key: found "{key}"; allowed: with --columns or --detector, which name the values of a line'
        )
    if key not in names:
        hint = nearest(key, names)
        raise ConfigurationError(f'--key: found "{key}"; allowed: {", ".join(names)}; {hint}'.rstrip("; "))
    return delimited_keys(names.index(key), delimiter)
