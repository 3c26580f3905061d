"""What a definition says of a model: a frozen value, no behaviour."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from counterfoil.errors import InputError

SCORE_SUFFIX = "_score"
FIRST_SCORE = "model_score"
"""What expressions call the score of the first model."""
BUDGET = 1_000_000
"""Microseconds that a model may take for 4,096 rows, unless the definition says otherwise."""
_NAME_PATTERN = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}"
_ALIAS_PATTERN = r"[A-Za-z][A-Za-z0-9_-]{0,62}"
REFERENCE_PATTERN = rf"{_NAME_PATTERN}@(?:{_ALIAS_PATTERN}|[0-9]{{1,9}})"
"""``payments@champion`` or ``payments@3``."""
_NAME, _ALIAS = re.compile(_NAME_PATTERN), re.compile(_ALIAS_PATTERN)


def is_model_name(text: str) -> bool:
    """Whether a model may be called so."""
    return _NAME.fullmatch(text) is not None


def is_alias(text: str) -> bool:
    """Whether an alias may be called so."""
    return _ALIAS.fullmatch(text) is not None


def parse_reference(reference: str) -> tuple[str, str]:
    """Return name and alias or number of ``name@alias``.

    Raises
    ------
    InputError
        If it is no such text.
    """
    name, at, rest = reference.partition("@")
    if not at or not is_model_name(name) or not (is_alias(rest) or (rest.isdecimal() and len(rest) < 10)):
        raise InputError(f'model: found "{reference[:200]}"; allowed: NAME@ALIAS or NAME@NUMBER, as payments@champion')
    return name, rest


@dataclass(frozen=True, slots=True)
class ModelUse:
    """A model in a definition: one that acts, an arm of an experiment, or one that is only watched.

    Parameters
    ----------
    name
        What the definition calls it.
    use
        ``model@alias`` or ``model@number`` in the registry.
    share
        The share of entities, 0 to 1, whom it serves instead of another model; None for a model that acts for all.
    by
        The entity whose key decides who is in the share.
    instead_of
        The model that serves the others.
    shadow
        Whether it is scored and recorded, and never acted on.
    budget
        Microseconds that it may take for 4,096 rows; beyond it, it is fenced off.
    """

    name: str
    use: str
    share: float | None = None
    by: str | None = None
    instead_of: str | None = None
    shadow: bool = False
    budget: int = BUDGET

    @property
    def acts(self) -> bool:
        """Whether it has a score of its own that expressions may use."""
        return self.share is None and not self.shadow


@dataclass(frozen=True, slots=True)
class OutlierUse:
    """An online outlier score in a definition: how unusual a decided event is among recent ones.

    Parameters
    ----------
    name
        What the definition calls it; its score is the variable ``NAME_score``.
    features
        The features and fields that it looks at.
    """

    name: str
    features: tuple[str, ...]


def score_names(uses: Sequence[ModelUse]) -> dict[str, int]:
    """Return the names of scores that expressions may use, each with the number of its model among those that act.

    Examples
    --------
    >>> score_names([ModelUse("fraud", "payments@champion"), ModelUse("odd", "outliers@champion")])
    {'fraud_score': 0, 'odd_score': 1, 'model_score': 0}
    """
    slots = [use for use in uses if use.acts]
    names = {f"{use.name}{SCORE_SUFFIX}": number for number, use in enumerate(slots)}
    return names | ({FIRST_SCORE: 0} if slots and FIRST_SCORE not in names else {})
