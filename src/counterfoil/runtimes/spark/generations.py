"""A checkpoint whose state is made anew from the source, for a detector that cannot take it over.

A new generation is a checkpoint of its own beside the former one. It reads everything that the source still has, and
writes what no former generation has written: so what was decided stands.
"""

from __future__ import annotations

import json
import shutil
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from counterfoil.errors import StorageError
from counterfoil.observability import get_logger
from counterfoil.runtimes.engine.history import check_history
from counterfoil.runtimes.engine.job import position_of
from counterfoil.runtimes.spark.outputs import STDOUT, TOPICS, lines_of, read_note, topic_output

if TYPE_CHECKING:
    from counterfoil.config import RunConfig
    from counterfoil.runtimes.engine.results import Splits
    from counterfoil.runtimes.engine.states import JobState

_log = get_logger(__name__)
_FIRST = frozenset({"commits", "metadata", "offsets", "sources", "state"})
"""What Spark keeps in a checkpoint: the first generation's stands in the state folder itself."""


def checkpoint_of(folder: Path, generation: int) -> Path:
    """Return the checkpoint of a generation.

    Examples
    --------
    >>> checkpoint_of(Path("state"), 0).as_posix(), checkpoint_of(Path("state"), 2).as_posix()
    ('state', 'state/generation-2')
    """
    return folder / f"generation-{generation}" if generation else folder


def forget_before(folder: Path, generation: int) -> None:
    """Remove the checkpoints of former generations."""
    if not generation:
        return
    former = [folder / name for name in _FIRST] + [checkpoint_of(folder, each) for each in range(1, generation)]
    for each in former:
        with suppress(OSError):
            shutil.rmtree(each) if each.is_dir() else each.unlink(missing_ok=True)


def renewed(known: JobState, folder: Path, config: RunConfig, fresh: JobState, splits: Splits) -> JobState:
    """Return what a new generation notes: from where on it writes to each output.

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
        If the former checkpoint cannot be read.
    InputError
        If records were deleted that were never decided.
    """
    checkpoint = checkpoint_of(folder, known.generation)
    done = _last(checkpoint / "commits")
    ended = _ends(checkpoint, done, splits)
    check_history(config, ended, splits)
    since: dict[str, dict[int, int]] = {STDOUT: ended}
    sizes: dict[str, int] = {}
    for sink in config.sinks:
        if sink.type == "file":
            path = lines_of(sink)
            since[str(path)], sizes[str(path)] = ended, _size(path, known, done)
    topics = topic_output(config, splits, known.query)
    if topics is not None:
        with closing(topics):
            reached = topics.reached()
        # What a transaction has that Spark does not know of was written all the same.
        since[TOPICS] = ended if reached is None else _ends(checkpoint, reached - 1, splits)
    _log.info("state is made anew from the source", decided=sum(ended.values()))
    # A generation that was never carried to where the former one ended goes on where that did.
    for name, former in known.since.items():
        since[name] = {
            split: max(former.get(split, 0), since.get(name, {}).get(split, 0))
            for split in former.keys() | since.get(name, {}).keys()
        }
    return replace(fresh, generation=known.generation + 1, since=since, sizes=sizes)


def _size(path: Path, known: JobState, done: int) -> int:
    """Return how much of a file was written by micro-batches that are done."""
    note = read_note(path, known.query)
    if not path.exists():
        return 0
    if not note:
        return known.sizes.get(str(path), 0)
    return int(note["bytes"]) if note["batch"] > done else path.stat().st_size


def _last(folder: Path) -> int:
    """Return the last micro-batch that a folder of Spark's log names; -1 for none."""
    return max((int(path.name) for path in folder.glob("*") if path.name.isdigit()), default=-1)


def _ends(checkpoint: Path, batch: int, splits: Splits) -> dict[int, int]:
    """Return where a micro-batch ended: by split, the position behind it."""
    if batch < 0:
        return {}
    path = checkpoint / "offsets" / f"{batch}"
    try:
        # A line for the form, one for the query, one for each of its sources: there is one.
        content: dict[str, Any] = json.loads(path.read_text("utf-8").splitlines()[2])
    except (OSError, ValueError, IndexError) as error:
        raise StorageError(f"{path}: cannot be read: {error}; begin a new checkpoint") from None
    if not splits.topics:
        return {0: int(content["position"])}
    found = {}
    for topic, offsets in content.items():
        for partition, offset in offsets.items():
            if topic in splits.topics:
                split = splits.number(topic, int(partition))
                found[split] = position_of(split, int(offset))
    return found
