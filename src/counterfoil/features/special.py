"""A stage's kernel compiled for its plan: the very same source, with the plan's tables as constants.

The kernel that reads tables (``stage_kernel.py``) runs at once for every detector, and spends about half of its time on
reading them. Here the compiler is given the tables of one stage: it unrolls the loops over tracks, measures, edges and
operations, and folds every table away (the first projection of Futamura, "Partial evaluation of computation process",
1971). Nothing is written twice, and no arithmetic may be reordered, so answers and state are the same, bit for bit.

It takes some ten seconds a stage, so it is done once, apart, and kept as machine code.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import llvmlite
import llvmlite.binding as llvm
import numba as nb
import numpy as np
from numba import types
from numba.core.ccallback import CFunc

from counterfoil.events.batch import Words
from counterfoil.features import layout
from counterfoil.features import stage_kernel as kernel
from counterfoil.features.addresses import bytes_at, floats_at, shorts_at, words_at
from counterfoil.features.planner import StagePlan
from counterfoil.features.views import Events, Floats, Plan

_UNROLL = 200_000
"""Instructions that an unrolled loop may have (LLVM's ``-unroll-threshold``): every loop over a table is."""
_VERSION = 1
_NAME = "counterfoil_stage"
"""What the kernel is called in its object file."""
_SIGNATURE = types.int64(types.int64, types.int64)


def identity(plan: StagePlan, keys: tuple[int, int]) -> str:
    """Return 32 hex digits that change with whatever the machine code of a stage depends on, but for the source.

    Parameters
    ----------
    plan
        The stage.
    keys
        Rows of the keys under which it is read and fed.
    """
    digest = hashlib.sha256()
    machine = (llvm.get_process_triple(), llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten())
    digest.update(repr((_VERSION, nb.__version__, llvmlite.__version__, machine, keys, plan.record_words)).encode())
    for table in plan.tables:
        digest.update(repr((table.shape, table.dtype.str)).encode())
        digest.update(table.tobytes())
    return digest.hexdigest()[:32]


def machine_code(plan: StagePlan, keys: tuple[int, int]) -> bytes:
    """Compile the kernel of a stage, and return it as an object file.

    It raises a limit of the compiler for the whole process, so it belongs into one that does nothing else.

    Parameters
    ----------
    plan
        The stage.
    keys
        Rows of the keys under which it is read and fed.
    """
    llvm.set_option("counterfoil", f"-unroll-threshold={_UNROLL}")
    stage = _compile(*plan.tables, plan.record_words, *keys)
    module = llvm.parse_assembly(stage.inspect_llvm().replace(stage.native_name, _NAME))
    return _target_machine().emit_object(module)


@dataclass(frozen=True, slots=True)
class Special:
    """A loaded kernel.

    Parameters
    ----------
    address
        Where it begins: see ``stage_kernel.SPECIAL``.
    engine
        Keeps it in memory.
    """

    address: int
    engine: llvm.ExecutionEngine


def load(code: bytes) -> Special:
    """Load what ``machine_code`` returned, and nothing else: what is in it will run.

    Parameters
    ----------
    code
        The object file.
    """
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _target_machine())
    engine.add_object_file(llvm.object_file.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return Special(engine.get_function_address(_NAME), engine)


def _target_machine() -> llvm.TargetMachine:
    target = llvm.Target.from_triple(llvm.get_process_triple())
    features = llvm.get_host_cpu_features().flatten()
    return target.create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=features, opt=3, reloc="default", codemodel="jitdefault", jit=True
    )


def _compile(
    tracks: Words,
    edges: Words,
    measures: Words,
    tallies: Words,
    operations: Words,
    divisors: Floats,
    record_words: int,
    read_key: int,
    feed_key: int,
) -> CFunc:
    """Compile a stage: its tables are constants of the function, because it closes over them."""

    def run(row: np.int64, batch_at: np.int64) -> np.int64:
        d = nb.carray(words_at(row), (kernel.DIRECTORY_COLUMNS,))
        batch = nb.carray(words_at(batch_at), (kernel.BATCH_COLUMNS,))
        records = nb.carray(words_at(batch[kernel.BATCH_RECORDS]), (3, batch[kernel.BATCH_EVENTS]))
        done = kernel.run_shard(
            kernel.state_of(d),
            Plan(tracks, edges, measures, tallies, operations, divisors),
            _events(batch),
            np.int64(record_words),
            np.int64(read_key),
            np.int64(feed_key),
            d[kernel.SHARD],
            d[kernel.SHARDS],
            nb.carray(bytes_at(batch[kernel.BATCH_KIND_FEEDS]), (kernel.KINDS_MAX,)),
            nb.carray(words_at(batch[kernel.BATCH_PLACES]), (kernel.PLACES_WORDS,)),
            records[0],
            records[1],
            records[2],
            batch[kernel.BATCH_LATENESS],
        )
        return np.int64(layout.STATUS_DONE if done else layout.STATUS_ARENA_FULL)

    return nb.cfunc(_SIGNATURE, error_model="numpy")(run)


@nb.njit(inline="always")
def _events(batch: Words) -> Events:
    """Return the batch that a kernel is told of; how many rows a matrix has, no kernel asks."""
    n, width = batch[kernel.BATCH_EVENTS], batch[kernel.BATCH_WIDTH]
    return Events(
        nb.carray(words_at(batch[kernel.BATCH_KEYS]), (1, n)),
        nb.carray(shorts_at(batch[kernel.BATCH_KINDS]), (n,)),
        nb.carray(words_at(batch[kernel.BATCH_TIMES]), (n,)),
        nb.carray(words_at(batch[kernel.BATCH_DECIDED]), (n,)),
        nb.carray(words_at(batch[kernel.BATCH_INPUTS]), (1, n)),
        nb.carray(floats_at(batch[kernel.BATCH_INPUTS]), (1, n)),
        nb.carray(bytes_at(batch[kernel.BATCH_INPUT_NULLS]), (1, n)),
        nb.carray(words_at(batch[kernel.BATCH_OUTPUTS]), (1, width)),
        nb.carray(floats_at(batch[kernel.BATCH_OUTPUTS]), (1, width)),
        nb.carray(bytes_at(batch[kernel.BATCH_OUTPUT_NULLS]), (1, width)),
        nb.carray(bytes_at(batch[kernel.BATCH_LATE]), (width,)),
    )
