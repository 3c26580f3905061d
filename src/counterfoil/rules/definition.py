"""What a rule and a list are: frozen values, no behaviour."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """What becomes of a payment, mildest first."""

    APPROVE = "approve"
    REVIEW = "review"
    BLOCK = "block"

    @property
    def severity(self) -> int:
        """0 for approve, 1 for review, 2 for block: the number in ``Decided.outcome``."""
        return list(Outcome).index(self)


@dataclass(frozen=True, slots=True)
class Rule:
    """A condition with a consequence.

    Parameters
    ----------
    name
        Its name.
    when
        An SQL condition over the event's fields, features and lists; the rule hits where it is true.
    then
        The mildest outcome that a hit leaves possible; None where the rule only adds its score.
    score
        What a hit is worth, 0 to 1.
    reason
        A sentence for people; ``{name}`` in it becomes the value of a field or feature.
    episode
        The entity whose hits belong together in one alert; None where each decision is an alert of its own.
    quiet
        Microseconds of event time without a hit after which an episode is over.
    """

    name: str
    when: str
    then: Outcome | None = None
    score: float = 0.0
    reason: str = ""
    episode: str | None = None
    quiet: int = 86_400_000_000


@dataclass(frozen=True, slots=True)
class ValueList:
    """A list of values that conditions ask with ``field in list_name``.

    Parameters
    ----------
    name
        Its name.
    of
        The field whose values it holds.
    values
        The values, as text.
    """

    name: str
    of: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Policy:
    """How a score becomes an outcome.

    Parameters
    ----------
    block
        A condition over ``score``, fields and features; None for never.
    review
        The same for review.
    combine
        ``max``: the score is the largest of the rules that hit; ``noisy_or``: one minus the product of their
        complements, so that several weak rules add up.
    """

    block: str | None = "score >= 0.95"
    review: str | None = "score >= 0.7"
    combine: str = "max"
