"""From an ONNX graph to tables that our own kernels score: trees and linear models, the common case by far."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from counterfoil.errors import InputError
from counterfoil.models.linear import LinearWeights
from counterfoil.models.onnx_file import Graph, Node, tensor_values
from counterfoil.models.signature import Signature
from counterfoil.models.trees import TreeTables
from counterfoil.models.wire import Message

_MODES = {(4, 0, ord("F")): "leaf", (10, ord("L"), ord("Q")): "<=", (9, ord("L"), ord("T")): "<"}
_MODES |= {(9, ord("G"), ord("T")): ">", (10, ord("G"), ord("E")): ">="}


def tables_of(graph: Graph, signature: Signature) -> TreeTables | LinearWeights | None:
    """Return what computes the same as a graph, or None where only onnxruntime can.

    Parameters
    ----------
    graph
        The checked graph.
    signature
        Which output is the score.
    """
    chain = _chain(graph, signature.output)
    if chain is None:
        return None
    operators = [node.operator for node in chain]
    link = "identity"
    if operators and operators[-1] == "Sigmoid":
        link, chain, operators = "logistic", chain[:-1], operators[:-1]
    if operators == ["TreeEnsembleRegressor"]:
        return _regressor(chain[0], link)
    if operators == ["TreeEnsembleClassifier"] and link == "identity":
        return _classifier(chain[0], signature)
    if operators == ["MatMul", "Add"]:
        return _linear(graph, chain, link, len(signature.inputs))
    return None


def _chain(graph: Graph, output: str) -> list[Node] | None:
    """Return the steps from the input to an output, where these are one line; those that change nothing left out."""
    made = {name: (node, at) for node in graph.nodes for at, name in enumerate(node.outputs)}
    chain: list[Node] = []
    name = output
    while name != graph.input:
        if name not in made:
            return None
        node, at = made[name]
        if at != (1 if node.operator == "TreeEnsembleClassifier" else 0):
            return None
        inputs = [each for each in node.inputs if each not in graph.constants]
        if len(inputs) != 1:
            return None
        if not _changes_nothing(node):
            chain.append(node)
        name = inputs[0]
    return chain[::-1]


def _changes_nothing(node: Node) -> bool:
    """Whether a step only passes numbers on; float32 to float64 does, too, because all arithmetic here is float64."""
    if node.operator == "Cast":
        return "to" in node.attributes and node.attributes["to"].integer(3) in (1, 11)
    return node.operator == "Identity"


def _linear(graph: Graph, chain: list[Node], link: str, features: int) -> LinearWeights | None:
    product, plus = chain
    if len(product.inputs) != 2 or product.inputs[1] not in graph.constants or plus.inputs[1] not in graph.constants:
        return None
    weights = tensor_values(graph.constants[product.inputs[1]])
    intercept = tensor_values(graph.constants[plus.inputs[1]])
    if len(weights) != features or len(intercept) != 1:
        return None
    return LinearWeights(weights, float(intercept[0]), link)


def _integers(node: Node, name: str) -> npt.NDArray[np.int64]:
    return node.attributes[name].integers(8) if name in node.attributes else np.zeros(0, np.int64)


def _numbers(node: Node, name: str) -> npt.NDArray[np.float64]:
    """Return a list of numbers: doubles as a tensor where there are any, else floats."""
    exact = node.attributes.get(f"{name}_as_tensor")
    if exact is not None:
        return tensor_values(exact.messages(5, 1, 10_000_000, "constants")[0])
    if name not in node.attributes:
        return np.zeros(0)
    with np.errstate(invalid="ignore"):
        return node.attributes[name].floats(7).astype(np.float64)


def _text(node: Node, name: str, default: str) -> str:
    return node.attributes[name].text(4) if name in node.attributes else default


def _regressor(node: Node, link: str) -> TreeTables | None:
    post = _text(node, "post_transform", "NONE")
    if post not in ("NONE", "LOGISTIC") or (post == "LOGISTIC" and link != "identity"):
        return None
    aggregate = _text(node, "aggregate_function", "SUM")
    if aggregate not in ("SUM", "AVERAGE") or _integers(node, "target_ids").any():
        return None
    ids = (_integers(node, "target_treeids"), _integers(node, "target_nodeids"))
    base = _numbers(node, "base_values")
    if len(base) > 1:
        return None
    average = aggregate == "AVERAGE"
    link = "logistic" if post == "LOGISTIC" else link
    return _trees(node, ids, _numbers(node, "target_weights"), float(base.sum()), link, average)


def _classifier(node: Node, signature: Signature) -> TreeTables | None:
    """Return the tables of a classifier of two classes: the probability of the second."""
    post = _text(node, "post_transform", "NONE")
    labels = max(_count(node, "classlabels_int64s", 8), _count(node, "classlabels_strings", 9))
    if post not in ("NONE", "LOGISTIC") or labels != 2 or signature.column not in (-1, 1):
        return None
    classes, weights, base = (
        _integers(node, "class_ids"),
        _numbers(node, "class_weights"),
        _numbers(node, "base_values"),
    )
    ids = (_integers(node, "class_treeids"), _integers(node, "class_nodeids"))
    if len({*classes.tolist()}) == 1:
        # One list of weights for two classes is that of the second, whatever its number.
        if len(base) > 1:
            return None
    elif post == "NONE" and len(base) == 0:
        second = classes == 1
        ids, weights = (ids[0][second], ids[1][second]), weights[second]
    else:
        return None
    return _trees(
        node, ids, weights, float(base.sum()), "logistic" if post == "LOGISTIC" else "identity", average=False
    )


def _count(node: Node, name: str, number: int) -> int:
    if name not in node.attributes:
        return 0
    attribute = node.attributes[name]
    return len(attribute.integers(8)) if number == 8 else len(attribute.texts(9, 1_000))


def _trees(
    node: Node,
    leaf_ids: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]],
    weights: npt.NDArray[np.float64],
    base: float,
    link: str,
    average: bool,
) -> TreeTables | None:
    trees, numbers = _integers(node, "nodes_treeids"), _integers(node, "nodes_nodeids")
    feature = _integers(node, "nodes_featureids")
    yes, no = _integers(node, "nodes_truenodeids"), _integers(node, "nodes_falsenodeids")
    threshold = _numbers(node, "nodes_values")
    size = len(trees)
    if not size or any(len(each) != size for each in (numbers, feature, yes, no, threshold)):
        raise InputError("model file: the lists of a tree ensemble are of different lengths")
    modes = _modes(node.attributes["nodes_modes"], size) if "nodes_modes" in node.attributes else None
    if modes is None or (np.diff(trees) < 0).any():
        return None
    places = _Places(trees, numbers)
    inner = modes != "leaf"
    left, right = np.zeros(size, np.int64), np.zeros(size, np.int64)
    left[inner], right[inner] = places.of(trees[inner], yes[inner]), places.of(trees[inner], no[inner])
    tracks = _integers(node, "nodes_missing_value_tracks_true")
    missing = (tracks != 0) if len(tracks) == size else np.zeros(size, np.bool_)
    swapped = inner & ((modes == ">") | (modes == ">="))
    left[swapped], right[swapped] = right[swapped].copy(), left[swapped].copy()
    missing = np.where(swapped, ~missing, missing)
    strict = inner & ((modes == "<") | (modes == ">="))
    single = "nodes_values_as_tensor" not in node.attributes
    below = np.nextafter(threshold.astype(np.float32), np.float32(-np.inf)).astype(np.float64)
    threshold = np.where(strict, below if single else np.nextafter(threshold, -np.inf), threshold)
    value = np.zeros(size)
    if len(leaf_ids[0]) != len(leaf_ids[1]) or len(leaf_ids[0]) != len(weights):
        raise InputError("model file: the lists of a tree ensemble's leaves are of different lengths")
    at = places.of(*leaf_ids)
    if inner[at].any() or len(np.unique(at)) != len(at):
        return None
    value[at] = weights / (len(places.roots) if average else 1)
    rates = _numbers(node, "nodes_hitrates")
    cover = rates if len(rates) == size and (rates != 1.0).any() else None
    order = _parents_first(places.roots, np.where(inner, left, -1), right)
    if order is None:
        raise InputError("model file: the nodes of a tree ensemble are no trees: allowed: no cycles, one parent each")
    back = np.zeros(size, np.int64)
    back[order] = np.arange(len(order))
    return TreeTables.of_lists(
        np.flatnonzero(np.isin(order, places.roots)),
        np.where(inner, feature, -1)[order],
        threshold[order],
        back[left[order]],
        back[right[order]],
        missing[order],
        value[order],
        None if cover is None else cover[order],
        base,
        link,
    )


class _Places:
    """Finds a node by the numbers of its tree and of itself."""

    def __init__(self, trees: npt.NDArray[np.int64], numbers: npt.NDArray[np.int64]) -> None:
        if trees.min() < 0 or trees.max() > 2**31 or numbers.min() < 0 or numbers.max() > 2**31:
            raise InputError("model file: the numbers of a tree's nodes are out of bounds")
        self._keys = trees << 32 | numbers
        self._order = np.argsort(self._keys, kind="stable")
        self._sorted = self._keys[self._order]
        if (np.diff(self._sorted) == 0).any():
            raise InputError("model file: a node of a tree is there twice")
        self.roots = np.flatnonzero(np.diff(trees, prepend=-1) != 0)

    def of(self, trees: npt.NDArray[np.int64], numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return where some nodes stand."""
        if not len(trees):
            return np.zeros(0, np.int64)
        keys = trees << 32 | numbers
        at = np.minimum(np.searchsorted(self._sorted, keys), len(self._sorted) - 1)
        if (self._sorted[at] != keys).any():
            raise InputError("model file: a tree names a node that is not there")
        return self._order[at]


def _parents_first(
    roots: npt.NDArray[np.int64], left: npt.NDArray[np.int64], right: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64] | None:
    """Return the nodes with parents before children, tree by tree; None where they are no trees."""
    lefts, rights = left.tolist(), right.tolist()
    order: list[int] = []
    for root in roots.tolist():
        waiting = [root]
        while waiting:
            node = waiting.pop()
            order.append(node)
            if len(order) > len(lefts):
                return None
            if lefts[node] >= 0:
                waiting += (rights[node], lefts[node])
    return np.array(order, np.int64) if len(order) == len(lefts) else None


def _modes(attribute: Message, size: int) -> npt.NDArray[np.object_] | None:
    """Return how each node compares; None where one does it in a way that the kernels do not know."""
    rows = attribute.fields[attribute.fields[:, 0] == 9 * 8 + 2]
    if len(rows) != size:
        return None
    length = rows[:, 2]
    if (length < 4).any() or (length > 10).any():
        return None
    last = attribute.data[rows[:, 1] + length - 1].astype(np.int64)
    seventh = np.where(length > 7, attribute.data[rows[:, 1] + np.minimum(7, length - 1)], 0).astype(np.int64)
    found = np.full(size, None, np.object_)
    for (wanted, letter, end), mode in _MODES.items():
        found[(length == wanted) & (seventh == letter) & (last == end)] = mode
    return None if (found == None).any() else found  # noqa: E711 - element by element
