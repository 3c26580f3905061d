"""Models in a running system: which versions serve, how they are swapped, fenced off and performed again.

A ``Lineup`` says which version of each model serves; it never changes. The runtime takes one for each batch, so a swap
falls between two batches: the watch on the registry loads the new version, fits the mapping of its scores and puts a
new line-up in place of the old, all beside the stream. What served a batch is recorded with it, and every file that
ever served is kept in the state folder: a repeat needs neither the registry nor luck.
"""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from counterfoil.errors import CounterfoilError, InputError, StorageError
from counterfoil.events.batch import Batch, Bytes, Texts, Words
from counterfoil.models import kernel
from counterfoil.models.definition import ModelUse
from counterfoil.models.explanations import Explainer
from counterfoil.models.mapping import IDENTITY, ROWS_LEAST, fit_mapping
from counterfoil.models.mapping import Mapping as ScoreMapping
from counterfoil.models.matrix import MatrixPlan
from counterfoil.models.model import Model, load_model
from counterfoil.models.registry import open_registry, write_file
from counterfoil.models.scores import ABSENT, FENCED, OVERRAN, RAISED, SERVED, ModelScores, Served, slots_of
from counterfoil.models.signature import Signature
from counterfoil.observability import get_logger

if TYPE_CHECKING:
    from counterfoil.models.registry import Registry, Version

FOLDER_NAME = "models"
_CURRENT = "current.json"
CHUNK = 4_096
"""Rows between two looks at the clock: what a budget is stated for."""
RECENT_ROWS = 65_536
"""Recent decisions that mappings are fitted on."""
_RECENT_OF_BATCH = 2_048
_REFIT_ROWS = 5_000
"""Where too few decisions were known at a swap, the mapping is fitted once there are so many."""
_FENCE_SECONDS, _FENCE_SECONDS_MAX = 1.0, 300.0
"""How long a model is left out after a fault; twice as long after each further one."""
_REASONS = 5

_log = get_logger(__name__)


class Planner(Protocol):
    """Knows how a model's matrix is made of events: ``decisions.model_scoring.ModelScoring`` is one."""

    def plan(self, signature: Signature, sha256: str = "", /) -> MatrixPlan:
        """Return where its columns come from, or raise InputError where the detector lacks one."""
        ...


class Watcher(Protocol):
    """Is told what happens to models: metrics are one."""

    def model_swapped(self, name: str, reference: str) -> None:
        """Note that another version serves."""
        ...

    def model_failed(self, name: str, reason: str, fenced: bool) -> None:
        """Note that a model failed, and whether it is left out from now on."""
        ...

    def model_took(self, name: str, seconds: float) -> None:
        """Note how long a model took for a batch."""
        ...


@dataclass(frozen=True, slots=True)
class ServingModel:
    """A version with the mapping of its scores.

    Parameters
    ----------
    reference
        ``payments@3``.
    model
        The loaded model.
    mapping
        From its scores to those that thresholds are meant for.
    words
        How features are called when reasons are told.
    """

    reference: str
    model: Model
    mapping: ScoreMapping = IDENTITY
    words: Mapping[str, str] = field(default_factory=dict)
    _explainer: list[Explainer] = field(default_factory=list, compare=False)

    @property
    def signature(self) -> Signature:
        """What it expects."""
        return self.model.signature

    @property
    def sha256(self) -> str:
        """The hash of its content."""
        return self.model.sha256

    def map(self, raw: kernel.Doubles) -> kernel.Doubles:
        """Return raw scores on the scale of the thresholds."""
        return self.mapping.apply(raw)

    def explain(self, rows: npt.NDArray[np.float32]) -> list[Any]:
        """Return why rows (rows, features) are scored as they are, each for JSON."""
        try:
            if not self._explainer:
                self._explainer.append(Explainer(self.model, self.words))
            return [each.as_dict() for each in self._explainer[0].explain(rows, _REASONS)]
        except Exception as error:
            # A decision without reasons is better than none.
            _log.warning("reasons of a model failed", model=self.reference, reason=str(error)[:300])
            return [{"method": "failed", "features": []} for _ in rows]

    def served(self, name: str, status: str) -> Served:
        """Return what is recorded of it."""
        return Served(name, self.reference, self.sha256, self.mapping.sha256, status)


Lineup = tuple[ServingModel | None, ...]
"""The version of each model of the definition; None where there is none."""


class ModelFiles:
    """The models that ever served a state folder, by the hash of their content.

    Parameters
    ----------
    folder
        The state folder; None to keep nothing.
    words
        How features are called when reasons are told.
    """

    def __init__(self, folder: Path | None, words: Mapping[str, str] | None = None) -> None:
        self._folder = None if folder is None else folder / FOLDER_NAME
        self._words = dict(words or {})
        self._loaded: dict[tuple[str, str], ServingModel] = {}

    def keep(self, model: Model, reference: str, mapping: ScoreMapping, onnx: bytes | None) -> ServingModel:
        """Make a version durable before it serves, and return it."""
        serving = ServingModel(reference, model, mapping, self._words)
        if self._folder is not None:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if onnx is not None:
                write_file(self._folder / f"{model.sha256}.json", model.signature.encode())
                write_file(self._folder / f"{model.sha256}.onnx", onnx)
            if mapping.sha256:
                write_file(self._folder / f"mapping-{mapping.sha256}.json", mapping.encode())
        self._loaded[model.sha256, mapping.sha256] = serving
        return serving

    def load(self, served: Served) -> ServingModel:
        """Return a version that served before.

        Raises
        ------
        StorageError
            If its files are gone or damaged.
        """
        known = self._loaded.get((served.sha256, served.mapping))
        if known is not None:
            return replace(known, reference=served.reference) if known.reference != served.reference else known
        if self._folder is None:
            raise StorageError(f"{served.reference}: is needed for a repeat, and nothing was kept of it")
        try:
            onnx = (self._folder / f"{served.sha256}.onnx").read_bytes()
            signature = Signature.decode((self._folder / f"{served.sha256}.json").read_bytes())
            mapping = IDENTITY
            if served.mapping:
                mapping = ScoreMapping.decode((self._folder / f"mapping-{served.mapping}.json").read_bytes())
            model = load_model(onnx, signature, probed=True)
        except (OSError, InputError) as error:
            raise StorageError(
                f"{self._folder}: {served.reference} served here and cannot be read: {error}; restore the folder"
            ) from error
        if model.sha256 != served.sha256 or mapping.sha256 != served.mapping:
            raise StorageError(f"{self._folder}: {served.reference} is not what served; restore the folder from a copy")
        return self.keep(model, served.reference, mapping, None)

    def current(self) -> dict[str, Served]:
        """Return what served last, by name."""
        if self._folder is None or not (self._folder / _CURRENT).exists():
            return {}
        try:
            rows = json.loads((self._folder / _CURRENT).read_text("utf-8"))
            return {row[0]: Served(*row) for row in rows}
        except (OSError, ValueError, TypeError, IndexError):
            return {}

    def put_current(self, served: Sequence[Served]) -> None:
        """Note what serves now."""
        if self._folder is None:
            return
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = self._folder / f"{_CURRENT}.part"
        draft.write_text(json.dumps([each.as_list() for each in served]), "utf-8")
        draft.replace(self._folder / _CURRENT)


class RecordedServing:
    """What served a batch once, to perform it again.

    Parameters
    ----------
    files
        Where the models are.
    recorded
        What the log holds of the batch.
    """

    def __init__(self, files: ModelFiles, recorded: tuple[Served, ...]) -> None:
        self._files, self._recorded = files, recorded

    def asked(self, entry: int) -> ServingModel | None:
        """Return the model of an entry; None where it gave no scores then."""
        served = self._recorded[entry]
        return self._files.load(served) if served.status == SERVED else None

    def score(self, entry: int, columns: kernel.Floats) -> kernel.Doubles | None:
        """Return the scores that it gave then."""
        return self._files.load(self._recorded[entry]).model.score_columns(columns)

    def served(self) -> tuple[Served, ...]:
        """Return who served."""
        return self._recorded


def repeat_of(files: ModelFiles, models: ModelScores | None) -> RecordedServing | None:
    """Return what served a recorded batch; None where it had no models."""
    return None if models is None else RecordedServing(files, models.served)


class FixedServing:
    """Versions that serve as long as it takes, without a clock: for back-tests and training tables.

    Parameters
    ----------
    uses
        The models of the definition.
    lineup
        Their versions.
    """

    def __init__(self, uses: Sequence[ModelUse], lineup: Lineup) -> None:
        self._uses, self._lineup = tuple(uses), lineup

    def asked(self, entry: int) -> ServingModel | None:
        """Return the model of an entry."""
        return self._lineup[entry]

    def score(self, entry: int, columns: kernel.Floats) -> kernel.Doubles | None:
        """Return the scores of (features, rows)."""
        serving = self._lineup[entry]
        return None if serving is None else serving.model.score_columns(columns)

    def served(self) -> tuple[Served, ...]:
        """Return who served."""
        pairs = zip(self._uses, self._lineup, strict=True)
        return tuple(Served(use.name) if each is None else each.served(use.name, SERVED) for use, each in pairs)


def fixed_serving(
    uses: Sequence[ModelUse], planner: Planner, place: str | None, words: Mapping[str, str] | None = None
) -> FixedServing | None:
    """Return what a registry says serves now; None for a definition without models.

    Raises
    ------
    InputError
        If a model that acts for all is not there, or does not fit the detector.
    """
    if not uses:
        return None
    registry = open_registry(place, read_only=True)
    try:
        files = ModelFiles(None, words)
        lineup: list[ServingModel | None] = []
        for use in uses:
            try:
                version = registry.resolve(use.use)
            except InputError:
                if use.acts:
                    raise
                lineup.append(None)
                continue
            planner.plan(version.signature)
            lineup.append(files.keep(registry.model(version), version.reference, IDENTITY, None))
    finally:
        registry.close()
    return FixedServing(uses, tuple(lineup))


@dataclass(slots=True)
class _Fence:
    """Whether a model is left out after faults, and until when."""

    until: float = 0.0
    faults: int = 0
    running: Future[kernel.Doubles] | None = None

    def closed(self) -> bool:
        """Whether the model is left out now."""
        if self.running is not None and not self.running.done():
            return True
        self.running = None
        return time.monotonic() < self.until

    def fault(self) -> None:
        """Leave the model out, longer after each fault."""
        self.until = time.monotonic() + min(_FENCE_SECONDS * 2**self.faults, _FENCE_SECONDS_MAX)
        self.faults = min(self.faults + 1, 20)


class LiveServing:
    """A line-up for one batch, with a clock beside it."""

    def __init__(self, host: ModelHost, lineup: Lineup) -> None:
        self._host, self._lineup = host, lineup
        self._status = [ABSENT if each is None else SERVED for each in lineup]

    def asked(self, entry: int) -> ServingModel | None:
        """Return the model of an entry; None while it is fenced off."""
        serving = self._lineup[entry]
        if serving is not None and self._host.fence(entry, serving).closed():
            self._status[entry] = FENCED
            self._host.failed(entry, FENCED, fault=False)
            return None
        return serving

    def score(self, entry: int, columns: kernel.Floats) -> kernel.Doubles | None:
        """Return the scores, or None where the model raised an error or took too long."""
        serving = self._lineup[entry]
        assert serving is not None
        started = time.monotonic()
        try:
            scores = self._chunks(entry, serving, columns)
        except TimeoutError:
            self._fault(entry, serving, OVERRAN, "took longer than its budget")
            return None
        except Exception as error:
            self._fault(entry, serving, RAISED, f"{type(error).__name__}: {error}"[:300])
            return None
        self._host.fence(entry, serving).faults = 0
        self._host.took(entry, time.monotonic() - started)
        return scores

    def _fault(self, entry: int, serving: ServingModel, status: str, what: str) -> None:
        self._status[entry] = status
        self._host.fence(entry, serving).fault()
        self._host.failed(entry, status, fault=True)
        _log.warning("model fenced off: rules decide without it", model=serving.reference, reason=status, detail=what)

    def _chunks(self, entry: int, serving: ServingModel, columns: kernel.Floats) -> kernel.Doubles:
        rows = columns.shape[1]
        budget = self._host.uses[entry].budget / 1_000_000
        out = np.empty(rows)
        # Loops of ours have no more than their own time to answer for, not what other processes took of the machine.
        clock = time.thread_time if serving.model.engine in ("trees", "linear") else time.monotonic
        started = clock()
        for number, start in enumerate(range(0, rows, CHUNK)):
            chunk = columns if rows <= CHUNK else np.ascontiguousarray(columns[:, start : start + CHUNK])
            out[start : start + CHUNK] = self._chunk(entry, serving, chunk, budget)
            if clock() - started > budget * (number + 1):
                raise TimeoutError
        return out

    def _chunk(self, entry: int, serving: ServingModel, chunk: kernel.Floats, budget: float) -> kernel.Doubles:
        if serving.model.engine in ("trees", "linear"):
            # Loops of a known length: they cannot hang.
            return serving.model.score_columns(chunk)
        future = self._host.pool.submit(serving.model.score_columns, chunk)
        try:
            return future.result(timeout=budget)
        except FutureTimeout:
            self._host.fence(entry, serving).running = future
            self._host.renew_pool()
            raise TimeoutError from None

    def served(self) -> tuple[Served, ...]:
        """Return who served."""
        return tuple(
            Served(use.name, status=status) if each is None else each.served(use.name, status)
            for use, each, status in zip(self._host.uses, self._lineup, self._status, strict=True)
        )


@dataclass(frozen=True, slots=True)
class _Recent:
    """A sample of a batch's decisions, to fit mappings on."""

    batch: Batch
    rows: Words
    features: Words
    nulls: Bytes


class ModelHost:
    """Watches a registry and hands over what serves.

    Parameters
    ----------
    uses
        The models of the definition.
    planner
        Knows how matrices are made of events.
    place
        The registry; see ``open_registry``.
    folder
        The state folder; files of whatever serves are kept there.
    poll_seconds
        How often the registry is looked at.
    words
        How features are called when reasons are told.
    watcher
        Is told what happens.
    detector
        The detector's version, for a warning where a model was trained on another one.

    Raises
    ------
    InputError
        If a model that acts for all is not in the registry, or does not fit the detector.
    """

    def __init__(
        self,
        uses: Sequence[ModelUse],
        planner: Planner,
        place: str | None,
        folder: Path | None,
        poll_seconds: float = 0.2,
        words: Mapping[str, str] | None = None,
        watcher: Watcher | None = None,
        detector: str = "",
    ) -> None:
        self.uses = tuple(uses)
        self.files = ModelFiles(folder, words)
        self.pool = ThreadPoolExecutor(1, thread_name_prefix="model")
        self._planner, self._place, self._poll_seconds, self._watcher = planner, place, poll_seconds, watcher
        self._detector = detector
        self._slots = slots_of(uses)
        self._fences: dict[tuple[int, str], _Fence] = {}
        self._recent: deque[_Recent] = deque()
        self._recent_rows = 0
        self._recent_lock = threading.Lock()
        self._unfitted: dict[int, ServingModel] = {}
        self._refused: dict[int, str] = {}
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._registry: Registry | None = None
        self._stamp: object = None
        self._lineup: Lineup = self._first_lineup()
        self._note_current()

    # Handing over ----------------------------------------------------------------------------------------------------

    def current(self) -> LiveServing:
        """Return what serves the next batch."""
        return LiveServing(self, self._lineup)

    def lineup(self) -> Lineup:
        """Return which versions serve."""
        return self._lineup

    def repeat(self, models: ModelScores | None) -> RecordedServing | None:
        """Return what served a recorded batch."""
        return repeat_of(self.files, models)

    def observe(self, batch: Batch, rows: Words, features: Words, nulls: Bytes) -> None:
        """Remember a sample of a batch's decisions: mappings are fitted on recent ones.

        Parameters
        ----------
        batch
            The events.
        rows
            Those that were decided.
        features, nulls
            (features, len(rows)).
        """
        if not len(rows):
            return
        step = -(-len(rows) // _RECENT_OF_BATCH)
        columns = np.arange(0, len(rows), step)
        chosen = batch.take(rows[columns])
        chosen.texts = Texts(np.zeros(0, np.uint8), chosen.texts.offset, chosen.texts.length)
        recent = _Recent(chosen, np.arange(len(columns)), features[:, columns], nulls[:, columns])
        with self._recent_lock:
            self._recent.append(recent)
            self._recent_rows += len(columns)
            while self._recent_rows > RECENT_ROWS:
                self._recent_rows -= len(self._recent.popleft().rows)

    def fence(self, entry: int, serving: ServingModel) -> _Fence:
        """Return the fence of a version in its place."""
        return self._fences.setdefault((entry, serving.sha256), _Fence())

    def failed(self, entry: int, reason: str, fault: bool) -> None:
        """Tell that a model gave no scores for a batch."""
        if self._watcher is not None:
            self._watcher.model_failed(self.uses[entry].name, reason, fault)

    def took(self, entry: int, seconds: float) -> None:
        """Tell how long a model took for a batch."""
        if self._watcher is not None:
            self._watcher.model_took(self.uses[entry].name, seconds)

    def renew_pool(self) -> None:
        """Leave a thread that hangs behind; its model stays fenced off until it comes back."""
        self.pool.shutdown(wait=False)
        self.pool = ThreadPoolExecutor(1, thread_name_prefix="model")

    # Watching --------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to watch the registry."""
        self._thread = threading.Thread(target=self._watch, name="models", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop watching."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        self.pool.shutdown(wait=False)
        if self._registry is not None:
            self._registry.close()
            self._registry = None

    def _watch(self) -> None:
        while not self._stop.wait(self._poll_seconds):
            try:
                self.poll()
            except Exception as error:
                _log.warning("registry of models cannot be read; what serves goes on", reason=str(error)[:300])
                self._forget_registry()

    def poll(self) -> bool:
        """Look at the registry once, and put another line-up in place where it changed; return whether it did."""
        registry = self._opened()
        stamp = registry.stamp()
        lineup = list(self._lineup)
        if stamp != self._stamp:
            for entry in range(len(self.uses)):
                lineup[entry] = self._renewed(registry, entry, lineup)
            self._stamp = stamp
        if self._unfitted and self._recent_rows >= _REFIT_ROWS:
            for entry, former in list(self._unfitted.items()):
                lineup[entry] = self._refitted(lineup[entry], former)
            self._unfitted.clear()
        if tuple(lineup) == self._lineup:
            return False
        self._lineup = tuple(lineup)
        self._note_current()
        return True

    def _renewed(self, registry: Registry, entry: int, lineup: list[ServingModel | None]) -> ServingModel | None:
        """Return what an entry shall serve with now."""
        use, former = self.uses[entry], lineup[entry]
        try:
            version = registry.resolve(use.use)
        except InputError as error:
            return self._refuse(entry, str(error), former)
        if former is not None and former.sha256 == version.sha256:
            return former if former.reference == version.reference else replace(former, reference=version.reference)
        try:
            onnx, model = self._checked(registry, version)
        except CounterfoilError as error:
            return self._refuse(entry, str(error), former)
        self._refused.pop(entry, None)
        serving = self.files.keep(model, version.reference, self._fitted(entry, model, lineup), onnx)
        # Reasons are planned once a model: not when the first alert waits for them.
        serving.explain(np.zeros((1, len(version.signature.inputs)), np.float32))
        if self._watcher is not None:
            self._watcher.model_swapped(use.name, version.reference)
        _log.info(
            "another version serves",
            model=use.name,
            version=version.reference,
            former=None if former is None else former.reference,
            mapped_rows=serving.mapping.rows,
        )
        return serving

    def _checked(self, registry: Registry, version: Version) -> tuple[bytes, Model]:
        """Return a version's file and the model in it, once it fits the detector."""
        self._planner.plan(version.signature, version.sha256)
        onnx = registry.onnx(version)
        model = _loaded(version, onnx)
        if self._detector and version.signature.detector != self._detector:
            _log.warning(
                "model was trained on another version of the detector; it has all inputs in the same types",
                model=version.reference,
                trained_on=version.signature.detector,
                detector=self._detector,
            )
        return onnx, model

    def _refuse(self, entry: int, reason: str, former: ServingModel | None) -> ServingModel | None:
        if self._refused.get(entry) != reason:
            self._refused[entry] = reason
            self.failed(entry, "refused", fault=False)
            kept = "nothing" if former is None else former.reference
            _log.warning("model refused", model=self.uses[entry].name, serves=kept, reason=reason[:300])
        return former

    def _fitted(self, entry: int, model: Model, lineup: list[ServingModel | None]) -> ScoreMapping:
        """Return the mapping that keeps the rate of alerts at the thresholds."""
        reference = self._reference(entry, lineup)
        if reference is None:
            return IDENTITY
        if reference.sha256 == model.sha256:
            return reference.mapping
        mapping = self._fit(model, reference)
        if not mapping.rows and self._recent_rows < _REFIT_ROWS:
            self._unfitted[entry] = reference
            _log.warning(
                "too few recent decisions to map scores; thresholds meet raw scores until there are more",
                model=self.uses[entry].name,
                rows=self._recent_rows,
                allowed=_REFIT_ROWS,
            )
        return mapping

    def _reference(self, entry: int, lineup: list[ServingModel | None]) -> ServingModel | None:
        """Return the version whose scores the thresholds are meant for."""
        use = self.uses[entry]
        if use.acts:
            return lineup[entry]
        names = [each.name for each in self.uses]
        return (
            lineup[names.index(use.instead_of) if use.instead_of is not None else self._slots[0]]
            if self._slots
            else None
        )

    def _refitted(self, serving: ServingModel | None, reference: ServingModel) -> ServingModel | None:
        if serving is None:
            return None
        return self.files.keep(serving.model, serving.reference, self._fit(serving.model, reference), None)

    def _fit(self, model: Model, reference: ServingModel) -> ScoreMapping:
        with self._recent_lock:
            recent = list(self._recent)
        if sum(len(each.rows) for each in recent) < ROWS_LEAST:
            return IDENTITY
        new, former = self._scores(model, recent), reference.map(self._scores(reference.model, recent))
        return fit_mapping(new, former)

    def _scores(self, model: Model, recent: Sequence[_Recent]) -> kernel.Doubles:
        plan = self._planner.plan(model.signature, model.sha256)
        parts = [plan.build(each.batch, each.rows, each.features, each.nulls) for each in recent]
        return model.score_columns(np.ascontiguousarray(np.concatenate(parts, axis=1)))

    # Beginning -------------------------------------------------------------------------------------------------------

    def _first_lineup(self) -> Lineup:
        """Return what serves first: what the registry says; where it cannot be reached, what served last."""
        last = self.files.current()
        try:
            registry = self._opened()
            self._stamp = registry.stamp()
        except CounterfoilError as error:
            missing = [use.name for use in self.uses if use.acts and last.get(use.name, Served("")).sha256 == ""]
            if missing:
                raise
            _log.warning("registry of models cannot be read; what served last serves", reason=str(error)[:300])
            return tuple(self._last(last.get(use.name)) for use in self.uses)
        lineup = [self._first(registry, use, last.get(use.name)) for use in self.uses]
        self._map_first(lineup)
        return tuple(lineup)

    def _first(self, registry: Registry, use: ModelUse, last: Served | None) -> ServingModel | None:
        try:
            version = registry.resolve(use.use)
            onnx, model = self._checked(registry, version)
        except InputError as error:
            if use.acts:
                raise InputError(f"models.{use.name}: {error}") from error
            _log.warning("model is not there yet", model=use.name, reason=str(error)[:300])
            return None
        mapping = IDENTITY
        former = self._last(last)
        if former is not None and former.sha256 == version.sha256:
            mapping = former.mapping
        elif former is not None:
            # Promoted while nothing ran: the scale is that of the version that served last.
            self._unfitted[[each.name for each in self.uses].index(use.name)] = former
        serving = self.files.keep(model, version.reference, mapping, onnx)
        serving.explain(np.zeros((1, len(version.signature.inputs)), np.float32))
        return serving

    def _map_first(self, lineup: list[ServingModel | None]) -> None:
        """Let arms and shadows that are new be mapped once there are decisions to do it on."""
        for entry, use in enumerate(self.uses):
            serving, reference = lineup[entry], self._reference(entry, lineup)
            if use.acts or serving is None or reference is None or serving.mapping.rows or entry in self._unfitted:
                continue
            if serving.sha256 != reference.sha256:
                self._unfitted[entry] = reference

    def _last(self, last: Served | None) -> ServingModel | None:
        if last is None or not last.sha256:
            return None
        try:
            return self.files.load(last)
        except StorageError:
            return None

    def _note_current(self) -> None:
        pairs = zip(self.uses, self._lineup, strict=True)
        self.files.put_current([each.served(use.name, SERVED) for use, each in pairs if each is not None])

    def _opened(self) -> Registry:
        if self._registry is None:
            self._registry = open_registry(self._place, read_only=True)
        return self._registry

    def _forget_registry(self) -> None:
        registry, self._registry = self._registry, None
        if registry is not None:
            registry.close()


def _loaded(version: Version, onnx: bytes) -> Model:
    engine = "onnxruntime" if version.engine == "onnxruntime" else None
    model = load_model(onnx, version.signature, engine, probed=True)
    # Kernels are compiled or read from their cache at the first call: not on the budget of the first batch.
    for rows in (1, 64):
        model.score_columns(np.zeros((len(version.signature.inputs), rows), np.float32))
    return model
