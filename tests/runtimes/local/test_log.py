from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from counterfoil.config import Secret, SourceConfig
from counterfoil.errors import InputError, StorageError
from counterfoil.rules.definition import Outcome
from counterfoil.runtimes.local.log import DecisionFilter, StateLog
from counterfoil.runtimes.local.runtime import LocalRuntime
from tests.runtimes.sample import DEFINITION, sample_config, sample_detector, sample_lines, write_lines

CLOCK = 1_800_000_000_000_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder after a run with snapshots, in batches of 25."""
    folder = tmp_path_factory.mktemp("log")
    source = write_lines(folder / "events.ndjson", sample_lines(250))
    config = sample_config(folder, source, batch_events=25, features=True, replay_seconds=0.0, snapshot_share=1.0)
    with LocalRuntime(config, sample_detector(), clock=lambda: CLOCK) as runtime:
        runtime.run()
    return folder


def decisions(folder: Path) -> list[dict[str, object]]:
    lines = (folder / "decisions.ndjson").read_text().splitlines()
    return [{name: value for name, value in json.loads(line).items() if name != "features"} for line in lines]


def wanted_rules(decision: dict[str, object]) -> list[str]:
    rules = decision["rules"]
    assert isinstance(rules, list)
    return [rule["name"] for rule in rules]


def test_decisions_are_filtered(folder: Path) -> None:
    everything = decisions(folder)
    middle = 1_767_230_000_000_000
    with StateLog(folder / "state") as log:

        def found(wanted: DecisionFilter | None = None, last: int | None = None) -> list[dict[str, object]]:
            return [json.loads(line) for line in log.decisions(wanted, last=last)]

        assert found() == everything
        assert found(last=3) == everything[-3:]
        assert found(last=10_000) == everything
        blocked = [each for each in everything if each["outcome"] == "block"]
        assert found(DecisionFilter(outcome=Outcome.BLOCK)) == blocked
        assert found(DecisionFilter(outcome=Outcome.BLOCK), last=2) == blocked[-2:]
        assert found(DecisionFilter(rule="many")) == [each for each in everything if "many" in wanted_rules(each)]
        assert found(DecisionFilter(minimum_score=0.9)) == [
            each for each in everything if float(str(each["score"])) > 0.9
        ]
        early, late = DecisionFilter(until=middle), DecisionFilter(since=middle)
        assert len(found(early)) + len(found(late)) == len(everything)
        assert found(DecisionFilter(late=True)) == []
        assert found(DecisionFilter(late=False)) == everything
        assert found(DecisionFilter(rule="none")) == []


def test_alerts_are_episodes(folder: Path) -> None:
    with StateLog(folder / "state") as log:
        alerts = list(log.alerts())
        assert [alert.position for alert in alerts] == sorted(alert.position for alert in alerts)
        many = list(log.alerts("many"))
        assert many
        assert {alert.content["entity"] for alert in many} == {"customer"}
        assert all(alert.content["key"]["customer"].startswith("customer-") for alert in many)
        assert max(alert.content["decisions"] for alert in many) > 1
        assert [alert.alert for alert in log.alerts(last=2)] == [alert.alert for alert in alerts[-2:]]
        own = next(alert for alert in alerts if alert.content["entity"] is None)
        assert own.content["decisions"] == 1
        assert log.store.alert(own.alert) == own
        assert log.store.alert("no@0") is None


def test_a_follower_sees_what_is_new(tmp_path: Path) -> None:
    lines = sample_lines(60)
    path = write_lines(tmp_path / "events.ndjson", lines[:30])
    config = sample_config(tmp_path, path)
    with LocalRuntime(config, sample_detector(), clock=lambda: CLOCK) as runtime:
        runtime.run()
        seen: list[bytes] = []
        alerts: list[str] = []
        stopped = threading.Event()

        def follow() -> None:
            with StateLog(tmp_path / "state") as log:
                seen.extend(log.decisions(follow=True, stopped=stopped.is_set))

        def follow_alerts() -> None:
            with StateLog(tmp_path / "state") as log:
                alerts.extend(alert.alert for alert in log.alerts(follow=True, stopped=stopped.is_set))

        threads = [threading.Thread(target=each) for each in (follow, follow_alerts)]
        for thread in threads:
            thread.start()
        write_lines(path, lines)
        runtime.run()
        expected = (tmp_path / "decisions.ndjson").read_bytes().splitlines(keepends=True)
        for _ in range(100):
            if len(seen) == len(expected):
                break
            threading.Event().wait(0.1)
        stopped.set()
        for thread in threads:
            thread.join()
    assert seen == expected
    assert len(set(alerts)) == runtime.store.totals.alerts


def test_every_decision_can_be_performed_again(folder: Path) -> None:
    made = decisions(folder)
    lines = [json.loads(line) for line in (folder / "decisions.ndjson").read_text().splitlines()]
    with StateLog(folder / "state") as log:
        for index in (0, 1, len(made) // 2, len(made) - 1):
            explained = log.explain(str(made[index]["id"])).as_dict()
            assert explained["equal"]
            assert {name: explained[name] for name in ("id", "position", "event_time", "outcome", "score")} == {
                name: made[index][name] for name in ("id", "position", "event_time", "outcome", "score")
            }
            assert explained["features"] == lines[index]["features"]
            hits = [rule for rule in explained["rules"] if rule["result"] == "hit"]
            told = ("name", "score", "values", "contribution")
            assert [{name: rule[name] for name in told} for rule in hits] == made[index]["rules"]
            assert sum(rule["contribution"] for rule in hits) == pytest.approx(explained["score"], abs=1e-6)
            assert (explained["counterfactual"] is None) == (explained["outcome"] == "approve")
            assert explained["reasons"] == made[index]["reasons"] == explained["recorded"]["reasons"]
            assert explained["inputs"]["payment_id"] == made[index]["id"]
            assert explained["inputs"]["kind"] == "payment"
        by_position = log.explain(str(made[5]["position"]))
        assert by_position.id == made[5]["id"]
        last = log.explain(str(made[-1]["id"]))
        assert last.replayed_events < 250


def test_what_was_not_decided_cannot_be_explained(folder: Path) -> None:
    with StateLog(folder / "state") as log:
        with pytest.raises(InputError, match="nobody: no decided event"):
            log.explain("nobody")
        header = next(iter(log.store.headers()))
        batch_positions = range(header.first_position, header.next_position)
        refusals = 0
        for position in batch_positions:
            try:
                log.explain(str(position))
            except InputError:
                refusals += 1
        assert refusals == len(batch_positions) - header.decided
        with pytest.raises(InputError, match="no decided event"):
            log.explain("999999")


def test_an_old_decision_is_performed_by_the_detector_that_made_it(tmp_path: Path) -> None:
    first = write_lines(tmp_path / "one.ndjson", sample_lines(80, seed=1))
    config = sample_config(tmp_path, first, replay_seconds=0.0, snapshot_share=1.0)
    with LocalRuntime(config, sample_detector(), clock=lambda: CLOCK) as runtime:
        runtime.run()
    second = write_lines(tmp_path / "two.ndjson", [line.replace(b'p\\"', b"q") for line in sample_lines(80, seed=2)])
    stricter = sample_detector(DEFINITION.replace("count_1h >= 5", "count_1h >= 2"))
    config = replace(config, source=SourceConfig(path=str(second)), state=replace(config.state, accept_detector=True))
    with LocalRuntime(config, stricter, clock=lambda: CLOCK) as runtime:
        runtime.run()
    made = [json.loads(line) for line in (tmp_path / "decisions.ndjson").read_text().splitlines()]
    with StateLog(tmp_path / "state") as log:
        for decision in (made[3], made[60], made[-1]):
            explained = log.explain(decision["id"])
            assert explained.equal
            assert explained.detector == decision["detector"]
    assert made[0]["detector"] != made[-1]["detector"]


CARDS = """
detector: cards
events:
  payment: {id: payment_id, time: at, decide: true, fields: {card: card, amount: {type: money, required: true}}}
"""


def test_dead_letters_that_may_hold_a_card_number_are_encrypted(tmp_path: Path) -> None:
    number = "4111111111111111"
    bad = json.dumps({"kind": "payment", "payment_id": "p1", "at": "soon", "card": number, "amount": 1}).encode()
    good = json.dumps(
        {"kind": "payment", "payment_id": "p2", "at": 1_767_225_600, "card": number, "amount": 1}
    ).encode()
    path = write_lines(tmp_path / "events.ndjson", [bad, good])
    config = replace(sample_config(tmp_path, path), secret=Secret("swordfish"))
    with LocalRuntime(config, sample_detector(CARDS), clock=lambda: CLOCK) as runtime:
        assert runtime.run().dead_letters == 1
    for file in (tmp_path / "state").rglob("*"):
        assert not file.is_file() or number.encode() not in file.read_bytes(), file
    assert number not in (tmp_path / "decisions.ndjson").read_text()
    with StateLog(tmp_path / "state", b"swordfish") as log:
        letter, record = log.dead_letter(1)
        assert (letter.sealed, letter.reason, record) == (True, "bad_time", bad)
        assert [each.letter for each in log.dead_letters("bad_time")] == [1]
        assert list(log.dead_letters("invalid_json")) == []
        with pytest.raises(InputError, match="dead letter 7: there is none"):
            log.dead_letter(7)
    with pytest.raises(StorageError, match="made with another secret"):
        StateLog(tmp_path / "state", b"guess")


def test_a_letter_sealed_with_another_key_stays_shut() -> None:
    from counterfoil.events.dead_letters import DeadLetter, ReasonCode
    from counterfoil.events.identity import IdentityKey
    from counterfoil.runtimes.local.dead_letter_vault import DeadLetterVault
    from counterfoil.runtimes.local.store import StoredDeadLetter

    schema = sample_detector(CARDS).schema
    letter = DeadLetter.of(3, ReasonCode.BAD_TIME, "why", b"record")
    kept = DeadLetterVault(schema, IdentityKey(b"one"), 100).keep(letter)
    stored = StoredDeadLetter(1, "s", 3, kept.reason, kept.detail, kept.bytes, kept.sealed, kept.cut, False)
    assert DeadLetterVault(schema, IdentityKey(b"one"), 100).open(stored) == b"record"
    for wrong in (DeadLetterVault(schema, IdentityKey(b"two"), 100), DeadLetterVault(schema, IdentityKey(b"one"), 1)):
        moved = replace(stored, position=4)
        with pytest.raises(StorageError, match="cannot be decrypted"):
            wrong.open(moved)
