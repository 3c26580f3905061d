"""The arms of an experiment, from decisions as they were made and a table that knows the labels."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import polars as pl

from counterfoil.errors import ConfigurationError, InputError, nearest
from counterfoil.models.comparison import Arm

if TYPE_CHECKING:
    from counterfoil.training.table import TrainingTable

DECISIONS_MAX = 50_000_000
"""Decisions that are read: a decision takes some 100 bytes here."""
_APPROVE = "approve"


class _Scored(msgspec.Struct):
    """What a decision says of one model."""

    model: str = ""
    arm: str = ""
    score: float | None = None
    raw: float | None = None


class _Decision(msgspec.Struct):
    """The part of a decision's JSON that is asked here."""

    id: str
    outcome: str
    models: dict[str, _Scored] = {}


@dataclass(frozen=True, slots=True)
class Asked:
    """What is compared.

    Parameters
    ----------
    slot
        The definition's name of the model; None for the first that decisions name.
    shadow
        A model that only watched: compare it with the slot on the same payments.
    by
        The table's column that says whose payment it is; None where each stands for itself.
    value
        The table's column of amounts; None where value is not counted.
    delay
        Microseconds after which a label is known; None for what the table says.
    as_of
        The time by which labels must have been known, in microseconds since 1970; None for what the table says.
    """

    slot: str | None = None
    shadow: str | None = None
    by: str | None = None
    value: str | None = None
    delay: int | None = None
    as_of: int | None = None


@dataclass(frozen=True, slots=True)
class Arms:
    """The arms that were found.

    Parameters
    ----------
    arms
        In the order of their first decision; of a shadow, the slot first.
    paired
        Whether all hold the same payments.
    unmatched
        Decisions of which the table knows nothing.
    """

    arms: tuple[Arm, ...]
    paired: bool
    unmatched: int


def read_decisions(lines: Iterable[bytes], slot: str | None, shadow: str | None) -> tuple[pl.DataFrame, str]:
    """Return decisions as a table, and the slot's name.

    Parameters
    ----------
    lines
        Decisions as JSON, one a line.
    slot, shadow
        Which models are asked: see ``Asked``.

    Raises
    ------
    InputError
        If a line is no decision, or no decision names the model.
    """
    decoder = msgspec.json.Decoder(_Decision)
    names = ("id", "flagged", "arm", "model", "score", "watched", "watching")
    columns: dict[str, list[object]] = {name: [] for name in names}
    named: set[str] = set()
    for number, line in enumerate(lines):
        if number >= DECISIONS_MAX:
            raise InputError(f"decisions: found more than {DECISIONS_MAX:,}; give a part of them")
        try:
            decision = decoder.decode(line)
        except msgspec.DecodeError as error:
            raise InputError(f"decisions: line {number + 1} is no decision: {error}") from error
        named.update(decision.models)
        if slot is None and decision.models:
            slot = next(name for name in decision.models if name != shadow)
        served = decision.models.get(slot or "")
        watched = decision.models.get(shadow or "")
        if served is None or (shadow is not None and watched is None):
            continue
        values = (
            decision.id,
            decision.outcome != _APPROVE,
            served.arm or slot,
            served.model,
            served.raw if served.raw is not None else served.score,
            None if watched is None else watched.raw if watched.raw is not None else watched.score,
            None if watched is None else watched.model,
        )
        for column, value in zip(columns.values(), values, strict=True):
            column.append(value)
    if slot is None or not columns["id"]:
        asked = " and ".join(f'"{name}"' for name in (slot, shadow) if name is not None) or "a model"
        hint = nearest(shadow or slot or "", sorted(named))
        raise InputError(
            f"decisions: none names {asked}; they name {', '.join(sorted(named)) or 'no models'}; {hint}".rstrip("; ")
        )
    types = {"id": pl.String, "flagged": pl.Boolean, "arm": pl.String, "model": pl.String, "watching": pl.String}
    frame = pl.DataFrame(columns, schema_overrides=types | {"score": pl.Float64, "watched": pl.Float64})
    return frame.unique("id", keep="first", maintain_order=True), slot


def arms_of(lines: Iterable[bytes], table: TrainingTable, asked: Asked) -> Arms:
    """Return the arms of an experiment.

    Parameters
    ----------
    lines
        Decisions as JSON, one a line.
    table
        Labels, and when they were known; amounts and customers.
    asked
        What is compared.

    Raises
    ------
    InputError
        If a line is no decision, no decision names the model, or there is one arm alone.
    ConfigurationError
        If the table has no such column.
    """
    for option, name in (("--by", asked.by), ("--value", asked.value)):
        if name is not None and name not in table.frame.columns:
            raise ConfigurationError(
                f'{option}: the table has no column "{name}"; {nearest(name, table.frame.columns)}'.rstrip("; ")
            )
    decisions, slot = read_decisions(lines, asked.slot, asked.shadow)
    as_of = asked.as_of or table.content.as_of or int(table.times.max(initial=0))
    delay = table.content.delay if asked.delay is None else asked.delay
    known = pl.DataFrame(
        {
            "id": table.frame["id"],
            "label": table.labels_at(as_of),
            "mature": table.times + delay <= as_of,
            "amount": _amounts(table.frame, asked.value),
            "customer": _customers(table.frame, asked.by),
        }
    ).unique("id", keep="first")
    joined = decisions.join(known, on="id", how="inner", maintain_order="left")
    if joined.is_empty():
        raise InputError(
            "decisions: the table knows none of their ids; make it of the same events: counterfoil dataset"
        )
    unmatched = len(decisions) - len(joined)
    if asked.shadow is not None:
        watched = joined.with_columns(score="watched", model="watching", flagged=pl.lit(False))
        return Arms((_arm(slot, joined), _arm(asked.shadow, watched)), True, unmatched)
    names = joined["arm"].unique(maintain_order=True).to_list()
    if len(names) < 2:
        raise InputError(
            f'decisions: every one was served by "{names[0]}"; a comparison needs two arms, or --shadow NAME'
        )
    # The slot's own model is what the others are held against.
    names.sort(key=lambda name: name != slot)
    return Arms(tuple(_arm(name, joined.filter(pl.col("arm") == name)) for name in names), False, unmatched)


def decision_lines(path: Path) -> Iterable[bytes]:
    """Yield the lines of a file of decisions.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    try:
        with path.open("rb") as file:
            yield from (line for line in file if line.strip())
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}; give decisions as JSON lines") from error


def _arm(name: str, frame: pl.DataFrame) -> Arm:
    return Arm(
        name,
        frame["score"].fill_null(float("nan")).to_numpy(),
        frame["flagged"].to_numpy(),
        frame["label"].to_numpy(),
        frame["mature"].to_numpy(),
        frame["amount"].to_numpy(),
        frame["customer"].to_numpy(),
        ", ".join(frame["model"].unique(maintain_order=True).to_list()),
    )


def _amounts(frame: pl.DataFrame, name: str | None) -> pl.Series:
    if name is None:
        return pl.Series("amount", np.zeros(len(frame)))
    return frame[name].cast(pl.Float64).fill_null(0.0)


def _customers(frame: pl.DataFrame, name: str | None) -> pl.Series:
    """Return whose payment each is, as numbers; a payment of nobody known stands for itself."""
    rows = pl.Series("customer", np.arange(len(frame), dtype=np.int64))
    if name is None:
        return rows
    numbers = frame[name].cast(pl.String).rank("dense").cast(pl.Int64)
    return pl.select(pl.coalesce(numbers, rows + len(frame))).to_series()
