"""What a reader of a back-test has to know to judge it: what was left out, what is unknown, what was thrown away."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from counterfoil.backtest.labels import MISSING
from counterfoil.features.definition import DerivedFeature
from counterfoil.words import counted

if TYPE_CHECKING:
    from counterfoil.backtest.replay import Result

SAME = "Both detectors are the same, to the bit of their definition: nothing can differ."


def notes(result: Result) -> list[str]:
    """Return the caveats of a result as sentences, the gravest first."""
    totals, measures = result.totals, result.measures
    found = []
    if result.other is not None and result.other.detector.version == result.detector.version:
        found.append(SAME)
    if result.labels is None:
        found.append("No labels were given: precision, recall and value caught are unknown.")
    elif measures.decided and not measures.labelled:
        found.append(f'No payment has a label in "{result.labels}": is that the name of the column?')
    else:
        missing = int(measures.counts[:, MISSING].sum())
        found.append(
            f"{missing:,} of {measures.decided:,} payments have no label and count neither for nor against."
            if missing
            else f"Every one of the {measures.decided:,} payments has a label."
        )
    found += _leaks(result)
    if totals.before:
        found.append(f"{totals.before:,} payments before the period only warmed the state up and are not measured.")
    if totals.after:
        found.append(f"{totals.after:,} payments after the period are not measured.")
    if result.period.start is not None and not totals.before:
        found.append("Nothing precedes the period: at its beginning, features know no history.")
    if totals.duplicates:
        found.append(f"{totals.duplicates:,} duplicates were left out: each event is decided once.")
    if totals.dead:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in sorted(totals.reasons.items()))
        found.append(
            f"{counted(totals.dead, 'record')} could not be read ({reasons}); first: {totals.dead_examples[0]}."
        )
    if measures.late:
        found.append(f"{measures.late:,} payments came later than the detector allows for and saw what was still kept.")
    if totals.unknown_fields:
        most = sorted(totals.unknown_fields, key=lambda name: -totals.unknown_fields[name])[:_NAMES]
        more = len(totals.unknown_fields) - len(most)
        tail = f" and {more} more" if more else ""
        found.append(f"Fields that the detector does not know were ignored: {', '.join(most)}{tail}.")
    if measures.failed.any():
        found.append(f"Rules failed {int(measures.failed.sum()):,} times and were left out of those decisions.")
    return found


def _leaks(result: Result) -> list[str]:
    """Return where the detector reads the label itself: with no delay, it knows what nobody would have known."""
    detector, label = result.detector, result.labels
    decides = [kind for kind in detector.schema.kinds if kind.decide]
    if label is None or not any(each.name == label for kind in decides for each in kind.fields):
        return []
    word = re.compile(rf"(?<!\w){re.escape(label)}(?!\w)", re.IGNORECASE)
    names = [rule.name for rule in detector.rules if word.search(rule.when)]
    for feature in detector.features:
        if isinstance(feature, DerivedFeature):
            texts, delayed = [feature.expr], False
        else:
            texts = [*feature.arguments, feature.where or ""]
            delayed = feature.delay > 0 or feature.kind not in {kind.name for kind in decides}
        if not delayed and any(word.search(text) for text in texts):
            names.append(feature.name)
    if names:
        read = f'The detector reads the label "{label}" without a delay ({", ".join(names)})'
        return [f"{read}: it knows what nobody would have known, and these measures say nothing."]
    return [f'The detector reads "{label}" itself, but only once it is as old as the delay of the features says.']


_NAMES = 5
"""Unknown fields that are named."""
