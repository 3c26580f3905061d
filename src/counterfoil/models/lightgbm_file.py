"""LightGBM's own text form: read without trust and without LightGBM."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from counterfoil.errors import InputError
from counterfoil.models.trees import NODES_MAX, TREES_MAX, TreeTables

TEXT_BYTES_MAX = 128 * 2**20
_CATEGORICAL, _DEFAULT_LEFT = 1, 2
_NONE, _ZERO = 0, 1
"""What counts as missing at a split: nothing (NaN is taken for 0), zero, or NaN (2)."""


def read_lightgbm(text: str, slope: float = 1.0, intercept: float = 0.0) -> TreeTables:
    """Return the trees of ``Booster.model_to_string()`` or of a file that ``save_model`` wrote.

    Parameters
    ----------
    text
        The model.
    slope, intercept
        Platt's calibration: the probability becomes the logistic function of ``slope * margin + intercept``. It is
        folded into the leaves.

    Raises
    ------
    InputError
        If it is no such text, or has what tables cannot hold: classes beyond two, categorical splits, linear leaves.
    """
    if len(text) > TEXT_BYTES_MAX:
        raise InputError(f"LightGBM text: found {len(text):,} characters; allowed: {TEXT_BYTES_MAX:,}")
    head, _, rest = text.partition("\nTree=")
    if not head.lstrip().startswith("tree") or not rest:
        raise InputError("LightGBM text: found no trees; give what Booster.save_model or model_to_string wrote")
    facts = dict(line.partition("=")[::2] for line in head.splitlines() if "=" in line)
    if facts.get("num_class", "1") != "1" or facts.get("num_tree_per_iteration", "1") != "1":
        raise InputError("LightGBM text: found several classes; allowed: a binary classifier or a regressor")
    words = facts.get("objective", "").split()
    objective = words[0] if words else ""
    steepness = _steepness(words)
    trees = list(_trees(rest))
    share = slope * (1.0 / len(trees) if "average_output" in head.split() else 1.0)
    logistic = objective in ("binary", "cross_entropy", "xentropy")
    share *= steepness if logistic else 1.0
    return _joined(trees, share, intercept, "logistic" if logistic else "identity")


def _steepness(words: list[str]) -> float:
    """Return what a margin is multiplied by before the logistic function."""
    given = next((each.removeprefix("sigmoid:") for each in words if each.startswith("sigmoid:")), "1")
    try:
        found = float(given)
    except ValueError:
        found = np.nan
    if not np.isfinite(found):
        raise InputError(f'LightGBM text: found the objective "{" ".join(words)[:100]}"; allowed: sigmoid:NUMBER')
    return found


def _trees(text: str) -> Iterator[dict[str, str]]:
    body = text.partition("end of trees")[0]
    parts = body.split("\nTree=")
    if len(parts) > TREES_MAX:
        raise InputError(f"LightGBM text: found {len(parts):,} trees; allowed: {TREES_MAX:,}")
    for part in parts:
        yield dict(line.partition("=")[::2] for line in part.splitlines() if "=" in line)


def _numbers(tree: dict[str, str], name: str, size: int) -> npt.NDArray[np.float64]:
    try:
        found = np.array(tree.get(name, "").split(), np.float64)
    except ValueError as error:
        raise InputError(f"LightGBM text: {name} holds something that is no number: {error}") from error
    if len(found) != size:
        raise InputError(f"LightGBM text: found {len(found)} of {name}; allowed: {size}")
    return found


def _integers(tree: dict[str, str], name: str, size: int) -> npt.NDArray[np.int64]:
    found = _numbers(tree, name, size)
    # Not a number is not below, either.
    if not (np.abs(found) < 2**31).all() or (found != np.trunc(found)).any():
        raise InputError(f"LightGBM text: {name} holds something that is no whole number; allowed: what fits 32 bits")
    return found.astype(np.int64)


def _joined(trees: list[dict[str, str]], share: float, base: float, link: str) -> TreeTables:
    names = ("feature", "threshold", "left", "right", "missing", "value", "cover")
    columns: dict[str, list[npt.NDArray[np.float64]]] = {name: [] for name in names}
    roots: list[int] = []
    nodes = 0
    for tree in trees:
        table = _table(tree)
        roots.append(nodes)
        for name in ("left", "right"):
            table[name] = table[name] + nodes
        for name in names:
            columns[name].append(table[name])
        nodes += len(table["feature"])
        if nodes > NODES_MAX:
            raise InputError(f"LightGBM text: found more than {NODES_MAX:,} nodes; allowed: {NODES_MAX:,}")
    joined = {name: np.concatenate(parts) for name, parts in columns.items()}
    return TreeTables.of_lists(
        roots,
        joined["feature"],
        joined["threshold"],
        joined["left"],
        joined["right"],
        joined["missing"] != 0,
        joined["value"] * share,
        joined["cover"],
        base,
        link,
    )


def _table(tree: dict[str, str]) -> dict[str, npt.NDArray[np.float64]]:
    """Return one tree: its splits as LightGBM numbers them, parents first, and then its leaves."""
    try:
        leaves = int(tree["num_leaves"])
    except (KeyError, ValueError) as error:
        raise InputError("LightGBM text: a tree does not say how many leaves it has") from error
    if not 1 <= leaves <= NODES_MAX:
        raise InputError(f"LightGBM text: found a tree of {leaves} leaves; allowed: 1 to {NODES_MAX:,}")
    if tree.get("is_linear", "0") != "0":
        raise InputError("LightGBM text: found linear leaves; allowed: trees with constant leaves (linear_tree=false)")
    splits = leaves - 1
    kinds = _integers(tree, "decision_type", splits) if splits else np.zeros(0, np.int64)
    if (kinds & _CATEGORICAL).any():
        raise InputError("LightGBM text: found categorical splits; allowed: numbers (give categories as numbers)")
    missing = (kinds >> 2) & 3
    if (missing == _ZERO).any():
        raise InputError("LightGBM text: found zero as a missing value; allowed: NaN (zero_as_missing=false)")
    value = np.zeros(splits + leaves)
    value[splits:] = _numbers(tree, "leaf_value", leaves)
    threshold, feature = np.zeros(splits + leaves), np.full(splits + leaves, -1.0)
    left, right = np.zeros(splits + leaves), np.zeros(splits + leaves)
    cover = np.zeros(splits + leaves)
    lefts = np.zeros(splits + leaves)
    if splits:
        threshold[:splits] = _numbers(tree, "threshold", splits)
        feature[:splits] = _integers(tree, "split_feature", splits)
        for name, out in (("left_child", left), ("right_child", right)):
            child = _integers(tree, name, splits)
            out[:splits] = np.where(child < 0, splits + ~child, child)
        cover[:splits] = _numbers(tree, "internal_count", splits)
        cover[splits:] = _numbers(tree, "leaf_count", leaves)
        default = (kinds & _DEFAULT_LEFT) != 0
        lefts[:splits] = np.where(missing == _NONE, threshold[:splits] >= 0, default)
    found = {"feature": feature, "threshold": threshold, "left": left, "right": right}
    return found | {"missing": lefts, "value": value, "cover": cover}
