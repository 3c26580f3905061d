"""Models from elsewhere: parity with the original, and no trust where none is given."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import counterfoil
from counterfoil.errors import ConfigurationError, InputError
from counterfoil.models.conversion import lightgbm_onnx, sklearn_onnx
from counterfoil.models.importing import TOLERANCE, import_model
from counterfoil.models.model import load_model
from tests.models.making import random_matrix, signature_of

joblib = pytest.importorskip("joblib")
pytest.importorskip("skl2onnx")
FEATURES = 6


def sample() -> tuple[np.ndarray, np.ndarray]:
    matrix = random_matrix(1, 600, FEATURES, 0.0)
    return matrix, (matrix[:, 0] * matrix[:, 1] + matrix[:, 2] > 0.3).astype(int)


def estimators() -> dict[str, tuple[Any, str]]:
    from sklearn.ensemble import (
        ExtraTreesClassifier,
        GradientBoostingClassifier,
        HistGradientBoostingClassifier,
        RandomForestClassifier,
        RandomForestRegressor,
    )
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.tree import DecisionTreeClassifier

    return {
        "logistic": (make_pipeline(StandardScaler(), LogisticRegression()), "linear"),
        "forest": (RandomForestClassifier(15, random_state=1), "trees"),
        "extra trees": (ExtraTreesClassifier(15, random_state=1), "trees"),
        "tree": (DecisionTreeClassifier(random_state=1), "trees"),
        "boosting": (GradientBoostingClassifier(n_estimators=20, random_state=1), "trees"),
        "histograms": (HistGradientBoostingClassifier(max_iter=20, random_state=1), "trees"),
        "regressor": (RandomForestRegressor(10, random_state=1), "trees"),
        "network": (MLPClassifier((8,), max_iter=300, random_state=1, solver="lbfgs"), "onnxruntime"),
    }


@pytest.mark.parametrize("name", list(estimators()))
def test_scikit_learn_scores_are_kept(name: str) -> None:
    estimator, engine = estimators()[name]
    estimator.fit(*sample())
    model = load_model(sklearn_onnx(estimator, FEATURES), signature_of(FEATURES))
    assert model.engine == engine
    matrix = random_matrix(2, 500, FEATURES, 0.0)
    wanted = estimator.predict_proba(matrix)[:, 1] if hasattr(estimator, "predict_proba") else estimator.predict(matrix)
    assert np.abs(model.score(matrix) - wanted).max() < TOLERANCE
    parts = [model.score(matrix[start : start + 7]) for start in range(0, 500, 7)]
    assert np.concatenate(parts).tobytes() == model.score(matrix).tobytes()


def test_an_isolation_forest_keeps_its_order() -> None:
    from sklearn.ensemble import IsolationForest

    forest = IsolationForest(n_estimators=30, random_state=1).fit(sample()[0])
    model = load_model(sklearn_onnx(forest, FEATURES), signature_of(FEATURES))
    matrix = random_matrix(2, 500, FEATURES, 0.0)
    assert np.abs(2.0 ** model.score(matrix) + forest.score_samples(matrix)).max() < TOLERANCE
    assert model.trees is not None
    assert model.trees.cover is not None


@pytest.mark.parametrize("family", ["lightgbm", "xgboost", "catboost"])
def test_boosting_libraries_scores_are_kept(family: str) -> None:
    library = pytest.importorskip(family)
    made = {
        "lightgbm": lambda: library.LGBMClassifier(n_estimators=30, verbose=-1, n_jobs=1),
        "xgboost": lambda: library.XGBClassifier(n_estimators=30, n_jobs=1),
        "catboost": lambda: library.CatBoostClassifier(
            iterations=30, verbose=0, allow_writing_files=False, thread_count=1
        ),
    }[family]()
    made.fit(*sample())
    model = load_model(sklearn_onnx(made, FEATURES), signature_of(FEATURES))
    matrix = random_matrix(2, 500, FEATURES, 0.0)
    assert np.abs(model.score(matrix) - made.predict_proba(matrix)[:, 1]).max() < TOLERANCE


@pytest.mark.parametrize("leaves", [2, 31, 300])
def test_lightgbm_with_missing_values_and_calibration(leaves: int) -> None:
    lightgbm = pytest.importorskip("lightgbm")
    matrix, label = sample()
    matrix[np.random.default_rng(3).random(matrix.shape) < 0.1] = np.nan
    made = lightgbm.LGBMClassifier(n_estimators=20, num_leaves=leaves, min_child_samples=2, verbose=-1, n_jobs=1)
    booster = made.fit(matrix, label).booster_
    asked = random_matrix(2, 500, FEATURES, 0.2)
    model = load_model(lightgbm_onnx(booster.model_to_string(), 0.7, -0.2), signature_of(FEATURES))
    wanted = 1 / (1 + np.exp(-(0.7 * booster.predict(asked, raw_score=True) - 0.2)))
    assert np.abs(model.score(asked) - wanted).max() < TOLERANCE
    other = load_model(lightgbm_onnx(booster.model_to_string()), signature_of(FEATURES), "onnxruntime")
    assert np.abs(other.score(asked) - booster.predict(asked)).max() < TOLERANCE


def test_a_pickle_is_converted_once_and_only_when_trusted(tmp_path: Path) -> None:
    estimator, _ = estimators()["forest"]
    joblib.dump(estimator.fit(*sample()), tmp_path / "model.joblib")
    with pytest.raises(ConfigurationError, match="--trusted"):
        import_model(tmp_path / "model.joblib")
    said: list[str] = []
    found = import_model(tmp_path / "model.joblib", trusted=True, say=said.append)
    assert "without network" in said[0]
    assert found.difference is not None
    assert found.difference < TOLERANCE
    assert "no sockets" in found.isolation
    assert found.kind == "sklearn.RandomForestClassifier"


@pytest.mark.parametrize(
    "content", [b"", b"a,b,c\n1,2,3\n", b"tree\nversion=v4\n", b"\x08\x07\x12\x08skl2onnx", b"\x80\x04\x95\xff"]
)
def test_what_is_no_pickle_is_said(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.joblib").write_bytes(content)
    with pytest.raises(
        InputError, match=r"model\.joblib: cannot be loaded as a pickle .* allowed: what joblib\.dump"
    ) as raised:
        import_model(tmp_path / "model.joblib", trusted=True)
    assert repr(content[:16]) in str(raised.value)


class Gone:
    """A pickle that needs a module that is not here."""

    def __reduce__(self) -> Any:
        return __import__, ("a_library_of_theirs",)


def test_a_pickle_that_needs_a_module_says_which(tmp_path: Path) -> None:
    joblib.dump(Gone(), tmp_path / "model.joblib")
    with pytest.raises(InputError, match="needs the module a_library_of_theirs"):
        import_model(tmp_path / "model.joblib", trusted=True)


class Calls:
    """A pickle that calls home when it is loaded."""

    def __reduce__(self) -> Any:
        import socket

        return socket.create_connection, (("127.0.0.1", 9),)


def test_a_pickle_that_calls_home_is_stopped(tmp_path: Path) -> None:
    joblib.dump(Calls(), tmp_path / "model.joblib")
    with pytest.raises(InputError, match="may not use the network"):
        import_model(tmp_path / "model.joblib", trusted=True)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("model.txt", "no trees here", "found no trees"),
        ("model.txt", "tree\nnum_class=3\n\nTree=0\nnum_leaves=1\n", "several classes"),
        ("model.txt", "tree\nnum_class=1\n\nTree=0\nnum_leaves=2\nleaf_value=1\n", "found 0 of decision_type"),
        ("model.txt", "tree\nnum_class=1\n\nTree=0\nnum_leaves=-4\n", "found a tree of -4"),
        ("model.bin", "x", "found the ending .bin"),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path: Path, name: str, content: str, said: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=said):
        import_model(tmp_path / name)


def test_nothing_unpickles_but_the_one_process_that_nothing_imports() -> None:
    root = Path(counterfoil.__file__).parent
    loaders = {"pickle", "joblib", "cloudpickle", "dill", "marshal", "shelve"}
    for path in root.rglob("*.py"):
        names = set()
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names |= {(node.module or "").partition(".")[0], node.module or ""}
                names |= {f"{node.module}.{alias.name}" for alias in node.names}
        if path.name != "unpickling.py":
            assert not names & loaders, path
        assert "counterfoil.models.unpickling" not in names, path
        assert "allow_pickle=True" not in path.read_text("utf-8"), path
