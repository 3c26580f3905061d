"""Exact path-dependent Shapley values of tree ensembles, in one pass down and up each tree.

What a feature is worth to a tree is its Shapley value in the game in which a feature that takes no part is averaged
out: where the tree splits on it both branches are taken, in proportion to the training rows that went there. The value
*v* of a leaf enters that game as a product over the features on its path: a feature that takes part gives *o*, 1 where
the row satisfies all of its splits on the path and 0 where not; one that does not gives *z*, the product of its
branches' shares of rows. Owen writes the Shapley value of a game as an integral along the diagonal of its multilinear
extension. For a leaf and a feature *i* on its path that is ::

    v (o_i - z_i) ∫ Π_{j≠i} (z_j + t (o_j - z_j)) dt,   t from 0 to 1:

the integral of a polynomial. Quadrature after Gauss and Legendre with n points is exact up to degree 2n - 1, so half as
many points as there are features on the longest path give the exact value, and because every factor is positive nothing
cancels. Down the tree the products are carried, one number a point; up the tree the sums over the leaves; so a row
costs nodes × points, where the classical algorithm costs leaves × depth². Wettenstein, Mitchell and Yu found the same.

A dead branch needs no case of its own: what a feature that was lost above is worth below is lost as well.

References
----------
Owen, G. (1972). Multilinear extensions of games. Management Science 18 (5), 64-79.
Lundberg, S. M. et al. (2020). From local explanations to global understanding with explainable AI for trees. Nature
Machine Intelligence 2, 56-67.
Yu, P., Bifet, A., Read, J., Xu, C. (2022). Linear TreeShap. Advances in Neural Information Processing Systems 35.
Wettenstein, R., Mitchell, R., Yu, P. (2026). Quadrature-TreeSHAP: depth-independent TreeSHAP and Shapley interactions.
arXiv:2605.04497.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from counterfoil.models.tree_shap_kernel import LANES, Bytes, Floats, Numbers, contribute, fill_table, order_nodes

if TYPE_CHECKING:
    from counterfoil.models.trees import TreeTables


@dataclass(frozen=True, slots=True)
class TreeShap:
    """The trees of a model in the order in which the kernel walks them, with all that does not depend on the row.

    The nodes of a tree lie behind one another, its root first and a parent before its children. A *place* is a node's
    index within its tree.
    """

    first: Numbers
    """(trees + 1,): where each tree's nodes begin."""
    parent: Numbers
    """(nodes,): place of the parent."""
    anchor: Numbers
    """(nodes,): place of the nearest node above whose parent splits the same feature as this one's; 0 for none."""
    feature: Numbers
    """(nodes,): the feature that the parent splits; -1 for a root."""
    threshold: npt.NDArray[np.float32]
    """(nodes,): the parent's."""
    side: Bytes
    """(nodes,): bit 0: a left child; bit 1: a row without a value goes here."""
    leaf: Bytes
    """(nodes,): 1 for a leaf."""
    value: Floats
    """(nodes,): of a leaf."""
    share: Floats
    """(nodes,): the share of the parent's training rows that went here."""
    points: Numbers
    """(trees,): how many points the quadrature has."""
    weights: Floats
    """The weights of each tree's points, one tree behind the other."""
    point_at: Numbers
    """(trees,): where each tree's weights begin."""
    table: Floats
    """(4, …): for each node and point the factor on the way down, for a feature that is with the row both here and
    above, and for one that is lost here; then what it adds on the way up, likewise."""
    table_at: npt.NDArray[np.int64]
    """(trees,): where each tree's part of the table begins."""
    base: float
    """The margin of the model, averaged over the training rows."""

    def contributions(self, rows: npt.NDArray[np.float32]) -> Floats:
        """Return what each feature adds to each row's margin.

        Parameters
        ----------
        rows
            (n, features): as the model's trees see them, NaN for a missing value.

        Returns
        -------
        ndarray
            (n, features): with ``base`` a row sums to its margin, up to the rounding of float64.
        """
        columns = np.ascontiguousarray(rows.T, np.float32)
        out = np.zeros(columns.shape, np.float64)
        if out.size and len(self.points):
            lanes = min(LANES, len(rows))
            nodes, points = int(np.diff(self.first).max()), int(self.points.max())
            contribute(
                self.first, self.parent, self.anchor, self.feature, self.threshold, self.side, self.leaf, self.value,
                self.share, self.points, self.weights, self.point_at, self.table, self.table_at, columns,
                np.empty((nodes, lanes)), np.empty((nodes, points, lanes)), out,
            )  # fmt: skip
        return out.T


def plan_tree_shap(trees: TreeTables) -> TreeShap | None:
    """Return what the contributions of a model are computed with; None where nobody knows how many rows went where.

    Memory is 32 bytes for each node and point: less than 1 MB for a hundred trees of 31 leaves.

    Parameters
    ----------
    trees
        The model's trees, with ``cover``.
    """
    if trees.cover is None:
        return None
    count, number = len(trees.feature), len(trees.root)
    first, deepest = np.zeros(number + 1, np.int32), np.zeros(number, np.int32)
    order, parent, anchor, feature = (np.zeros(count, np.int32) for _ in range(4))
    side = np.zeros(count, np.uint8)
    order_nodes(
        np.ascontiguousarray(trees.root, np.int32), np.ascontiguousarray(trees.feature, np.int32),
        np.ascontiguousarray(trees.left, np.int32), np.ascontiguousarray(trees.right, np.int32),
        np.ascontiguousarray(trees.missing_left, np.bool_), first, order, parent, anchor, feature, side, deepest,
    )  # fmt: skip
    nodes = np.diff(first).astype(np.int64)
    order, parent, anchor = order[: first[-1]], parent[: first[-1]], anchor[: first[-1]]
    above = order[parent + np.repeat(first[:-1], nodes)]
    cover = np.asarray(trees.cover, np.float64)
    share = _ratio(cover[order], cover[above])
    points = np.maximum((deepest + 1) // 2, 1).astype(np.int32)
    grids = {each: np.polynomial.legendre.leggauss(each) for each in set(points.tolist())}
    places = np.concatenate([np.zeros(0), *((grids[each][0] + 1) / 2 for each in points.tolist())])
    weights = np.concatenate([np.zeros(0), *(grids[each][1] / 2 for each in points.tolist())])
    point_at = (np.cumsum(points) - points).astype(np.int32)
    ends = np.cumsum(nodes * points)
    table_at = ends - nodes * points
    table = np.zeros((4, int(ends[-1]) if number else 0), np.float64)
    fill_table(first, anchor, share, points, places, point_at, table, table_at)
    leaf = (np.asarray(trees.feature)[order] < 0).astype(np.uint8)
    value = np.where(leaf == 1, np.asarray(trees.value, np.float64)[order], 0.0)
    average = float((value * _ratio(cover[order], cover[np.repeat(trees.root, nodes)])).sum())
    threshold = np.asarray(trees.threshold, np.float32)[above]
    return TreeShap(
        first, parent, anchor, feature[: first[-1]], threshold, side[: first[-1]], leaf, value, share, points, weights,
        point_at, table, table_at, float(trees.base) + average,
    )  # fmt: skip


def _ratio(part: Floats, whole: Floats) -> Floats:
    """Return shares; 0 of nothing."""
    return np.divide(part, whole, out=np.zeros(len(part), np.float64), where=whole > 0)
