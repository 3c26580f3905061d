"""Trees for tests, and what their features are worth, counted out over all subsets."""

from __future__ import annotations

from itertools import combinations
from math import factorial

import numpy as np
import numpy.typing as npt

from counterfoil.models.trees import TreeTables


def random_trees(random: np.random.Generator, trees: int, features: int, depth: int, covers: bool = True) -> TreeTables:
    """Return trees of random shape, thresholds, values and covers; a path may split one feature again and again."""
    nodes: list[tuple[int, float, int, int, bool, float, float]] = []

    def grow(level: int, rows: int) -> int:
        number = len(nodes)
        nodes.append((-1, 0.0, -1, -1, False, float(random.normal()), float(rows)))
        if level and random.random() < 0.85:
            left_rows = int(random.integers(0, rows + 1))
            left = grow(level - 1, left_rows)
            right = grow(level - 1, rows - left_rows)
            threshold = float(np.float32(random.integers(-3, 4)))
            nodes[number] = (
                int(random.integers(features)), threshold, left, right, bool(random.random() < 0.5), 0.0, float(rows),
            )  # fmt: skip
        return number

    root = [grow(depth, 1_000) for _ in range(trees)]
    columns = list(zip(*nodes, strict=True))
    return TreeTables(
        root=np.array(root, np.int32),
        feature=np.array(columns[0], np.int32),
        threshold=np.array(columns[1], np.float32),
        left=np.array(columns[2], np.int32),
        right=np.array(columns[3], np.int32),
        missing_left=np.array(columns[4], np.bool_),
        value=np.array(columns[5], np.float64),
        cover=np.array(columns[6], np.float64) if covers else None,
        base=0.25,
        link="identity",
    )


def random_rows(random: np.random.Generator, size: int, features: int) -> npt.NDArray[np.float32]:
    """Return rows whose values hit the thresholds, lie beside them, and are missing."""
    rows = random.integers(-4, 5, (size, features)).astype(np.float32) + random.choice([0.0, 0.5], (size, features))
    rows[random.random(rows.shape) < 0.15] = np.nan
    return rows.astype(np.float32)


def margin(trees: TreeTables, row: npt.NDArray[np.float32]) -> float:
    """Return the margin of one row, the slow and obvious way."""
    return worth(trees, row, frozenset(range(len(row))))


def worth(trees: TreeTables, row: npt.NDArray[np.float32], known: frozenset[int]) -> float:
    """Return the margin where only some features are known: branches of the others are averaged by their covers."""
    assert trees.cover is not None
    cover = trees.cover

    def below(node: int) -> float:
        feature = int(trees.feature[node])
        if feature < 0:
            return float(trees.value[node])
        left, right = int(trees.left[node]), int(trees.right[node])
        if feature in known:
            value = row[feature]
            goes_left = bool(trees.missing_left[node]) if np.isnan(value) else bool(value <= trees.threshold[node])
            return below(left if goes_left else right)
        if cover[node] == 0:
            return 0.0
        return float((cover[left] * below(left) + cover[right] * below(right)) / cover[node])

    return float(trees.base) + sum(below(int(each)) for each in trees.root)


def shapley(trees: TreeTables, row: npt.NDArray[np.float32]) -> list[float]:
    """Return what each feature is worth, by the definition: the average over all orders in which features join."""
    features = len(row)
    values = []
    for feature in range(features):
        others = [each for each in range(features) if each != feature]
        total = 0.0
        for size in range(features):
            weight = factorial(size) * factorial(features - size - 1) / factorial(features)
            for chosen in combinations(others, size):
                gained = worth(trees, row, frozenset((*chosen, feature))) - worth(trees, row, frozenset(chosen))
                total += weight * gained
        values.append(total)
    return values
