"""What every runtime needs of a compiled detector, and the steps in which each carries it out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy.typing as npt

from counterfoil.words import counted

if TYPE_CHECKING:
    from counterfoil.decisions.decided import Decided
    from counterfoil.decisions.model_scoring import ModelScoring, Serving
    from counterfoil.detector import Detector
    from counterfoil.events.batch import Batch
    from counterfoil.program import Program
    from counterfoil.rules.types import ValueType


class CompiledProgram(Protocol):
    """A compiled, stateful detector: ``counterfoil.program.Program`` is one.

    ``process`` is a pure function of the events so far: the same events in the same order give the same decisions,
    however they are cut into batches.
    """

    detector: Detector
    feature_names: tuple[str, ...]
    feature_types: tuple[ValueType, ...]
    models: ModelScoring

    def process(self, batch: Batch, serving: Serving | None = None, /) -> Decided:
        """Decide a batch, with the versions of models that serve it, and take it into the state."""
        ...

    def explain_hit(self, batch: Batch, decided: Decided, column: int, rule: int, /) -> tuple[Mapping[str, Any], str]:
        """Return the values that a rule saw on the ``column``-th decision, and its reason as a sentence."""
        ...

    def snapshot(self) -> dict[str, npt.NDArray[Any]]:
        """Return the state as arrays; they are only good until the next ``process``."""
        ...

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take over the state of a snapshot."""
        ...

    def entities(self) -> dict[str, int]:
        """Return how many of each entity are known."""
        ...

    def state_bytes(self) -> int:
        """Return the size of the state."""
        ...


ENGINES = ("local", "spark", "flink")
"""What a detector can run on."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a plan.

    Parameters
    ----------
    name
        Its name.
    what
        What it does.
    parts
        In how many parts: a number, or in words.
    key
        By what its work is divided; empty where it is not, or anyhow.
    state
        What it remembers; empty for nothing.
    """

    name: str
    what: str
    parts: str
    key: str = ""
    state: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """How a runtime carries out a detector.

    Parameters
    ----------
    detector
        The detector's version.
    on
        The runtime.
    shards
        Parts that state is divided into.
    steps
        In the order in which an event sees them.
    """

    detector: str
    on: str
    shards: int
    steps: tuple[Step, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the plan for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        lines = [f"{self.detector} on {self.on}, state in {counted(self.shards, 'part')}"]
        for number, step in enumerate(self.steps, start=1):
            lines.append(f"{number}. {step.name}: {step.what}")
            notes = [("parts", step.parts), ("key", step.key), ("state", step.state)]
            lines += [f"   {name:<6} {text}" for name, text in notes if text]
        return "\n".join(lines)


def lower(program: Program, on: str, shards: int = 1, alerts: bool = False) -> Plan:
    """Return the steps in which a runtime carries out a detector.

    Parameters
    ----------
    program
        The compiled detector.
    on
        One of ``ENGINES``.
    shards
        Parts that state is divided into. On an engine, one part holds everything and is fed whole batches; more are fed
        what they read and no more, and their answers are joined.
    alerts
        Whether alerts are written.
    """
    detector = program.detector
    ids = [kind.id for kind in detector.schema.kinds if kind.id]
    dedupe = f"ids of {_span(detector.dedupe)}" if detector.dedupe and ids else ""
    episodes = "open episodes" if any(rule.episode for rule in detector.rules) else ""
    judged = _judged(detector)
    decode = Step("decode", "bytes to columns; what cannot be decoded goes to the dead letters", "splits of the source")
    if on == "local" or shards == 1:
        kept = [each for each in (dedupe, _stages(program), episodes, _outliers(detector)) if each]
        work = "duplicates, stages" if dedupe else "stages"
        name = "decide" if on == "local" else "whole"
        parts = f"1, in {counted(shards, 'shard')}" if on == "local" else "1"
        steps = [decode, Step(name, f"{work}, {judged}, episodes", parts, state="; ".join(kept))]
        return Plan(detector.version, on, shards, (*steps, _sink(on)))
    pack = Step(
        "pack", "bytes to columns; for each shard what it reads of them; dead letters aside", "splits of the source"
    )
    steps = [pack]
    if dedupe:
        what = "finds ids that came before; only batches with duplicates are spoken of again"
        steps.append(Step("duplicates", what, "1", "none: its clock is the newest time of all events", dedupe))
    names = ", ".join(f"{plan.name} ({', '.join(plan.read_key)})" for plan in program.stage_plans)
    steps += [
        Step("stages", "a shard of every stage", str(shards), f"hash of each stage's key: {names}", _stages(program)),
        Step("join", f"answers of all shards beside the batch; {judged}", "any", "batch"),
    ]
    if alerts:
        steps.append(Step("episodes", "raised decisions to alerts", "1", "none: few decisions come here", episodes))
    return Plan(detector.version, on, shards, (*steps, _sink(on)))


def _sink(on: str) -> Step:
    how = {
        "local": "one commit: positions, decisions, alerts; then the outputs",
        "spark": "by the driver, once for each micro-batch: files are cut back, topics are written in a transaction",
        "flink": "topics in transactions that end with a checkpoint",
    }
    return Step("write", how[on], "1" if on != "flink" else "any")


def _judged(detector: Detector) -> str:
    work = ["derived features"]
    work += ["outlier scores"] if detector.outliers else []
    work += [f"models ({', '.join(use.name for use in detector.models)})"] if detector.models else []
    return ", ".join([*work, counted(len(detector.rules), "rule"), "policy"])


def _stages(program: Program) -> str:
    stages = [f"{plan.name} ({counted(len(plan.operations), 'feature')})" for plan in program.stage_plans]
    return f"entities of {counted(len(stages), 'stage')}: {', '.join(stages)}" if stages else ""


def _outliers(detector: Detector) -> str:
    return f"outlier scores: {', '.join(use.name for use in detector.outliers)}" if detector.outliers else ""


def _span(microseconds: int) -> str:
    from counterfoil.definition.durations import write_duration  # noqa: PLC0415 - for people only

    return write_duration(microseconds)
