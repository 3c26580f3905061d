"""A run's settings as a job, and its counts as a summary."""

from __future__ import annotations

import pytest

from counterfoil.config import parse_config
from counterfoil.detector_file import load_detector
from counterfoil.runtimes.engine.runs import ends, job_of, summary_of
from counterfoil.runtimes.local.runtime import FIXED_CLOCK_VARIABLE


def test_a_job_holds_what_workers_need_and_no_client_s_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FIXED_CLOCK_VARIABLE, "17")
    source = {
        "type": "kafka",
        "servers": "one:9092",
        "topics": [{"name": "events"}],
        "properties": {"sasl.password": "hidden"},
    }
    config = parse_config(
        {
            "detector": "laundering",
            "secret": "a secret that is long enough",
            "source": source,
            "sinks": [{"path": "out", "features": True}],
            "limits": {"shards": 3},
        }
    )
    job = job_of(config, load_detector("laundering"), config.source, config.limits)
    assert (job.shards, job.features, job.alerts, job.clock) == (3, True, False, 17)
    assert job.key.secret == b"a secret that is long enough"
    assert b"hidden" not in job.encode()
    assert not ends(config)


@pytest.mark.parametrize(
    ("source", "whether"),
    [({"path": "in.ndjson"}, True), ({"type": "kafka", "servers": "a:1", "topics": [{"name": "t"}]}, False)],
)
def test_topics_end_only_when_told(source: dict[str, object], whether: bool) -> None:
    assert ends(parse_config({"detector": "laundering", "source": source})) is whether


def test_what_was_not_counted_is_none() -> None:
    summary = summary_of({"records": 5, "decided": 4, "opened": 1}, 2.0, 0.5, stopped=True)
    assert (summary.events, summary.decided, summary.observed, summary.alerts) == (5, 4, 0, 1)
    assert (summary.total_events, summary.recovery_seconds, summary.stopped) == (5, 0.5, True)
