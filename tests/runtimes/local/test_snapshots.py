from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from counterfoil.memory import reserve
from counterfoil.runtimes.local.canonical import canonical_lines
from counterfoil.runtimes.local.runtime import LocalRuntime
from counterfoil.runtimes.local.snapshots import Snapshots, layout_of, shards_of
from counterfoil.runtimes.local.store import Group, NewBlock, Store
from tests.runtimes.sample import sample_config, sample_detector, sample_lines, write_lines


def block() -> NewBlock:
    return NewBlock(0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, b"", b"", np.zeros(0, np.int64))


def arrays(number: int) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.int64]]]:
    return {"a/0/x": np.full((3, 4), number), "empty": np.zeros((0, 4), np.int64), "b": np.arange(number)[::2]}


def take(snapshots: Snapshots, store: Store, number: int) -> None:
    store.commit(Group([block()]))
    snapshots.record(snapshots.finish(snapshots.write(arrays(number), store.totals.blocks)))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def test_the_newest_whole_one_is_used_and_old_ones_go(store: Store) -> None:
    snapshots = Snapshots(store, 2, 0.0, 1.0, layout_of(1))
    assert snapshots.restore() is None
    for number in (1, 2, 3):
        take(snapshots, store, number)
    restored = snapshots.restore()
    assert restored is not None
    blocks, found = restored
    assert blocks == 3
    assert found.keys() == arrays(3).keys()
    assert all(np.array_equal(found[name], array) for name, array in arrays(3).items())
    assert all(array.flags.writeable for array in found.values())
    assert [record.blocks for record in store.snapshots()] == [3, 2]
    assert sorted(path.name for path in (store.folder / "snapshots").iterdir()) == ["2", "3", "spare"]
    older = snapshots.restore(2)
    assert older is not None
    assert older[0] == 2
    assert shards_of(store.snapshots()[0]) == 1
    store.close()


def test_what_is_written_over_leaves_no_trace(store: Store) -> None:
    snapshots = Snapshots(store, 2, 0.0, 1.0, layout_of(1))
    for number in (50, 40, 30):
        take(snapshots, store, number)
    large, small = arrays(60) | {"more": np.ones(9, np.int64)}, arrays(5)
    for found in (large, small, large, small):
        store.commit(Group([block()]))
        snapshots.record(snapshots.finish(snapshots.write(found, store.totals.blocks)))
        restored = snapshots.restore()
        assert restored is not None
        assert restored[1].keys() == found.keys()
        assert all(np.array_equal(restored[1][name], array) for name, array in found.items())
    store.close()


def cut_short(descriptor: int, data: memoryview, offset: int) -> int:
    return _pwrite(descriptor, data[:9_999], offset)


_pwrite = os.pwrite


@pytest.mark.parametrize("seconds", [60.0, 0.0])
@pytest.mark.parametrize("write", [_pwrite, cut_short])
@pytest.mark.parametrize("words", [1 << 17, (1 << 20) + 513, 3 << 20])
def test_large_arrays_are_the_same_whichever_way_they_are_written(
    words: int, write: Callable[..., int], seconds: float, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("counterfoil.runtimes.local.snapshots.DIRECT_SECONDS", seconds)
    snapshots = Snapshots(store, 2, 0.0, 1.0, layout_of(1))
    array = reserve(words)
    array[:] = np.arange(words)
    for found in (array, array[:-1], array[: words // 2], array[1:]):
        store.commit(Group([block()]))
        with monkeypatch.context() as patched:
            patched.setattr(os, "pwrite", write)
            pending = snapshots.write({"large": found, "small": np.arange(3)}, store.totals.blocks)
        snapshots.record(snapshots.finish(pending))
        restored = snapshots.restore()
        assert restored is not None
        assert np.array_equal(restored[1]["large"], found)
        assert np.array_equal(np.load(store.folder / "snapshots" / str(store.totals.blocks) / "0.npy"), found)
    store.close()


def test_a_disk_that_takes_no_whole_pages_is_written_in_the_ordinary_way(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def choosy(descriptor: int, data: memoryview, offset: int) -> int:
        if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_DIRECT:
            raise OSError(errno.EINVAL, "Invalid argument")
        return _pwrite(descriptor, data, offset)

    monkeypatch.setattr(os, "pwrite", choosy)
    snapshots = Snapshots(store, 2, 0.0, 1.0, layout_of(1))
    array = reserve(1 << 18)
    array[:] = 7
    store.commit(Group([block()]))
    snapshots.record(snapshots.finish(snapshots.write({"large": array}, store.totals.blocks)))
    restored = snapshots.restore()
    assert restored is not None
    assert np.array_equal(restored[1]["large"], array)
    store.close()


def flip(folder: Path) -> None:
    path = max(folder.iterdir(), key=lambda each: each.stat().st_size)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def cut(folder: Path) -> None:
    path = max(folder.iterdir(), key=lambda each: each.stat().st_size)
    path.write_bytes(path.read_bytes()[:-1])


def header(folder: Path) -> None:
    path = max(folder.iterdir(), key=lambda each: each.stat().st_size)
    path.write_bytes(path.read_bytes().replace(b"'<i8'", b"'<f8'"))


@pytest.mark.parametrize("damage", [flip, cut, header, shutil.rmtree, lambda folder: next(folder.iterdir()).unlink()])
def test_a_damaged_one_is_passed_over(damage: Callable[[Path], object], store: Store) -> None:
    snapshots = Snapshots(store, 2, 0.0, 1.0, layout_of(1))
    take(snapshots, store, 1)
    take(snapshots, store, 2)
    damage(store.folder / "snapshots" / "2")
    restored = snapshots.restore()
    assert restored is not None
    assert restored[0] == 1
    store.close()


def test_one_of_another_layout_is_not_used(store: Store) -> None:
    take(Snapshots(store, 2, 0.0, 1.0, layout_of(1)), store, 1)
    assert Snapshots(store, 2, 0.0, 1.0, layout_of(2)).restore() is None
    # What an earlier version of this program wrote.
    take(Snapshots(store, 2, 0.0, 1.0, "shards=1"), store, 2)
    assert shards_of(store.snapshots()[0]) == 1
    assert Snapshots(store, 2, 0.0, 1.0, layout_of(1)).restore() is None
    store.close()


def test_what_a_crash_left_is_cleared(store: Store) -> None:
    snapshots = Snapshots(store, 2, 0.0, 1.0, layout_of(1))
    take(snapshots, store, 1)
    snapshots.write(arrays(2), 2)
    (store.folder / "snapshots" / "7").mkdir()
    snapshots.clear()
    assert sorted(path.name for path in (store.folder / "snapshots").iterdir()) == ["1", "spare"]
    snapshots.forget()
    assert snapshots.restore() is None
    store.close()


def test_they_are_due_by_work_and_never_too_dear(store: Store) -> None:
    snapshots = Snapshots(store, 2, 2.0, 0.1, layout_of(1))
    assert not snapshots.due(1.9)
    assert snapshots.due(2.0)
    snapshots._cost_seconds = 0.5
    assert not snapshots.due(4.9)
    assert snapshots.due(5.0)
    store.close()


@pytest.mark.parametrize("damage", ["newest", "all", "entries"])
def test_a_run_recovers_without_its_snapshots(damage: str, tmp_path: Path) -> None:
    lines = sample_lines(120)
    path = write_lines(tmp_path / "events.ndjson", lines[:80])
    config = sample_config(tmp_path, path, batch_events=8, replay_seconds=0.0, snapshot_share=1.0)

    def run() -> bytes:
        with LocalRuntime(config, sample_detector(), clock=lambda: 1_800_000_000_000_000) as runtime:
            runtime.run()
            return b"".join(canonical_lines(runtime.store, runtime.detector.schema))

    run()
    folders = sorted((tmp_path / "state" / "snapshots").iterdir(), key=lambda each: int(each.name))
    for folder in folders[-1:] if damage == "newest" else folders:
        flip(folder)
    if damage == "entries":
        import sqlite3

        connection = sqlite3.connect(tmp_path / "state" / "counterfoil.sqlite")
        connection.execute("UPDATE snapshots SET manifest = replace(manifest, '.npy', '.npx')")
        connection.commit()
        connection.close()
    write_lines(path, lines)
    log = run()
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    config = sample_config(fresh, path)
    assert run() == log
