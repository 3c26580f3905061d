"""How fast records become columns, on one core, next to msgspec making objects of the same lines.

The comparison is unfair to us: msgspec only parses what its classes name into one object a line, and leaves hashes,
exact amounts, times as numbers, checks and columns to do. Hand-written code that needs those starts where it ends.
"""

from __future__ import annotations

import msgspec

from benchmarks.harness import Result, best_seconds, report
from counterfoil.detector_file import load_detector
from counterfoil.events.batch import Batch
from counterfoil.events.decode_delimited import DelimitedDecoder
from counterfoil.events.decode_json import JsonDecoder
from counterfoil.events.decode_table import TableDecoder
from counterfoil.events.decoding import DecoderSettings
from counterfoil.events.frames import from_frame, to_frame
from counterfoil.events.generators import PaymentsGenerator, TransfersGenerator
from counterfoil.events.identity import IdentityKey
from counterfoil.events.kinds import FieldType, Schema

EVENTS = 200_000
CHUNK = 4_096
"""Events a call, as a runtime would pass them."""
ARRIVAL = 4_000_000_000_000_000
KEY = IdentityKey()
LINES = DecoderSettings(delimiter=";", quote=None, fields=("time", "sender", "receiver", "amount"))
_TYPES: dict[FieldType, type] = {FieldType.MONEY: float, FieldType.FLOAT: float, FieldType.BOOL: bool}


def payment_struct(schema: Schema) -> type[msgspec.Struct]:
    """Return a class that holds what any kind of event may carry, as one would write it for msgspec."""
    names: dict[str, type] = {kind.id: str for kind in schema.kinds if kind.id}
    names |= {kind.time: str for kind in schema.kinds}
    names |= {"kind": str} | {each.name: _TYPES.get(each.type, str) for each in schema.columns}
    return msgspec.defstruct("Event", [(name, each | None, None) for name, each in names.items()])


def json_lines(schema: Schema) -> list[Result]:
    """Decode generated payments, and all the other kinds among them."""
    chunks = [bytes(chunk) for chunk in PaymentsGenerator(seed=3, customers=20_000).ndjson(EVENTS, CHUNK)]
    size = sum(map(len, chunks)) / EVENTS
    decoder = JsonDecoder(schema, DecoderSettings(), KEY, 0)
    batches: list[Batch] = []

    def decode() -> None:
        batches.clear()
        for number, chunk in enumerate(chunks):
            decoded = decoder.decode(chunk, number * CHUNK, ARRIVAL)
            assert not decoded.dead
            batches.append(decoded.batch)

    structs = msgspec.json.Decoder(payment_struct(schema))
    ours, theirs = best_seconds(decode), best_seconds(lambda: [structs.decode_lines(chunk) for chunk in chunks])
    one = chunks[0].split(b"\n")[0]
    single = best_seconds(lambda: [decoder.decode(one, 0, ARRIVAL) for _ in range(1_000)])
    frames = best_seconds(lambda: [to_frame(batch) for batch in batches])
    stored = [to_frame(batch) for batch in batches]
    back = best_seconds(lambda: [from_frame(frame, schema, KEY) for frame in stored])
    note = f"generated payments, {size:.0f} bytes a line, batches of {CHUNK:,}"
    return [
        Result("JSON lines to columns, one core", EVENTS / ours, "events/s", "≥ 1,000,000", note),
        Result(
            "the same, against msgspec making objects", theirs / ours, "×", "", "without hashes, checks and columns"
        ),
        Result("one JSON line to a batch of one", single * 1_000, "µs", "", "in a loop, warm"),
        Result("a batch as a frame", frames / EVENTS * 1e9, "ns an event", "", note),
        Result("a frame as a batch", back / EVENTS * 1e9, "ns an event", "", "hashes made anew"),
    ]


def delimited_lines(schema: Schema) -> Result:
    """Decode generated transfers in both forms of time."""
    chunks = [chunk.to_lines() for chunk in TransfersGenerator(seed=3).chunks(EVENTS, CHUNK)]
    decoder = DelimitedDecoder(schema, LINES, KEY, 0)

    def decode() -> None:
        for number, chunk in enumerate(chunks):
            assert not decoder.decode(chunk, number * CHUNK, ARRIVAL).dead

    size = sum(map(len, chunks)) / EVENTS
    return Result(
        "Transfer lines to columns, one core", EVENTS / best_seconds(decode), "events/s", "", f"{size:.0f} bytes"
    )


def tables(schema: Schema) -> Result:
    """Decode the same transfers as frames."""
    frames = [chunk.to_frame() for chunk in TransfersGenerator(seed=3).chunks(EVENTS, 65_536)]
    decoder = TableDecoder(schema, DecoderSettings(), KEY, 0)

    def decode() -> None:
        for number, frame in enumerate(frames):
            assert not decoder.decode(frame, number * 65_536, ARRIVAL).dead

    return Result("Rows of a table to columns, one core", EVENTS / best_seconds(decode), "events/s", "", "transfers")


def main() -> list[Result]:
    """Measure each decoder."""
    transfers = load_detector("laundering").schema
    return [*json_lines(load_detector("payments").schema), delimited_lines(transfers), tables(transfers)]


if __name__ == "__main__":
    report(main)
