"""The rate of an outcome, counted only when it would have been known."""

from __future__ import annotations

from counterfoil.features.aggregations.share import Share


class Rate(Share):
    """The share of events whose outcome holds, usually with a ``delay``.

    With ``delay: 7d`` an event counts once it is seven days old: the window is ``(t - 7d - w, t - 7d]``, so that a
    label which becomes known within a week is never used before. Outcomes that arrive as events of their own are
    known when they arrive and need no delay.
    """

    name = "rate"
