"""Which columns of a table a model sees."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

from counterfoil.errors import ConfigurationError, nearest
from counterfoil.models.signature import Input

if TYPE_CHECKING:
    from counterfoil.training.table import TrainingTable

_NUMBERS = ("money", "int", "float", "bool", "interval")
_VALUES_MAX = 64
"""Words of a text that get a number; the rarer ones count as missing."""


def choose_inputs(
    table: TrainingTable,
    rows: npt.NDArray[np.int64],
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    texts: bool = True,
) -> list[Input]:
    """Return what a model takes in.

    Ids tell a model nothing that holds for others, and times nothing that holds tomorrow: both are left out, unless a
    time is asked for by name. A column without two different values in the rows to learn from is left out, too.

    Parameters
    ----------
    table
        The table.
    rows
        The rows to learn from.
    include
        Only these; empty for all.
    exclude
        All but these.
    texts
        Whether texts of few words may be numbered: trees can make something of it, weights cannot.

    Raises
    ------
    ConfigurationError
        If a name is unknown, or nothing is left.
    """
    types = table.content.types
    for option, names in (("--include", include), ("--exclude", exclude)):
        for name in names:
            if name not in types:
                hint = nearest(name, list(types))
                raise ConfigurationError(
                    f'{option}: found "{name}"; allowed: a field or feature of the table'
                    + (f"; {hint}" if hint else "")
                )
    for name in include:
        if types[name] == "id":
            raise ConfigurationError(f'--include: found "{name}", an id; allowed: anything but ids')
    wanted = [name for name in (include or types) if name not in exclude]
    found = []
    for name in wanted:
        kind = types[name]
        if kind == "text" and texts and table.frame.schema[name] == pl.String:
            values = _values(table.frame[name].gather(rows))
            if len(values) > 1:
                found.append(Input(name, kind, None, values))
        elif (kind in _NUMBERS or (kind == "time" and name in include)) and _varies(table.frame[name].gather(rows)):
            found.append(Input(name, kind))
    if not found:
        raise ConfigurationError("--include: nothing is left for the model to see; allowed: at least one feature")
    return found


def _varies(series: pl.Series) -> bool:
    return series.n_unique() > 1


def _values(series: pl.Series) -> tuple[str, ...]:
    counts = series.drop_nulls().value_counts(sort=True)
    most = counts.sort(["count", series.name], descending=[True, False]).head(_VALUES_MAX)
    # A hash stands for a text that the program does not keep: it cannot be looked up in the words of an event.
    return tuple(sorted(each for each in most[series.name].to_list() if not each.startswith("#")))
