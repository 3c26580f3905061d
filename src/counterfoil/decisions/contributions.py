"""What each rule that hit contributed to a decision's score: Shapley values, exact, and they sum to the score.

Under ``noisy_or`` rules of 0.6 and 0.5 make 0.8 together, and under ``max`` 0.6: neither 0.6 + 0.5. So each is credited
with what it adds to the score, averaged over all orders in which the rules could have been asked. Rules that did not
hit add nothing in any order.

References
----------
Littlechild, S. C., Owen, G. (1973). A simple expression for the Shapley value in a special case. Management Science 20
(3), 370-372. (The game of the maximum.)
Owen, G. (1972). Multilinear extensions of games. Management Science 18 (5), 64-79. (The integral for ``noisy_or``.)
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from counterfoil.decisions.scoring import COMBINATIONS


def rule_contributions(scores: Sequence[float], combine: str) -> list[float]:
    """Return what each rule that hit contributed.

    Parameters
    ----------
    scores
        What each of them is worth.
    combine
        How the policy combines them: ``max`` or ``noisy_or``.

    Returns
    -------
    list of float
        One for each; the sum is the decision's score.

    Examples
    --------
    >>> rule_contributions([0.6, 0.5], "max")
    [0.35, 0.25]
    >>> [round(each, 12) for each in rule_contributions([0.6, 0.5], "noisy_or")]
    [0.45, 0.35]
    """
    assert combine in COMBINATIONS
    if len(scores) < 2:
        return [float(each) for each in scores]
    worth = np.array(scores, np.float64)
    return (_of_maximum(worth) if combine == "max" else _of_product(worth)).tolist()


def _of_maximum(worth: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the shares of the maximum: each step up is shared by all who reach it."""
    order = np.argsort(worth, kind="stable")
    steps = np.diff(worth[order], prepend=0.0) / np.arange(len(worth), 0, -1)
    shares = np.empty(len(worth), np.float64)
    shares[order] = np.cumsum(steps)
    return shares


def _of_product(worth: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the shares of one minus the product of the complements.

    A rule's share is its worth times the integral, over t from 0 to 1, of the product of ``1 - t worth`` over the
    others: a polynomial, for which quadrature after Gauss and Legendre is exact.
    """
    places, weights = _grid((len(worth) + 1) // 2)
    factors = 1.0 - places[:, None] * worth[None, :]
    others = np.array([np.delete(factors, each, axis=1).prod(axis=1) for each in range(len(worth))])
    return np.asarray(worth * (others @ weights), np.float64)


@lru_cache(maxsize=64)
def _grid(points: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return where the points of a quadrature from 0 to 1 lie, and their weights."""
    places, weights = np.polynomial.legendre.leggauss(points)
    return (places + 1) / 2, weights / 2
