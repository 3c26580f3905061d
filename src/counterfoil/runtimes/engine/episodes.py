"""Episodes: the last part with state. Only raised decisions come here, so one part is enough for any stream."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from counterfoil.decisions.episodes import Episodes
from counterfoil.runtimes.engine.batches import batch_arrays, batch_of, decided_arrays, decided_of
from counterfoil.runtimes.engine.blob import Array, Piece, decode, encode
from counterfoil.runtimes.local.alerts import alert_content, merge_alert

if TYPE_CHECKING:
    from counterfoil.decisions.decided import AlertChange, Decided
    from counterfoil.events.batch import Batch
    from counterfoil.runtimes.engine.job import Job

RAISED, ALERTS = "raised", "alerts"
"""Kinds of blobs: decisions that are not approvals; alerts as they stand after them."""

_TOLD = 3
"""Features of a model that an alert names."""
_PRUNE_LEAST = 1_000

Alert = dict[str, Any]
"""``alert``, ``position`` of the decision that opened it, and what is known of it."""


def raised_blob(batch: Batch, decided: Decided) -> bytes | None:
    """Return what episodes need of a batch's decisions; None where none was raised."""
    columns = np.flatnonzero(decided.outcome)
    if not len(columns):
        return None
    told: dict[int, Any] = {}
    if decided.models is not None:
        said = decided.models.reasons(columns)
        told = {place: said[column] for place, column in enumerate(columns.tolist()) if column in said}
    arrays = batch_arrays(batch.take(decided.rows[columns])) | decided_arrays(decided, columns)
    return encode(RAISED, arrays, {"told": {str(place): each for place, each in told.items()}})


def newest_position(raised: bytes) -> int:
    """Return the position of the last of some raised decisions."""
    return int(decode(raised, RAISED).arrays["position"].max())


class EpisodesPart:
    """Opens and extends alerts.

    Parameters
    ----------
    job
        The job.
    """

    def __init__(self, job: Job) -> None:
        self._program = job.program
        self._detector = job.detector
        self._episodes = Episodes(job.detector.rules, job.program.entity_rows)
        self._known: dict[str, dict[str, Any]] = {}
        """What is known of each alert that may be extended."""
        self._prune_at = _PRUNE_LEAST

    def feed(self, pieces: Sequence[Piece]) -> list[Piece]:
        """Take raised decisions; see ``Part.feed``."""
        return [
            Piece(piece.part, piece.batch, encode(ALERTS, {}, {"alerts": self.extend(piece.data)})) for piece in pieces
        ]

    def extend(self, raised: bytes) -> list[Alert]:
        """Return the alerts that a batch's raised decisions open and extend, each as it stands after the last one."""
        blob = decode(raised, RAISED)
        batch, decided = batch_of(blob.arrays, self._detector.schema), decided_of(blob.arrays)
        found: dict[str, Alert] = {}
        for change in self._episodes.update(batch, decided, self._program.prepare(batch).keys):
            reasons = [self._program.explain_hit(batch, decided, change.column, rule)[1] for rule in change.rules]
            said = blob.meta["told"].get(str(change.column), {})
            reasons += [f"{name}: {each['text']}" for name, why in said.items() for each in why["features"][:_TOLD]]
            found[change.alert] = self._merged(batch, decided, change, reasons)
        self._prune()
        return list(found.values())

    def _merged(self, batch: Batch, decided: Decided, change: AlertChange, reasons: list[str]) -> Alert:
        content = alert_content(batch, decided, change, self._detector, reasons)
        position = int(batch.position[decided.rows[change.column]])
        known = self._known.pop(change.alert, None)
        if known is not None:
            position = known["position"]
            content = merge_alert(known["content"], content)
        merged = {"alert": change.alert, "position": position, "content": content}
        if change.entity is not None:
            self._known[change.alert] = merged
        return merged

    def _prune(self) -> None:
        """Forget alerts that nothing can extend any more."""
        if len(self._known) < self._prune_at:
            return
        rules = self._detector.rules
        open_ones = {f"{rules[rule].name}@{opening}" for rule, _, opening, _ in self._episodes.snapshot().tolist()}
        self._known = {alert: known for alert, known in self._known.items() if alert in open_ones}
        self._prune_at = max(_PRUNE_LEAST, 2 * len(self._known))

    def snapshot(self) -> dict[str, Array]:
        """Return the state; see ``Part.snapshot``."""
        known = msgspec.json.encode(list(self._known.values()))
        return {"open": self._episodes.snapshot(), "known": np.frombuffer(known, np.uint8)}

    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Take over a state; see ``Part.restore``."""
        self._episodes.restore(arrays["open"])
        self._known = {each["alert"]: each for each in msgspec.json.decode(arrays["known"].tobytes())}
        self._prune_at = max(_PRUNE_LEAST, 2 * len(self._known))
