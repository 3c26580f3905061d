"""The state folder of a job on Flink: its checkpoints, its savepoints, and what a run puts together at its end."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from counterfoil.errors import StorageError

JOB_FILE = "counterfoil.json"
_ENDED_FILE = "ended.json"
_METADATA = "_metadata"


_SCHEME = "file://"


def address_of(path: Path) -> str:
    """Return a path as Flink takes it: absolute, and every character as it is.

    Examples
    --------
    >>> address_of(Path("/var/a b"))
    'file:///var/a b'
    """
    return f"{_SCHEME}{path.resolve().as_posix()}"


@dataclass(frozen=True, slots=True)
class StateFolder:
    """A folder that this process can read.

    Parameters
    ----------
    path
        Where it is.
    generation
        How often state was made anew: checkpoints of each generation have a folder of their own.
    """

    path: Path
    generation: int = 0

    def open(self) -> None:
        """Make it where it is not there.

        Raises
        ------
        StorageError
            If it is another program's, or its job has come to its end.
        """
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if (self.path / _ENDED_FILE).exists():
            raise StorageError(
                f"{self.path}: its run has come to the end of its input, and Flink keeps no state of a job that ended;"
                " choose another --state, or leave --until-end out and stop the run when it should end"
            )
        if not (self.path / JOB_FILE).exists() and any(self.path.iterdir()):
            raise StorageError(f"{self.path}: is not empty and no state of counterfoil's; choose another --state")

    @property
    def own(self) -> Path:
        """The folder of this generation."""
        return self.path / f"generation-{self.generation}" if self.generation else self.path

    @property
    def address(self) -> str:
        """The folder of this generation as an address."""
        return address_of(self.own)

    def newest(self) -> str | None:
        """Return the checkpoint or savepoint to go on from; None where there is none."""
        found = [*self.own.glob(f"checkpoints/*/chk-*/{_METADATA}"), *self.own.glob(f"savepoints/*/{_METADATA}")]
        found = [each for each in found if each.stat().st_size]
        if not found:
            return None
        # A checkpoint is complete with its metadata, which is written last.
        return address_of(max(found, key=lambda each: each.stat().st_mtime_ns).parent)

    def forget_before(self, newest: str | None) -> None:
        """Remove what former generations and earlier attempts left and nobody goes on from."""
        for former in range(self.generation):
            StateFolder(self.path, former).forget()
        if newest is None:
            return
        kept = Path(newest.removeprefix(_SCHEME))
        # Absolute, as what is kept is: a relative path is equal to none, and everything would go.
        own = self.own.resolve()
        for each in [*own.glob("checkpoints/*"), *own.glob("savepoints/*")]:
            if each != kept and each not in kept.parents:
                shutil.rmtree(each, ignore_errors=True)

    def forget(self) -> None:
        """Remove everything of this generation."""
        for name in ("checkpoints", "savepoints", "lines"):
            shutil.rmtree(self.own / name, ignore_errors=True)

    def lines_folder(self, name: str) -> str:
        """Return where lines of a name are gathered, as an address."""
        return address_of(self.own / "lines" / name)

    def lines(self, name: str) -> bytes:
        """Return what was gathered, in the order of input positions."""
        return gathered_lines(self.own / "lines" / name)

    def end(self) -> None:
        """Note that the job has come to its end, and give free what nobody needs any more."""
        (self.path / _ENDED_FILE).write_text("{}\n", "utf-8")
        self.forget()


def gathered_lines(folder: Path) -> bytes:
    """Return the lines of a folder's finished files: decisions by their position, others in the order of the files.

    Files whose names begin with a dot are not finished: nobody reads them.
    """
    paths = sorted((path for path in folder.rglob("part-*") if not path.name.startswith(".")), key=_order)
    return in_order(b"".join(path.read_bytes() for path in paths))


def _order(path: Path) -> tuple[str, int, int]:
    *_, task, number = path.name.split("-")
    return (path.parent.as_posix(), int(task), int(number)) if task.isdigit() and number.isdigit() else ("", 0, 0)


_POSITION = b'"position":'


def in_order(data: bytes) -> bytes:
    r"""Return lines by the position that each names.

    Examples
    --------
    >>> in_order(b'{"id":"b","position":2}\n{"id":"a","position":1}\n')
    b'{"id":"a","position":1}\n{"id":"b","position":2}\n'
    """
    lines = data.splitlines(keepends=True)
    if not lines or _POSITION not in lines[0]:
        return data
    positions = np.fromiter((_position(line) for line in lines), np.int64, len(lines))
    if (np.diff(positions) >= 0).all():
        return data
    return b"".join(lines[index] for index in np.argsort(positions, kind="stable").tolist())


def _position(line: bytes) -> int:
    start = line.index(_POSITION) + len(_POSITION)
    end = start
    while line[end : end + 1].isdigit():
        end += 1
    return int(line[start:end])
