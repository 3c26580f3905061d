"""Trees and linear models to ONNX, with everything that the reading side and explanations need."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from counterfoil.errors import ConfigurationError
from counterfoil.models.trees import TreeTables

INPUT, OUTPUT = "features", "score"
_OPSET, _ML_OPSET, _IR = 17, 3, 8


def _onnx() -> Any:
    try:
        import onnx  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ConfigurationError("models need more packages: pip install 'counterfoil[models]'") from error
    return onnx


def trees_onnx(tables: TreeTables, features: int | None = None) -> bytes:
    """Return trees as ONNX: a ``TreeEnsembleRegressor``, and a sigmoid behind it for the logistic link.

    Thresholds are float32 as the matrix is; values are float64 where the operator set has them, so the scores are those
    of the library that trained. How many rows went through a node stands in ``nodes_hitrates``.

    Parameters
    ----------
    tables
        The trees.
    features
        The number of columns of the matrix; None for the highest that the trees ask, and one.
    """
    helper, types = _onnx().helper, _onnx().TensorProto
    size = len(tables.feature)
    tree = np.repeat(np.arange(len(tables.root)), np.diff(np.append(tables.root, size)))
    number = np.arange(size) - tables.root[tree]
    inner = tables.feature >= 0
    leaves = np.flatnonzero(~inner)
    node = helper.make_node(
        "TreeEnsembleRegressor",
        [INPUT],
        ["margin" if tables.link == "logistic" else OUTPUT],
        domain="ai.onnx.ml",
        n_targets=1,
        aggregate_function="SUM",
        post_transform="NONE",
        base_values=[tables.base],
        nodes_treeids=tree.tolist(),
        nodes_nodeids=number.tolist(),
        nodes_featureids=np.where(inner, tables.feature, 0).tolist(),
        nodes_values=np.where(inner, tables.threshold, 0).tolist(),
        nodes_modes=np.where(inner, "BRANCH_LEQ", "LEAF").tolist(),
        nodes_truenodeids=np.where(inner, tables.left - tables.root[tree], 0).tolist(),
        nodes_falsenodeids=np.where(inner, tables.right - tables.root[tree], 0).tolist(),
        nodes_missing_value_tracks_true=(inner & tables.missing_left).astype(int).tolist(),
        nodes_hitrates=(np.ones(size) if tables.cover is None else tables.cover).tolist(),
        target_treeids=tree[leaves].tolist(),
        target_nodeids=number[leaves].tolist(),
        target_ids=[0] * len(leaves),
        target_weights=tables.value[leaves].tolist(),
    )
    nodes = [node]
    if tables.link == "logistic":
        nodes.append(helper.make_node("Sigmoid", ["margin"], [OUTPUT]))
    return _model(nodes, features or tables.features, types.FLOAT, types.FLOAT, [])


def linear_onnx(
    weights: npt.NDArray[np.float64],
    intercept: float,
    mean: npt.NDArray[np.float64] | None = None,
    scale: npt.NDArray[np.float64] | None = None,
    logistic: bool = True,
) -> bytes:
    """Return a linear model as ONNX, in float64 inside; a scaler before it is folded in.

    Parameters
    ----------
    weights, intercept
        Of the scaled columns.
    mean, scale
        What the columns were made smaller by, and then divided by.
    logistic
        Whether the score is the probability, not the sum.
    """
    helper, numpy_helper, types = _onnx().helper, _onnx().numpy_helper, _onnx().TensorProto
    folded = np.asarray(weights, np.float64) / (1.0 if scale is None else np.asarray(scale, np.float64))
    constant = float(intercept) - (0.0 if mean is None else float(np.asarray(mean, np.float64) @ folded))
    nodes = [
        helper.make_node("Cast", [INPUT], ["wide"], to=types.DOUBLE),
        helper.make_node("MatMul", ["wide", "weights"], ["product"]),
        helper.make_node("Add", ["product", "intercept"], ["margin" if logistic else OUTPUT]),
    ]
    if logistic:
        nodes.append(helper.make_node("Sigmoid", ["margin"], [OUTPUT]))
    constants = [
        numpy_helper.from_array(folded.reshape(-1, 1), "weights"),
        numpy_helper.from_array(np.array([constant]), "intercept"),
    ]
    return _model(nodes, len(folded), types.FLOAT, types.DOUBLE, constants)


def _model(nodes: list[Any], features: int, given: int, result: int, constants: list[Any]) -> bytes:
    helper = _onnx().helper
    graph = helper.make_graph(
        nodes,
        "counterfoil",
        [helper.make_tensor_value_info(INPUT, given, [None, features])],
        [helper.make_tensor_value_info(OUTPUT, result, [None, 1])],
        constants,
    )
    sets = [helper.make_opsetid("", _OPSET), helper.make_opsetid("ai.onnx.ml", _ML_OPSET)]
    data: bytes = helper.make_model(
        graph, opset_imports=sets, ir_version=_IR, producer_name="counterfoil"
    ).SerializeToString()
    return data
