"""Hostile and malformed model files: each is refused with a reason, fast and in little memory."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from counterfoil.errors import InputError
from counterfoil.models.model import load_model
from counterfoil.models.onnx_file import MODEL_BYTES_MAX, read_onnx
from counterfoil.models.onnx_tables import tables_of
from counterfoil.models.onnx_writing import trees_onnx
from counterfoil.models.trees import TreeTables
from tests.models.making import linear_of, random_trees, signature_of

onnx = pytest.importorskip("onnx")
helper, numpy_helper, types = onnx.helper, onnx.numpy_helper, onnx.TensorProto
FEATURES = 4
SIGNATURE = signature_of(FEATURES)


def model_of(
    nodes: list[Any],
    constants: list[Any] | None = None,
    shape: list[Any] | None = None,
    element: int = 1,
    sets: dict[str, int] | None = None,
) -> Any:
    graph = helper.make_graph(
        nodes,
        "hostile",
        [helper.make_tensor_value_info("features", element, [None, FEATURES] if shape is None else shape)],
        [helper.make_tensor_value_info("score", 1, [None, 1])],
        constants or [],
    )
    found = {"": 17, "ai.onnx.ml": 3} if sets is None else sets
    return helper.make_model(graph, opset_imports=[helper.make_opsetid(name, at) for name, at in found.items()])


def node(operator: str, inputs: list[str] | None = None, **more: Any) -> Any:
    return helper.make_node(operator, inputs or ["features"], ["score"], **more)


def external() -> bytes:
    tensor = numpy_helper.from_array(np.zeros((FEATURES, 1), np.float32), "w")
    onnx.external_data_helper.set_external_data(tensor, "../../etc/passwd")
    tensor.ClearField("raw_data")
    return bytes(model_of([node("MatMul", ["features", "w"])], [tensor]).SerializeToString())


def too_large_a_constant() -> bytes:
    tensor = numpy_helper.from_array(np.zeros((FEATURES, 1), np.float32), "w")
    tensor.dims[:] = [2**40, 2**20]
    return bytes(model_of([node("MatMul", ["features", "w"])], [tensor]).SerializeToString())


def cycle() -> bytes:
    nodes = [helper.make_node("Add", ["features", "b"], ["a"]), helper.make_node("Relu", ["a"], ["b"])]
    return bytes(model_of([*nodes, node("Identity", ["b"])]).SerializeToString())


def loop() -> bytes:
    body = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "body", [], [])
    return bytes(model_of([node("Loop", ["features"], body=body)]).SerializeToString())


def function() -> bytes:
    made = model_of([node("Identity")])
    made.functions.append(
        helper.make_function("", "Evil", ["x"], ["y"], [helper.make_node("Identity", ["x"], ["y"])], [])
    )
    return bytes(made.SerializeToString())


def constant_of_shape() -> bytes:
    shape = numpy_helper.from_array(np.array([2**20, 2**20], np.int64), "shape")
    return bytes(model_of([node("ConstantOfShape", ["shape"])], [shape]).SerializeToString())


def doubling() -> bytes:
    """Sixty concatenations, each of the one before with itself: no single step is large."""
    names = ["features", *(f"x{number}" for number in range(60)), "score"]
    nodes = [
        helper.make_node("Concat", [names[at], names[at]], [names[at + 1]], axis=1) for at in range(len(names) - 1)
    ]
    return bytes(model_of(nodes).SerializeToString())


def broadcast() -> bytes:
    """A column against a row against a plane: the product of their lengths."""
    long = numpy_helper.from_array(np.zeros((1, 1_000_000), np.float32), "row")
    high = numpy_helper.from_array(np.zeros((100, 1, 1), np.float32), "plane")
    nodes = [
        helper.make_node("ReduceSum", ["features"], ["sum"], keepdims=1),
        helper.make_node("Add", ["sum", "row"], ["wide"]),
        helper.make_node("Add", ["wide", "plane"], ["score"]),
    ]
    return bytes(model_of(nodes, [long, high]).SerializeToString())


def tree_cycle() -> bytes:
    made = onnx.load_model_from_string(trees_onnx(random_trees(1, 2, 9, FEATURES), FEATURES))
    for attribute in made.graph.node[0].attribute:
        if attribute.name == "nodes_truenodeids":
            attribute.ints[:] = [0] * len(attribute.ints)
    return bytes(made.SerializeToString())


def tree_column() -> bytes:
    made = onnx.load_model_from_string(trees_onnx(random_trees(1, 2, 9, FEATURES), FEATURES))
    for attribute in made.graph.node[0].attribute:
        if attribute.name == "nodes_featureids":
            attribute.ints[:] = [10_000] * len(attribute.ints)
    return bytes(made.SerializeToString())


def many_empty_messages() -> bytes:
    """A graph of millions of empty nodes, two bytes each."""
    inner = b"\x0a\x00" * 8_000_000
    length = len(inner)
    varint = bytearray()
    while length > 127:
        varint.append(length & 127 | 128)
        length >>= 7
    varint.append(length)
    return b"\x3a" + bytes(varint) + inner


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "nothing": (lambda: b"", "found 0 bytes"),
    "too large": (lambda: b"\0" * (MODEL_BYTES_MAX + 1), "bytes; allowed"),
    "no protobuf": (lambda: b"\xff" * 1_000, "damaged"),
    "text": (lambda: b"hello, I am a model", "damaged|no graph|fields"),
    "pickle": (
        lambda: b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x8c\x06system",
        "damaged|no graph|fields",
    ),
    "cut short": (lambda: linear_of([1.0] * FEATURES)[:-40], "damaged"),
    "a length beyond the end": (lambda: b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\x7f", "damaged"),
    "no graph": (lambda: b"\x08\x08", "no graph"),
    "millions of empty nodes": (many_empty_messages, "more than"),
    "constants in another file": (external, "lies in another file"),
    "a constant of 2^60 values": (too_large_a_constant, "more than the file has"),
    "a cycle": (cycle, "cycle or a gap"),
    "a loop": (loop, "Loop.*not allowed"),
    "a function": (function, "functions"),
    "a shape of any size": (constant_of_shape, "ConstantOfShape.*not allowed"),
    "an operator of somebody's own": (
        lambda: bytes(model_of([node("Evil", domain="my.ops")], sets={"": 17, "my.ops": 1}).SerializeToString()),
        "operators of",
    ),
    "an operator that does not exist": (lambda: bytes(model_of([node("Evil")]).SerializeToString()), "not allowed"),
    "a dictionary as its output": (
        lambda: bytes(model_of([node("ZipMap", domain="ai.onnx.ml")]).SerializeToString()),
        "zipmap=False",
    ),
    "another number of columns": (
        lambda: bytes(model_of([node("Identity")], shape=[None, 9]).SerializeToString()),
        "names 4 inputs",
    ),
    "texts as its input": (
        lambda: bytes(model_of([node("Identity")], element=types.STRING).SerializeToString()),
        "no matrix of float",
    ),
    "a tree that bites its tail": (tree_cycle, "no trees|no cycles|no parent"),
    "a tree that asks column 10,000": (tree_column, "asks column"),
    "sixty doublings": (doubling, "trying it"),
    "a product of three shapes": (broadcast, "trying it"),
}
STATIC = [name for name in HOSTILE if name not in ("sixty doublings", "a product of three shapes")]


@pytest.fixture(scope="module", autouse=True)
def _compiled() -> None:
    load_model(linear_of([1.0] * FEATURES), SIGNATURE)
    load_model(trees_onnx(random_trees(1, 2, 9, FEATURES), FEATURES), SIGNATURE)


@pytest.mark.parametrize("name", STATIC)
def test_what_is_hostile_is_refused_within_a_second(name: str) -> None:
    make, said = HOSTILE[name]
    data = make()
    started = time.process_time()
    with pytest.raises(InputError, match=said):
        load_model(data, SIGNATURE)
    assert time.process_time() - started < 1.0


@pytest.mark.parametrize("name", sorted(set(HOSTILE) - set(STATIC)))
def test_what_only_running_it_shows_is_refused_in_a_process_of_its_own(name: str) -> None:
    make, said = HOSTILE[name]
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    with pytest.raises(InputError, match=said):
        load_model(make(), SIGNATURE)
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < 6.0


MEMORY = """
import resource, sys
from pathlib import Path
from counterfoil.compiled import keep_kernels
keep_kernels()
from counterfoil.errors import InputError
from counterfoil.models.model import load_model
from counterfoil.models.signature import Signature
signature = Signature.decode(Path(sys.argv[1], "signature.json").read_bytes())
resource.setrlimit(resource.RLIMIT_DATA, (512 * 2**20, 512 * 2**20))
for path in sorted(Path(sys.argv[1]).glob("*.onnx")):
    try:
        load_model(path.read_bytes(), signature)
    except InputError as error:
        print("refused", path.name)
"""


def test_refusing_takes_less_than_512_mebibytes(tmp_path: Path) -> None:
    (tmp_path / "signature.json").write_bytes(SIGNATURE.encode())
    for number, name in enumerate(HOSTILE):
        (tmp_path / f"{number:02d}.onnx").write_bytes(HOSTILE[name][0]())
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, str(tmp_path)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stderr == ""
    assert done.stdout.count("refused") == len(HOSTILE)


def test_bytes_that_are_changed_at_random_are_refused_or_harmless() -> None:
    """Whatever a few wrong bytes do: an InputError or tables, never anything else."""
    draw = np.random.default_rng(3)
    good = trees_onnx(random_trees(5, 3, 12, FEATURES), FEATURES)
    columns = draw.normal(size=(FEATURES, 40)).astype(np.float32)
    refused = 0
    for _ in range(400):
        data = bytearray(good)
        for at in draw.integers(0, len(data), draw.integers(1, 4)):
            data[at] = draw.integers(256)
        try:
            tables = tables_of(read_onnx(bytes(data), SIGNATURE), SIGNATURE)
            if isinstance(tables, TreeTables) and tables.features <= FEATURES:
                tables.score(columns)
        except InputError:
            refused += 1
    assert 20 < refused < 400


def test_an_output_that_is_not_there_is_named() -> None:
    import msgspec

    other = msgspec.structs.replace(SIGNATURE, output="probabilities")
    with pytest.raises(InputError, match="found the outputs score"):
        load_model(linear_of([1.0] * FEATURES), other)
