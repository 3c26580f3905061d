"""Drift: the measures, one alarm for a planted shift, and none where nothing shifts, whatever the seed."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import numpy.typing as npt
import pytest
from prometheus_client import CollectorRegistry

from counterfoil.errors import ConfigurationError
from counterfoil.models.drift import DAY, DriftMonitor, DriftSettings, WindowReport, measure
from counterfoil.models.drift_metrics import DriftMetrics
from counterfoil.models.profile import FeatureProfile, Profile, profile_of, read_profile

FEATURES = 8
Matrix = npt.NDArray[np.float32]
SETTINGS = DriftSettings(every=4, rows_min=1_000)


def table(random: np.random.Generator, rows: int) -> Matrix:
    """Return features as payments have them: heavy tails, many zeros, counts, flags, missing values."""
    matrix = np.empty((rows, FEATURES), np.float32)
    matrix[:, 0] = random.lognormal(3, 1.2, rows)
    matrix[:, 1] = random.poisson(0.2, rows)
    matrix[:, 2] = random.random(rows) < 0.03
    matrix[:, 3] = random.normal(0, 1, rows)
    matrix[:, 4] = np.where(random.random(rows) < 0.6, np.nan, random.exponential(1, rows))
    matrix[:, 5] = 7.0
    matrix[:, 6] = random.integers(0, 24, rows)
    matrix[:, 7] = np.nan
    return matrix


def scores_of(matrix: Matrix) -> npt.NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(4 - matrix[:, 3].astype(np.float64))))


def profile(seed: int = 0) -> Profile:
    matrix = table(np.random.default_rng(seed), 20_000)
    found = read_profile(
        profile_of([SimpleNamespace(name=f"f{n}") for n in range(FEATURES)], matrix, scores_of(matrix))
    )
    assert found is not None
    return found


def watch(monitor: DriftMonitor, matrix: Matrix, start: int, batch: int = 700) -> list[WindowReport]:
    """Show a monitor the rows of a little more than a day."""
    times = start + np.linspace(0, 1.01 * DAY, len(matrix)).astype(np.int64)
    reports = [
        monitor.observe(matrix[at : at + batch], scores_of(matrix[at : at + batch]), times[at : at + batch])
        for at in range(0, len(matrix), batch)
    ]
    return [each for each in reports if each is not None]


def days(monitor: DriftMonitor, random: np.random.Generator, count: int, shift: float = 0.0) -> list[WindowReport]:
    reports = []
    for day in range(count):
        matrix = table(random, 6_000)
        matrix[:, 3] += np.float32(shift)
        reports += watch(monitor, matrix, 2 * day * DAY)
    return reports


def test_nothing_shifts_and_nothing_is_said_whatever_the_seed() -> None:
    for seed in range(60):
        monitor = DriftMonitor(profile(seed), SETTINGS)
        reports = days(monitor, np.random.default_rng(1_000 + seed), 5)
        assert len(reports) == 5
        assert not any(each.alarms or each.changes for each in reports)
        # Not even near it.
        assert max(drift.psi for each in reports for drift in each.drifts) < 0.1


@pytest.mark.parametrize("seed", range(10))
def test_a_planted_shift_raises_one_alarm_and_its_end_clears_it(seed: int) -> None:
    monitor, random = DriftMonitor(profile(seed), SETTINGS), np.random.default_rng(seed)
    calm, shifted, after = days(monitor, random, 3), days(monitor, random, 6, shift=1.0), days(monitor, random, 4)
    assert not any(each.changes for each in calm)
    # Two windows in a row, then one alarm for the feature and one for the score, and not a word more.
    assert [sorted(change.drift.name for change in each.changes) for each in shifted] == [
        [], ["f3", "score"], [], [], [], [],
    ]  # fmt: skip
    assert all(change.opened for each in shifted for change in each.changes)
    assert [sorted(each.alarms) for each in shifted[1:]] == [["f3", "score"]] * 5
    assert [sorted(change.drift.name for change in each.changes) for each in after] == [[], ["f3", "score"], [], []]
    assert not any(change.opened for each in after for change in each.changes)


def test_a_shift_that_comes_and_goes_is_one_episode() -> None:
    monitor, random = DriftMonitor(profile(), SETTINGS), np.random.default_rng(3)
    changes = []
    for _ in range(5):
        changes += [change for each in days(monitor, random, 2, shift=1.0) for change in each.changes]
        changes += [change for each in days(monitor, random, 1) for change in each.changes]
    assert [change.opened for change in changes if change.drift.name == "f3"] == [True]


def test_what_moved_within_training_raises_no_alarm_and_the_rest_still_does() -> None:
    random = np.random.default_rng(3)
    matrix = table(random, 20_000)
    age = np.linspace(0, 60, len(matrix))
    matrix[:, 0] = random.random(len(matrix)) * age
    found = read_profile(
        profile_of([SimpleNamespace(name=f"f{n}") for n in range(FEATURES)], matrix, scores_of(matrix))
    )
    assert found is not None
    assert [each.name for each in found.features if not each.stationary] == ["f0"]
    monitor = DriftMonitor(found, SETTINGS)
    assert monitor.moving == ["f0"]
    for day in range(3):
        rows = table(random, 6_000)
        rows[:, 0] = 1_000
        (report,) = watch(monitor, rows, 2 * day * DAY)
        assert report.alarms == frozenset()
        assert report.drifts[0].psi > 1
    assert days(monitor, random, 3, shift=2.0)[-1].alarms == {"f3", "score"}


def test_one_odd_day_raises_nothing() -> None:
    monitor, random = DriftMonitor(profile(), SETTINGS), np.random.default_rng(3)
    reports = days(monitor, random, 1, shift=3.0) + days(monitor, random, 2) + days(monitor, random, 1, shift=3.0)
    assert not any(each.changes for each in reports)


def test_values_that_go_missing_are_drift() -> None:
    monitor, random = DriftMonitor(profile(), SETTINGS), np.random.default_rng(3)
    reports = []
    for day in range(2):
        matrix = table(random, 6_000)
        matrix[random.random(6_000) < 0.5, 0] = np.nan
        reports += watch(monitor, matrix, 2 * day * DAY)
    assert "f0" in reports[-1].alarms
    drift = next(each for each in reports[-1].drifts if each.name == "f0")
    assert drift.missing == pytest.approx(0.5, abs=0.05)
    assert drift.missing_before == 0


def test_a_window_waits_for_enough_rows_and_enough_time() -> None:
    random = np.random.default_rng(3)
    monitor = DriftMonitor(profile(), DriftSettings(every=1, rows_min=1_000))
    assert watch(monitor, table(random, 400), 0) == []
    assert watch(monitor, table(random, 400), 2 * DAY) == []
    assert len(watch(monitor, table(random, 400), 4 * DAY)) == 1
    hurried = DriftMonitor(profile(), DriftSettings(every=1, rows_min=1_000))
    matrix = table(random, 50_000)
    assert hurried.observe(matrix, scores_of(matrix), np.zeros(len(matrix), np.int64)) is None


@pytest.mark.parametrize("batch", [1, 7, 512])
def test_the_same_rows_are_looked_at_whatever_the_size_of_batches(batch: int) -> None:
    matrix = table(np.random.default_rng(3), 5_000)
    whole, parts = (
        watch(DriftMonitor(profile(), SETTINGS), matrix, 0, size)[0].drifts for size in (len(matrix), batch)
    )
    # A window ends with the batch in which its time is over.
    assert sum(parts[0].counts) <= sum(whole[0].counts) <= sum(parts[0].counts) * 1.02
    assert all(abs(first.psi - second.psi) < 0.005 for first, second in zip(whole, parts, strict=True))


def test_the_same_rows_are_not_apart_and_disjoint_ones_are_as_far_as_can_be() -> None:
    each = FeatureProfile("x", (0.0, 1.0, 2.0), (100, 100, 100, 0), 0, 1.0)
    same = measure(each, each.all_counts)
    assert (same.psi, same.ks) == (0.0, 0.0)
    far = measure(each, np.array([0, 0, 0, 500, 0]))
    assert far.ks == 1.0
    assert far.psi > 1


def test_ks_is_that_of_the_cumulative_distributions() -> None:
    each = FeatureProfile("x", (0.0, 1.0, 2.0), (50, 25, 25, 0), 100, 1.0)
    # Missing first, then the bins: 0.5, 0.75, 0.875, 1 against 0.1, 0.2, 0.3, 1.
    assert measure(each, np.array([10, 10, 70, 0, 10])).ks == pytest.approx(0.575)


def test_psi_of_an_unchanged_feature_is_what_theory_says() -> None:
    random = np.random.default_rng(5)
    values = random.normal(size=20_000)
    found = read_profile(profile_of([SimpleNamespace(name="x")], values[:, None].astype(np.float32), values))
    assert found is not None
    psis = [measure(found.features[0], found.features[0].bins(random.normal(size=2_000))).psi for _ in range(200)]
    # Ten groups of a tenth each; the group of missing rows is empty in both.
    assert np.mean(psis) == pytest.approx(9 * (1 / 2_000 + 1 / 20_000), rel=0.15)


def test_a_feature_that_training_never_saw_a_row_of_is_left_alone() -> None:
    each = FeatureProfile("x", (), (0,), 0, 0.0)
    assert measure(each, np.array([10, 10])).psi == 0.0


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"every": 0}, "every: found 0"), ({"psi_clear": 0.5}, "psi_clear: found 0.5"), ({"ks_clear": 0.0}, "ks_clear")],
)
def test_settings_are_checked(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        DriftSettings(**settings)  # type: ignore[arg-type]


def test_metrics_show_the_last_window_and_count_episodes_once() -> None:
    registry = CollectorRegistry()
    metrics = DriftMetrics(registry)
    monitor, random = DriftMonitor(profile(), SETTINGS), np.random.default_rng(3)
    for report in days(monitor, random, 5, shift=1.0):
        metrics.take("payments@3", report)
    labels = {"model": "payments@3", "feature": "f3"}
    assert registry.get_sample_value("counterfoil_drift_alarm", labels) == 1
    assert registry.get_sample_value("counterfoil_drift_episodes_total", labels) == 1
    assert registry.get_sample_value("counterfoil_drift_alarm", labels | {"feature": "f0"}) == 0
    assert (registry.get_sample_value("counterfoil_drift_psi", labels) or 0) > 0.25
    assert registry.get_sample_value("counterfoil_drift_windows_total", {"model": "payments@3"}) == 5
    metrics.forget("payments@3")
    assert registry.get_sample_value("counterfoil_drift_alarm", labels) is None
