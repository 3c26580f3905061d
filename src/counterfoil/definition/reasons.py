"""The places in a reason's sentence that take values."""

from __future__ import annotations

from string import Formatter


def reason_names(template: str) -> tuple[str, ...] | None:
    """Return the names that a reason takes values of, or None where its braces make no sense.

    ``{name}`` becomes a value; ``{{`` and ``}}`` are braces themselves.

    Examples
    --------
    >>> reason_names("{amount} in {country}, {{as is}}")
    ('amount', 'country')
    >>> reason_names("{amount:.2f}") is None
    True
    """
    try:
        parts = list(Formatter().parse(template))
    except ValueError:
        return None
    named = [(name, form, conversion) for _, name, form, conversion in parts if name is not None]
    if any(form or conversion for _, form, conversion in named):
        return None
    return tuple(name for name, _, _ in named)
