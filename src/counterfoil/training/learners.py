"""What learns: logistic regression, LightGBM, isolation forest, or an estimator that somebody brings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from counterfoil.errors import ConfigurationError, InputError

if TYPE_CHECKING:
    from counterfoil.models.trees import TreeTables

Matrix = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int8]

LEARNERS = ("logistic", "lightgbm", "isolation-forest")
_BLOCK = 65_536


@dataclass(frozen=True, slots=True)
class Settings:
    """How a learner learns.

    Parameters
    ----------
    seed
        For everything that is drawn.
    class_weight
        What a fraud weighs beside a genuine payment: ``none``, ``balanced`` (both classes weigh the same), or a number.
    trees
        At most so many trees; with validation rows early stopping takes fewer.
    learning_rate, leaves, least_rows
        Of LightGBM: what each tree adds, leaves of a tree, rows of a leaf.
    column_share, split_share, row_share
        Of LightGBM: the part of the columns that each tree and each split chooses from, and of the rows that each tree
        sees.
    bags
        Of LightGBM: so many ensembles, each with a seed of its own, whose margins are averaged. Steadier, and slower.
    patience
        Early stopping: trees without a better average precision on the validation rows.
    strength
        Of the logistic regression: the inverse of its L2 penalty.
    threads
        Threads that learn. The result is the same for any number of them.
    """

    seed: int = 1
    class_weight: str = "none"
    trees: int = 500
    learning_rate: float = 0.03
    leaves: int = 12
    least_rows: int = 10
    column_share: float = 0.5
    split_share: float = 0.3
    row_share: float = 0.6
    bags: int = 1
    patience: int = 50
    strength: float = 0.1
    threads: int = 1

    def __post_init__(self) -> None:
        for name, low, high in (
            ("trees", 1, 10_000), ("leaves", 2, 1_024), ("least_rows", 1, 10**6), ("bags", 1, 50),
            ("patience", 1, 10_000), ("threads", 1, 1_024), ("seed", 0, 2**31 - 1),
        ):  # fmt: skip
            if not low <= getattr(self, name) <= high:
                option = name.replace("_", "-")
                raise ConfigurationError(f"--{option}: found {getattr(self, name):,}; allowed: {low:,} to {high:,}")
        for name, top in (("learning_rate", 1.0), ("column_share", 1.0), ("split_share", 1.0), ("row_share", 1.0)):
            if not 0 < getattr(self, name) <= top:
                option = name.replace("_", "-")
                raise ConfigurationError(f"--{option}: found {getattr(self, name):g}; allowed: above 0, up to {top:g}")
        self.fraud_weight(1, 1)

    def fraud_weight(self, frauds: int, genuine: int) -> float:
        """Return what a fraud weighs."""
        if self.class_weight == "none":
            return 1.0
        if self.class_weight == "balanced":
            return genuine / max(frauds, 1)
        try:
            weight = float(self.class_weight)
        except ValueError:
            weight = 0.0
        if not 0 < weight < 1e9:
            message = f'--class-weight: found "{self.class_weight}"; allowed: none, balanced, or a number above 0'
            raise ConfigurationError(message)
        return weight


@dataclass(frozen=True, slots=True)
class Parts:
    """The rows that a learner sees; NaN for null."""

    train: Matrix
    train_labels: Labels
    validation: Matrix
    validation_labels: Labels


class Fitted(Protocol):
    """What came of learning."""

    missing: Sequence[float | None]
    """What a null of each column becomes; None where the model takes care of it."""
    parameters: dict[str, str | int | float | bool | None]
    importance: Floats | None
    """One for each column, adding up to one; None where the model does not say."""

    @property
    def kind(self) -> str:
        """What sort of model it is."""
        ...

    def margin(self, matrix: Matrix) -> Floats:
        """Return what the estimator says of each row before any calibration: log-odds, or any rank."""
        ...

    def onnx(self, slope: float, intercept: float) -> bytes:
        """Return it as ONNX; calibrated, the score is the logistic function of slope times margin plus intercept."""
        ...

    @property
    def calibrates(self) -> bool:
        """Whether ``onnx`` can fold a calibration in."""
        ...


Tell = Callable[[str, int, int], None]
"""Told what is going on: a word, steps done, steps in all."""


def fit(model: str, parts: Parts, settings: Settings, tell: Tell) -> Fitted:
    """Let a built-in learner learn.

    Raises
    ------
    ConfigurationError
        If there is no such learner, or its packages are missing.
    InputError
        If the rows lack one of the classes.
    """
    if model not in LEARNERS:
        raise ConfigurationError(f'--model: found "{model}"; allowed: {", ".join(LEARNERS)}')
    if model != "isolation-forest":
        check_classes(parts.train_labels)
    if model == "logistic":
        return _fit_logistic(parts, settings, tell)
    if model == "lightgbm":
        return _fit_lightgbm(parts, settings, tell)
    return _fit_forest(parts, settings, tell)


def check_classes(labels: Labels) -> None:
    """Refuse rows of one class only.

    Raises
    ------
    InputError
        If there are no frauds, or nothing but frauds.
    """
    frauds = int((labels == 1).sum())
    if frauds == 0 or frauds == len(labels):
        raise InputError(
            f"table: found {frauds:,} frauds among {len(labels):,} rows to learn from; allowed: some of both;"
            " see --labels, --label-delay and --from"
        )


def needed(name: str) -> Any:
    """Import a package of the extra.

    Raises
    ------
    ConfigurationError
        If it is not installed.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise ConfigurationError("training needs more packages: pip install 'counterfoil[models]'") from error


def library_versions(names: Sequence[str] = ("lightgbm", "numpy", "onnx", "polars", "scikit-learn")) -> dict[str, str]:
    """Return the versions of what learns."""
    return {name: version(name) for name in names}


def medians(matrix: Matrix) -> Floats:
    """Return each column's median without nulls; 0 where there is nothing but nulls."""
    found = np.zeros(matrix.shape[1])
    for column in range(matrix.shape[1]):
        values = matrix[:, column]
        values = values[np.isfinite(values)]
        if len(values):
            found[column] = np.median(values)
    # What serves has float32: the same number must fill the gaps there.
    return found.astype(np.float32).astype(np.float64)


def filled(matrix: Matrix, missing: Sequence[float | None]) -> Matrix:
    """Return a matrix with nulls replaced."""
    found = matrix.copy()
    for column, value in enumerate(missing):
        if value is not None:
            found[np.isnan(found[:, column]), column] = value
    return found


# Logistic regression -------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Logistic:
    estimator: Any
    mean: Floats
    scale: Floats
    missing: Sequence[float | None]
    parameters: dict[str, str | int | float | bool | None]
    importance: Floats | None
    kind: str = "logistic"
    calibrates: bool = True

    def margin(self, matrix: Matrix) -> Floats:
        scaled = (filled(matrix, self.missing).astype(np.float64) - self.mean) / self.scale
        found: Floats = self.estimator.decision_function(scaled)
        return found

    def onnx(self, slope: float, intercept: float) -> bytes:
        from counterfoil.models.onnx_writing import linear_onnx  # noqa: PLC0415 - needs the extra

        weights = self.estimator.coef_[0] * slope
        constant = float(self.estimator.intercept_[0]) * slope + intercept
        return linear_onnx(weights, constant, self.mean, self.scale)


def _fit_logistic(parts: Parts, settings: Settings, tell: Tell) -> _Logistic:
    linear = needed("sklearn.linear_model")
    tell("logistic regression", 0, 1)
    middle = medians(parts.train)
    dense = filled(parts.train, middle.tolist()).astype(np.float64)
    mean, scale = dense.mean(axis=0), dense.std(axis=0)
    scale[scale == 0] = 1.0
    weight = settings.fraud_weight(*_classes(parts.train_labels))
    estimator = linear.LogisticRegression(C=settings.strength, max_iter=2_000, random_state=settings.seed)
    fraud = parts.train_labels == 1
    estimator.fit((dense - mean) / scale, fraud.astype(np.int64), sample_weight=np.where(fraud, weight, 1.0))
    tell("logistic regression", 1, 1)
    strength = np.abs(estimator.coef_[0])
    parameters: dict[str, str | int | float | bool | None] = {
        "strength": settings.strength,
        "class_weight": settings.class_weight,
        "fraud_weight": weight,
    }
    return _Logistic(estimator, mean, scale, middle.tolist(), parameters, strength / max(strength.sum(), 1e-300))


def _classes(labels: Labels) -> tuple[int, int]:
    return int((labels == 1).sum()), int((labels != 1).sum())


# LightGBM ------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _LightGbm:
    boosters: list[Any]
    missing: Sequence[float | None]
    parameters: dict[str, str | int | float | bool | None]
    importance: Floats | None
    kind: str = "lightgbm"
    calibrates: bool = True

    def margin(self, matrix: Matrix) -> Floats:
        wide = matrix.astype(np.float64)
        found: Floats = np.mean([each.predict(wide, raw_score=True, num_threads=1) for each in self.boosters], axis=0)
        return found

    def onnx(self, slope: float, intercept: float) -> bytes:
        from counterfoil.models.lightgbm_file import read_lightgbm  # noqa: PLC0415
        from counterfoil.models.onnx_writing import trees_onnx  # noqa: PLC0415 - needs the extra

        share = slope / len(self.boosters)
        tables = [read_lightgbm(each.model_to_string(), share) for each in self.boosters]
        return trees_onnx(joined(tables, intercept), len(self.missing))


def joined(tables: Sequence[TreeTables], base: float) -> TreeTables:
    """Return the trees of several tables as one, which gives the sum of their margins and ``base``."""
    from counterfoil.models.trees import TreeTables  # noqa: PLC0415

    starts = np.cumsum([0, *(len(each.feature) for each in tables)])
    shifted = list(zip(tables, starts, strict=False))
    covers = [each.cover for each in tables if each.cover is not None]
    return TreeTables.of_lists(
        np.concatenate([each.root + start for each, start in shifted]),
        np.concatenate([each.feature for each in tables]),
        np.concatenate([each.threshold for each in tables]),
        np.concatenate([each.left + start for each, start in shifted]),
        np.concatenate([each.right + start for each, start in shifted]),
        np.concatenate([each.missing_left for each in tables]),
        np.concatenate([each.value for each in tables]),
        np.concatenate(covers) if len(covers) == len(tables) else None,
        base + sum(each.base for each in tables),
        tables[0].link,
    )


_EARLY_FRAUDS = 10
"""With fewer frauds to validate on, early stopping would follow chance."""


def _fit_lightgbm(parts: Parts, settings: Settings, tell: Tell) -> _LightGbm:
    lightgbm = needed("lightgbm")
    weight = settings.fraud_weight(*_classes(parts.train_labels))
    stops = int((parts.validation_labels == 1).sum()) >= _EARLY_FRAUDS
    boosters = [_boost(lightgbm, parts, settings, weight, stops, bag, tell) for bag in range(settings.bags)]
    gain = np.sum([each.feature_importance("gain") for each in boosters], axis=0).astype(np.float64)
    parameters: dict[str, str | int | float | bool | None] = {
        "trees": sum(each.num_trees() for each in boosters),
        "early_stopping": stops,
        "fraud_weight": weight,
        **{name: getattr(settings, name) for name in ("learning_rate", "leaves", "least_rows", "bags", "class_weight")},
        **{name: getattr(settings, name) for name in ("column_share", "split_share", "row_share")},
    }
    missing = [None] * parts.train.shape[1]
    return _LightGbm(boosters, missing, parameters, gain / max(gain.sum(), 1e-300))


def _boost(lightgbm: Any, parts: Parts, settings: Settings, weight: float, stops: bool, bag: int, tell: Tell) -> Any:
    given: dict[str, Any] = {
        "objective": "binary",
        "metric": "average_precision" if stops else "None",
        "learning_rate": settings.learning_rate,
        "num_leaves": settings.leaves,
        "min_data_in_leaf": settings.least_rows,
        # Without a floor a leaf of almost certain rows grows values without bound: rare classes lose half of their
        # average precision so.
        "min_sum_hessian_in_leaf": 0.5,
        "lambda_l2": 1.0,
        "feature_fraction": settings.column_share,
        "feature_fraction_bynode": settings.split_share,
        "bagging_fraction": settings.row_share,
        "bagging_freq": 1 if settings.row_share < 1 else 0,
        "max_bin": 1_023,
        "min_data_in_bin": 1,
        "scale_pos_weight": weight,
        "seed": settings.seed * 1_000 + bag,
        "num_threads": settings.threads,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }  # fmt: skip
    train = lightgbm.Dataset(parts.train.astype(np.float64), parts.train_labels, params=given, free_raw_data=True)
    callbacks: list[Any] = [_told(tell, bag, settings)]
    watched = []
    if stops:
        watched = [lightgbm.Dataset(parts.validation.astype(np.float64), parts.validation_labels, reference=train)]
        callbacks.append(lightgbm.early_stopping(settings.patience, verbose=False))
    return _best(lightgbm.train(given, train, settings.trees, valid_sets=watched, callbacks=callbacks), stops, lightgbm)


def _best(booster: Any, stopped: bool, lightgbm: Any) -> Any:
    """Return the booster with nothing behind its best tree."""
    if not stopped or booster.best_iteration <= 0:
        return booster
    return lightgbm.Booster(model_str=booster.model_to_string(num_iteration=booster.best_iteration))


def _told(tell: Tell, bag: int, settings: Settings) -> Callable[[Any], None]:
    def callback(environment: Any) -> None:
        done = bag * settings.trees + environment.iteration + 1
        tell("trees", done, settings.bags * settings.trees)

    return callback


# Isolation forest ----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _IsolationForest:
    """Scores 1 - (mean path length) / (that of a random tree): 0 is usual, towards 1 is more and more unusual.

    That is ``1 + log2(-score_samples)``: the same order as scikit-learn's, as a plain sum over trees.

    References
    ----------
    Liu, Ting, Zhou: Isolation Forest, ICDM 2008.
    """

    estimator: Any
    missing: Sequence[float | None]
    parameters: dict[str, str | int | float | bool | None]
    importance: Floats | None = None
    kind: str = "isolation-forest"
    calibrates: bool = False

    def margin(self, matrix: Matrix) -> Floats:
        dense = filled(matrix, self.missing)
        blocks = [self.estimator.score_samples(dense[at : at + _BLOCK]) for at in range(0, len(dense), _BLOCK)]
        found: Floats = 1 + np.log2(-np.concatenate(blocks)) if blocks else np.zeros(0)
        return found

    def onnx(self, slope: float, intercept: float) -> bytes:
        from counterfoil.models.onnx_writing import trees_onnx  # noqa: PLC0415 - needs the extra

        assert (slope, intercept) == (1.0, 0.0)
        return trees_onnx(forest_tables(self.estimator), len(self.missing))


def forest_tables(estimator: Any) -> TreeTables:
    """Return a fitted isolation forest as trees whose leaves hold minus their share of the path length."""
    from counterfoil.models.trees import TreeTables  # noqa: PLC0415

    usual = _random_path(np.array([estimator.max_samples_]))[0] * len(estimator.estimators_)
    columns: dict[str, list[Any]] = {name: [] for name in ("feature", "threshold", "left", "right", "value", "cover")}
    roots, nodes = [], 0
    for each, used in zip(estimator.estimators_, estimator.estimators_features_, strict=True):
        tree = each.tree_
        leaf = tree.children_left < 0
        length = _depths(tree) + _random_path(tree.n_node_samples)
        roots.append(nodes)
        columns["feature"].append(np.where(leaf, -1, np.asarray(used)[np.where(leaf, 0, tree.feature)]))
        columns["threshold"].append(np.where(leaf, 0.0, tree.threshold))
        columns["left"].append(np.where(leaf, 0, tree.children_left + nodes))
        columns["right"].append(np.where(leaf, 0, tree.children_right + nodes))
        columns["value"].append(np.where(leaf, -length / usual, 0.0))
        columns["cover"].append(tree.n_node_samples.astype(np.float64))
        nodes += len(leaf)
    joint = {name: np.concatenate(parts) for name, parts in columns.items()}
    return TreeTables.of_lists(
        roots, joint["feature"], joint["threshold"], joint["left"], joint["right"], np.zeros(nodes, np.bool_),
        joint["value"], joint["cover"], base=1.0,
    )  # fmt: skip


def _depths(tree: Any) -> Floats:
    depth = np.zeros(tree.node_count)
    for node in range(tree.node_count):
        if tree.children_left[node] >= 0:
            depth[[tree.children_left[node], tree.children_right[node]]] = depth[node] + 1
    return depth


def _random_path(sizes: npt.NDArray[Any]) -> Floats:
    """Return the mean path length of an unsuccessful search in a random tree of so many rows."""
    found = np.zeros(len(sizes))
    found[sizes == 2] = 1.0
    many = sizes > 2
    size = sizes[many].astype(np.float64)
    found[many] = 2.0 * (np.log(size - 1.0) + np.euler_gamma) - 2.0 * (size - 1.0) / size
    return found


def _fit_forest(parts: Parts, settings: Settings, tell: Tell) -> _IsolationForest:
    ensemble = needed("sklearn.ensemble")
    tell("isolation forest", 0, 1)
    middle = medians(parts.train)
    estimator = ensemble.IsolationForest(
        n_estimators=min(settings.trees, 200), max_samples=min(256, len(parts.train)), random_state=settings.seed,
        n_jobs=settings.threads,
    )  # fmt: skip
    estimator.fit(filled(parts.train, middle.tolist()))
    tell("isolation forest", 1, 1)
    return _IsolationForest(estimator, middle.tolist(), {"trees": len(estimator.estimators_)})


# Anything else -------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Brought:
    """An estimator with the interface of scikit-learn that somebody brought: fitted here, converted to ONNX."""

    estimator: Any
    missing: Sequence[float | None]
    parameters: dict[str, str | int | float | bool | None] = field(default_factory=dict)
    importance: Floats | None = None
    calibrates: bool = False

    @property
    def kind(self) -> str:
        """Its class."""
        of = type(self.estimator)
        return f"{of.__module__.partition('.')[0]}.{of.__name__}"

    def margin(self, matrix: Matrix) -> Floats:
        """Return the probability of fraud; of a detector of outliers, how unusual a row is."""
        dense = filled(matrix, self.missing)
        if hasattr(self.estimator, "predict_proba"):
            found: Floats = np.asarray(self.estimator.predict_proba(dense), np.float64)[:, -1]
        elif hasattr(self.estimator, "score_samples"):
            found = -np.asarray(self.estimator.score_samples(dense), np.float64)
        else:
            found = np.asarray(self.estimator.predict(dense), np.float64)
        return found

    def onnx(self, slope: float, intercept: float) -> bytes:
        """Return it as ONNX."""
        conversion = import_module("counterfoil.models.conversion")
        assert (slope, intercept) == (1.0, 0.0)
        found: bytes = conversion.sklearn_onnx(self.estimator, len(self.missing))
        return found


def fit_brought(estimator: Any, parts: Parts, settings: Settings, tell: Tell) -> Brought:
    """Fit an estimator that somebody brought, on a copy of it.

    It sees medians in place of nulls unless it says that it allows for them. ``class_weight`` becomes sample weights.
    """
    base, inspect = needed("sklearn.base"), needed("sklearn.utils")
    tell(type(estimator).__name__, 0, 1)
    copy = base.clone(estimator)
    tags = inspect.get_tags(copy) if hasattr(copy, "__sklearn_tags__") else None
    takes_nulls = tags is not None and tags.input_tags.allow_nan
    missing: Sequence[float | None] = [None] * parts.train.shape[1]
    if not takes_nulls:
        missing = medians(parts.train).tolist()
    weight = settings.fraud_weight(*_classes(parts.train_labels))
    given = {} if weight == 1.0 else {"sample_weight": np.where(parts.train_labels == 1, weight, 1.0)}
    copy.fit(filled(parts.train, missing), (parts.train_labels == 1).astype(np.int64), **given)
    tell(type(estimator).__name__, 1, 1)
    return Brought(copy, missing, {"estimator": repr(estimator)[:500], "class_weight": settings.class_weight})
