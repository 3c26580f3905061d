"""What a feature is: frozen values, no behaviour. ``plan.py`` gives them life."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entity:
    """What features are kept for: a customer, a card, a pair of accounts.

    Parameters
    ----------
    name
        Its name.
    key
        The fields that identify it; an event in which one of them is null does not belong to any such entity.
    """

    name: str
    key: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Window:
    """A length of time and the way the user wrote it.

    Parameters
    ----------
    label
        As written: ``24h``. It ends the feature's name.
    length
        In microseconds.
    """

    label: str
    length: int


@dataclass(frozen=True, slots=True)
class AggregateFeature:
    """One aggregate of the events of an entity, over one window or several, as of each decided event.

    Parameters
    ----------
    name
        Its name; with ``over`` the window's label follows: ``card_count_24h``.
    aggregation
        One of the names in ``features/aggregations``.
    kind
        The event kind it reads.
    arguments
        What is aggregated: SQL expressions over the event's fields (usually one field's name; none for ``count``,
        ``time_since`` and ``age``; two, latitude and longitude in degrees, for ``distance`` and ``speed``; a
        condition for ``share`` and ``rate``).
    by
        The entity's name.
    over
        The windows; empty for the whole past.
    where
        An SQL condition on the event: only events for which it is true count.
    prior
        Whether the deciding event itself is left out.
    delay
        Microseconds that must have passed before an event counts: the window is ``(t - delay - w, t - delay]``.
    resolution
        Microseconds to which times are cut in this feature's storage; None for exact windows.
    via
        Fields under which the events are fed, where these are not the entity's key; the feature is always read under
        the entity's key. ``by: sender, via: receiver_id`` asks what the account that now sends has received. None
        where both are the key.
    """

    name: str
    aggregation: str
    kind: str
    arguments: tuple[str, ...]
    by: str
    over: tuple[Window, ...] = ()
    where: str | None = None
    prior: bool = False
    delay: int = 0
    resolution: int | None = None
    via: tuple[str, ...] | None = None

    @property
    def outputs(self) -> tuple[tuple[str, Window | None], ...]:
        """The names of the features that this makes, each with its window."""
        if not self.over:
            return ((self.name, None),)
        return tuple((f"{self.name}_{window.label}", window) for window in self.over)


@dataclass(frozen=True, slots=True)
class DerivedFeature:
    """A feature computed from the event's fields and from features defined before it.

    Parameters
    ----------
    name
        Its name.
    expr
        An SQL expression.
    """

    name: str
    expr: str


Feature = AggregateFeature | DerivedFeature
