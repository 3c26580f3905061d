"""The names that an expression mentions, found without knowing what they mean."""

from __future__ import annotations

from sqlglot import exp

from counterfoil.errors import DefinitionError
from counterfoil.rules.parsing import parse


def column_names(text: str) -> frozenset[str]:
    """Return the names that an expression mentions; none where it cannot be read (the compiler says why).

    Examples
    --------
    >>> sorted(column_names("amount / nullif(mean_7d, 0)"))
    ['amount', 'mean_7d']
    """
    try:
        parsed = parse(text, "")
    except DefinitionError:
        return frozenset()
    return frozenset(column.name for column in parsed.find_all(exp.Column))
