"""Numbers and lengths of time in sentences."""

from __future__ import annotations

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def counted(count: int, one: str, many: str = "") -> str:
    """Return how many there are of something.

    Parameters
    ----------
    count
        The number.
    one
        What one of them is called.
    many
        What several are called; left out, with an ``s``.

    Examples
    --------
    >>> counted(1, "dead letter"), counted(2_000, "dead letter"), counted(0, "fraud")
    ('1 dead letter', '2,000 dead letters', '0 frauds')
    """
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def duration_text(microseconds: int) -> str:
    """Return a length of time by its two largest units.

    Examples
    --------
    >>> duration_text(11_520_000_000), duration_text(0)
    ('3 h 12 min', '0 s')
    """
    seconds = abs(microseconds) // 1_000_000
    parts: list[str] = []
    for size, unit in _UNITS:
        if seconds >= size and len(parts) < 2:
            parts.append(f"{seconds // size} {unit}")
            seconds %= size
        elif parts:
            break
    return ("-" if microseconds < 0 else "") + (" ".join(parts) or "0 s")
