"""A file of lines: NDJSON, delimited lines or CSV.

Exactly once: a position is a line number, and the offset beside it says where to read on. A line without a newline may
be one that somebody is still writing: see ``whole``.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import msgspec
import xxhash

from counterfoil.connectors.lines import LineCutter
from counterfoil.connectors.source import Chunk
from counterfoil.errors import InputError
from counterfoil.observability import get_logger

HEAD_BYTES = 65_536
"""How much of a file's beginning tells it from another."""


_log = get_logger(__name__)


def closed_object(line: bytes) -> bool:
    """Say whether a line is one whole JSON object: nothing that is written behind it can make another event of it."""
    try:
        msgspec.json.decode(line.removeprefix(b"\xef\xbb\xbf"), type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def head_checksum(data: bytes) -> int:
    """Return the XXH3-64 of a file's beginning as a signed integer."""
    return int.from_bytes(xxhash.xxh3_64_digest(data), "little", signed=True)


class TextFileSource:
    """Reads a file by lines; where it grows between two runs, the second goes on behind the first.

    Parameters
    ----------
    path
        The file.
    batch_bytes, batch_lines, record_bytes
        See ``LineCutter``.
    header
        Whether the first line names the fields: it is not given, but takes position 0, so that positions are lines.
    whole
        Says of a regular file's last line without a newline whether it is a line all the same. One that is not stays
        where it is, for a later run that finds it finished, and a warning says so. None takes every last line.

    Raises
    ------
    InputError
        If it cannot be opened.
    """

    seekable = True

    def __init__(
        self,
        path: Path,
        batch_bytes: int,
        batch_lines: int,
        record_bytes: int,
        header: bool = False,
        whole: Callable[[bytes], bool] | None = None,
    ) -> None:
        self.path = path
        self.name = str(path.resolve())
        try:
            self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            # A folder can be opened, too; this is how reading it is found out now and not in the middle of a run.
            os.pread(self._descriptor, 1, 0)
            self.header = self._read_header() if header else b""
        except OSError as error:
            reason = error.strerror or str(error)
            raise InputError(f"{path}: cannot be read: {reason}; give the path of a file") from error
        self._read_offset = len(self.header)
        if not stat.S_ISREG(os.fstat(self._descriptor).st_mode):
            whole = None
        self._cutter = LineCutter(self._fetch, batch_bytes, batch_lines, record_bytes, whole)
        self._cutter.position, self._cutter.offset = int(bool(self.header)), len(self.header)

    def seek(self, position: int, offset: int) -> None:
        """Go to a line that an earlier chunk named; ``offset`` 0 is the first line behind the header."""
        size = os.fstat(self._descriptor).st_size
        if offset > size:
            raise InputError(
                f"{self.path}: has {size} bytes, but {offset} were read of it before; it is another file or was cut:"
                " give the former file, or another state folder"
            )
        if offset == 0:
            position, offset = int(bool(self.header)), len(self.header)
        offset += self._line_end(offset)
        self._read_offset = offset
        self._cutter.position, self._cutter.offset = position, offset

    def fingerprint(self, length: int | None) -> tuple[int, int]:
        """Return length and checksum of the beginning."""
        data = os.pread(self._descriptor, HEAD_BYTES if length is None else length, 0)
        return len(data), head_checksum(data)

    def read(self, stopped: Callable[[], bool]) -> Chunk | None:
        """Return the next lines; None at the end."""
        if stopped():
            return None
        chunk = self._cutter.read(stopped)
        if chunk is None and self._cutter.unfinished:
            _log.warning(
                "the last line has no newline: left for the next run, which reads it when it is finished",
                file=str(self.path),
                byte=self._cutter.offset,
                bytes=self._cutter.unfinished,
            )
        return chunk

    def close(self) -> None:
        """Close the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _line_end(self, offset: int) -> int:
        """Return the bytes of the newline at ``offset`` that ends a line which was taken before it had one."""
        if offset == 0 or os.pread(self._descriptor, 1, offset - 1) == b"\n":
            return 0
        end = os.pread(self._descriptor, 2, offset)
        return 2 if end == b"\r\n" else int(end[:1] == b"\n")

    def _fetch(self, size: int) -> bytes:
        try:
            data = os.pread(self._descriptor, size, self._read_offset)
        except OSError as error:
            reason = error.strerror or str(error)
            raise InputError(f"{self.path}: cannot be read at byte {self._read_offset}: {reason}") from error
        self._read_offset += len(data)
        return data

    def _read_header(self) -> bytes:
        data = os.pread(self._descriptor, HEAD_BYTES, 0)
        end = data.find(b"\n")
        return data if end < 0 else data[: end + 1]
