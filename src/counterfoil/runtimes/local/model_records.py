"""What models said, in the decision log and in its lines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl

from counterfoil.errors import CorruptionError
from counterfoil.models.definition import ModelUse
from counterfoil.models.scores import SERVED, ModelScores, Served, slots_of
from counterfoil.runtimes.local.arrays import Bytes, writable

if TYPE_CHECKING:
    from counterfoil.runtimes.local.records import Records

HEAP = "models"
_NO_FINDING = '"rules":[],"reasons":[]'

Arrays = dict[str, npt.NDArray[Any]]


def mix_models(digest: npt.NDArray[np.int64], models: ModelScores) -> npt.NDArray[np.int64]:
    """Return digests with everything mixed in that models said."""
    state = digest.view(np.uint64)
    for scores in (models.raw, models.mapped):
        for entry in range(len(scores)):
            state = _mixed(state, np.ascontiguousarray(scores[entry]).view(np.uint64))
    for slot in range(len(models.arm)):
        state = _mixed(state, models.arm[slot].astype(np.uint64))
    return state.view(np.int64)


def _mixed(state: npt.NDArray[np.uint64], words: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    mixed = (state ^ words) * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= mixed >> np.uint64(29)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    return mixed ^ (mixed >> np.uint64(32))


def encode_models(models: ModelScores) -> tuple[Arrays, dict[str, Bytes]]:
    """Return the columns and the heap that a block of the log has for its models."""
    arrays: Arrays = {}
    for entry, served in enumerate(models.served):
        if served.status == SERVED:
            arrays[f"model raw {entry}"] = np.ascontiguousarray(models.raw[entry])
            if served.mapping:
                arrays[f"model mapped {entry}"] = np.ascontiguousarray(models.mapped[entry])
    for slot in range(len(models.arm)):
        arrays[f"model arm {slot}"] = np.ascontiguousarray(models.arm[slot])
    described = {
        "uses": [asdict(use) for use in models.uses],
        "served": [each.as_list() for each in models.served],
    }
    return arrays, {HEAP: writable(msgspec.json.encode(described))}


def decode_models(arrays: Mapping[str, Any], size: int) -> ModelScores | None:
    """Return what models said in a block of the log; None where it has none.

    Raises
    ------
    CorruptionError
        If it is damaged.
    """
    if HEAP not in arrays:
        return None
    try:
        described = msgspec.json.decode(arrays[HEAP].tobytes())
        uses = tuple(ModelUse(**each) for each in described["uses"])
        served = tuple(Served(*each) for each in described["served"])
        slots = slots_of(uses)
        arm = np.stack([arrays[f"model arm {slot}"] for slot in range(len(slots))]) if slots else np.zeros((0, size))
    except (msgspec.DecodeError, KeyError, TypeError) as error:
        raise CorruptionError(
            f"a block of the log has damaged models: {error}; restore the folder from a copy"
        ) from error
    raw, mapped = np.full((len(uses), size), np.nan), np.full((len(uses), size), np.nan)
    for entry in range(len(uses)):
        if f"model raw {entry}" in arrays:
            raw[entry] = arrays[f"model raw {entry}"]
            mapped[entry] = arrays.get(f"model mapped {entry}", raw[entry])
    return ModelScores(uses, served, raw, mapped, arm.astype(np.uint8), slots)


def with_models(records: Records) -> Records:
    """Return records whose findings name what models said: one text for each decision, made column by column."""
    models = records.models
    if models is None or not len(records):
        return records
    size = len(records)
    lines = pl.Series(_findings(records))
    parts: list[pl.Expr | pl.Series] = [lines, pl.repeat(',"models":{', size, eager=True)]
    first = True
    for slot, entry in enumerate(models.slots):
        parts += _slot(models, slot, entry, first)
        first = False
    for entry, use in enumerate(models.uses):
        if use.shadow:
            parts += _shadow(models, entry, first)
            first = False
    parts.append(pl.repeat("}", size, eager=True))
    frame = pl.DataFrame([part.alias(str(index)) for index, part in enumerate(parts)])
    texts = frame.select(pl.concat_str(pl.all()).alias("text"))["text"]
    length = texts.str.len_bytes().to_numpy().astype(np.int32)
    ends = np.cumsum(length, dtype=np.int64)
    heap = writable(str(texts.str.join("").item()).encode())
    return replace(records, finding_heap=heap, finding_offset=ends - length, finding_length=length)


def _findings(records: Records) -> list[str]:
    texts = [_NO_FINDING] * len(records)
    for row in np.flatnonzero(records.finding_length >= 0).tolist():
        start = int(records.finding_offset[row])
        texts[row] = records.finding_heap[start : start + int(records.finding_length[row])].tobytes().decode()
    return texts


def _slot(models: ModelScores, slot: int, entry: int, first: bool) -> list[pl.Series]:
    """Return the pieces of one member; a piece is the same for all decisions of one arm, or a number."""
    arm = models.arm[slot]
    place = arm.astype(np.int64)[None, :]
    raw = np.take_along_axis(models.raw, place, axis=0)[0]
    mapped = np.take_along_axis(models.mapped, place, axis=0)[0]
    comma = "" if first else ","
    heads = [
        f'{comma}{_json(models.uses[entry].name)}:{{"model":{_json(each.reference)},"arm":{_json(use.name)},"score":'
        for each, use in zip(models.served, models.uses, strict=True)
    ]
    fails = [f',"failed":{_json("no score" if each.status == SERVED else each.status)}}}' for each in models.served]
    return [_chosen(heads, arm), _number(mapped), _same(',"raw":', len(arm)), _number(raw), _ends(fails, arm, raw)]


def _shadow(models: ModelScores, entry: int, first: bool) -> list[pl.Series]:
    size = models.raw.shape[1]
    served, comma = models.served[entry], "" if first else ","
    head = f'{comma}{_json(models.uses[entry].name)}:{{"model":{_json(served.reference)},"shadow":true,"score":'
    fail = f',"failed":{_json("no score" if served.status == SERVED else served.status)}}}'
    raw = models.raw[entry]
    end = _ends([fail], np.zeros(size, np.uint8), raw)
    return [_same(head, size), _number(models.mapped[entry]), _same(',"raw":', size), _number(raw), end]


def _same(text: str, size: int) -> pl.Series:
    return pl.repeat(text, size, eager=True)


def _chosen(texts: list[str], which: npt.NDArray[np.uint8]) -> pl.Series:
    return pl.Series(texts, dtype=pl.String).gather(which.astype(np.uint32))


def _ends(fails: list[str], which: npt.NDArray[np.uint8], raw: npt.NDArray[np.float64]) -> pl.Series:
    return _chosen(["}", *fails], np.where(np.isnan(raw), which + 1, 0).astype(np.uint8))


def _number(values: npt.NDArray[np.float64]) -> pl.Series:
    return pl.Series(np.ascontiguousarray(values)).fill_nan(None).cast(pl.String).fill_null("null")


def _json(text: str) -> str:
    return msgspec.json.encode(text).decode()
