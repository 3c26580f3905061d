"""Models in a running system: which versions serve, and how they are swapped.

A ``Lineup`` says which version of each model serves; it never changes. The runtime takes one for each batch, so a swap
falls between two batches: the watch on the registry loads the new version, fits the mapping of its scores and puts a
new line-up in place of the old, all beside the stream. What served a batch is recorded with it, and every file that
ever served is kept in the state folder (``model_files``). ``live_serving`` fences off what fails, ``fixed_serving``
performs again what was recorded.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from counterfoil.errors import CounterfoilError, InputError, StorageError
from counterfoil.events.batch import Batch, Bytes, Words
from counterfoil.models.definition import ModelUse
from counterfoil.models.fixed_serving import RecordedServing, repeat_of
from counterfoil.models.live_serving import Fence, LiveServing
from counterfoil.models.mapping import IDENTITY, ROWS_LEAST, fit_mapping
from counterfoil.models.mapping import Mapping as ScoreMapping
from counterfoil.models.matrix import Planner
from counterfoil.models.model import Model, load_model
from counterfoil.models.model_files import ModelFiles
from counterfoil.models.recent import RecentDecisions
from counterfoil.models.registry import open_registry
from counterfoil.models.scores import SERVED, ModelScores, Served, slots_of
from counterfoil.models.serving_model import Lineup, ServingModel
from counterfoil.observability import get_logger

if TYPE_CHECKING:
    from counterfoil.models.registry import Registry, Version

_REFIT_ROWS = 5_000
"""Where too few decisions were known at a swap, the mapping is fitted once there are so many."""

_log = get_logger(__name__)


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
        self._fences: dict[tuple[int, str], Fence] = {}
        self._recent = RecentDecisions()
        self._mappings: dict[tuple[int, str], ScoreMapping] = {}
        self._unfitted: dict[int, ServingModel] = {}
        self._refused: dict[int, str] = {}
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._registry: Registry | None = None
        self._stamp: object = None
        self._lineup: Lineup = self._first_lineup()
        self._keep_mappings()
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
        self._recent.observe(batch, rows, features, nulls)

    def fence(self, entry: int, serving: ServingModel) -> Fence:
        """Return the fence of a version in its place."""
        return self._fences.setdefault((entry, serving.sha256), Fence())

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
        if self._unfitted and self._recent.rows >= _REFIT_ROWS:
            for entry, former in list(self._unfitted.items()):
                lineup[entry] = self._refitted(lineup[entry], former)
            self._unfitted.clear()
        if tuple(lineup) == self._lineup:
            return False
        self._lineup = tuple(lineup)
        self._keep_mappings()
        self._note_current()
        return True

    def _keep_mappings(self) -> None:
        """Remember on what scale each version serves, but for those that wait for decisions to be mapped on."""
        for entry, serving in enumerate(self._lineup):
            if serving is not None and entry not in self._unfitted:
                self._mappings[entry, serving.sha256] = serving.mapping

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
        known = self._mappings.get((entry, model.sha256))
        if known is not None:
            # It comes back: on the scale that it had. Fitting it anew to its successor would add error to error.
            self._unfitted.pop(entry, None)
            return known
        mapping = self._fit(model, reference)
        if not mapping.rows and self._recent.rows < _REFIT_ROWS:
            self._unfitted[entry] = reference
            _log.warning(
                "too few recent decisions to map scores; thresholds meet raw scores until there are more",
                model=self.uses[entry].name,
                rows=self._recent.rows,
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
        if self._recent.rows < ROWS_LEAST:
            return IDENTITY
        new, former = self._recent.scores((model, reference.model), self._planner)
        return fit_mapping(new, reference.map(former))

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
