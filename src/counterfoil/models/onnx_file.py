"""ONNX files, read without trust.

Everything is checked on the bytes before any other library sees them: size, number of parts, where constants lie
(never outside of the file), which operators there are (none that loops, calls code from elsewhere or makes large
tensors out of small ones), that the graph has no cycle, and that its input and output are what the signature says.

A graph that passes holds only operators whose results are as large as their inputs make them. What that may still cost
is tried in a process with limits: see ``onnx_session``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from counterfoil.errors import InputError, nearest
from counterfoil.models.signature import Signature
from counterfoil.models.wire import Message

MODEL_BYTES_MAX = 32 * 2**20
_NODES_MAX = 2_000
_TENSORS_MAX = 2_000
_ATTRIBUTES_MAX = 64
_ENTRIES_MAX = 6_000_000
"""Entries of the lists of one attribute: a tree node has one in each of a dozen lists."""
_DIMENSIONS_MAX = 8
_CORE = frozenset(
    "Abs Add And ArgMax ArgMin BatchNormalization Cast Ceil Clip Concat Constant Div Elu Equal Erf Exp Flatten Floor"  # noqa: SIM905
    " Gather Gemm Greater GreaterOrEqual HardSigmoid HardSwish Identity IsInf IsNaN LayerNormalization LeakyRelu Less"
    " LessOrEqual Log LogSoftmax MatMul Max Mean Min Mish Mod Mul Neg Not Or PRelu Pow Reciprocal ReduceL1 ReduceL2"
    " ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape Round Selu Shape Sigmoid Sign"
    " Slice Softmax Softplus Softsign Split Sqrt Squeeze Sub Sum Tanh Transpose Unsqueeze Where Xor".split()
)
_LEARNED = frozenset(
    "ArrayFeatureExtractor Binarizer FeatureVectorizer Imputer LabelEncoder LinearClassifier LinearRegressor Normalizer"  # noqa: SIM905
    " OneHotEncoder SVMClassifier SVMRegressor Scaler TreeEnsemble TreeEnsembleClassifier TreeEnsembleRegressor".split()
)
_OPERATORS = {"": _CORE, "ai.onnx": _CORE, "ai.onnx.ml": _LEARNED}
_HINTS = {
    "ZipMap": "convert it with the option zipmap=False",
    **dict.fromkeys(("Loop", "If", "Scan", "SequenceMap"), "operators that hold graphs are not run"),
    **dict.fromkeys(
        ("Expand", "Tile", "ConstantOfShape", "Range", "Resize", "Pad", "RandomNormal"), "its result may be of any size"
    ),
}
FLOAT, INT32, INT64, DOUBLE = 1, 6, 7, 11
_ELEMENT_BYTES = {FLOAT: 4, 2: 1, 3: 1, 4: 2, 5: 2, INT32: 4, INT64: 8, 9: 1, 10: 2, DOUBLE: 8, 12: 4, 13: 8}
_MODEL_FIELDS = {1, 2, 3, 4, 5, 6, 7, 8, 14}
_GRAPH_FIELDS = {1, 2, 5, 10, 11, 12, 13, 16}


@dataclass(frozen=True, slots=True)
class Node:
    """One step of a graph."""

    operator: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Message]


@dataclass(frozen=True, slots=True)
class Graph:
    """A checked ONNX graph.

    Parameters
    ----------
    nodes
        Its steps, each after those that it needs.
    constants
        The constant tensors by name.
    input, element
        The name of its one input, and the number of its type: ``FLOAT`` or ``DOUBLE``.
    outputs
        The names of its outputs.
    size
        The number of bytes.
    """

    nodes: tuple[Node, ...]
    constants: Mapping[str, Message]
    input: str
    element: int
    outputs: tuple[str, ...]
    size: int


def read_onnx(data: bytes, signature: Signature) -> Graph:
    """Return the graph that a model file holds, after checking all of it.

    Parameters
    ----------
    data
        The bytes of the file.
    signature
        What input and output must be.

    Raises
    ------
    InputError
        With the first thing that is wrong or not allowed.
    """
    if not 0 < len(data) <= MODEL_BYTES_MAX:
        raise InputError(f"model file: found {len(data):,} bytes; allowed: 1 to {MODEL_BYTES_MAX:,}")
    whole = np.frombuffer(bytearray(data), np.uint8)
    model = Message.of(whole, 0, len(whole), 1_000, "the model")
    _only(model, _MODEL_FIELDS, "the model: functions and training graphs are not run")
    _check_operator_sets(model)
    graphs = model.messages(7, 1, 10_000, "graphs")
    if len(graphs) != 1:
        raise InputError("model file: found no graph; give a file that an ONNX converter wrote")
    graph = graphs[0]
    _only(graph, _GRAPH_FIELDS, "the graph: sparse or quantised constants are not read")
    constants = _constants(graph)
    name, element = _input(graph, constants, signature)
    nodes = _nodes(graph)
    outputs = tuple(each.text(1) for each in graph.messages(12, 16, 10, "outputs"))
    if signature.output not in outputs:
        raise InputError(
            f'model file: found the outputs {", ".join(outputs)}; the signature says "{signature.output}";'
            f" {nearest(signature.output, outputs) or 'name one of them in the signature'}"
        )
    _check_order(nodes, {name, *constants}, outputs)
    return Graph(nodes, constants, name, element, outputs, len(data))


def _only(message: Message, allowed: set[int], what: str) -> None:
    others = message.numbers() - allowed
    if others:
        raise InputError(f"model file: found the fields {sorted(others)} in {what}")


def _check_operator_sets(model: Message) -> None:
    for each in model.messages(8, 32, 8, "operator sets"):
        domain = each.text(1)
        if domain not in _OPERATORS:
            raise InputError(
                f'model file: found operators of "{domain}"; allowed: those of ONNX itself (ai.onnx, ai.onnx.ml)'
            )


def _constants(graph: Message) -> dict[str, Message]:
    found = {}
    for tensor in graph.messages(5, _TENSORS_MAX, _ENTRIES_MAX, "constants"):
        _check_tensor(tensor)
        found[tensor.text(8)] = tensor
    return found


def _check_tensor(tensor: Message) -> None:
    """See to it that a constant lies in the file and is as large as it says."""
    name = tensor.text(8) or "?"
    if tensor.integer(14) != 0 or 13 in tensor.numbers():
        raise InputError(f'model file: the constant "{name}" lies in another file; save the model as one file')
    dimensions = tensor.integers(1)
    if len(dimensions) > _DIMENSIONS_MAX or (dimensions < 0).any():
        raise InputError(f'model file: the constant "{name}" has a shape that cannot be')
    count = 1
    for each in dimensions.tolist():
        count *= each
    if count > MODEL_BYTES_MAX:
        raise InputError(
            f'model file: the constant "{name}" says it has {count:,} values, more than the file has bytes'
        )
    raw = tensor.raw(9)
    if raw is not None:
        size = _ELEMENT_BYTES.get(tensor.integer(2))
        if size is None or len(raw) != count * size:
            raise InputError(f'model file: the constant "{name}" is not as large as its shape says')


def tensor_values(tensor: Message) -> npt.NDArray[np.float64]:
    """Return the numbers of a constant, flat; none where its type is not one of float, double or integer."""
    raw, kind = tensor.raw(9), tensor.integer(2)
    if raw is not None:
        kinds = {FLOAT: np.float32, DOUBLE: np.float64, INT64: np.int64, INT32: np.int32}
        return raw.view(kinds[kind]).astype(np.float64) if kind in kinds else np.zeros(0)
    if kind == FLOAT:
        return tensor.floats(4).astype(np.float64)
    if kind == DOUBLE:
        return tensor.doubles(10)
    return tensor.integers(7 if kind == INT64 else 5).astype(np.float64)


def _input(graph: Message, constants: Mapping[str, Message], signature: Signature) -> tuple[str, int]:
    """Return name and element type of the one input."""
    inputs = [each for each in graph.messages(11, _TENSORS_MAX, 10, "inputs") if each.text(1) not in constants]
    if len(inputs) != 1:
        names = ", ".join(each.text(1) for each in inputs) or "none"
        raise InputError(f"model file: found the inputs {names}; allowed: one, a matrix with a column for each feature")
    name = inputs[0].text(1)
    kinds = [kind for each in inputs[0].messages(2, 1, 8, "types") for kind in each.messages(1, 1, 8, "tensor types")]
    element = kinds[0].integer(1) if kinds else 0
    if element not in (FLOAT, DOUBLE):
        raise InputError(f'model file: the input "{name}" is no matrix of float or double; convert it to take one')
    shapes = kinds[0].messages(2, 1, _DIMENSIONS_MAX, "shapes")
    sizes = [each.integer(1) for shape in shapes for each in shape.messages(1, _DIMENSIONS_MAX, 4, "dimensions")]
    wanted = len(signature.inputs)
    if len(sizes) != 2 or (sizes[1] not in (0, wanted)) or sizes[0] < 0:
        raise InputError(
            f'model file: the input "{name}" has the shape {sizes}; the signature names {wanted} inputs:'
            f" allowed is [any number of rows, {wanted}]"
        )
    return name, element


def _nodes(graph: Message) -> tuple[Node, ...]:
    return tuple(_node(each) for each in graph.messages(1, _NODES_MAX, 1_000, "nodes"))


def _node(message: Message) -> Node:
    operator, domain = message.text(4), message.text(7)
    if operator not in _OPERATORS.get(domain, frozenset()):
        shown = f"{domain}.{operator}" if domain else operator
        hint = _HINTS.get(operator, "see docs/models.md for those that are")
        raise InputError(f'model file: found the operator "{shown}", which is not allowed; {hint}')
    attributes = {}
    for each in message.messages(5, _ATTRIBUTES_MAX, _ENTRIES_MAX, "attributes"):
        if each.numbers() & {6, 11, 14, 15, 22, 23}:
            raise InputError(
                f'model file: the operator "{operator}" holds a graph or a type; allowed: numbers and texts'
            )
        for tensor in (
            *each.messages(5, 1, _ENTRIES_MAX, "constants"),
            *each.messages(10, 16, _ENTRIES_MAX, "constants"),
        ):
            _check_tensor(tensor)
        attributes[each.text(1)] = each
    return Node(operator, domain, tuple(message.texts(1, 1_000)), tuple(message.texts(2, 1_000)), attributes)


def _check_order(nodes: tuple[Node, ...], known: set[str], outputs: tuple[str, ...]) -> None:
    """See to it that every step comes after those that it needs: then there is no cycle."""
    made = set(known)
    for node in nodes:
        for name in node.inputs:
            if name and name not in made:
                raise InputError(
                    f'model file: "{node.operator}" needs "{name[:80]}", which nothing before it gives: the graph has a'
                    " cycle or a gap"
                )
        for name in node.outputs:
            if name in made:
                raise InputError(f'model file: "{name[:80]}" is made twice')
            if name:
                made.add(name)
    for name in outputs:
        if name not in made:
            raise InputError(f'model file: nothing makes the output "{name[:80]}"')
