"""Kernels that were compiled for the stages of one detector: kept on this machine, and made beside a long run.

The kernel that reads tables runs every detector at once. Where there is much to do, a process of its own compiles each
stage's kernel in the meantime (``special_compiler.py``); it takes over as soon as it is there, and from then on at
every start on this machine. Decisions are the same, bit for bit. Whatever goes wrong with it costs speed and nothing
else.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import selectors
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Literal

import msgspec
import numpy as np

from counterfoil.compiled import stages_folder
from counterfoil.features import special
from counterfoil.features.planner import StagePlan
from counterfoil.features.special import Special
from counterfoil.observability import get_logger
from counterfoil.program import Program

_log = get_logger(__name__)

_DIGEST = 32
"""Bytes in front of a file's machine code: its SHA-256."""
_KEPT = 1_000
"""Files that are kept, some 50 kB each."""
_REASON = 500
"""Characters of a reason that are kept."""
_PATIENCE = 0.2
"""Seconds after which whoever waits for the compiler looks up."""


class StageText(msgspec.Struct, frozen=True):
    """What the compiler is told of a stage."""

    name: str
    tables: list[tuple[list[int], bytes]]
    """Shape and content of ``StagePlan.tables``."""
    record_words: int
    pairs: int
    keys: tuple[int, int]

    @classmethod
    def of(cls, plan: StagePlan, keys: tuple[int, int]) -> StageText:
        """Return the text of a stage."""
        texts = [(list(table.shape), table.tobytes()) for table in plan.tables]
        return cls(plan.name, texts, plan.record_words, plan.pairs, keys)

    @property
    def size(self) -> int:
        """Bytes of tables: the more, the longer it takes to compile."""
        return sum(len(content) for _, content in self.tables)

    def plan(self) -> StagePlan:
        """Return the stage's plan; the names of its keys are not in it."""
        words = [np.frombuffer(content, np.int64).reshape(shape) for shape, content in self.tables[:-1]]
        divisors = np.frombuffer(self.tables[-1][1], np.float64)
        tracks, edges, measures, tallies, operations = words
        return StagePlan(
            self.name, (), (), tracks, edges, measures, tallies, operations, divisors, self.record_words, self.pairs
        )


class Order(msgspec.Struct, frozen=True):
    """What the compiler is told."""

    asked_by: int
    """The process for which it works: it ends with it."""
    stages: list[StageText]


class Told(msgspec.Struct, frozen=True):
    """What the compiler says of a stage."""

    number: int
    """Which of the stages that it was given; -1 for all of them."""
    stage: str
    state: Literal["waiting", "compiling", "compiled", "there", "failed"]
    """Another process compiles it; it is begun; it is done; another process has done it; it is left without."""
    seconds: float = 0.0
    reason: str = ""
    """Why there is no kernel for it."""

    @property
    def ended(self) -> bool:
        """Whether that is the last that is said of the stage."""
        return self.state not in {"waiting", "compiling"}


def find(plan: StagePlan, keys: tuple[int, int]) -> Special | None:
    """Return the kernel of a stage, where it has been compiled on this machine; a damaged one is as none."""
    try:
        content = path_of(plan, keys).read_bytes()
    except OSError:
        return None
    if hashlib.sha256(content[_DIGEST:]).digest() != content[:_DIGEST]:
        return None
    return special.load(content[_DIGEST:])


def keep(plan: StagePlan, keys: tuple[int, int], code: bytes) -> None:
    """Keep a stage's machine code; whole or not at all. Only who holds the stage's lock may."""
    path = path_of(plan, keys)
    fresh = path.with_suffix(".fresh")
    try:
        fresh.write_bytes(hashlib.sha256(code).digest() + code)
        fresh.replace(path)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise


def refusal(plan: StagePlan, keys: tuple[int, int]) -> str | None:
    """Return why a stage cannot have a kernel, where that has been tried on this machine."""
    try:
        return _refused(plan, keys).read_text(errors="replace")[:_REASON]
    except OSError:
        return None


def refuse(plan: StagePlan, keys: tuple[int, int], reason: str) -> None:
    """Remember why a stage cannot have a kernel: trying again would end as before."""
    with contextlib.suppress(OSError):
        _refused(plan, keys).write_text(reason[:_REASON])


def _refused(plan: StagePlan, keys: tuple[int, int]) -> Path:
    return path_of(plan, keys).with_suffix(".refused")


def forget() -> None:
    """Remove the oldest files beyond ``_KEPT``: those of features that have long been changed."""
    files = [each for each in stages_folder().iterdir() if each.is_file()]
    for path in sorted(files, key=_changed, reverse=True)[_KEPT:]:
        path.unlink(missing_ok=True)


def _changed(path: Path) -> int:
    """Return when a file was changed; 0 where another process has just renamed or removed it."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def path_of(plan: StagePlan, keys: tuple[int, int]) -> Path:
    """Return where a stage's machine code is kept."""
    return stages_folder() / f"{special.identity(plan, keys)}.o"


def attach(program: Program, numbers: Iterable[int] | None = None) -> list[int]:
    """Have a program use the kernels that there are on this machine.

    Parameters
    ----------
    program
        The program; it may be at work.
    numbers
        Which of its stages, none of which has a kernel of its own so far; None for all.

    Returns
    -------
    list of int
        Numbers of those for which there is none.
    """
    missing = []
    for number in range(len(program.stage_plans)) if numbers is None else numbers:
        found = find(program.stage_plans[number], program.stage_keys[number])
        if found is None:
            missing.append(number)
        else:
            program.stages.use_special(number, found)
    return missing


class Compiler:
    """A process that compiles stages, as a context manager: it ends with the block, done or not.

    Parameters
    ----------
    stages
        Plans, and rows of the keys under which they are read and fed.
    """

    def __init__(self, stages: Sequence[tuple[StagePlan, tuple[int, int]]]) -> None:
        self._text = msgspec.msgpack.encode(Order(os.getpid(), [StageText.of(plan, keys) for plan, keys in stages]))
        self._process: subprocess.Popen[bytes] | None = None
        self._rest = b""
        self._ended = False

    def __enter__(self) -> Compiler:
        # A file, because a pipe would have the run wait until the process has started and reads.
        with tempfile.TemporaryFile() as text:
            text.write(self._text)
            text.seek(0)
            self._process = subprocess.Popen(
                [sys.executable, "-m", "counterfoil.runtimes.special_compiler"],
                stdin=text,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                # A group, because Ctrl-C is for the run, which ends this and whatever it has started. Not a session:
                # Linux shares processors evenly between those, whatever the priority of what is in them.
                process_group=0,
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            assert self._process.stdout is not None
            if self._process.poll() is None:
                # Not behind its end: the number of the group might be another's by then.
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
            self._process.stdout.close()

    def news(self, seconds: float = 0.0) -> list[Told] | None:
        """Return what it has said since it was last asked; None when it has ended and said everything.

        Parameters
        ----------
        seconds
            How long to wait for something.
        """
        assert self._process is not None
        assert self._process.stdout is not None
        if self._ended:
            return None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            if not selector.select(seconds):
                return []
        said = os.read(self._process.stdout.fileno(), 1 << 16)
        *lines, self._rest = (self._rest + said).split(b"\n")
        told = [msgspec.json.decode(line, type=Told) for line in lines]
        if not said:
            self._ended = True
            if (code := self._process.wait()) != 0:
                told.append(Told(-1, "", "failed", 0.0, f"the process that compiles ended with code {code}"))
        return told

    def told(self) -> Iterator[Told]:
        """Yield what it says, to its end; a signal is heard meanwhile."""
        while (news := self.news(_PATIENCE)) is not None:
            yield from news


class Specialising:
    """Watches a long run: compiles the kernels of its detector beside it, and hands them over when they are there.

    Parameters
    ----------
    program
        Its program.
    events
        After how many events it is worth the while; 0 for never. What has been compiled before is used from the start.
    """

    def __init__(self, program: Program, events: int) -> None:
        self._program = program
        without = attach(program) if events else []
        plans, keys = program.stage_plans, program.stage_keys
        self._missing = [number for number in without if refusal(plans[number], keys[number]) is None]
        self._left = events
        self._taken_over = 0
        self._compiler: Compiler | None = None

    def after(self, events: int) -> None:
        """Say that so many more events have been decided."""
        if not self._missing:
            return
        if self._compiler is None:
            self._left -= events
            if self._left <= 0:
                self._start()
        else:
            self._listen(self._compiler)

    def _start(self) -> None:
        program = self._program
        compiler = Compiler([(program.stage_plans[number], program.stage_keys[number]) for number in self._missing])
        try:
            compiler.__enter__()
        except OSError as error:
            _log.warning("cannot compile the kernels of this detector; going on without", reason=str(error))
            self._missing = []
            return
        self._compiler = compiler
        _log.info("compiling the kernels of this detector beside the run", stages=len(self._missing))

    def _listen(self, compiler: Compiler) -> None:
        news = compiler.news()
        for told in news or []:
            if told.state == "failed":
                stage = {"stage": told.stage} if told.stage else {}
                _log.warning("no kernel was compiled; going on without", **stage, reason=told.reason)
            elif told.ended:
                self._taken_over += not attach(self._program, [self._missing[told.number]])
        if news is None:
            self._end()
            if self._taken_over:
                _log.info("kernels of this detector have taken over", stages=self._taken_over)

    def close(self) -> None:
        """Stop compiling; the run ends. What has been compiled stays for the next."""
        if self._compiler is not None:
            _log.info("compiling ends with the run; a later one goes on with it")
        self._end()

    def _end(self) -> None:
        self._missing = []
        if self._compiler is not None:
            self._compiler.__exit__(None, None, None)
            self._compiler = None


def compile_now(program: Program, tell: Callable[[Told], None] | None = None) -> int:
    """Compile what there is no kernel for yet, and wait for it.

    Parameters
    ----------
    program
        The program, which uses them from then on.
    tell
        Called with all that the compiler says.

    Returns
    -------
    int
        How many stages run without a kernel of their own.
    """
    missing = attach(program)
    if not missing:
        return 0
    with Compiler([(program.stage_plans[number], program.stage_keys[number]) for number in missing]) as compiler:
        for told in compiler.told():
            if tell is not None:
                tell(told)
    return len(attach(program, missing))
