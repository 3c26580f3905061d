"""Dead letters, and that the page on events tells of every reason and setting."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from counterfoil.events.dead_letters import DEAD_LETTER_BYTES_MAX, DeadLetter, ReasonCode
from counterfoil.events.decoding import DecoderSettings

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "events.md").read_text(encoding="utf-8")


def test_a_dead_letter_keeps_64_kib_and_the_size() -> None:
    letter = DeadLetter.of(7, ReasonCode.INVALID_JSON, "detail", b"x" * 100_000)
    assert len(letter.record) == DEAD_LETTER_BYTES_MAX == 65_536
    assert letter.size == 100_000
    assert "xxx" not in repr(letter)


def test_the_page_tells_of_every_reason() -> None:
    assert [reason.value for reason in ReasonCode if f"| `{reason.value}` |" not in PAGE] == []


def test_the_page_tells_of_every_setting() -> None:
    assert [each.name for each in fields(DecoderSettings) if f"`{each.name}`" not in PAGE] == []
