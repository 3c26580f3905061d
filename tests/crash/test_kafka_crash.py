"""Ten rounds of kills between topics of a real broker. ``make crash-kafka`` does it for longer."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.conftest import kafka_address  # noqa: F401 - the fixture

ROUNDS = 10
EVENTS = 60_000
"""A fifth of what a round of the command has, so that the tests stay within minutes beside other work."""


def test_what_is_killed_between_topics_decides_each_event_once(
    tmp_path: Path,
    kafka_address: str,  # noqa: F811
) -> None:
    pytest.importorskip("confluent_kafka")
    from tests.crash.kafka_campaign import KafkaCampaign

    with KafkaCampaign(tmp_path, kafka_address, seed=20_260_202, events=EVENTS) as campaign:
        for _ in range(ROUNDS):
            campaign.round()
    assert (campaign.lost, campaign.doubled, campaign.wrong) == (0, 0, 0), campaign.told()
    assert campaign.kills >= ROUNDS, campaign.told()
