"""Kernels of single stages: the same answers, bit for bit, and nothing lost where there is none."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings

from counterfoil.detector_file import load_detector
from counterfoil.detectors import builtin_names
from counterfoil.features import layout
from counterfoil.features.planner import StagePlan
from counterfoil.features.special import Special
from counterfoil.features.special_check import Trial
from counterfoil.features.stage_kernel import SPECIAL
from counterfoil.program import Program
from counterfoil.runtimes import special_kernels
from counterfoil.runtimes.local.runtime import LocalRuntime
from counterfoil.runtimes.special_kernels import (
    Compiler,
    Order,
    Specialising,
    StageText,
    Told,
    attach,
    compile_now,
    find,
    forget,
    keep,
    path_of,
    refusal,
    refuse,
)
from tests.features.harness import Arrival, World, histories, variants
from tests.features.test_conformance import KEY, assert_same, log_of, payments, reference, stream
from tests.runtimes.sample import sample_config, sample_detector, sample_lines, write_lines


def compiled(program: Program) -> Program:
    """Return the program, every stage with its own kernel."""
    told: list[Told] = []
    assert compile_now(program, told.append) == 0, told
    assert np.all(program.stages._directory[:, SPECIAL] != 0)
    return program


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep kernels of stages in an empty folder."""
    monkeypatch.setattr(special_kernels, "stages_folder", lambda: tmp_path / "stages")
    return tmp_path / "stages"


@pytest.mark.parametrize("shards", [1, 8])
@pytest.mark.parametrize("size", [1, 7, 4_096])
def test_decisions_are_the_same_bit_for_bit(size: int, shards: int) -> None:
    program = compiled(Program(payments(), KEY, shards=shards, state_bytes=1 << 28))
    assert_same(log_of(program, stream(), size), reference())


def test_threads_change_nothing() -> None:
    program = compiled(Program(payments(), KEY, shards=2, threads=2, state_bytes=1 << 28))
    assert_same(log_of(program, stream(), 1_024), reference())


def test_one_kernel_goes_on_where_the_other_stopped() -> None:
    program = Program(payments(), KEY, state_bytes=1 << 28)
    half = stream().take(np.arange(3_000))
    rest = stream().take(np.arange(3_000, len(stream())))
    before = log_of(program, half, 500)
    assert_same(sorted(before + log_of(compiled(program), rest, 500), key=repr), reference())


@pytest.mark.parametrize("name", builtin_names())
def test_every_stage_of_the_built_in_detectors_passes_its_trial(name: str) -> None:
    compiled(Program(load_detector(name)))


@cache
def everything() -> tuple[World, World]:
    """Return every aggregation in all its forms, with general kernels and with its own."""
    asked = [
        ("count",),
        ("mean", "amount"),
        ("std", "weight"),
        ("sum", "weight"),
        ("min", "weight"),
        ("max", "tip"),
        ("last", "tip"),
        ("distinct", "shop"),
        ("frequency", "shop"),
        ("share", "flag"),
        ("rate", "flag"),
        ("age",),
        ("time_since",),
        ("distance", "latitude", "longitude"),
        ("speed", "latitude", "longitude"),
    ]
    bare = {"age", "time_since", "last", "distance", "speed"}
    features = [
        replace(feature, name=f"{name}_{feature.name}")
        for name, *arguments in asked
        for feature in variants(name, *arguments, windows=name not in bare).detector.features
        # What is read under other keys than it is fed under is a stage of its own; one form of it is enough here.
        if feature.name in {"prior", "over", "over_where", "over_delay", "of_pair"}
        or (name, feature.name) == ("count", "via")
    ]
    general, own = World(*features), World(*features)
    compiled(own.program())
    return general, own


@settings(max_examples=25, deadline=None)
@given(history=histories(60))
def test_every_aggregation_is_the_same(history: list[Arrival]) -> None:
    general, own = everything()
    for size in (1, 1_000):
        assert own.kernel(history, size) == general.kernel(history, size)
        one, other = own.program(), general.program()
        assert all(np.array_equal(array, other.snapshot()[name]) for name, array in one.snapshot().items())


def test_the_trial_refuses_a_kernel_whose_window_is_a_second_longer() -> None:
    program = Program(payments())
    number = [plan.name for plan in program.stage_plans].index("account_pair")
    plan, keys = program.stage_plans[number], program.stage_keys[number]
    edges = plan.edges.copy()
    edges[0, layout.EDGE_OFFSET] += 1_000_000
    other = replace(plan, edges=edges)
    trial = Trial(plan, keys)
    assert trial.passes(own_kernel(plan, keys))
    assert not trial.passes(own_kernel(other, keys))


def own_kernel(plan: StagePlan, keys: tuple[int, int]) -> Special:
    with Compiler([(plan, keys)]) as compiler:
        assert [told.reason for told in compiler.told() if told.ended] == [""]
    kernel = find(plan, keys)
    assert kernel is not None
    return kernel


def test_a_damaged_kernel_is_as_none(elsewhere: Path) -> None:
    program = Program(sample_detector())
    plan, keys = program.stage_plans[0], program.stage_keys[0]
    assert find(plan, keys) is None
    elsewhere.mkdir()
    keep(plan, keys, b"machine code")
    path = path_of(plan, keys)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert find(plan, keys) is None
    path.write_bytes(b"")
    assert find(plan, keys) is None
    assert attach(program) == list(range(len(program.stage_plans)))
    assert [each.name for each in elsewhere.iterdir()] == [path.name]


def test_the_oldest_kernels_are_forgotten(monkeypatch: pytest.MonkeyPatch, elsewhere: Path) -> None:
    monkeypatch.setattr(special_kernels, "_KEPT", 3)
    elsewhere.mkdir()
    for number in range(5):
        path = elsewhere / f"{number}.o"
        path.write_bytes(b"")
        os.utime(path, (number, number))
    forget()
    assert {each.name for each in elsewhere.iterdir()} == {"2.o", "3.o", "4.o"}


def test_a_kernel_that_another_process_forgets_is_passed_over(elsewhere: Path) -> None:
    assert special_kernels._changed(elsewhere / "gone.o") == 0


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "file"))
    (tmp_path / "file").touch()
    with Compiler(some_stages()) as compiler:
        told = list(compiler.told())
    assert len(told) == 1
    assert str(tmp_path / "file") in told[0].reason


def test_a_stage_says_all_of_itself() -> None:
    program = Program(payments())
    for plan, keys in zip(program.stage_plans, program.stage_keys, strict=True):
        again = StageText.of(plan, keys).plan()
        assert path_of(again, keys) == path_of(plan, keys)
        assert path_of(again, (keys[0], keys[1] + 1)) != path_of(plan, keys)
        assert again.bytes_per_entity == plan.bytes_per_entity


def test_a_long_run_takes_over_kernels_while_it_goes_on(tmp_path: Path) -> None:
    source = write_lines(tmp_path / "events.ndjson", sample_lines(300))
    decisions = []
    for name, events in (("never", 0), ("soon", 1)):
        config = sample_config(tmp_path / name, source, batch_events=16)
        config = replace(config, limits=replace(config.limits, specialise_events=events))
        with LocalRuntime(config, sample_detector(), clock=lambda: 1_800_000_000_000_000) as runtime:
            runtime.run()
        path = config.sinks[0].path
        assert path is not None
        decisions.append(Path(path).read_bytes())
    assert decisions[0] == decisions[1]


class Slow:
    """A compiler that says what it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.news: list[Told] | None = []
        self.ended = 0
        slow = self

        class _Compiler(Compiler):
            def __enter__(self) -> Compiler:
                return self

            def __exit__(self, *_: object) -> None:
                slow.ended += 1

            def news(self, seconds: float = 0.0) -> list[Told] | None:
                return slow.news

        monkeypatch.setattr(special_kernels, "Compiler", _Compiler)


def test_kernels_are_asked_for_after_so_many_events(monkeypatch: pytest.MonkeyPatch, elsewhere: Path) -> None:
    slow = Slow(monkeypatch)
    program = Program(sample_detector())
    watch = Specialising(program, 100)
    watch.after(99)
    assert watch._compiler is None
    watch.after(1)
    assert watch._compiler is not None
    watch.after(1)
    assert slow.ended == 0
    slow.news = [Told(0, "customer", "failed", 1.0, "it is too large")]
    watch.after(1)
    assert slow.ended == 0
    slow.news = None
    watch.after(1)
    assert slow.ended == 1
    watch.after(1_000)
    watch.close()
    assert slow.ended == 1


def test_each_kernel_takes_over_as_soon_as_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    program = Program(payments())
    monkeypatch.setattr(special_kernels, "find", lambda *_: None)
    watch = Specialising(program, 1)
    monkeypatch.undo()
    compiled(Program(payments()))
    slow = Slow(monkeypatch)
    watch.after(1)
    slow.news = [Told(3, "account_pair", "compiling"), Told(3, "account_pair", "compiled", 1.0)]
    watch.after(1)
    assert np.flatnonzero(program.stages._directory[:, SPECIAL]).tolist() == [3]
    watch.close()
    assert slow.ended == 1


def test_what_cannot_be_compiled_is_not_tried_again(monkeypatch: pytest.MonkeyPatch, elsewhere: Path) -> None:
    slow = Slow(monkeypatch)
    program = Program(sample_detector())
    elsewhere.mkdir()
    for plan, keys in zip(program.stage_plans, program.stage_keys, strict=True):
        refuse(plan, keys, "it has too many features")
        assert refusal(plan, keys) == "it has too many features"
    watch = Specialising(program, 1)
    watch.after(1)
    assert watch._compiler is None
    watch.close()
    assert slow.ended == 0


def test_never_is_never(monkeypatch: pytest.MonkeyPatch) -> None:
    program = compiled(Program(sample_detector()))
    fresh = Program(program.detector)
    Specialising(fresh, 0).after(1 << 40)
    assert np.all(fresh.stages._directory[:, SPECIAL] == 0)


def test_a_system_without_processes_costs_speed_alone(monkeypatch: pytest.MonkeyPatch, elsewhere: Path) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("no more processes")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    watch = Specialising(Program(sample_detector()), 1)
    watch.after(1)
    watch.after(1)
    watch.close()


def test_the_process_ends_with_the_run() -> None:
    program = Program(payments())
    with Compiler([(program.stage_plans[0], program.stage_keys[0])]) as compiler:
        process = compiler._process
        assert process is not None
        assert process.poll() is None
    assert process.returncode is not None


def begin(folder: Path, text: bytes, seconds: int = 180) -> subprocess.Popen[bytes]:
    """Start a compiler that keeps what it makes in a folder, and reads the kernels of everybody from the usual one."""
    source = (
        "import sys; from pathlib import Path\n"
        "from counterfoil.runtimes import special_compiler as compiler, special_kernels as kernels\n"
        "compiler.stages_folder = kernels.stages_folder = lambda: Path(sys.argv[1])\n"
        "compiler._SECONDS = int(sys.argv[2])\n"
        "compiler.main()\n"
    )
    command = [sys.executable, "-c", source, str(folder), str(seconds)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdin is not None
    process.stdin.write(text)
    process.stdin.close()
    return process


def end(process: subprocess.Popen[bytes]) -> tuple[int, list[Told]]:
    """Return how a compiler ended, and what it said."""
    assert process.stdout is not None
    with process.stdout as said:
        told = [msgspec.json.decode(line, type=Told) for line in said]
    return process.wait(), told


def order(stage: tuple[StagePlan, tuple[int, int]], asked_by: int | None = None) -> bytes:
    return msgspec.msgpack.encode(Order(asked_by or os.getpid(), [StageText.of(*stage)]))


def test_a_compiler_that_is_told_nonsense_ends(tmp_path: Path) -> None:
    assert end(begin(tmp_path, b"nonsense")) == (1, [])


def test_a_compiler_whose_master_is_gone_ends(tmp_path: Path) -> None:
    code, told = end(begin(tmp_path, order(some_stages()[0], asked_by=1)))
    assert code == 1
    assert [each.state for each in told] == ["compiling"]
    assert not list(tmp_path.glob("*.o"))


def test_a_compiler_that_dies_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with Compiler(some_stages()) as compiler:
        told = list(compiler.told())
    assert [each.reason for each in told] == ["the process that compiles ended with code 1"]


def test_a_process_that_has_ended_is_not_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    killed: list[int] = []
    monkeypatch.setattr(os, "killpg", lambda group, _: killed.append(group))
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with Compiler(some_stages()) as compiler:
        list(compiler.told())
    assert killed == []


def test_two_that_want_the_same_share_it(tmp_path: Path) -> None:
    processes = [begin(tmp_path, order(some_stages()[0])) for _ in range(2)]
    assert sorted(end(process)[1][-1].state for process in processes) == ["compiled", "there"]
    assert len(list(tmp_path.glob("*.o"))) == 1


def test_a_stage_that_takes_too_long_goes_without(tmp_path: Path) -> None:
    program = Program(payments())
    number = [plan.name for plan in program.stage_plans].index("customer")
    text = order((program.stage_plans[number], program.stage_keys[number]))
    first, again = (end(begin(tmp_path, text, seconds=1))[1][-1] for _ in range(2))
    assert "too many features" in first.reason
    assert again == msgspec.structs.replace(first, seconds=0.0), "it was remembered"
    assert not list(tmp_path.glob("*.o"))


def test_a_kernel_that_cannot_be_kept_is_tried_again(tmp_path: Path) -> None:
    stage = some_stages()[0]
    (tmp_path / path_of(*stage).name).mkdir()
    for _ in range(2):
        told = end(begin(tmp_path, order(stage)))[1][-1]
        assert told.state == "failed"
        assert "set NUMBA_CACHE_DIR to another folder" in told.reason
    assert not list(tmp_path.glob("*.fresh"))


def some_stages() -> list[tuple[StagePlan, tuple[int, int]]]:
    program = Program(sample_detector())
    return list(zip(program.stage_plans, program.stage_keys, strict=True))
