"""Turn a pickled estimator into ONNX, once, in a process of its own: ``python -m counterfoil.models.unpickling``.

Loading a pickle runs whatever code its author put into it. So this is the one module that does it; nothing imports it
(a test and a contract of the imports hold that), it is only ever started as a process, by ``importing`` and after the
user has said that the file is trusted. It gives up the network first.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import sys
import warnings
from pathlib import Path
from typing import Any, NoReturn

_NEW_NETWORK, _NEW_USER = 0x4000_0000, 0x1000_0000
_ROWS = 1_000
_MEMORY = 8 * 2**30
_SECONDS = 600


def main(arguments: list[str]) -> int:
    """Convert a model: the arguments are its file and the folder for what comes of it."""
    source, folder = Path(arguments[0]), Path(arguments[1])
    isolation = give_up_network()
    resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (_SECONDS, _SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    warnings.simplefilter("ignore")
    try:
        said = _convert(source, folder)
    except Exception as error:
        said = {"error": f"{type(error).__name__}: {error}"[:500]}
    (folder / "said.json").write_text(json.dumps({"isolation": isolation, **said}), "utf-8")
    return 0


def give_up_network() -> str:
    """Leave the network, by the kernel where it lets us, and in any case by refusing every socket; say which."""

    def refuse(event: str, _: Any) -> None:
        if event in ("socket.connect", "socket.bind", "socket.getaddrinfo", "socket.sendto", "socket.__new__"):
            _refuse(event)

    library = ctypes.CDLL(None, use_errno=True)
    unshare = getattr(library, "unshare", None)
    flags = _NEW_NETWORK if os.geteuid() == 0 else _NEW_NETWORK | _NEW_USER
    separated = unshare is not None and unshare(flags) == 0
    sys.addaudithook(refuse)
    return "a network namespace of its own, and no sockets" if separated else "no sockets for Python code"


def _refuse(event: str) -> NoReturn:
    raise PermissionError(f"a model that is imported may not use the network ({event})")


def _convert(source: Path, folder: Path) -> dict[str, Any]:
    import joblib  # noqa: PLC0415 - only here: see the module's first lines
    import numpy as np  # noqa: PLC0415

    from counterfoil.models.conversion import sklearn_onnx  # noqa: PLC0415

    try:
        with source.open("rb") as file:
            estimator = joblib.load(file)
    except PermissionError:
        raise
    except ModuleNotFoundError as error:
        return {"error": f"needs the module {error.name}, which is not installed here; install what made the model"}
    except Exception as error:  # bytes that are no pickle raise anything: KeyError, IndexError, struct.error, …
        return {"error": _no_pickle(source, error)}
    features = int(getattr(estimator, "n_features_in_", 0) or getattr(estimator, "n_features_", 0))
    if features < 1:
        return {"error": f"{type(estimator).__name__}: does not say how many features it has; is it fitted?"}
    (folder / "model.onnx").write_bytes(sklearn_onnx(estimator, features))
    rows = _rows(features)
    expected, with_missing = _expected(estimator, rows)
    if not with_missing:
        rows = np.nan_to_num(rows, nan=0.0)
    np.save(folder / "rows.npy", rows)
    np.save(folder / "expected.npy", expected)
    names = [str(name) for name in getattr(estimator, "feature_names_in_", [])]
    kind = f"{type(estimator).__module__.partition('.')[0]}.{type(estimator).__name__}"
    return {"kind": kind, "features": features, "names": names, "libraries": _libraries(), "missing": with_missing}


def _no_pickle(source: Path, error: Exception) -> str:
    with source.open("rb") as file:
        start = file.read(16)
    return (
        f"cannot be loaded as a pickle ({type(error).__name__}: {str(error)[:200]}): found a file that begins with"
        f" {start!r}; allowed: what joblib.dump or pickle.dump wrote with the versions of libraries that are installed"
        " here; ONNX is imported as .onnx, LightGBM's text as .txt"
    )


def _rows(features: int) -> Any:
    """Return rows of all magnitudes, both signs, zeros and some missing values."""
    import numpy as np  # noqa: PLC0415

    draw = np.random.default_rng(20_260_101)
    rows = draw.choice([-1.0, 1.0], (_ROWS, features)) * 10 ** draw.uniform(-2, 4, (_ROWS, features))
    rows[draw.random(rows.shape) < 0.2] = 0.0
    small = draw.normal(size=(_ROWS // 2, features))
    rows[: _ROWS // 2] = small
    rows[draw.random(rows.shape) < 0.05] = np.nan
    return rows.astype(np.float32)


def _expected(estimator: Any, rows: Any) -> tuple[Any, bool]:
    import numpy as np  # noqa: PLC0415

    try:
        return _asked(estimator, rows), True
    except (ValueError, TypeError):
        return _asked(estimator, np.nan_to_num(rows, nan=0.0)), False


def _asked(estimator: Any, rows: Any) -> Any:
    """Return what the original says; isolation forests as their tables do."""
    import numpy as np  # noqa: PLC0415

    if type(estimator).__name__ == "IsolationForest":
        return np.log2(-estimator.score_samples(rows))
    if hasattr(estimator, "predict_proba"):
        return np.asarray(estimator.predict_proba(rows), np.float64)[:, -1]
    return np.asarray(estimator.predict(rows), np.float64).reshape(-1)


def _libraries() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415

    found = {}
    for name in ("scikit-learn", "lightgbm", "xgboost", "xgboost-cpu", "catboost", "skl2onnx", "onnxmltools", "numpy"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
