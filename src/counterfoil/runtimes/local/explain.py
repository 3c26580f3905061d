"""Perform a past decision again, from the journal, and show everything that went into it."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from counterfoil.decisions.contributions import rule_contributions
from counterfoil.errors import InputError
from counterfoil.events.identity import hash_pair
from counterfoil.models.profile import read_profile
from counterfoil.program import Program
from counterfoil.rules.definition import Outcome
from counterfoil.rules.types import Base
from counterfoil.runtimes.counterfactual import counterfactual
from counterfoil.runtimes.local.events import event_inputs, feature_values
from counterfoil.runtimes.local.journal import decode_batch
from counterfoil.runtimes.local.model_serving import model_files, repeat_of
from counterfoil.runtimes.local.records import FAILED, HIT, decode_records, digest
from counterfoil.runtimes.local.recovery import read_blocks
from counterfoil.runtimes.local.snapshots import Snapshots, layout_of, shards_of
from counterfoil.runtimes.local.values import time_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from counterfoil.decisions.decided import Decided
    from counterfoil.detector import Detector
    from counterfoil.events.batch import Batch
    from counterfoil.events.identity import IdentityKey
    from counterfoil.models.fixed_serving import RecordedServing
    from counterfoil.models.profile import Profile
    from counterfoil.runtimes.local.records import Records
    from counterfoil.runtimes.local.store import Header, Store

_OUTCOMES = tuple(outcome.value for outcome in Outcome)
_RESULTS = {0: "no", HIT: "hit", FAILED: "failed"}


@dataclass(frozen=True, slots=True)
class RuleExplanation:
    """What a rule saw and said."""

    name: str
    when: str
    result: str
    """``hit``, ``no`` or ``failed``."""
    score: float
    values: dict[str, Any]
    """What its condition read."""
    reason: str | None
    """The sentence, where it hit."""
    contribution: float = 0.0
    """Its share of the decision's score: the shares of all rules sum to it."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """A past decision, performed again."""

    id: str
    position: int
    kind: str
    event_time: str
    decided_at: str
    detector: str
    outcome: str
    score: float
    late: bool
    inputs: dict[str, Any]
    features: dict[str, Any]
    rules: tuple[RuleExplanation, ...]
    reasons: tuple[str, ...]
    recorded: dict[str, Any]
    """The decision as the log holds it."""
    equal: bool
    """Whether the repeat is the recorded decision, every feature included, bit for bit."""
    replayed_events: int
    """How many events were performed again for it."""
    seconds: float
    models: dict[str, Any] = field(default_factory=dict)
    """What models said, and why."""
    counterfactual: dict[str, Any] | None = None
    """The smallest change that would have let it pass; None for a payment that passed."""
    intervals: tuple[str, ...] = ()
    """Names of what is a length of time: its values are seconds."""

    def as_dict(self) -> dict[str, Any]:
        """Return the explanation for JSON."""
        found: dict[str, Any] = msgspec.json.decode(msgspec.json.Encoder(decimal_format="number").encode(asdict(self)))
        return found


def find_event(store: Store, detector: Detector, key: IdentityKey, identifier: str) -> tuple[Header, int]:
    """Return the block that holds an event, and its row: by the event's id, or else by its position.

    Raises
    ------
    InputError
        If there is no such event.
    """
    for number, kind in enumerate(detector.schema.kinds):
        if kind.id is not None and kind.decide:
            identity = int(hash_pair(number + 1, key.hash(identifier), *key.words))
            for sequence in store.find(identity):
                header = store.block_at(sequence)
                return header, sequence - header.first_sequence
    if identifier.isdecimal():
        found = store.block_at_position(int(identifier))
        if found is not None and found.events:
            batch = decode_batch(store.journal(found), detector.schema)
            rows = np.flatnonzero(batch.position == int(identifier))
            if len(rows):
                return found, int(rows[0])
    raise InputError(f"{identifier}: no decided event of {store.folder} has this id or position; see: decisions")


def explain(store: Store, detectors: Sequence[tuple[int, Detector]], key: IdentityKey, identifier: str) -> Explanation:
    """Perform a past decision again.

    The state before it comes from the newest snapshot that is old enough and the journal behind that.

    Parameters
    ----------
    store
        The log.
    detectors
        The detectors that decided, each with its first block, oldest first.
    key
        The key of the run.
    identifier
        The event's id; for events without one, its position.

    Raises
    ------
    InputError
        If there is no such event, or it was not decided.
    """
    started = time.monotonic()
    header, row = _find(store, detectors, key, identifier)
    detector = next(each for first, each in reversed(detectors) if first <= header.block)
    records = decode_records(store.decisions(header))
    columns = np.flatnonzero(records.row == row)
    if not len(columns):
        raise InputError(f"{identifier}: this event was not decided: it only fed state, or repeats an earlier one")
    column = int(columns[0])
    last_epoch = header.block >= detectors[-1][0]
    begin = next(first for first, _ in reversed(detectors) if first <= header.block)
    program, batch, decided, replayed = _perform(store, detector, key, header, last_epoch, begin)
    serving = repeat_of(model_files(store.folder, detector), records.models)
    equal = (
        len(decided.rows) > column
        and int(decided.rows[column]) == row
        and int(digest(decided)[column]) == int(records.digest[column])
    )
    shares = _shares(detector, decided, column)
    rules = tuple(
        _rule(program, batch, decided, column, rule, shares.get(rule, 0.0)) for rule in range(len(detector.rules))
    )
    change = counterfactual(program, batch, decided, column, serving, _profiles(detector, serving))
    return Explanation(
        batch.texts.get(0, row) or str(int(batch.position[row])),
        int(batch.position[row]),
        detector.schema.kinds[int(batch.kind[row])].name,
        time_text(int(batch.time[row])),
        time_text(header.decided_at),
        detector.version,
        _OUTCOMES[int(decided.outcome[column])],
        float(decided.score[column]),
        bool(decided.late[column]),
        event_inputs(batch, row),
        feature_values(decided, column, program.feature_names, program.feature_types),
        rules,
        tuple(rule.reason for rule in rules if rule.reason is not None),
        _recorded(records, column, header, detector),
        equal,
        replayed,
        time.monotonic() - started,
        _models(decided, column),
        None if change is None else change.as_dict(),
        tuple(
            name
            for name, kind in zip(program.feature_names, program.feature_types, strict=True)
            if kind.base is Base.INTERVAL
        ),
    )


def _find(
    store: Store, detectors: Sequence[tuple[int, Detector]], key: IdentityKey, identifier: str
) -> tuple[Header, int]:
    problem: InputError | None = None
    for _, detector in reversed(detectors):
        try:
            return find_event(store, detector, key, identifier)
        except InputError as error:
            problem = error
    assert problem is not None
    raise problem


def _perform(
    store: Store, detector: Detector, key: IdentityKey, header: Header, snapshots: bool, begin: int
) -> tuple[Program, Batch, Decided, int]:
    """Bring a fresh program to where the block begins and decide the block."""
    shards = _shards(store, header.block) if snapshots else None
    program = Program(detector, key, shards or 1)
    first = 0
    if shards is not None:
        kept = Snapshots(store, kept=2, replay_seconds=0.0, share=1.0, layout=layout_of(shards))
        restored = kept.restore(header.block)
        if restored is not None:
            first, arrays = restored
            program.restore(arrays)
    events = 0
    files = model_files(store.folder, detector)
    for each, batch, records in read_blocks(store, detector.schema, first, header.block + 1):
        decided = program.process(batch, repeat_of(files, records.models) if each.block >= begin else None)
        events += len(batch)
        if each.block == header.block:
            return program, batch, decided, events
    raise AssertionError("the block that was found has events")


def _shards(store: Store, most_blocks: int) -> int | None:
    """Return into how many shards the newest snapshot that is old enough is divided; None when there is none."""
    for record in store.snapshots():
        if record.blocks <= most_blocks and record.manifest:
            return shards_of(record)
    return None


def _shares(detector: Detector, decided: Decided, column: int) -> dict[int, float]:
    """Return what each rule that hit contributed to the score."""
    hit = np.flatnonzero(decided.hits[:, column] == HIT).tolist()
    shares = rule_contributions([detector.rules[rule].score for rule in hit], detector.policy.combine)
    return {rule: round(share, 9) for rule, share in zip(hit, shares, strict=True)}


def _profiles(detector: Detector, serving: RecordedServing | None) -> list[Profile]:
    """Return what was usual in the training tables of the models that served."""
    asked = [] if serving is None else [serving.asked(entry) for entry in range(len(detector.models))]
    found = [read_profile(each.signature.profile) for each in asked if each is not None]
    return [each for each in found if each is not None]


def _rule(
    program: Program, batch: Batch, decided: Decided, column: int, rule: int, contribution: float
) -> RuleExplanation:
    definition = program.detector.rules[rule]
    result = _RESULTS[int(decided.hits[rule, column])]
    values, reason = program.explain_hit(batch, decided, column, rule)
    spoken = reason if result == "hit" else None
    return RuleExplanation(
        definition.name, definition.when, result, definition.score, dict(values), spoken, contribution
    )


def _models(decided: Decided, column: int) -> dict[str, Any]:
    if decided.models is None:
        return {}
    why = decided.models.reasons(np.array([column])).get(column, {})
    return {
        name: said | ({"why": why[name]} if name in why else {})
        for name, said in decided.models.describe(column).items()
    }


def _recorded(records: Records, column: int, header: Header, detector: Detector) -> dict[str, Any]:
    return {
        "outcome": _OUTCOMES[int(records.outcome[column])],
        "score": float(records.score[column]),
        "late": bool(records.late[column]),
        "detector": detector.version,
        "block": header.block,
        **records.findings(column),
    }
