"""Generated payments through the local runtime, with the truth kept beside them for the score."""

from __future__ import annotations

import itertools
import tempfile
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from counterfoil.config import LimitsConfig, RunConfig, SinkConfig, StateConfig
from counterfoil.connectors.source import Chunk
from counterfoil.detector_file import load_detector
from counterfoil.events.decode_json import JsonDecoder
from counterfoil.events.decoding import Decoded, DecoderSettings
from counterfoil.events.generators import FRAUD_STORIES, STORIES, PaymentsGenerator
from counterfoil.events.generators.columns import EventColumns
from counterfoil.events.identity import IdentityKey
from counterfoil.rules.definition import Outcome
from counterfoil.runtimes.local.inputs import Input
from counterfoil.runtimes.local.runtime import LocalRuntime
from counterfoil.runtimes.local.summary import LatencyTally

if TYPE_CHECKING:
    from counterfoil.decisions.decided import AlertChange, Decided
    from counterfoil.detector import Detector
    from counterfoil.events.batch import Batch
    from counterfoil.runtimes.local.pipeline import GroupReport
    from counterfoil.runtimes.local.summary import RunSummary

START = datetime(2025, 1, 6, tzinfo=UTC)
"""When the demo's bank opens: long enough ago that no payment lies in the future, however long it runs."""
_TICK_SECONDS = 0.02
_WARM_UP_EVENTS = 3_000
_ALERTS_KEPT = 40
_RATE_SECONDS = 3.0
"""The rate that is shown is that of so many seconds."""
_LATENCY_SECONDS = 10
_OUTCOMES = tuple(outcome.value for outcome in Outcome)


@dataclass(frozen=True, slots=True)
class DemoSettings:
    """What the demo shows.

    Parameters
    ----------
    seconds
        How long it runs.
    rate
        Events a second.
    customers
        How many people bank there: the fewer, the faster time goes by for them.
    seed
        Another seed is another bank.
    detector
        The detector that decides.
    """

    seconds: float = 30.0
    rate: float = 4_000.0
    customers: int = 2_000
    seed: int = 7
    detector: str = "payments"


@dataclass(frozen=True, slots=True)
class Shown:
    """An alert as the screen shows it."""

    time: int
    """Event time in microseconds."""
    outcome: str
    score: float
    rule: str
    reason: str
    truth: str | None
    """The fraud story behind it; None for a genuine payment."""
    more: int = 0
    """How many alerts more the same payment opened."""


@dataclass(slots=True)
class Score:
    """What was found so far, held against what is true."""

    events: int = 0
    decided: int = 0
    alerts: int = 0
    outcomes: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(_OUTCOMES), np.int64))
    frauds: int = 0
    frauds_flagged: int = 0
    flagged: int = 0
    value_lost: int = 0
    """Amount of frauds that were approved, in minor units."""
    value_saved: int = 0
    stories: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros((len(STORIES), 2), np.int64))
    """(story): its payments, of a fraud story only the fraudulent ones, and those of them reviewed or blocked."""
    rules: Counter[str] = field(default_factory=Counter)
    """How many alerts each rule opened."""
    first_time: int = 0
    last_time: int = 0

    @property
    def precision(self) -> float | None:
        """The share of fraud among the flagged payments."""
        return self.frauds_flagged / self.flagged if self.flagged else None

    @property
    def recall(self) -> float | None:
        """The share of the frauds that was flagged."""
        return self.frauds_flagged / self.frauds if self.frauds else None


class _Source:
    """The generator as a source that remembers the truth until it is asked for it."""

    name = "demo"
    seekable = True

    def __init__(self, settings: DemoSettings, seconds: float | None, events: int | None) -> None:
        self._rate = None if events is not None else settings.rate
        self._seconds = seconds
        generator = PaymentsGenerator(seed=settings.seed, customers=settings.customers, start=START)
        size = max(1, int(settings.rate * _TICK_SECONDS)) if self._rate is not None else 1_000
        self._chunks: Iterator[EventColumns] = generator.chunks(events, size)
        self._position = 0
        self._started: float | None = None
        self.truth: deque[tuple[int, EventColumns]] = deque()
        """First position and events of every chunk that is on its way."""
        self.behind = False
        """Whether the wanted rate could not be held."""

    def seek(self, position: int, offset: int) -> None:
        """Do nothing: a demo begins at the beginning."""
        del position, offset

    def fingerprint(self, length: int | None) -> tuple[int, int]:
        """Return (0, 0): there is nothing to look at."""
        del length
        return 0, 0

    def read(self, stopped: Callable[[], bool]) -> Chunk | None:
        """Return what is due."""
        now = time.monotonic()
        self._started = now if self._started is None else self._started
        if stopped() or (self._seconds is not None and now - self._started >= self._seconds):
            return None
        events = next(self._chunks, None)
        if events is None:
            return None
        if self._rate is not None:
            due = self._started + self._position / self._rate - now
            self.behind = due < -0.5
            if due > 0:
                time.sleep(due)
        first = self._position
        self._position += len(events)
        self.truth.append((first, events))
        return Chunk(events.to_ndjson(), first, self._position, self._position)

    def close(self) -> None:
        """Do nothing."""


class Session:
    """One demo, from warming up to the summary.

    Parameters
    ----------
    settings
        What to show.

    Examples
    --------
    >>> session = Session(DemoSettings(seconds=5))
    >>> session.warm_up()  # doctest: +SKIP
    >>> summary = session.run()  # doctest: +SKIP
    """

    def __init__(self, settings: DemoSettings) -> None:
        self.settings = settings
        self.detector: Detector = load_detector(settings.detector)
        self.score = Score()
        self.latest: deque[Shown] = deque(maxlen=_ALERTS_KEPT)
        self.entities: dict[str, int] = {}
        self.lock = threading.Lock()
        self.stopped = threading.Event()
        self._latencies: deque[tuple[float, list[tuple[float, int]]]] = deque()
        self._rates: deque[tuple[float, int]] = deque()
        self._runtime: LocalRuntime | None = None
        self._source: _Source | None = None
        self.started = 0.0

    def warm_up(self) -> float:
        """Carry some payments through a state folder of their own, so that kernels are ready; return the seconds."""
        started = time.monotonic()
        settings = replace(self.settings, customers=50)
        with tempfile.TemporaryDirectory(prefix="counterfoil-demo-") as folder:
            config = self._config(StateConfig(folder=folder), (SinkConfig(path=f"{folder}/decisions.ndjson"),))
            with LocalRuntime(config, self.detector) as runtime:
                runtime.run(self.stopped, self._input(_Source(settings, None, _WARM_UP_EVENTS)))
        return time.monotonic() - started

    def run(self) -> RunSummary:
        """Run the demo to its end, or until ``stopped`` is set."""
        with LocalRuntime(self._config(StateConfig(), ()), self.detector, on_group=self._look) as runtime:
            self._runtime = runtime
            self.started = time.monotonic()
            self._source = _Source(self.settings, self.settings.seconds, None)
            summary = runtime.run(self.stopped, self._input(self._source))
            self.entities = runtime.program.entities()
            return summary

    def as_dict(self, summary: RunSummary) -> dict[str, Any]:
        """Return summary and score for JSON."""
        score = self.score
        payments, flagged = score.stories[:, 0].tolist(), score.stories[:, 1].tolist()
        return summary.as_dict() | {
            "detector": self.detector.version,
            "rate": self.settings.rate,
            "outcomes": dict(zip(_OUTCOMES, score.outcomes.tolist(), strict=True)),
            "frauds": score.frauds,
            "frauds_flagged": score.frauds_flagged,
            "precision": score.precision,
            "recall": score.recall,
            "stories": {
                story: {"payments": count, "flagged": caught}
                for story, count, caught in zip(STORIES, payments, flagged, strict=True)
                if count
            },
        }

    # Numbers for the screen ------------------------------------------------------------------------------------------

    @property
    def seconds(self) -> float:
        """How long it has run."""
        return time.monotonic() - self.started if self.started else 0.0

    @property
    def rate(self) -> float:
        """Events a second of late."""
        with self.lock:
            if len(self._rates) < 2:
                return 0.0
            (first, _), (last, _) = self._rates[0], self._rates[-1]
            events = sum(count for _, count in itertools.islice(self._rates, 1, None))
        return events / max(last - first, 1e-3)

    @property
    def latency_ms(self) -> dict[str, float | None]:
        """``p50`` and ``p99`` of the last seconds."""
        tally = LatencyTally()
        with self.lock:
            for _, group in self._latencies:
                for seconds, events in group:
                    tally.add(seconds, events)
        return tally.percentiles_ms()

    @property
    def behind(self) -> bool:
        """Whether the wanted rate cannot be held on this machine."""
        return self._source is not None and self._source.behind

    # Looking on ------------------------------------------------------------------------------------------------------

    def _config(self, state: StateConfig, sinks: tuple[SinkConfig, ...]) -> RunConfig:
        return RunConfig(detector=self.settings.detector, sinks=sinks, state=state, limits=LimitsConfig())

    def _input(self, source: _Source) -> Input:
        decoder = JsonDecoder(self.detector.schema, DecoderSettings(), IdentityKey(), self.detector.max_skew)

        def decode(chunk: Chunk, first_position: int, arrival: int) -> Decoded:
            assert isinstance(chunk.data, bytes)
            return decoder.decode(chunk.data, first_position, arrival)

        return Input(source, decode)

    def _look(self, report: GroupReport) -> None:
        """Take in what a commit has made durable; it runs in the thread that commits."""
        now = time.monotonic()
        with self.lock:
            for done in report.batches:
                self._look_at(done.work.batch, done.decided)
            self.score.alerts += report.alerts_opened
            self._latencies.append((now, report.latencies))
            while self._latencies and now - self._latencies[0][0] > _LATENCY_SECONDS:
                self._latencies.popleft()
            self._rates.append((now, sum(len(done.work.batch) for done in report.batches)))
            while len(self._rates) > 2 and now - self._rates[0][0] > _RATE_SECONDS:
                self._rates.popleft()

    def _look_at(self, batch: Batch, decided: Decided) -> None:
        assert self._source is not None
        if not len(batch):
            return
        first, events = self._source.truth.popleft()
        rows = batch.position[decided.rows] - first
        fraud, story = events.fraud[rows], events.story[rows]
        flagged = decided.outcome > 0
        score = self.score
        score.events += len(batch)
        score.decided += len(decided)
        score.outcomes += np.bincount(decided.outcome, minlength=len(_OUTCOMES))
        score.frauds += int(np.count_nonzero(fraud))
        score.frauds_flagged += int(np.count_nonzero(fraud & flagged))
        score.flagged += int(np.count_nonzero(flagged))
        amounts = events.rows["amount"][rows]
        score.value_lost += int(amounts[fraud & ~flagged].sum())
        score.value_saved += int(amounts[fraud & flagged].sum())
        # A story of fraud may hold honest payments, too: a thief's victim goes on paying.
        told = fraud | (story >= len(FRAUD_STORIES))
        score.stories[:, 0] += np.bincount(story[told], minlength=len(STORIES))
        score.stories[:, 1] += np.bincount(story[told & flagged], minlength=len(STORIES))
        score.first_time = score.first_time or int(batch.time[0])
        score.last_time = max(score.last_time, int(batch.time[-1]))
        opened: dict[int, list[AlertChange]] = {}
        for change in decided.alerts:
            if change.opened:
                opened.setdefault(change.column, []).append(change)
                score.rules.update(self.detector.rules[number].name for number in change.rules)
        for changes in opened.values():
            self.latest.append(self._shown(batch, decided, changes, fraud, story))

    def _shown(
        self,
        batch: Batch,
        decided: Decided,
        changes: list[AlertChange],
        fraud: npt.NDArray[np.bool_],
        story: npt.NDArray[np.int8],
    ) -> Shown:
        """Return one payment's alerts as one: that of the rule that weighs most."""
        assert self._runtime is not None
        column, rules = changes[0].column, self.detector.rules
        hits = [number for change in changes for number in change.rules]
        rule, reason = "policy", "the score alone"
        if hits:
            heaviest = max(hits, key=lambda number: rules[number].score)
            rule = rules[heaviest].name
            reason = self._runtime.program.explain_hit(batch, decided, column, heaviest)[1]
        truth = None
        if fraud[column]:
            truth = FRAUD_STORIES[story[column]] if 0 <= story[column] < len(FRAUD_STORIES) else "fraud"
        time_ = int(batch.time[decided.rows[column]])
        return Shown(
            time_,
            _OUTCOMES[decided.outcome[column]],
            float(decided.score[column]),
            rule,
            reason,
            truth,
            len(changes) - 1,
        )
