"""From a training table to a model that can be served: split, fit, calibrate, convert, measure, doubt."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from counterfoil.errors import ConfigurationError, StorageError, nearest
from counterfoil.models.matrix import matrix_of_frame
from counterfoil.models.model import Model, load_model
from counterfoil.models.profile import profile_of
from counterfoil.models.signature import DataRange, Signature
from counterfoil.training.calibration import platt
from counterfoil.training.inputs import choose_inputs
from counterfoil.training.leaks import Suspect, find_leaks
from counterfoil.training.learners import (
    Fitted,
    Parts,
    Settings,
    check_classes,
    fit,
    fit_brought,
    library_versions,
)
from counterfoil.training.measures import Measured, average_precision, best_f1, measure, ranking, roc_auc
from counterfoil.training.split import Split, SplitPlan, split

if TYPE_CHECKING:
    from os import PathLike

    from counterfoil.models.signature import Input
    from counterfoil.training.table import TrainingTable

Matrix = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int8]

PERMUTED_MAX = 30
"""Features that are shuffled one by one: those that matter most."""
_PERMUTED_ROWS = 50_000
_SHUFFLED_TREES = 60
SHUFFLED_AUC_MAX = 0.65
"""A model that learnt from shuffled labels knows nothing. Where it ranks better than this, the rows themselves tell."""
_PARITY = 1e-6


@dataclass(frozen=True, slots=True)
class Told:
    """How far training is."""

    what: str
    done: int
    of: int


@dataclass(frozen=True, slots=True)
class Importance:
    """What a feature is worth to a model."""

    name: str
    gain: float | None
    """Its part of what the model says of itself: the trees' gain, or the size of its weight."""
    drop: float | None
    """What average precision loses on the test when its column is shuffled; None where it was not tried."""


@dataclass(frozen=True)
class Trained:
    """A model, and all that is known of it.

    ``write`` puts it into files, ``report`` draws, and a registry takes ``onnx`` and ``signature``.
    """

    onnx: bytes
    signature: Signature
    split: Split
    test: Measured | None
    """On the test rows; None where there are none."""
    scores: Floats
    """Of the test rows, in their order, from the ONNX file."""
    labels: Labels
    """Of the test rows."""
    values: Floats | None
    """Amounts of the test rows."""
    importances: tuple[Importance, ...]
    suspects: tuple[Suspect, ...]
    shuffled_auc: float | None
    """Of a model that learnt from shuffled labels; None where it was not tried."""
    difference: float
    """Largest difference between the scores of the estimator and of the ONNX file."""
    seconds: float
    notes: tuple[str, ...]

    def model(self) -> Model:
        """Return the model, loaded from its ONNX file as serving loads it."""
        return load_model(self.onnx, self.signature)

    def write(self, path: str | PathLike[str]) -> tuple[Path, Path]:
        """Write ``path`` (``….onnx``) and its signature beside it (``….json``).

        Raises
        ------
        StorageError
            If they cannot be written.
        """
        onnx = Path(path).with_suffix(".onnx")
        signature = onnx.with_suffix(".json")
        try:
            onnx.write_bytes(self.onnx)
            signature.write_bytes(self.signature.encode())
        except OSError as error:
            reason = error.strerror or str(error)
            raise StorageError(f"{onnx}: cannot be written: {reason}; choose another file") from error
        return onnx, signature

    def report(self, path: str | PathLike[str]) -> Path:
        """Write the report: one HTML file without scripts.

        Raises
        ------
        StorageError
            If it cannot be written.
        """
        from counterfoil.backtest.page import write_page  # noqa: PLC0415 - only who wants a report pays for it
        from counterfoil.training.report import report_html  # noqa: PLC0415

        write_page(Path(path), report_html(self, datetime.now(UTC)))
        return Path(path)

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "model": self.signature.name,
            "kind": self.signature.kind,
            "detector": self.signature.detector,
            "inputs": len(self.signature.inputs),
            "rows": {
                "train": len(self.split.train),
                "validation": len(self.split.validation),
                "test": len(self.split.test),
            },
            "borders": {name: [_moment(start), _moment(end)] for name, (start, end) in self.split.borders.items()},
            "metrics": self.signature.metrics,
            "parameters": self.signature.parameters,
            "seed": self.signature.seed,
            "onnx_difference": self.difference,
            "shuffled_labels_auc": self.shuffled_auc,
            "leak_warnings": [str(each) for each in self.suspects],
            "notes": list(self.notes),
            "seconds": round(self.seconds, 3),
        }


@dataclass(frozen=True, slots=True)
class Training:
    """How a model is made of a table.

    Parameters
    ----------
    model
        ``logistic``, ``lightgbm`` or ``isolation-forest``; left aside where an estimator is brought.
    name
        The model's name in a registry; None for the detector's name.
    plan, settings
        How the table is divided, and how the learner learns.
    include, exclude
        Which columns the model sees.
    calibrate
        Whether scores become probabilities, on the validation rows.
    entity
        The id that somebody looks at, for Card Precision@k; None to leave it out.
    value
        The money field that weighs rows; None for the first one.
    checks
        Whether features are shuffled, and labels, to see what the model rests on. It takes about as long again.
    """

    model: str = "lightgbm"
    name: str | None = None
    plan: SplitPlan = field(default_factory=SplitPlan)
    settings: Settings = field(default_factory=Settings)
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    calibrate: bool = True
    entity: str | None = None
    value: str | None = None
    checks: bool = True


def train(
    table: TrainingTable,
    training: Training | None = None,
    estimator: Any = None,
    on_progress: Callable[[Told], None] | None = None,
) -> Trained:
    """Make a model of a training table.

    The same table, settings and library versions give the same model, to the last bit.

    Parameters
    ----------
    table
        A table that ``counterfoil dataset`` wrote.
    training
        How; None for LightGBM with usual settings.
    estimator
        An estimator with the interface of scikit-learn, not fitted yet: used in place of ``training.model``.
    on_progress
        Told what is going on.

    Raises
    ------
    ConfigurationError
        If something that was asked for does not exist, or packages are missing.
    InputError
        If the table has nothing to learn from.

    Examples
    --------
    >>> from counterfoil.training import Training, TrainingTable, train
    >>> trained = train(TrainingTable.read("table.parquet"), Training(model="logistic"))  # doctest: +SKIP
    >>> trained.test.average_precision, trained.report("report.html")  # doctest: +SKIP
    """
    return _Run(table, training or Training(), estimator, on_progress).run()


class _Run:
    """One training, step by step."""

    def __init__(
        self, table: TrainingTable, training: Training, estimator: Any, on_progress: Callable[[Told], None] | None
    ) -> None:
        self.table = table
        self.training = training
        self.estimator = estimator
        self.notes: list[str] = []
        self._on_progress = on_progress
        self._labelled = estimator is not None or training.model != "isolation-forest"
        self._entity = _column(table, training.entity, "--entity", ("id",))
        self._value = _column(table, training.value, "--value", ("money", "float", "int"))
        if training.value is None:
            self._value = next((name for name, kind in table.content.types.items() if kind == "money"), None)

    def tell(self, what: str, done: int, of: int) -> None:
        if self._on_progress is not None:
            self._on_progress(Told(what, done, of))

    def run(self) -> Trained:
        started = time.perf_counter()
        divided = split(self.table, self.training.plan, self._labelled)
        linear = self.estimator is None and self.training.model == "logistic"
        inputs = choose_inputs(
            self.table, divided.train, self.training.include, self.training.exclude, texts=not linear
        )
        parts = self._parts(divided, inputs)
        suspects = find_leaks(parts.train, [each.name for each in inputs], parts.train_labels)
        fitted = self._fit(parts, self.tell)
        inputs = [replace_missing(each, value) for each, value in zip(inputs, fitted.missing, strict=True)]
        slope, intercept = self._calibration(fitted, parts)
        self.tell("converting", 0, 1)
        onnx = fitted.onnx(slope, intercept)
        signature = self._signature(divided, inputs, fitted, parts)
        model = load_model(onnx, signature)
        difference = _difference(model, fitted, parts.train[:5_000], slope, intercept)
        self.tell("measuring", 0, 1)
        matrix = matrix_of_frame(self.table.frame[divided.test], inputs)
        scores = model.score(matrix) if len(matrix) else np.zeros(0)
        labels = divided.labels[divided.test]
        measured = self._measured(divided, scores, labels, model, parts)
        importances = self._importances(model, fitted, inputs, matrix, labels, measured)
        shuffled = self._shuffled(parts, matrix, labels)
        profile = profile_of(inputs, parts.train, model.score(parts.train))
        metrics = {} if measured is None else measured.as_metrics()
        signature = _with(signature, metrics, profile, tuple(self.notes))
        return Trained(
            onnx, signature, divided, measured, scores, labels, self._values(divided.test), importances,
            tuple(suspects), shuffled, difference, time.perf_counter() - started, tuple(self._all_notes(difference)),
        )  # fmt: skip

    def _parts(self, divided: Split, inputs: Sequence[Input]) -> Parts:
        train = matrix_of_frame(self.table.frame[divided.train], inputs)
        validation = matrix_of_frame(self.table.frame[divided.validation], inputs)
        if self._labelled:
            check_classes(divided.labels[divided.train])
        return Parts(train, divided.labels[divided.train], validation, divided.labels[divided.validation])

    def _fit(self, parts: Parts, tell: Callable[[str, int, int], None]) -> Fitted:
        if self.estimator is not None:
            return fit_brought(self.estimator, parts, self.training.settings, tell)
        return fit(self.training.model, parts, self.training.settings, tell)

    def _calibration(self, fitted: Fitted, parts: Parts) -> tuple[float, float]:
        if not self.training.calibrate or not fitted.calibrates:
            if self.training.calibrate and self.estimator is not None:
                self.notes.append("Scores are what the estimator says: wrap it in CalibratedClassifierCV to calibrate.")
            return 1.0, 0.0
        if not len(parts.validation):
            self.notes.append("No validation rows, so scores are not calibrated and early stopping was off.")
            return 1.0, 0.0
        found = platt(fitted.margin(parts.validation), parts.validation_labels)
        if found == (1.0, 0.0):
            self.notes.append("Too few frauds to validate on, so scores are not calibrated.")
        return found

    def _signature(self, divided: Split, inputs: Sequence[Input], fitted: Fitted, parts: Parts) -> Signature:
        times = self.table.times[np.concatenate([divided.train, divided.validation])]
        frauds = int((parts.train_labels == 1).sum() + (parts.validation_labels == 1).sum())
        content = self.table.content
        return Signature(
            self.training.name or content.detector.partition("@")[0],
            fitted.kind,
            content.detector,
            tuple(inputs),
            data=DataRange(
                _moment(int(times.min())), _moment(int(times.max())), len(times),
                frauds if self._labelled else None, content.source,
            ),
            seed=self.training.settings.seed,
            libraries=library_versions(),
            parameters=fitted.parameters,
        )  # fmt: skip

    def _measured(self, divided: Split, scores: Floats, labels: Labels, model: Model, parts: Parts) -> Measured | None:
        if not len(scores) or not (labels == 1).any():
            self.notes.append("No frauds to measure on, so there are no measures.")
            return None
        threshold = None
        if (parts.validation_labels == 1).any():
            _, threshold = best_f1(ranking(model.score(parts.validation), parts.validation_labels))
        cards = None
        if self._entity is not None:
            column = self.table.frame[self._entity].gather(divided.test)
            cards = column.fill_null(0).cast(pl.Int64).to_numpy()
        times, values = self.table.times[divided.test], self._values(divided.test)
        return measure(scores, labels, times, cards, values, threshold)

    def _values(self, rows: npt.NDArray[np.int64]) -> Floats | None:
        if self._value is None:
            return None
        return self.table.frame[self._value].gather(rows).cast(pl.Float64).fill_null(0.0).to_numpy()

    def _importances(
        self,
        model: Model,
        fitted: Fitted,
        inputs: Sequence[Input],
        matrix: Matrix,
        labels: Labels,
        measured: Measured | None,
    ) -> tuple[Importance, ...]:
        """Return what each feature is worth, the most first; those that matter most are shuffled one by one."""
        gains: list[float | None] = [None] * len(inputs) if fitted.importance is None else fitted.importance.tolist()
        order = sorted(range(len(inputs)), key=lambda index: -(gains[index] or 0.0))
        drops: dict[int, float] = {}
        if self.training.checks and measured is not None:
            rows = _even(labels, _PERMUTED_ROWS)
            some, truth = matrix[rows], labels[rows]
            base = average_precision(ranking(model.score(some), truth))
            random = np.random.default_rng(self.training.settings.seed)
            for step, index in enumerate(order[:PERMUTED_MAX]):
                self.tell("shuffling features", step, min(len(order), PERMUTED_MAX))
                changed = some.copy()
                changed[:, index] = random.permutation(changed[:, index])
                drops[index] = base - average_precision(ranking(model.score(changed), truth))
        return tuple(Importance(inputs[index].name, gains[index], drops.get(index)) for index in order)

    def _shuffled(self, parts: Parts, matrix: Matrix, labels: Labels) -> float | None:
        """Return the AUC on the test of a model that learnt from shuffled labels: it must know nothing."""
        wanted = self.training.checks and self._labelled and self.estimator is None
        if not wanted or not len(labels) or not (labels == 1).any():
            return None
        random = np.random.default_rng(self.training.settings.seed)
        empty = parts.validation[:0], parts.validation_labels[:0]
        nonsense = Parts(parts.train, random.permutation(parts.train_labels), *empty)
        settings = replace(self.training.settings, trees=min(self.training.settings.trees, _SHUFFLED_TREES), bags=1)
        learnt = fit(self.training.model, nonsense, settings, lambda *_: self.tell("shuffling labels", 0, 1))
        return roc_auc(ranking(learnt.margin(matrix), labels))

    def _all_notes(self, difference: float) -> list[str]:
        found = list(self.notes)
        if difference > _PARITY:
            found.append(f"The ONNX file differs from the estimator by up to {difference:.2g}: look at its conversion.")
        return found


def replace_missing(each: Input, missing: float | None) -> Input:
    """Return an input with what its nulls become."""
    return type(each)(each.name, each.type, missing, each.values)


def _with(signature: Signature, metrics: dict[str, float], profile: dict[str, Any], notes: Sequence[str]) -> Signature:
    import msgspec  # noqa: PLC0415

    changed: Signature = msgspec.structs.replace(signature, metrics=metrics, profile=profile, notes=" ".join(notes))
    return changed


def _difference(model: Model, fitted: Fitted, matrix: Matrix, slope: float, intercept: float) -> float:
    """Return the largest difference between the estimator's scores and those of the ONNX file."""
    from counterfoil.training.calibration import logistic  # noqa: PLC0415

    margin = fitted.margin(matrix)
    expected = logistic(slope * margin + intercept) if fitted.calibrates else margin
    found = model.score(matrix)
    return float(np.max(np.abs(found - expected))) if len(found) else 0.0


def _even(labels: Labels, most: int) -> npt.NDArray[np.int64]:
    """Return all frauds and an even choice of the others, in order."""
    frauds, others = np.flatnonzero(labels == 1), np.flatnonzero(labels != 1)
    step = max(1, -(-len(others) // max(most - len(frauds), 1)))
    return np.sort(np.concatenate([frauds, others[::step]]))


def _column(table: TrainingTable, name: str | None, option: str, kinds: Sequence[str]) -> str | None:
    if name is None:
        return None
    fitting = [each for each, kind in table.content.types.items() if kind in kinds]
    if name not in fitting:
        hint = nearest(name, fitting)
        message = f'{option}: found "{name}"; allowed: {", ".join(fitting) or "none in this table"}'
        raise ConfigurationError(message + (f"; {hint}" if hint else ""))
    return name


def _moment(microseconds: int) -> str:
    found = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
    return found.isoformat().replace("+00:00", "Z")
