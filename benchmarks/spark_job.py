"""Jobs of the Spark benchmark, run with the Python of Spark's environment: ``python -m benchmarks.spark_job FILE``.

The file says which: a run of counterfoil's, or the obvious way, a pandas function for each card with its own state.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - as everybody calls it
from pyspark.sql.streaming.stateful_processor import StatefulProcessor

from counterfoil.config import parse_config
from counterfoil.runtimes.spark.runtime import SparkRuntime
from counterfoil.runtimes.spark.session import open_session

HOUR = 3_600_000_000


class Progress:
    """Notes how long each micro-batch took."""

    def __init__(self, session: SparkSession) -> None:
        self._session, self._stopped = session, threading.Event()
        self.batches: dict[int, tuple[int, float]] = {}
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._stopped.wait(0.2):
            self.look()

    def look(self) -> None:
        """Take down what is known now."""
        for query in self._session.streams.active:
            for each in query.recentProgress:
                if each.numInputRows:
                    self.batches[each.batchId] = (each.numInputRows, each.durationMs["triggerExecution"] / 1000)

    def end(self) -> list[tuple[int, float]]:
        """Return events and seconds of each micro-batch."""
        self._stopped.set()
        self._thread.join()
        return [self.batches[number] for number in sorted(self.batches)]


def counterfoil(session: SparkSession, settings: dict[str, Any]) -> dict[str, Any]:
    summary = SparkRuntime(parse_config(settings), session=session).run()
    return {"events": summary.events, "seconds": summary.seconds, "decided": summary.decided}


class Windows(StatefulProcessor):
    """What anybody would write first: a list of a card's payments as state, filtered for each of them."""

    def init(self, handle: Any) -> None:
        """Declare the state."""
        self._state = handle.getValueState("payments", "times binary, amounts binary")

    def handleInputRows(self, key: Any, rows: Any, timerValues: Any) -> Iterator[pd.DataFrame]:  # noqa: N802, N803
        """Answer for each payment of a card."""
        del key, timerValues
        known = self._state.get()
        times = np.frombuffer(known[0], np.int64) if known else np.zeros(0, np.int64)
        amounts = np.frombuffer(known[1], np.int64) if known else np.zeros(0, np.int64)
        frame = pd.concat(list(rows)).sort_values(["partition", "offset"])
        found = []
        for time_, amount in zip(frame["time"].to_numpy(), frame["amount"].to_numpy(), strict=True):
            times, amounts = np.append(times, time_), np.append(amounts, amount)
            row: list[float] = []
            for window in (HOUR, 24 * HOUR):
                inside = (times > time_ - window) & (times <= time_)
                row += [int(inside.sum()), int(amounts[inside].sum())]
            found.append(row)
        keep = times > times.max() - 8 * 24 * HOUR
        self._state.update((times[keep].tobytes(), amounts[keep].tobytes()))
        values = np.array(found, np.int64).T
        yield pd.DataFrame({"id": frame["id"].to_numpy(), **{name: values[at] for at, name in enumerate("abcd")}})

    def close(self) -> None:
        """Do nothing."""


def obvious(session: SparkSession, settings: dict[str, Any]) -> dict[str, Any]:
    records = (
        session.readStream.format("kafka")
        .option("kafka.bootstrap.servers", settings["servers"])
        .option("subscribe", settings["topic"])
        .option("startingOffsets", "earliest")
        .option("maxOffsetsPerTrigger", settings["micro_batch_events"])
        .load()
    )
    schema = "kind string, transaction_id string, card_id string, event_time timestamp, amount decimal(18,2)"
    event = F.from_json(F.col("value").cast("string"), schema)
    payments = records.select(event.alias("e"), "partition", "offset").where(
        "e.kind = 'transaction' and e.card_id is not null"
    )
    rows = payments.selectExpr(
        "e.card_id card", "e.transaction_id id", "unix_micros(e.event_time) time",
        "cast(e.amount * 100 as bigint) amount", "partition", "offset",
    )  # fmt: skip
    windows = rows.groupBy("card").transformWithStateInPandas(
        Windows(), "id string, a bigint, b bigint, c bigint, d bigint", "append", "none"
    )
    output = Path(settings["output"])
    output.write_text("")

    def write(batch: DataFrame, number: int) -> None:
        del number
        with output.open("a") as file:
            for row in batch.collect():
                file.write(json.dumps([row.id, row.a, row.b, row.c, row.d]) + "\n")

    began = time.monotonic()
    writer = windows.writeStream.outputMode("append").option("checkpointLocation", settings["checkpoint"])
    query = writer.foreachBatch(write).trigger(availableNow=True).start()
    query.awaitTermination()
    return {"seconds": time.monotonic() - began}


def main(path: Path) -> None:
    job = json.loads(path.read_text())
    config = parse_config(job["session"])
    session = open_session(config, [Path(jar) for jar in job["jars"]])
    # Else only the last hundred micro-batches are told of, which is enough.
    progress = Progress(session)
    done = obvious(session, job["obvious"]) if "obvious" in job else counterfoil(session, job["session"])
    batches = progress.end()
    path.with_suffix(".done").write_text(json.dumps({**done, "batches": batches}))
    session.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
