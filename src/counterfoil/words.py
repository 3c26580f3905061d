"""Numbers in sentences."""

from __future__ import annotations


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
