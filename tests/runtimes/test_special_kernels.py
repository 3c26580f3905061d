"""Kernels of single stages: the same answers, bit for bit, and nothing lost where there is none."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

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
    LOCK,
    Compiler,
    Specialising,
    StageText,
    Told,
    attach,
    compile_now,
    find,
    forget,
    keep,
    path_of,
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
        assert [told.error for told in compiler.told()] == [None]
    kernel = find(plan, keys)
    assert kernel is not None
    return kernel


def test_a_damaged_kernel_is_as_none(elsewhere: Path) -> None:
    program = Program(sample_detector())
    plan, keys = program.stage_plans[0], program.stage_keys[0]
    assert find(plan, keys) is None
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
    (elsewhere / LOCK).touch()
    os.utime(elsewhere / LOCK, (0, 0))
    forget()
    assert {each.name for each in elsewhere.iterdir()} == {"2.o", "3.o", "4.o", LOCK}


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "file"))
    (tmp_path / "file").touch()
    with Compiler([(plan, keys) for plan, keys in zip(*some_stages(), strict=True)]) as compiler:
        told = list(compiler.told())
    assert len(told) == 1
    assert str(tmp_path / "file") in (told[0].error or "")


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
    """A compiler that is ready when it is told so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ready = False
        self.ended = 0
        slow = self

        class _Compiler(Compiler):
            def __enter__(self) -> Compiler:
                return self

            def __exit__(self, *_: object) -> None:
                slow.ended += 1

            @property
            def done(self) -> bool:
                return slow.ready

            def told(self) -> Iterator[Told]:
                yield Told("customer", 1.0, "it is too large")

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
    slow.ready = True
    watch.after(1)
    assert slow.ended == 1
    watch.after(1_000)
    watch.close()
    assert slow.ended == 1


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
        assert not compiler.done
    assert process.returncode is not None


def test_a_compiler_that_is_told_nonsense_ends(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "counterfoil.runtimes.special_compiler"],
        input=b"nonsense",
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == b""


def test_a_compiler_that_dies_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with Compiler([(plan, keys) for plan, keys in zip(*some_stages(), strict=True)]) as compiler:
        told = list(compiler.told())
    assert [each.error for each in told] == ["the process that compiles ended with code 1"]


def some_stages() -> tuple[tuple[StagePlan, ...], tuple[tuple[int, int], ...]]:
    program = Program(sample_detector())
    return program.stage_plans, program.stage_keys
