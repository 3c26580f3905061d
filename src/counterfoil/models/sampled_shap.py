"""Shapley values of any model, estimated: the honest approximation where nothing exact is to be had.

Features join one after the other, from a row of references (the training table's medians) to the row in question, and
each is credited with what the score moves when it joins. The average over all orders would be the Shapley value; here
it is taken over a few orders, drawn from a fixed seed, each with its reverse, which cancels much of the error. Whatever
the orders, what the features are credited with sums exactly to the score less the references' score.

References
----------
Castro, J., Gómez, D., Tejada, J. (2009). Polynomial calculation of the Shapley value based on sampling. Computers &
Operations Research 36 (5), 1726-1730.
Mitchell, R., Cooper, J., Frank, E., Holmes, G. (2022). Sampling permutations for Shapley value estimation. Journal of
Machine Learning Research 23 (43), 1-46. (Section 3.3: antithetic pairs.)
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]

EVALUATIONS_MAX = 16_384
"""Rows that the model is asked to score in one call: 4 MiB of 60 features."""


def sampled_contributions(
    score: Callable[[Rows], Floats], rows: Rows, reference: Rows, pairs: int, seed: int
) -> Floats:
    """Return what each feature is credited with.

    The cost is ``2 × pairs × (features - 1) + 1`` scores a row.

    Parameters
    ----------
    score
        The model: (n, features) to n scores.
    rows
        (n, features).
    reference
        (features,): what a feature is before it joins.
    pairs
        How many orders, each with its reverse.
    seed
        Draws the orders: the same seed gives the same contributions.

    Returns
    -------
    ndarray
        (n, features): they sum to the score less the score of the reference.
    """
    size, features = rows.shape
    out = np.zeros((size, features), np.float64)
    random = np.random.default_rng(seed)
    orders = [random.permutation(features) for _ in range(pairs)]
    orders = [each for order in orders for each in (order, order[::-1])]
    block = max(EVALUATIONS_MAX // (features + 1), 1)
    for start in range(0, size, block):
        part = rows[start : start + block]
        for order in orders:
            # Step j has the first j features of the order from the row and the others from the reference.
            rank = np.empty(features, np.int64)
            rank[order] = np.arange(features)
            joined = rank[None, None, :] < np.arange(features + 1)[None, :, None]
            steps = np.where(joined, part[:, None, :], reference[None, None, :]).astype(np.float32)
            scores = score(steps.reshape(-1, features)).reshape(len(part), features + 1)
            out[start : start + block, order] += np.diff(scores, axis=1)
    return out / max(len(orders), 1)
