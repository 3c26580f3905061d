"""Time-ordered splits: what a model learns from, and what it is measured on, as they would lie in real life.

A model that goes live at some time has learnt from events before it whose labels were known by then. So there is a gap
before every border: events whose labels were still to come. Nothing is ever drawn at random.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from counterfoil.errors import ConfigurationError, InputError

if TYPE_CHECKING:
    from counterfoil.training.table import TrainingTable

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class SplitPlan:
    """How a table is divided; times are microseconds since 1970, ends are excluded.

    Parameters
    ----------
    start
        Where training begins; None for the first row.
    train_end
        Where training ends; None for ``gap`` before the test.
    test_start
        Where the test begins; None for so late that ``test_share`` of the rows lie behind it.
    test_end
        Where the test ends; None behind the last row whose label is known.
    gap
        Microseconds between the last event learnt from and the border behind it; None for the label delay of the table.
    test_share
        The part of the labelled rows that is kept for the test. 0 for a model that learns from everything and is not
        measured.
    validation_share
        The last part of what comes before the test: for early stopping and calibration. 0 for neither.
    """

    start: int | None = None
    train_end: int | None = None
    test_start: int | None = None
    test_end: int | None = None
    gap: int | None = None
    test_share: float = 0.25
    validation_share: float = 0.2

    def __post_init__(self) -> None:
        for name in ("test_share", "validation_share"):
            value = getattr(self, name)
            if not 0 <= value < 1:
                raise ConfigurationError(f"--{name.replace('_', '-')}: found {value:g}; allowed: 0 up to 1, excluded")
        if self.gap is not None and self.gap < 0:
            raise ConfigurationError(f"--gap: found {self.gap} us; allowed: 0 or more")


@dataclass(frozen=True, slots=True)
class Split:
    """Rows of a table, each part before the next.

    Parameters
    ----------
    train, validation, test
        Row numbers. ``validation`` and ``test`` may be empty.
    labels
        For every row of the table, its label as whoever used it could know it: for training and validation as of the
        beginning of what follows, for the test as of today.
    borders
        Where training, validation and test begin and end.
    """

    train: Rows
    validation: Rows
    test: Rows
    labels: npt.NDArray[np.int8]
    borders: dict[str, tuple[int, int]]


def split(table: TrainingTable, plan: SplitPlan, labelled: bool = True) -> Split:
    """Divide a table by time.

    Parameters
    ----------
    table
        The table.
    plan
        How.
    labelled
        Whether only rows with a known label count; models without labels learn from all.

    Raises
    ------
    InputError
        If there is nothing to learn from, or nothing to measure on.
    """
    times, today = table.times, table.labels
    usable = today >= 0 if labelled else np.ones(len(times), np.bool_)
    if plan.start is not None:
        usable &= times >= plan.start
    if not usable.any():
        raise InputError("table: no row in the period has a label that is known; allowed: some; see --labels")
    gap = table.content.delay if plan.gap is None else plan.gap
    first, last = int(times[usable].min()), int(times[usable].max()) + 1
    test_end = last if plan.test_end is None else plan.test_end
    if plan.test_start is not None:
        test_start = plan.test_start
    elif plan.test_share:
        test_start = _from_share(times[usable & (times < test_end)], 1 - plan.test_share)
    else:
        test_start = test_end = max(test_end, last + gap)
    train_end = test_start - gap if plan.train_end is None else min(plan.train_end, test_start - gap)
    # Known when the model goes live, at the beginning of the test: not a day later.
    labels = table.labels_at(test_start)
    learnt = (times < train_end) & (times >= first) & ((labels >= 0) if labelled else usable)
    train, validation, border = _validation(table, np.flatnonzero(learnt), gap, plan, labelled)
    test = np.flatnonzero((times >= test_start) & (times < test_end) & (today >= 0))
    if not len(train):
        raise InputError(
            "table: nothing to learn from before the test and the gap; allowed: a longer history, or a smaller"
            " --test-share, --validation-share or --gap"
        )
    labels = labels.copy()
    if len(validation):
        labels[train] = table.labels_at(border)[train]
    labels[test] = today[test]
    borders = {"train": (first, border - gap if len(validation) else train_end)}
    if len(validation):
        borders["validation"] = (border, train_end)
    if len(test):
        borders["test"] = (test_start, test_end)
    return Split(train, validation, test, labels, borders)


def _from_share(times: npt.NDArray[np.int64], share: float) -> int:
    ordered = np.sort(times)
    return int(ordered[min(int(len(ordered) * share), len(ordered) - 1)])


def _validation(
    table: TrainingTable, learnt: Rows, gap: int, plan: SplitPlan, labelled: bool
) -> tuple[Rows, Rows, int]:
    """Divide what may be learnt from once more, with a gap of its own where there is room for one."""
    times = table.times[learnt]
    if not plan.validation_share or not len(learnt):
        return learnt, learnt[:0], 0
    border = _from_share(times, 1 - plan.validation_share)
    validation = learnt[times >= border]
    known = table.labels_at(border)[learnt] >= 0 if labelled else np.ones(len(learnt), np.bool_)
    train = learnt[(times < border - gap) & known]
    return train, validation, border
