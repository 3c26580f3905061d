"""Where partitions begin that nobody has read: ``--from`` with places."""

from __future__ import annotations

from counterfoil.errors import ConfigurationError


def places_of(start: str) -> dict[tuple[str, int], int]:
    """Return the offsets of ``TOPIC:PARTITION:OFFSET``, with commas between several.

    Raises
    ------
    ConfigurationError
        If it is something else.

    Examples
    --------
    >>> places_of("in:0:17,in:1:4")
    {('in', 0): 17, ('in', 1): 4}
    """
    found = {}
    for each in start.split(","):
        name, _, offset = each.rpartition(":")
        topic, _, partition = name.rpartition(":")
        if not topic or not partition.isdigit() or not offset.isdigit():
            allowed = "earliest, latest, a time, or TOPIC:PARTITION:OFFSET with commas between several"
            raise ConfigurationError(f'source.start (--from): found "{start}"; allowed: {allowed}')
        found[topic, int(partition)] = int(offset)
    return found
