"""The kernels of ``tree_shap.py``: it says what is computed here and why.

They stand alone, so that a change of what surrounds them does not compile every kernel anew.
"""

from __future__ import annotations

import numba as nb
import numpy as np
import numpy.typing as npt

LANES = 32
"""Rows that pass a tree together. Measured on 100 trees of 31 leaves: with 8 lanes a row costs twice as much, because
the compiler's checks before each vectorised loop are shared by fewer; 64 gain little and leave the first cache."""

Floats = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int32]
Bytes = npt.NDArray[np.uint8]


@nb.njit(nogil=True, cache=True)
def order_nodes(
    root: Numbers,
    split: Numbers,
    left: Numbers,
    right: Numbers,
    missing_left: npt.NDArray[np.bool_],
    first: Numbers,
    order: Numbers,
    parent: Numbers,
    anchor: Numbers,
    feature: Numbers,
    side: Bytes,
    distinct_max: Numbers,
) -> None:
    """Put the nodes of each tree into an order in which a parent precedes its children.

    Parameters
    ----------
    root, split, left, right, missing_left
        The trees as the model holds them.
    first, order, parent, anchor, feature, side
        Written: see ``TreeShap``; ``order`` is the model's number of each node.
    distinct_max
        (trees,): written: most features that one path of the tree splits.
    """
    stack = np.empty(len(split) + 1, np.int32)
    came_from = np.empty(len(split) + 1, np.int32)
    sides = np.empty(len(split) + 1, np.uint8)
    distinct = np.empty(len(split), np.int32)
    at = 0
    for tree in range(len(root)):
        begin = at
        stack[0], came_from[0], sides[0] = root[tree], 0, 0
        height = 1
        while height > 0:
            height -= 1
            node, above = stack[height], came_from[height]
            order[at], parent[at], side[at] = node, above, sides[height]
            place = at - begin
            feature[at], anchor[at], distinct[at] = -1, 0, 0
            if place > 0:
                feature[at] = split[order[begin + above]]
                near = above
                while near > 0 and feature[begin + near] != feature[at]:
                    near = parent[begin + near]
                anchor[at] = near
                distinct[at] = distinct[begin + above] + (1 if near == 0 else 0)
                distinct_max[tree] = max(distinct_max[tree], distinct[at])
            at += 1
            if split[node] >= 0:
                stack[height], came_from[height] = right[node], place
                sides[height] = np.uint8(0 if missing_left[node] else 2)
                stack[height + 1], came_from[height + 1] = left[node], place
                sides[height + 1] = np.uint8(3 if missing_left[node] else 1)
                height += 2
        first[tree + 1] = at


@nb.njit(nogil=True, cache=True)
def fill_table(
    first: Numbers,
    anchor: Numbers,
    share: Floats,
    points: Numbers,
    places: Floats,
    point_at: Numbers,
    table: Floats,
    table_at: npt.NDArray[np.int64],
) -> None:
    """Write what each node's factors are at each point of the quadrature.

    Parameters
    ----------
    first, anchor, share, points, point_at, table_at
        See ``TreeShap``.
    places
        Where each tree's points lie, from 0 to 1.
    table
        Written.
    """
    zero = np.ones(len(share), np.float64)
    for tree in range(len(points)):
        begin = first[tree]
        for node in range(begin + 1, first[tree + 1]):
            place = node - begin
            above = anchor[node]
            zero[node] = share[node] * (zero[begin + above] if above > 0 else 1.0)
            for point in range(points[tree]):
                t = places[point_at[tree] + point]
                one = zero[node] + t * (1.0 - zero[node])
                one_above, gain_above = 1.0, 0.0
                if above > 0:
                    zero_above = zero[begin + above]
                    one_above = zero_above + t * (1.0 - zero_above)
                    gain_above = (1.0 - zero_above) / one_above
                at = table_at[tree] + place * points[tree] + point
                table[0, at] = one / one_above
                table[1, at] = zero[node] * (1.0 - t) / one_above
                table[2, at] = (1.0 - zero[node]) / one - gain_above
                table[3, at] = -1.0 / (1.0 - t) - gain_above


@nb.njit(nogil=True, cache=True, error_model="numpy")
def contribute(
    first: Numbers,
    parent: Numbers,
    anchor: Numbers,
    feature: Numbers,
    threshold: npt.NDArray[np.float32],
    side: Bytes,
    leaf: Bytes,
    value: Floats,
    share: Floats,
    points: Numbers,
    weights: Floats,
    point_at: Numbers,
    table: Floats,
    table_at: npt.NDArray[np.int64],
    rows: npt.NDArray[np.float32],
    taken: Floats,
    sums: Floats,
    out: Floats,
) -> None:
    """Add what each feature contributes to each row.

    Parameters
    ----------
    rows
        (features, n).
    taken
        (nodes, lanes): scratch; 1 where a row goes wherever the node's feature is asked on the way to the node.
    sums
        (nodes, points, lanes): scratch; on the way down the product of the path's factors, on the way up the sum over
        the leaves below.
    out
        (features, n): added to.
    """
    size = rows.shape[1]
    width = taken.shape[1]
    got = np.zeros(width, np.float64)
    for start in range(0, size, width):
        lanes = min(width, size - start)
        for tree in range(len(points)):
            begin, end = first[tree], first[tree + 1]
            count, base, weight = points[tree], table_at[tree], point_at[tree]
            for lane in range(lanes):
                taken[0, lane] = 1.0
            for point in range(count):
                for lane in range(lanes):
                    sums[0, point, lane] = weights[weight + point]
            for node in range(begin + 1, end):
                now, before = taken[node - begin], taken[anchor[node]]
                asked, bound = rows[feature[node]], threshold[node]
                is_left, missing = (side[node] & 1) != 0, (side[node] & 2) != 0
                for lane in range(lanes):
                    word = asked[start + lane]
                    here = (word <= bound) == is_left
                    if np.isnan(word):
                        here = missing
                    now[lane] = before[lane] if here else 0.0
                below, above = sums[node - begin], sums[parent[node]]
                scale = value[node] if leaf[node] else 1.0
                rest = share[node] * scale
                at = base + (node - begin) * count
                for point in range(count):
                    both, lost = table[0, at + point] * scale, table[1, at + point] * scale
                    target, source = below[point], above[point]
                    for lane in range(lanes):
                        target[lane] = source[lane] * (
                            now[lane] * both + (before[lane] - now[lane]) * lost + (1.0 - before[lane]) * rest
                        )
            for node in range(begin, end):
                if not leaf[node]:
                    cleared = sums[node - begin]
                    for point in range(count):
                        for lane in range(lanes):
                            cleared[point, lane] = 0.0
            for node in range(end - 1, begin, -1):
                now, before = taken[node - begin], taken[anchor[node]]
                below, above = sums[node - begin], sums[parent[node]]
                at = base + (node - begin) * count
                for lane in range(lanes):
                    got[lane] = 0.0
                for point in range(count):
                    both, lost = table[2, at + point], table[3, at + point]
                    source, target = below[point], above[point]
                    for lane in range(lanes):
                        value_here = source[lane]
                        target[lane] += value_here
                        got[lane] += value_here * (now[lane] * both + (before[lane] - now[lane]) * lost)
                total = out[feature[node]]
                for lane in range(lanes):
                    total[start + lane] += got[lane]
