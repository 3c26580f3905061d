"""The compiled detector: a pure, deterministic program from batches to decisions.

It has state and nothing else: no clock, no randomness, no files. The same events in the same order per entity give the
same decisions, bit for bit, whatever the size of the batches and the number of shards.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from counterfoil.decisions.decided import Decided
from counterfoil.decisions.episodes import Episodes
from counterfoil.decisions.model_scoring import ModelScoring, Serving
from counterfoil.decisions.outlier_scoring import OutlierScoring
from counterfoil.decisions.reasons import Reasons, Shown
from counterfoil.decisions.scoring import COMBINATIONS, score_rules, settle
from counterfoil.detector import Detector
from counterfoil.events.batch import Batch, Bytes, Words
from counterfoil.events.duplicates import Duplicates
from counterfoil.events.identity import IdentityKey
from counterfoil.features.keys import Keys
from counterfoil.features.plan import FeaturePlan
from counterfoil.features.stage import STATE_BYTES_DEFAULT, StageBatch, Stages
from counterfoil.models.definition import SCORE_SUFFIX, score_names
from counterfoil.models.scores import ModelScores
from counterfoil.rules.expression import Source, Variable
from counterfoil.rules.program import ExpressionProgram, assemble
from counterfoil.rules.types import FLOAT, Base


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a batch brings to the stages."""

    rows: Words
    """(m,): the rows that are decided."""
    column: Words
    """(n,): which decision each row is; -1 where it only feeds state."""
    keys: Words
    """(keys, n): the entities of each row; 0 where there is none."""
    inputs: Words
    """(inputs, n): what the stages read of each row…"""
    input_nulls: Bytes
    """…and where it is null."""


class Program:
    """A detector, compiled.

    Parameters
    ----------
    detector
        The definition.
    key
        Hashes ids; the decoders must use the same.
    shards
        How many parts each stage's state is divided into. It changes nothing but speed.
    threads
        How many shards are worked on at once.
    state_bytes
        Limit on the bytes of records, and of rings, of one shard of one stage.

    Raises
    ------
    DefinitionError
        When an expression of the definition does not compile.
    """

    def __init__(
        self,
        detector: Detector,
        key: IdentityKey | None = None,
        shards: int = 1,
        threads: int = 1,
        state_bytes: int = STATE_BYTES_DEFAULT,
    ) -> None:
        self.detector = detector
        self.key = key or IdentityKey()
        self.shards = shards
        self.threads = threads
        scorer = _ScorerPlan(detector, self.key)
        planners = scorer.planners
        fields = list(dict.fromkeys(each for planner in planners for each in (planner.entity.key, planner.feed_key)))
        episode_fields = {entity.name: entity.key for entity in detector.entities}
        fields += [each for each in dict.fromkeys(episode_fields.values()) if each not in fields]
        self.feature_names = detector.feature_names
        self.feature_types = scorer.types
        self.rule_names = tuple(rule.name for rule in detector.rules)
        self.rule_uses = tuple(expression.uses for expression in scorer.rules)
        self._reasons = Reasons(
            detector.schema,
            detector.rules,
            list(zip(self.feature_names, self.feature_types, strict=True)),
            self.rule_uses,
            score_names(detector.models),
            [f"{use.name}{SCORE_SUFFIX}" for use in detector.outliers],
        )
        self._keys = Keys(detector.schema, fields, self.key)
        self._inputs_program = scorer.inputs_program
        self._inputs_rows = max(len(scorer.inputs.rows), 1)
        self._derived, self._conditions = scorer.derived, scorer.conditions
        self._model_row, self._outlier_row = scorer.model_row, scorer.outlier_row
        self._policy = scorer.policy
        self._work_rows = scorer.work_rows
        self._scores = np.array([rule.score for rule in detector.rules], np.float64)
        self._least = np.array([rule.then.severity if rule.then else 0 for rule in detector.rules], np.uint8)
        self._combination = COMBINATIONS.index(detector.policy.combine)
        self._decides = np.array([kind.decide for kind in detector.schema.kinds], np.bool_)
        self._duplicates = Duplicates(detector.dedupe)
        entity_rows = {name: fields.index(each) for name, each in episode_fields.items()}
        self.models = ModelScoring(detector.models, scorer.variables, entity_rows, self.key)
        self._outliers = OutlierScoring(detector.outliers, scorer.variables, self.key)
        self._episodes = Episodes(detector.rules, entity_rows)
        self.stage_plans = tuple(planner.pack() for planner in planners)
        self.stage_keys = tuple(
            (fields.index(planner.entity.key), fields.index(planner.feed_key)) for planner in planners
        )
        self.input_rows = self._inputs_rows
        self.entity_rows = entity_rows
        self.stages = Stages(
            self.stage_plans,
            self.stage_keys,
            shards,
            threads,
            detector.max_lateness,
            state_bytes,
        )

    def process(self, batch: Batch, serving: Serving | None = None) -> Decided:
        """Decide a batch and move the state on.

        Parameters
        ----------
        batch
            Events in arrival order.
        serving
            Which versions of the detector's models score it; None for none, and their scores are null.

        Raises
        ------
        LimitError
            When the state reaches its limit; the program is then no longer fit for use.
        """
        marked = self._duplicates.mark(batch)
        if marked is None:
            return self._decide(batch, np.arange(len(batch)), np.zeros(0, np.int64), np.zeros(0, np.int64), serving)
        duplicate, first = marked
        kept = np.flatnonzero(duplicate == 0)
        repeats = np.flatnonzero(duplicate)
        return self._decide(batch.take(kept), kept, repeats, first[repeats], serving)

    def prepare(self, fresh: Batch) -> Prepared:
        """Return what the stages need to know of a batch without duplicates."""
        size = len(fresh)
        rows = self._decides[fresh.kind].nonzero()[0]
        column = np.empty(size, np.int64)
        column.fill(-1)
        column[rows] = np.arange(len(rows))
        inputs = np.zeros((self._inputs_rows, size), np.int64)
        input_nulls = np.zeros((self._inputs_rows, size), np.uint8)
        self._inputs_program.run(fresh, np.arange(size), inputs, input_nulls, self.stages.pool, self.threads)
        return Prepared(rows, column, self._keys.of(fresh), inputs, input_nulls)

    def work(self, decisions: int) -> tuple[Words, Bytes]:
        """Return room for features and what is made of them, (rows, at least ``decisions``): all null."""
        # Rows a page apart would all fall into the same few sets of the processor's cache.
        width = decisions if decisions < 64 else decisions + (72 - decisions % 64) % 64
        work = np.zeros((self._work_rows, width), np.int64)
        work_nulls = np.empty((self._work_rows, width), np.uint8)
        work_nulls.fill(1)
        return work, work_nulls

    def _decide(self, fresh: Batch, kept: Words, duplicates: Words, firsts: Words, serving: Serving | None) -> Decided:
        prepared = self.prepare(fresh)
        m = len(prepared.rows)
        work, work_nulls = self.work(m)
        late = np.zeros(m, np.uint8)
        self.stages.update(
            StageBatch(
                prepared.keys,
                fresh.kind,
                fresh.time,
                prepared.column,
                prepared.inputs,
                prepared.input_nulls,
                work,
                work_nulls,
                late,
            )
        )
        decided, raised = self.judge(fresh, prepared, work, work_nulls, late, serving)
        if raised:
            decided.alerts = self._episodes.update(fresh, decided, prepared.keys)
        decided.duplicates, decided.firsts = duplicates, firsts
        if len(duplicates):
            decided.rows = kept[prepared.rows]
        return decided

    def judge(
        self, fresh: Batch, prepared: Prepared, work: Words, work_nulls: Bytes, late: Bytes, serving: Serving | None
    ) -> tuple[Decided, int]:
        """Return the decisions of a batch whose features are there, and how many of them were raised.

        Nothing of the state is read or changed, but for that of outlier scores. There are no alerts in it yet.

        Parameters
        ----------
        fresh
            The events, without duplicates.
        prepared
            What ``prepare`` made of them.
        work, work_nulls
            What ``work`` gave, with the features that stages answered.
        late
            (m,): 1 where a stage found an event to be late.
        serving
            Which versions of the detector's models score it; None for none.
        """
        rows, m, features = prepared.rows, len(prepared.rows), len(self.feature_names)
        models, outliers, hits, score, outcome, raised = self._judge(
            fresh, rows, work, work_nulls, prepared.keys, serving
        )
        none = np.zeros(0, np.int64)
        decided = Decided(
            rows,
            score,
            outcome,
            hits,
            late,
            work[:features, :m],
            work_nulls[:features, :m],
            none,
            none,
            len(fresh) - m,
            models=models,
            outliers=outliers,
        )
        return decided, raised

    def _judge(
        self,
        fresh: Batch,
        rows: Words,
        work: Words,
        work_nulls: Bytes,
        keys: Words,
        serving: Serving | None,
        muted: Bytes | None = None,
        outliers: npt.NDArray[np.float64] | None = None,
    ) -> tuple[ModelScores | None, npt.NDArray[np.float64] | None, Bytes, npt.NDArray[np.float64], Bytes, int]:
        """Return what models, rules and policy make of features: scores, hits, score, outcome, how many were raised.

        ``muted`` is (rules, m): 1 where a rule is to be taken as not having hit. ``outliers`` are scores that were
        given before; without them, the payments are scored and learnt from.
        """
        m = len(rows)
        models = None
        if self.detector.models or self.detector.outliers:
            self._derived.run(fresh, rows, work, work_nulls, self.stages.pool, self.threads)
        if self.detector.outliers:
            if outliers is None:
                outliers = self._outliers.update(fresh, rows, work, work_nulls)
            for number, scored in enumerate(outliers):
                self._place(self._outlier_row + number, scored, work, work_nulls)
        if self.detector.models:
            models = self._ask_models(fresh, rows, work, work_nulls, keys, serving)
        self._conditions.run(fresh, rows, work, work_nulls, self.stages.pool, self.threads)
        features, rules = len(self.feature_names), len(self.rule_names)
        if muted is not None:
            work[features : features + rules, :m][muted != 0] = 0
        hits = np.zeros((rules, m), np.uint8)
        score = np.zeros(m, np.float64)
        score_rules(work, work_nulls, features, self._scores, self._combination, m, hits, score)
        work.view(np.float64)[features + rules, :m] = score
        work_nulls[features + rules] = 0
        self._policy.run(fresh, rows, work, work_nulls)
        outcome = np.zeros(m, np.uint8)
        raised = settle(work, work_nulls, features + rules + 1, features + rules + 2, hits, self._least, m, outcome)
        return models, outliers, hits, score, outcome, raised

    def judge_again(
        self,
        batch: Batch,
        rows: Words,
        features: Words,
        nulls: Bytes,
        serving: Serving | None,
        muted: Bytes,
        outliers: npt.NDArray[np.float64] | None = None,
    ) -> tuple[npt.NDArray[np.float64], Bytes]:
        """Return score and outcome of payments whose features are given: what would have been, had they been so.

        Nothing of the state is read or changed. Derived features follow from the others.

        Parameters
        ----------
        batch
            The events.
        rows
            (n,): rows of the batch that are decided.
        features, nulls
            (features, n): as ``Decided`` has them.
        serving
            Which versions of the models score.
        muted
            (rules, n): 1 where a rule is to be taken as not having hit.
        outliers
            (outlier scores, n): as they were; they do not follow.
        """
        assert (outliers is None) == (not self.detector.outliers)
        size = len(rows)
        work = np.zeros((self._work_rows, size), np.int64)
        work_nulls = np.ones((self._work_rows, size), np.uint8)
        work[: len(features)], work_nulls[: len(nulls)] = features, nulls
        judged = self._judge(batch, rows, work, work_nulls, self._keys.of(batch), serving, muted, outliers)
        return judged[3], judged[4]

    def _ask_models(
        self, fresh: Batch, rows: Words, work: Words, work_nulls: Bytes, keys: Words, serving: Serving | None
    ) -> ModelScores:
        """Ask the models and put their scores where expressions find them."""
        scores = self.models.score(fresh, rows, work, work_nulls, keys, serving)
        for slot in range(len(scores.slots)):
            self._place(self._model_row + slot, scores.acted(slot), work, work_nulls)
        return scores

    @staticmethod
    def _place(row: int, scored: npt.NDArray[np.float64], work: Words, work_nulls: Bytes) -> None:
        """Put scores where expressions find them: what is missing is null."""
        missing = np.isnan(scored)
        work.view(np.float64)[row, : len(scored)] = np.where(missing, 0.0, scored)
        work_nulls[row, : len(scored)] = missing

    def explain_hit(self, batch: Batch, decided: Decided, column: int, rule: int) -> tuple[dict[str, Shown], str]:
        """Return what a rule that hit saw: the values that its condition read, and the reason as a sentence.

        Parameters
        ----------
        batch, decided
            A batch and what ``process`` made of it.
        column
            Which decision.
        rule
            Which rule.
        """
        return self._reasons.explain(batch, decided, column, rule)

    def entities(self) -> dict[str, int]:
        """Return how many entities each stage knows."""
        return self.stages.entities()

    def state_bytes(self) -> int:
        """Return how many bytes of state are in use."""
        return sum(array.nbytes for array in self.snapshot().values())

    def snapshot(self) -> dict[str, Words]:
        """Return the state as named arrays: views, valid until the next batch."""
        arrays = self.stages.snapshot()
        arrays |= {f"duplicates/{name}": array for name, array in self._duplicates.snapshot().items()}
        arrays["episodes"] = self._episodes.snapshot()
        arrays |= self._outliers.snapshot()
        return arrays

    def restore(self, arrays: Mapping[str, Words]) -> None:
        """Take over a state that ``snapshot`` gave, of the same detector and number of shards.

        Raises
        ------
        StorageError
            When it is of another shape.
        """
        self.stages.restore({name: array for name, array in arrays.items() if name.count("/") == 2})
        self._duplicates.restore(arrays["duplicates/log"], arrays["duplicates/clock"])
        self._episodes.restore(arrays["episodes"])
        self._outliers.restore(arrays)


class _ScorerPlan:
    """Compiles everything that a definition says, once, before the first event."""

    def __init__(self, detector: Detector, key: IdentityKey) -> None:
        plan = FeaturePlan(
            detector.schema, detector.entities, detector.features, detector.lists, detector.max_lateness, key
        )
        self.types = plan.types
        self.planners = plan.stages
        self.inputs = plan.inputs
        self.inputs_program = assemble(plan.input_expressions)
        features = len(self.types)
        self.variables = dict(plan.names)
        names = score_names(detector.models)
        score = features + len(detector.rules)
        self.model_row = score + 3
        scores = {name: Variable(FLOAT, Source.WORK, self.model_row + slot) for name, slot in names.items()}
        self.outlier_row = self.model_row + sum(use.acts for use in detector.models)
        scores |= {
            f"{use.name}{SCORE_SUFFIX}": Variable(FLOAT, Source.WORK, self.outlier_row + number)
            for number, use in enumerate(detector.outliers)
        }
        compiler = plan.compiler(scores)
        self.rules = [
            compiler.compile(rule.when, f"rules[{number}].when", Base.BOOL)
            for number, rule in enumerate(detector.rules)
        ]
        rules = [(rule, features + number) for number, rule in enumerate(self.rules)]
        # In one program where nothing comes between them: what features and rules compute alike is computed once.
        self.derived: ExpressionProgram = assemble(plan.derived)
        self.conditions: ExpressionProgram = assemble(rules if scores else [*plan.derived, *rules])
        compiler = plan.compiler(scores | {"score": Variable(FLOAT, Source.WORK, score)})
        self.policy = assemble(
            [
                (compiler.compile(detector.policy.review or "false", "policy.review", Base.BOOL), score + 1),
                (compiler.compile(detector.policy.block or "false", "policy.block", Base.BOOL), score + 2),
            ]
        )
        self.work_rows = self.outlier_row + len(detector.outliers)
