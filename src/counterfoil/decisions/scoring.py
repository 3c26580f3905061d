"""From rules that hit to a score, and from conditions of the policy to an outcome."""

from __future__ import annotations

import numba as nb
import numpy as np
import numpy.typing as npt

from counterfoil.decisions.decided import FAILED, HIT
from counterfoil.events.batch import Bytes, Words

COMBINATIONS = ("max", "noisy_or")
"""How scores of rules combine; the position in here is what the kernel takes."""


@nb.njit(nogil=True, cache=True)
def score_rules(
    work: Words,
    work_nulls: Bytes,
    first: int,
    scores: npt.NDArray[np.float64],
    combination: int,
    size: int,
    hits: Bytes,
    score: npt.NDArray[np.float64],
) -> None:
    """Read the rules' conditions and combine the scores of those that hit.

    Parameters
    ----------
    work, work_nulls
        Conditions stand in the rows ``first ..``: a rule hits where its condition is true, and failed where it is
        marked so.
    scores
        (rules,): what each rule is worth.
    combination
        0: the largest; 1: one minus the product of the complements.
    size
        How many decisions there are.
    hits
        (rules, size): written.
    score
        (size,): written.
    """
    score[:size] = 0.0
    for rule in range(scores.shape[0]):
        worth = scores[rule]
        for column in range(size):
            state = work_nulls[first + rule, column]
            hit = state == 0 and work[first + rule, column] != 0
            hits[rule, column] = HIT if hit else (FAILED if state == FAILED else 0)
            if hit:
                if combination == 0:
                    score[column] = max(score[column], worth)
                else:
                    score[column] = 1.0 - (1.0 - score[column]) * (1.0 - worth)


@nb.njit(nogil=True, cache=True)
def settle(
    work: Words, work_nulls: Bytes, review: int, block: int, hits: Bytes, least: Bytes, size: int, outcome: Bytes
) -> int:
    """Write the outcomes and return how many are not approve.

    Parameters
    ----------
    review, block
        Rows of the policy's conditions.
    hits
        (rules, size).
    least
        (rules,): the mildest outcome that a hit of the rule leaves possible.
    outcome
        (size,): written.
    """
    raised = 0
    for column in range(size):
        result = np.uint8(0)
        if work_nulls[block, column] == 0 and work[block, column] != 0:
            result = np.uint8(2)
        elif work_nulls[review, column] == 0 and work[review, column] != 0:
            result = np.uint8(1)
        for rule in range(least.shape[0]):
            if hits[rule, column] == HIT and least[rule] > result:
                result = least[rule]
        outcome[column] = result
        if result > 0:
            raised += 1
    return raised
