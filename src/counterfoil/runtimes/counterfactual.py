"""The smallest single change that would have let a payment pass: searched for, and verified by deciding again.

One thing is changed at a time: an amount, a number or a flag of the payment itself, or one feature of its past. What is
derived follows, models score again, rules and policy judge again; all else stays as it was, also features that would
have changed with it. So the answer says what would have been enough, not what the customer could have done.

For each value a ladder of others is tried, down to nothing and up to a hundredfold, and the values that were usual in
training where a model knows them. Between the value and the nearest that passes, the boundary is found by halving. The
smallest change is the one that moves least, measured in what is usual for that value; where nobody knows what is usual,
in the value itself. Beside it stand rules that alone were enough to raise the payment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from counterfoil.decisions.decided import HIT
from counterfoil.decisions.reasons import Shown, in_words, shown
from counterfoil.features.definition import AggregateFeature
from counterfoil.rules.types import Base, ValueType

if TYPE_CHECKING:
    from counterfoil.decisions.decided import Decided
    from counterfoil.decisions.model_scoring import Serving
    from counterfoil.events.batch import Batch
    from counterfoil.models.profile import Profile
    from counterfoil.program import Program

_FACTORS = (
    0.0, 0.001, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99,
    1.01, 1.05, 1.1, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 100.0,
)  # fmt: skip
_STEPS = (-3, -2, -1, 1, 2, 3)
"""For whole numbers, beside the factors."""
_HALVINGS = 48
"""Halvings at most: a word has 63 bits, a float's fraction has 52; what is finer than a part in 2^48 nobody reads."""
_MOST = 3
_NUMBERS = {Base.INT, Base.MONEY, Base.FLOAT, Base.INTERVAL, Base.BOOL}
_ROUND_DIGITS = (2, 3, 4)
"""A change is told with as few digits as still let the payment pass."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change that would have let the payment pass, everything else as it was.

    Parameters
    ----------
    name
        The field or feature.
    value, needed
        What it was, and what would have been enough.
    size
        How much that is, in what is usual for it.
    text
        The same in words.
    """

    name: str
    value: Shown
    needed: Shown
    size: float
    text: str


@dataclass(frozen=True, slots=True)
class Counterfactual:
    """What would have let a payment pass.

    Parameters
    ----------
    changes
        The smallest first; empty where no single change is enough.
    rules
        Rules without whose hit, each alone, it would have passed.
    tried
        How many variants were decided.
    """

    changes: tuple[Change, ...]
    rules: tuple[str, ...]
    tried: int

    @property
    def text(self) -> str:
        """The answer in one sentence."""
        if self.changes:
            return f"It would have passed with {self.changes[0].text}."
        if self.rules:
            return f"It would have passed without rule {self.rules[0]}; no single value would have been enough."
        return "No single change that was tried would have let it pass."

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "text": self.text,
            "changes": [
                {"name": each.name, "value": each.value, "needed": each.needed, "size": round(each.size, 6)}
                for each in self.changes
            ],
            "without_rule": list(self.rules),
            "tried": self.tried,
        }


def counterfactual(
    program: Program,
    batch: Batch,
    decided: Decided,
    column: int,
    serving: Serving | None,
    profiles: Sequence[Profile] = (),
    most: int = _MOST,
) -> Counterfactual | None:
    """Return what would have let a reviewed or blocked payment pass; None for one that passed.

    It decides some thousand variants: some milliseconds without models, some tens with.

    Parameters
    ----------
    program
        The program that decided.
    batch, decided
        A batch and what came of it.
    column
        Which decision.
    serving
        Which versions of the models scored.
    profiles
        Of their training tables.
    most
        Changes to return.
    """
    if not decided.outcome[column]:
        return None
    return _Search(program, batch, decided, column, serving, profiles).run(most)


@dataclass(frozen=True, slots=True)
class _Place:
    """A value that may be changed: a row of the features, or a column of the event."""

    name: str
    kind: ValueType
    feature: int
    """-1 for a field."""
    column: int
    """-1 for a feature."""
    word: int


@dataclass(frozen=True, slots=True)
class _Trial:
    """A value put in a place."""

    place: int
    word: int


class _Search:
    def __init__(
        self,
        program: Program,
        batch: Batch,
        decided: Decided,
        column: int,
        serving: Serving | None,
        profiles: Sequence[Profile],
    ) -> None:
        self._program, self._serving = program, serving
        self._event = batch.take(np.array([int(decided.rows[column])]))
        self._features = np.ascontiguousarray(decided.features[:, column])
        self._nulls = np.ascontiguousarray(decided.feature_nulls[:, column])
        self._hits = np.flatnonzero(decided.hits[:, column] == HIT).tolist()
        self._usual = {each.name: each for profile in profiles for each in profile.features}
        self._places = self._changeable()
        self._tried = 0

    def run(self, most: int) -> Counterfactual:
        trials = [trial for index in range(len(self._places)) for trial in self._ladder(index)]
        passed = self._pass(trials)
        nearest = self._nearest([trial for trial, each in zip(trials, passed, strict=True) if each])
        found = self._rounded(self._halved(nearest))
        changes = sorted((self._change(trial) for trial in found), key=lambda each: (each.size, each.name))
        best: dict[str, Change] = {}
        for each in changes:
            best.setdefault(each.name, each)
        return Counterfactual(tuple(best.values())[:most], self._needless_rules(), self._tried)

    def _changeable(self) -> list[_Place]:
        """Return what may be changed: numbers and flags of the event, and aggregates, that have a value."""
        program, places = self._program, []
        kinds = dict(zip(program.feature_names, program.feature_types, strict=True))
        for index, field in enumerate(program.detector.schema.columns):
            kind = ValueType.of(field)
            if kind.base in _NUMBERS and not self._event.nulls[index, 0]:
                places.append(_Place(field.name, kind, -1, index, int(self._event.values[index, 0])))
        names = program.feature_names
        aggregates = {
            name
            for feature in program.detector.features
            if isinstance(feature, AggregateFeature)
            for name, _ in feature.outputs
        }
        for row, name in enumerate(names):
            if name in aggregates and kinds[name].base in _NUMBERS and not self._nulls[row]:
                places.append(_Place(name, kinds[name], row, -1, int(self._features[row])))
        return places

    def _ladder(self, index: int) -> list[_Trial]:
        place = self._places[index]
        if place.kind.base is Base.BOOL:
            return [_Trial(index, 1 - place.word)]
        value = _number(place.kind, place.word)
        values = [value * factor for factor in _FACTORS]
        if place.kind.base is Base.INT:
            values += [value + step for step in _STEPS if value + step >= 0 or value < 0]
        usual = self._usual.get(place.name)
        if usual is not None:
            values += [cut * _scale(place.kind) for cut in usual.cuts]
        words = {_word(place.kind, each) for each in values} - {place.word}
        return [_Trial(index, word) for word in sorted(words)]

    def _pass(self, trials: Sequence[_Trial]) -> npt.NDArray[np.bool_]:
        """Decide the payment once for each trial; return which would have passed."""
        size = len(trials)
        if not size:
            return np.zeros(0, np.bool_)
        self._tried += size
        events = self._event.take(np.zeros(size, np.int64))
        features = np.repeat(self._features[:, None], size, axis=1)
        for column, trial in enumerate(trials):
            place = self._places[trial.place]
            if place.column >= 0:
                events.values[place.column, column] = trial.word
            else:
                features[place.feature, column] = trial.word
        nulls = np.repeat(self._nulls[:, None], size, axis=1)
        muted = np.zeros((len(self._program.rule_names), size), np.uint8)
        _, outcome = self._program.judge_again(events, np.arange(size), features, nulls, self._serving, muted)
        return np.asarray(outcome == 0, np.bool_)

    def _needless_rules(self) -> tuple[str, ...]:
        size = len(self._hits)
        if not size:
            return ()
        self._tried += size
        muted = np.zeros((len(self._program.rule_names), size), np.uint8)
        muted[self._hits, np.arange(size)] = 1
        events = self._event.take(np.zeros(size, np.int64))
        features = np.repeat(self._features[:, None], size, axis=1)
        nulls = np.repeat(self._nulls[:, None], size, axis=1)
        _, outcome = self._program.judge_again(events, np.arange(size), features, nulls, self._serving, muted)
        return tuple(self._program.rule_names[rule] for rule, each in zip(self._hits, outcome, strict=True) if not each)

    def _nearest(self, trials: Sequence[_Trial]) -> list[_Trial]:
        """Return for each place, below and above its value, the trial that is nearest to it."""
        best: dict[tuple[int, bool], _Trial] = {}
        for trial in trials:
            key = (trial.place, self._value(trial) > self._value_of(trial.place))
            known = best.get(key)
            if known is None or self._distance(trial) < self._distance(known):
                best[key] = trial
        return list(best.values())

    def _halved(self, trials: list[_Trial]) -> list[_Trial]:
        """Move each trial as near to the value as it still passes."""
        found = list(trials)
        # The farthest that is known to fail: the value itself.
        failing = [self._value_of(trial.place) for trial in trials]
        for _ in range(_HALVINGS):
            asked, middles = [], []
            for index, trial in enumerate(found):
                place = self._places[trial.place]
                middle = _word(place.kind, (failing[index] + self._value(trial)) / 2)
                if middle not in {trial.word, _word(place.kind, failing[index])}:
                    asked.append(index)
                    middles.append(_Trial(trial.place, middle))
            if not asked:
                break
            for index, trial, passes in zip(asked, middles, self._pass(middles).tolist(), strict=True):
                if passes:
                    found[index] = trial
                else:
                    failing[index] = self._value(trial)
        return found

    def _rounded(self, trials: list[_Trial]) -> list[_Trial]:
        """Return each trial with as few digits as still pass: away from the value, so that it stays beyond."""
        rounded = []
        for trial in trials:
            place, value, own = self._places[trial.place], self._value(trial), self._value_of(trial.place)
            words = [_word(place.kind, _away(value, own, digits)) for digits in _ROUND_DIGITS]
            rounded.append([*(_Trial(trial.place, word) for word in words), trial])
        passed = iter(self._pass([trial for each in rounded for trial in each]).tolist())
        found = []
        for each in rounded:
            passing = [trial for trial in each if next(passed)]
            # Rounding must not make a small change a large one.
            near = [trial for trial in passing if self._distance(trial) <= 1.1 * self._distance(each[-1])]
            found += near[:1]
        return found

    def _value(self, trial: _Trial) -> float:
        return _number(self._places[trial.place].kind, trial.word)

    def _value_of(self, index: int) -> float:
        return _number(self._places[index].kind, self._places[index].word)

    def _distance(self, trial: _Trial) -> float:
        return abs(self._value(trial) - self._value_of(trial.place))

    def _change(self, trial: _Trial) -> Change:
        place = self._places[trial.place]
        value, needed = shown(place.kind, place.word), shown(place.kind, trial.word)
        name = place.name.replace("_", " ")
        text = f"{name} of {in_words(place.kind, trial.word)} instead of {in_words(place.kind, place.word)}"
        if place.kind.base is Base.BOOL:
            text = f"{name} {in_words(place.kind, trial.word)} instead of {in_words(place.kind, place.word)}"
        return Change(place.name, value, needed, self._size(trial), text)

    def _size(self, trial: _Trial) -> float:
        place = self._places[trial.place]
        usual = self._usual.get(place.name)
        if place.kind.base is Base.BOOL:
            return 1.0
        own = max(abs(self._value_of(trial.place)), abs(self._value(trial)))
        if usual is not None and usual.present:
            spread = (usual.quantile(0.95) - usual.quantile(0.05)) * _scale(place.kind)
            own = spread if spread > 0 else own
        return self._distance(trial) / own if own > 0 else 0.0


def _number(kind: ValueType, word: int) -> float:
    """Return a word as a number in its own units: cents, microseconds."""
    return float(np.int64(word).view(np.float64)) if kind.base is Base.FLOAT else float(word)


def _word(kind: ValueType, value: float) -> int:
    if kind.base is Base.FLOAT:
        return int(np.float64(value).view(np.int64))
    return round(max(min(value, 2.0**62), -(2.0**62)))


def _scale(kind: ValueType) -> float:
    """Return how many units of the word a unit of the model's matrix has."""
    if kind.base is Base.MONEY:
        return float(10**kind.scale)
    return 1e6 if kind.base is Base.INTERVAL else 1.0


def _away(value: float, own: float, digits: int) -> float:
    """Return a number with few digits, not nearer to ``own`` than it was."""
    if value == 0 or not np.isfinite(value):
        return value
    unit = 10.0 ** (np.floor(np.log10(abs(value))) - digits + 1)
    steps = value / unit
    rounded = np.ceil(steps - 1e-9) if value > own else np.floor(steps + 1e-9)
    return float(rounded * unit)
