"""Trained estimators to ONNX: scikit-learn, LightGBM, XGBoost, CatBoost.

Trees and linear models become tables of ours first, with the numbers of training rows in each node, so that they score
in our kernels and their reasons are exact. Everything else goes through skl2onnx and is scored by onnxruntime.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from counterfoil.errors import ConfigurationError, InputError
from counterfoil.models.lightgbm_file import read_lightgbm
from counterfoil.models.onnx_writing import INPUT, linear_onnx, trees_onnx
from counterfoil.models.trees import TreeTables

__all__ = ["estimator_onnx", "lightgbm_onnx", "linear_onnx", "sklearn_onnx", "trees_onnx"]

Converted = tuple[bytes, str]
"""The bytes of an ONNX file, and the name of the output that is the score."""
_OPSETS = {"": 17, "ai.onnx.ml": 3}


def lightgbm_onnx(text: str, slope: float = 1.0, intercept: float = 0.0, features: int | None = None) -> bytes:
    """Return LightGBM's text form as ONNX.

    Parameters
    ----------
    text
        ``Booster.model_to_string()``.
    slope, intercept
        Platt's calibration: the score becomes the logistic function of ``slope * margin + intercept``.
    features
        The number of columns; None for what the text says.
    """
    if features is None:
        features = next((int(line[16:]) + 1 for line in text.splitlines() if line.startswith("max_feature_idx=")), None)
    return trees_onnx(read_lightgbm(text, slope, intercept), features)


def sklearn_onnx(estimator: Any, features: int) -> bytes:
    """Return an estimator as ONNX whose output is called ``score``.

    Parameters
    ----------
    estimator
        A fitted classifier of two classes, regressor, outlier detector or pipeline of one.
    features
        The number of columns.

    Raises
    ------
    InputError
        If it cannot be converted.
    """
    onnx, output = estimator_onnx(estimator, features)
    return onnx if output == "score" else _renamed(onnx, output)


def estimator_onnx(estimator: Any, features: int) -> Converted:
    """Return an estimator as ONNX, and the output that is the score: its last column is."""
    for convert in (_lightgbm, _linear, _sklearn_trees):
        found = convert(estimator, features)
        if found is not None:
            return found, "score"
    return _general(estimator, features)


def _lightgbm(estimator: Any, features: int) -> bytes | None:
    booster = getattr(estimator, "booster_", estimator)
    if type(booster).__module__.partition(".")[0] != "lightgbm" or not hasattr(booster, "model_to_string"):
        return None
    return lightgbm_onnx(booster.model_to_string(), features=features)


def _linear(estimator: Any, features: int) -> bytes | None:
    """Convert a logistic or linear regression, alone or behind a scaler."""
    steps = [step for _, step in getattr(estimator, "steps", [("", estimator)])]
    names = [type(step).__name__ for step in steps]
    if names[-1] not in ("LogisticRegression", "LinearRegression", "Ridge") or names[:-1] not in (
        [],
        ["StandardScaler"],
    ):
        return None
    model, scaler = steps[-1], steps[0] if len(steps) == 2 else None
    weights = np.asarray(model.coef_, np.float64)
    if weights.size != features:
        return None
    logistic = names[-1] == "LogisticRegression"
    mean, scale = (None, None) if scaler is None else (scaler.mean_, scaler.scale_)
    intercept = float(np.asarray(model.intercept_).reshape(-1)[0])
    return linear_onnx(weights.reshape(-1), intercept, mean, scale, logistic)


def _sklearn_trees(estimator: Any, features: int) -> bytes | None:
    convert = _FORESTS.get(type(estimator).__name__)
    if convert is None or type(estimator).__module__.partition(".")[0] != "sklearn":
        return None
    tables = convert(estimator)
    return None if tables is None else trees_onnx(tables, features)


def _forest(estimator: Any) -> TreeTables | None:
    """Return a forest: the average of its trees' probabilities or means."""
    trees = [each.tree_ for each in estimator.estimators_]
    share = 1.0 / len(trees)

    def value(tree: Any) -> npt.NDArray[np.float64]:
        counts: npt.NDArray[np.float64] = tree.value[:, 0, :]
        if counts.shape[1] == 1:
            return counts[:, 0] * share
        return counts[:, 1] / counts.sum(axis=1) * share

    if any(tree.value.shape[1] != 1 or tree.value.shape[2] > 2 for tree in trees):
        return None
    return _joined(trees, value)


def _single(estimator: Any) -> TreeTables | None:
    """Return a decision tree."""
    estimator.estimators_ = [estimator]
    try:
        return _forest(estimator)
    finally:
        del estimator.estimators_


def _boosted(estimator: Any) -> TreeTables | None:
    """Return gradient boosting of scikit-learn's first kind."""
    trees = [each[0].tree_ for each in estimator.estimators_]
    if estimator.estimators_.shape[1] != 1 or type(estimator.init_).__name__ not in (
        "DummyClassifier",
        "DummyRegressor",
    ):
        return None
    classifier = hasattr(estimator, "classes_")
    if classifier:
        share = float(estimator.init_.class_prior_[1])
        base = float(np.log(share / (1 - share)))
    else:
        base = float(np.asarray(estimator.init_.constant_).reshape(-1)[0])
    rate = float(estimator.learning_rate)
    return _joined(trees, lambda tree: tree.value[:, 0, 0] * rate, base, "logistic" if classifier else "identity")


def _isolation(estimator: Any) -> TreeTables | None:
    """Return an isolation forest as the depth that a row reaches, negative and scaled: higher is more suspicious.

    The score is minus the mean depth divided by the depth expected of ordinary rows. It orders rows exactly as
    ``-score_samples`` does, which is two to the power of it.
    """
    rows = float(estimator._max_samples)
    usual = _depth(np.array([rows]))[0]
    parts = [each.tree_ for each in estimator.estimators_]
    columns = [np.asarray(each, np.int64) for each in estimator.estimators_features_]
    share = -1.0 / (len(parts) * usual)
    return _joined(parts, lambda tree: (_depths(tree) + _depth(tree.n_node_samples)) * share, columns=columns)


def _histograms(estimator: Any) -> TreeTables | None:
    """Return gradient boosting of scikit-learn's second kind."""
    parts = [each.nodes for step in estimator._predictors for each in step]
    if any(len(step) != 1 for step in estimator._predictors) or any(each["is_categorical"].any() for each in parts):
        return None
    starts = np.cumsum([0, *(len(each) for each in parts)])[:-1]
    nodes = np.concatenate(parts)
    shift = np.repeat(starts, [len(each) for each in parts])
    leaf = nodes["is_leaf"] != 0
    return TreeTables.of_lists(
        starts,
        np.where(leaf, -1, nodes["feature_idx"]),
        np.where(leaf, 0.0, nodes["num_threshold"]),
        np.where(leaf, 0, nodes["left"] + shift),
        np.where(leaf, 0, nodes["right"] + shift),
        (nodes["missing_go_to_left"] != 0) & ~leaf,
        np.where(leaf, nodes["value"], 0.0),
        nodes["count"].astype(np.float64),
        float(np.asarray(estimator._baseline_prediction).reshape(-1)[0]),
        "logistic" if hasattr(estimator, "classes_") else "identity",
    )


def _depths(tree: Any) -> npt.NDArray[np.float64]:
    depth = np.zeros(tree.node_count)
    for node in range(tree.node_count):
        for child in (tree.children_left[node], tree.children_right[node]):
            if child >= 0:
                depth[child] = depth[node] + 1
    return depth


def _depth(rows: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return the mean depth of an unsuccessful search in a binary tree of so many rows (Liu et al., 2008)."""
    rows = np.asarray(rows, np.float64)
    large = np.maximum(rows, 3.0)
    mean = 2.0 * (np.log(large - 1.0) + np.euler_gamma) - 2.0 * (large - 1.0) / large
    return np.where(rows <= 1, 0.0, np.where(rows == 2, 1.0, mean))


_FORESTS: dict[str, Callable[[Any], TreeTables | None]] = {
    "RandomForestClassifier": _forest,
    "RandomForestRegressor": _forest,
    "ExtraTreesClassifier": _forest,
    "ExtraTreesRegressor": _forest,
    "DecisionTreeClassifier": _single,
    "DecisionTreeRegressor": _single,
    "GradientBoostingClassifier": _boosted,
    "GradientBoostingRegressor": _boosted,
    "IsolationForest": _isolation,
    "HistGradientBoostingClassifier": _histograms,
    "HistGradientBoostingRegressor": _histograms,
}


def _joined(
    trees: list[Any],
    value: Callable[[Any], npt.NDArray[np.float64]],
    base: float = 0.0,
    link: str = "identity",
    columns: list[npt.NDArray[np.int64]] | None = None,
) -> TreeTables:
    """Return scikit-learn's trees as tables; it numbers nodes with parents first."""
    feature, threshold, left, right, missing, values, cover = ([] for _ in range(7))
    roots, start = [], 0
    for number, tree in enumerate(trees):
        leaf = tree.children_left < 0
        asked = np.where(leaf, 0, tree.feature)
        asked = asked if columns is None else columns[number][asked]
        roots.append(start)
        feature.append(np.where(leaf, -1, asked))
        threshold.append(np.where(leaf, 0.0, tree.threshold))
        left.append(np.where(leaf, 0, tree.children_left + start))
        right.append(np.where(leaf, 0, tree.children_right + start))
        missing.append(np.asarray(tree.missing_go_to_left, np.bool_) & ~leaf)
        values.append(np.where(leaf, value(tree), 0.0))
        cover.append(np.asarray(tree.weighted_n_node_samples, np.float64))
        start += tree.node_count
    return TreeTables.of_lists(
        roots,
        np.concatenate(feature),
        np.concatenate(threshold),
        np.concatenate(left),
        np.concatenate(right),
        np.concatenate(missing),
        np.concatenate(values),
        np.concatenate(cover),
        base,
        link,
    )


def _general(estimator: Any, features: int) -> Converted:
    """Convert through skl2onnx, with the converters of LightGBM, XGBoost and CatBoost beside it."""
    family = type(estimator).__module__.partition(".")[0]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if family == "xgboost":
                return _scored(_xgboost(estimator, features))
            if family == "catboost":
                return _catboost(estimator)
            return _scikit_learn(estimator, features)
    except ImportError as error:
        raise ConfigurationError("converting models needs more packages: pip install 'counterfoil[models]'") from error
    except _FAILURES as error:
        raise InputError(f"{type(estimator).__name__}: cannot be converted to ONNX: {str(error)[:300]}") from error


def _scikit_learn(estimator: Any, features: int) -> Converted:
    """Convert in double precision, as scikit-learn reckons; in single where onnxruntime has no such operators."""
    from onnxruntime import InferenceSession  # noqa: PLC0415 - an extra
    from skl2onnx import to_onnx  # noqa: PLC0415 - an extra
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType  # noqa: PLC0415

    options = {id(estimator): {"zipmap": False}} if hasattr(estimator, "predict_proba") else {}
    try:
        given = [(INPUT, DoubleTensorType([None, features]))]
        made = to_onnx(estimator, initial_types=given, options=options, target_opset=_OPSETS)
        InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    except Exception:  # onnxruntime's own errors have no common class
        given = [(INPUT, FloatTensorType([None, features]))]
        made = to_onnx(estimator, initial_types=given, options=options, target_opset=_OPSETS)
    return _scored(made)


_FAILURES = (RuntimeError, ValueError, TypeError, NotImplementedError, AttributeError, KeyError)


def _xgboost(estimator: Any, features: int) -> Any:
    from onnxmltools import convert_xgboost  # noqa: PLC0415 - an extra
    from onnxmltools.convert.common.data_types import FloatTensorType  # noqa: PLC0415

    given = [(INPUT, FloatTensorType([None, features]))]
    return convert_xgboost(estimator, initial_types=given, target_opset=15)


def _catboost(estimator: Any) -> Converted:
    import tempfile  # noqa: PLC0415
    from pathlib import Path  # noqa: PLC0415

    import onnx  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.onnx")
        estimator.save_model(str(path), format="onnx")
        model = onnx.load_model(str(path))
    _drop_zipmap(model)
    return _scored(model)


def _drop_zipmap(model: Any) -> None:
    """Take out the step that makes a dictionary of each row's probabilities."""
    from onnx import helper  # noqa: PLC0415

    graph = model.graph
    for node in [each for each in graph.node if each.op_type == "ZipMap"]:
        for output in [each for each in graph.output if each.name == node.output[0]]:
            graph.output.remove(output)
        graph.output.append(helper.make_tensor_value_info(node.input[0], 1, [None, 2]))
        graph.node.remove(node)
    del model.metadata_props[:]


def _scored(model: Any) -> Converted:
    names = [each.name for each in model.graph.output]
    for wanted in ("probabilities", "scores", "variable", "predictions"):
        if wanted in names:
            return model.SerializeToString(), wanted
    return model.SerializeToString(), names[-1]


def _renamed(data: bytes, output: str) -> bytes:
    """Return a model whose output of that name is called ``score``."""
    import onnx  # noqa: PLC0415 - an extra

    model = onnx.load_model_from_string(data)
    for node in model.graph.node:
        for at, name in enumerate(node.output):
            if name == output:
                node.output[at] = "score"
        for at, name in enumerate(node.input):
            if name == output:
                node.input[at] = "score"
    for each in model.graph.output:
        if each.name == output:
            each.name = "score"
    renamed: bytes = model.SerializeToString()
    return renamed
