"""Episodes: hits of one rule on the same entity belong to one alert until it has been quiet for long enough."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from counterfoil.decisions.decided import HIT, AlertChange, Decided
from counterfoil.events.batch import Batch, Words
from counterfoil.rules.definition import Rule

OPEN_MAX = 1_000_000
"""Open episodes kept; beyond it those that are over are forgotten, and then the ones quiet for longest."""


class Episodes:
    """The open episodes of a detector's rules.

    Parameters
    ----------
    rules
        The rules, in the order of ``Decided.hits``.
    key_rows
        Name of each entity to the row of the batch's keys that identifies it.
    """

    def __init__(self, rules: Sequence[Rule], key_rows: Mapping[str, int]) -> None:
        self._rules = tuple(rules)
        self._key_rows = dict(key_rows)
        self._open: dict[tuple[int, int], tuple[int, int]] = {}
        """(rule, key) to (position of the opening decision, time of the last hit)."""

    def update(self, batch: Batch, decided: Decided, keys: Words) -> list[AlertChange]:
        """Return the alerts that a batch's raised decisions open and extend, in order.

        Parameters
        ----------
        batch
            The events.
        decided
            Their decisions.
        keys
            (keys, n): the batch's keys, 0 where an event does not belong to such an entity.
        """
        changes: list[AlertChange] = []
        for column in np.flatnonzero(decided.outcome).tolist():
            row = int(decided.rows[column])
            position, time = int(batch.position[row]), int(batch.time[row])
            own: list[int] = []
            hit_rules = np.flatnonzero(decided.hits[:, column] == HIT).tolist()
            for number in hit_rules:
                rule = self._rules[number]
                key = 0 if rule.episode is None else int(keys[self._key_rows[rule.episode], row])
                if key == 0:
                    own.append(number)
                    continue
                opening, opened = self._extend(number, key, position, time)
                changes.append(AlertChange(f"{rule.name}@{opening}", opened, column, (number,), rule.episode))
            if own or not hit_rules:
                changes.append(AlertChange(f"@{position}", True, column, tuple(own), None))
        return changes

    def _extend(self, rule: int, key: int, position: int, time: int) -> tuple[int, bool]:
        known = self._open.get((rule, key))
        if known is not None and time - known[1] <= self._rules[rule].quiet:
            # Moved to the end: the order of the dictionary is the order of the last hit.
            del self._open[rule, key]
            self._open[rule, key] = (known[0], max(known[1], time))
            return known[0], False
        self._open.pop((rule, key), None)
        if len(self._open) >= OPEN_MAX:
            self._forget(time)
        self._open[rule, key] = (position, time)
        return position, True

    def _forget(self, time: int) -> None:
        over = [each for each, (_, last) in self._open.items() if time - last > self._rules[each[0]].quiet]
        for each in over or list(self._open)[: OPEN_MAX // 10]:
            del self._open[each]

    def snapshot(self) -> Words:
        """Return the open episodes as rows of rule, key, opening position and last time, oldest hit first."""
        rows = [(rule, key, opening, last) for (rule, key), (opening, last) in self._open.items()]
        return np.array(rows, np.int64).reshape(len(rows), 4)

    def restore(self, rows: Words) -> None:
        """Take over what ``snapshot`` gave."""
        self._open = {(rule, key): (opening, last) for rule, key, opening, last in rows.reshape(-1, 4).tolist()}
