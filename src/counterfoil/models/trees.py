"""Sums of decision trees as tables: what gradient boosting, random forests and isolation forests all are.

Examples
--------
>>> stump = TreeTables.of_lists(
...     root=[0],
...     feature=[0, -1, -1],
...     threshold=[0.5, 0, 0],
...     left=[1, 0, 0],
...     right=[2, 0, 0],
...     missing_left=[True, False, False],
...     value=[0, -1, 1],
... )
>>> stump.score(np.array([[0.5, 0.6, np.nan]], np.float32)).tolist()
[-1.0, 1.0, -1.0]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from counterfoil.errors import InputError
from counterfoil.models import kernel

NODES_MAX = 5_000_000
TREES_MAX = 20_000
_WALK_ROWS = 12
"""Up to so many rows are walked: a block costs as much as about this many walks, however few rows are in it."""
_LEAVES_OF_BLOCKS = 2_048
"""Trees with more leaves are walked, too: the strikes of a tree grow faster than its depth."""

LINKS = ("identity", "logistic")


class _Strikes(NamedTuple):
    """The arguments of ``kernel.score_blocks`` between the matrix and the result."""

    feature: kernel.Integers
    threshold: kernel.Floats
    word: kernel.Integers
    mask: kernel.Masks
    start: kernel.Words
    middle: kernel.Words
    leaf_start: kernel.Words
    leaf: kernel.Doubles
    words: int


@dataclass(frozen=True)
class TreeTables:
    """Trees, node by node. A row goes left where its value is at most the threshold.

    Parameters
    ----------
    root
        (trees,): each tree's first node. A tree's nodes follow one another, parents before children.
    feature
        (nodes,): the column that a node asks; -1 for a leaf.
    threshold
        (nodes,): float32, as the matrix is.
    left, right
        (nodes,): the children.
    missing_left
        (nodes,): whether a missing value goes left.
    value
        (nodes,): what a leaf adds; 0 elsewhere. Averages are folded in.
    cover
        (nodes,): how many training rows went through a node; None where it is not known.
    base
        What is added once.
    link
        What the sum goes through: ``identity`` or ``logistic``.
    """

    root: kernel.Integers
    feature: kernel.Integers
    threshold: kernel.Floats
    left: kernel.Integers
    right: kernel.Integers
    missing_left: npt.NDArray[np.bool_]
    value: kernel.Doubles
    cover: kernel.Doubles | None = None
    base: float = 0.0
    link: str = "identity"

    @classmethod
    def of_lists(
        cls,
        root: Sequence[int] | npt.NDArray[np.generic],
        feature: Sequence[int] | npt.NDArray[np.generic],
        threshold: Sequence[float] | npt.NDArray[np.generic],
        left: Sequence[int] | npt.NDArray[np.generic],
        right: Sequence[int] | npt.NDArray[np.generic],
        missing_left: Sequence[bool] | npt.NDArray[np.generic],
        value: Sequence[float] | npt.NDArray[np.generic],
        cover: Sequence[float] | npt.NDArray[np.generic] | None = None,
        base: float = 0.0,
        link: str = "identity",
    ) -> TreeTables:
        """Return the tables after checking that they are trees.

        Parameters
        ----------
        root, feature, threshold, left, right, missing_left, value, cover, base, link
            As the class has them. A threshold is rounded down to float32: for values that are float32 the comparison
            stays what it was.

        Raises
        ------
        InputError
            If they are none, or too many.
        """
        tables = cls(
            np.asarray(root, np.int32),
            np.asarray(feature, np.int32),
            rounded_down(np.asarray(threshold, np.float64)),
            np.asarray(left, np.int32),
            np.asarray(right, np.int32),
            np.asarray(missing_left, np.bool_),
            np.asarray(value, np.float64),
            None if cover is None else np.asarray(cover, np.float64),
            float(base),
            link,
        )
        tables._check()
        return tables

    def _check(self) -> None:
        """Refuse what would read outside of the tables or never end."""
        nodes, trees = len(self.feature), len(self.root)
        if not 1 <= trees <= TREES_MAX or not trees <= nodes <= NODES_MAX:
            raise InputError(
                f"trees: found {trees:,} with {nodes:,} nodes; allowed: 1 to {TREES_MAX:,} with {NODES_MAX:,}"
            )
        each = (self.threshold, self.left, self.right, self.missing_left, self.value)
        if any(len(array) != nodes for array in each) or (self.cover is not None and len(self.cover) != nodes):
            raise InputError("trees: found tables of different lengths; allowed: one entry a node in each")
        if self.root[0] != 0 or (np.diff(self.root) <= 0).any() or self.root[-1] >= nodes:
            raise InputError("trees: found roots out of order; allowed: the trees' nodes one tree after the other")
        if self.link not in LINKS:
            raise InputError(f'trees: found the link "{self.link}"; allowed: {", ".join(LINKS)}')
        ends = np.append(self.root[1:], nodes)
        end = np.repeat(ends, np.diff(np.append(self.root, nodes)))
        inner = self.feature >= 0
        at = np.arange(nodes)
        for child in (self.left, self.right):
            if ((child <= at) | (child >= end))[inner].any():
                raise InputError("trees: found a child outside of its tree or before its parent; allowed: no cycles")
        parents = np.bincount(np.concatenate([self.left[inner], self.right[inner]]), minlength=nodes)
        parents[self.root] += 1
        if (parents != 1).any():
            raise InputError("trees: found a node with no parent or two; allowed: trees")
        if not np.isfinite(self.value).all() or not np.isfinite(self.base) or np.isnan(self.threshold[inner]).any():
            raise InputError("trees: found a value or threshold that is no number; allowed: finite numbers")

    @property
    def features(self) -> int:
        """The number of columns that a matrix must have at least."""
        return int(self.feature.max(initial=0)) + 1

    def margin(self, columns: kernel.Floats) -> kernel.Doubles:
        """Return the sum of base and leaves for each row.

        Parameters
        ----------
        columns
            (features, rows), in C order.
        """
        out = np.full(columns.shape[1], self.base)
        if columns.shape[1] <= _WALK_ROWS or self._most_leaves > _LEAVES_OF_BLOCKS:
            missing = self.missing_left.view(np.uint8)
            tables = (self.root, self.feature, self.threshold, self.left, self.right, missing, self.value)
            kernel.walk_trees(columns, *tables, out)
        else:
            kernel.score_blocks(columns, *self._strikes, out)
        return out

    def score(self, columns: kernel.Floats) -> kernel.Doubles:
        """Return the score of each row of (features, rows)."""
        out = self.margin(columns)
        if self.link == "logistic":
            kernel.logistic(out)
        return out

    @cached_property
    def _most_leaves(self) -> int:
        leaves = np.add.reduceat(self.feature < 0, self.root)
        return int(leaves.max())

    @cached_property
    def _strikes(self) -> _Strikes:
        """Return the splits as what each strikes out: the leaves of its left side."""
        nodes = len(self.feature)
        first, count = _leaf_ranges(self)
        leaf_counts = np.add.reduceat(self.feature < 0, self.root)
        leaf_start = np.concatenate([[0], np.cumsum(leaf_counts)]).astype(np.int64)
        tree = np.repeat(np.arange(len(self.root)), np.diff(np.append(self.root, nodes)))
        leaves = np.flatnonzero(self.feature < 0)
        value = np.zeros(len(leaves))
        value[leaf_start[tree[leaves]] + first[leaves]] = self.value[leaves]
        inner = np.flatnonzero(self.feature >= 0)
        begin = first[self.left[inner]]
        end = begin + count[self.left[inner]]
        low, high = begin >> 5, (end - 1) >> 5
        repeat = high - low + 1
        which = np.repeat(np.arange(len(inner)), repeat)
        word = low[which] + np.arange(len(which)) - np.repeat(np.cumsum(repeat) - repeat, repeat)
        struck = _bits(end[which] - 32 * word) & ~_bits(begin[which] - 32 * word)
        node = inner[which]
        # Within a tree those that send missing values left come first.
        order = np.lexsort((~self.missing_left[node], tree[node]))
        node, word, mask = node[order], word[order], ~struck[order]
        start = np.searchsorted(tree[node], np.arange(len(self.root) + 1)).astype(np.int64)
        lefts = np.bincount(tree[node][self.missing_left[node]], minlength=len(self.root))
        return _Strikes(
            self.feature[node],
            self.threshold[node],
            word.astype(np.int32),
            mask.astype(np.uint32),
            start,
            (start[:-1] + lefts).astype(np.int64),
            leaf_start,
            value,
            int((leaf_counts.max() + 31) // 32),
        )


def _bits(count: npt.NDArray[np.int64]) -> npt.NDArray[np.uint32]:
    """Return words whose lowest ``count`` bits are set, ``count`` cut to 0 to 32."""
    wide = (np.uint64(1) << np.clip(count, 0, 32).astype(np.uint64)) - np.uint64(1)
    return wide.astype(np.uint32)


def _leaf_ranges(tables: TreeTables) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return for each node the number of its first leaf within its tree, and how many leaves it has below it."""
    left, right = tables.left.tolist(), tables.right.tolist()
    inner = (tables.feature >= 0).tolist()
    count = [1] * len(inner)
    # Children come after their parents, so backwards every child is known before it is asked.
    for node in range(len(inner) - 1, -1, -1):
        if inner[node]:
            count[node] = count[left[node]] + count[right[node]]
    first = [0] * len(inner)
    for node, asks in enumerate(inner):
        if asks:
            first[left[node]] = first[node]
            first[right[node]] = first[node] + count[left[node]]
    return np.array(first, np.int64), np.array(count, np.int64)


def rounded_down(threshold: npt.NDArray[np.float64]) -> kernel.Floats:
    """Return the largest float32 that is not above each threshold.

    Examples
    --------
    >>> float(rounded_down(np.array([0.1]))[0]) <= 0.1
    True
    """
    with np.errstate(over="ignore"):
        near = threshold.astype(np.float32)
    above = near.astype(np.float64) > threshold
    return np.where(above, np.nextafter(near, np.float32(-np.inf)), near)
