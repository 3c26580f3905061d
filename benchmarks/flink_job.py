"""The obvious ways on Flink, run with the Python of its environment: ``python -m benchmarks.flink_job FILE``.

A keyed process function that is called for each payment, with a list of its card's payments as state; or `OVER` windows
of Flink's SQL. Both give a card's count and spend over an hour and over a day.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pyflink.common import Configuration, Row, Types
from pyflink.datastream import KeyedProcessFunction, RuntimeContext, StreamExecutionEnvironment
from pyflink.datastream.state import ValueStateDescriptor
from pyflink.table import Schema, StreamTableEnvironment

HOUR = 3_600_000
SOURCE = """
CREATE TABLE payments (
  `kind` STRING, `transaction_id` STRING, `card_id` STRING, `amount` DECIMAL(18, 2),
  `event_time` TIMESTAMP_LTZ(3), WATERMARK FOR `event_time` AS `event_time`
) WITH (
  'connector' = 'kafka', 'topic' = '{topic}', 'properties.bootstrap.servers' = '{servers}',
  'properties.group.id' = 'obvious', 'scan.startup.mode' = 'earliest-offset', 'scan.bounded.mode' = 'latest-offset',
  'format' = 'json', 'json.timestamp-format.standard' = 'ISO-8601'
)
"""
SINK = """
CREATE TABLE results (id STRING, n1 BIGINT, s1 DECIMAL(38, 2), n24 BIGINT, s24 DECIMAL(38, 2))
WITH ('connector' = 'filesystem', 'path' = '{output}', 'format' = 'csv')
"""
QUERY = """
SELECT id, n1, s1, COUNT(1) OVER w, SUM(amount) OVER w FROM (
  SELECT transaction_id AS id, card_id, amount, event_time, COUNT(1) OVER w AS n1, SUM(amount) OVER w AS s1
  FROM payments WHERE kind = 'transaction' AND card_id IS NOT NULL
  WINDOW w AS (PARTITION BY card_id ORDER BY event_time
    RANGE BETWEEN INTERVAL '0 00:59:59.999' DAY(1) TO SECOND(3) PRECEDING AND CURRENT ROW)
) WINDOW w AS (PARTITION BY card_id ORDER BY event_time
    RANGE BETWEEN INTERVAL '0 23:59:59.999' DAY(1) TO SECOND(3) PRECEDING AND CURRENT ROW)
"""


class Windows(KeyedProcessFunction):  # type: ignore[misc]
    """Keeps a card's payments of the last day."""

    def open(self, runtime_context: RuntimeContext) -> None:
        """Ask for the state."""
        self._state = runtime_context.get_state(ValueStateDescriptor("payments", Types.PICKLED_BYTE_ARRAY()))

    def process_element(self, value: Any, ctx: Any) -> Iterator[Row]:
        """Yield the windows of a payment."""
        del ctx
        identity, _, cents, now = value
        kept = [each for each in self._state.value() or () if each[0] > now - 24 * HOUR]
        kept.append((now, cents))
        self._state.update(kept)
        hour = [each[1] for each in kept if each[0] > now - HOUR]
        yield Row(identity, len(hour), sum(hour), len(kept), sum(each[1] for each in kept))


def main(path: Path) -> None:
    """Run what a file says, and write how long it took beside it."""
    job = json.loads(path.read_text())
    settings = Configuration()
    wanted = {
        "parallelism.default": "2",
        "pipeline.jars": ";".join(Path(jar).as_uri() for jar in job["jars"]),
        "execution.checkpointing.interval": "1 s",
        "restart-strategy.type": "none",
        "pipeline.object-reuse": "true",
        "python.executable": sys.executable,
        "python.client.executable": sys.executable,
    }
    for name, value in wanted.items():
        settings.set_string(name, value)
    environment = StreamExecutionEnvironment.get_execution_environment(settings)
    tables = StreamTableEnvironment.create(environment)
    tables.execute_sql(SOURCE.format(**job))
    tables.execute_sql(SINK.format(**job))
    query = QUERY
    if job["way"] == "function":
        rows = tables.sql_query(
            "SELECT transaction_id, card_id, CAST(amount * 100 AS BIGINT),"
            " CAST(EXTRACT(EPOCH FROM event_time) AS BIGINT) * 1000 + EXTRACT(MILLISECOND FROM event_time)"
            " FROM payments WHERE kind = 'transaction' AND card_id IS NOT NULL"
        )
        keyed = tables.to_data_stream(rows).key_by(lambda row: row[1], key_type=Types.STRING())
        types = Types.ROW([Types.STRING(), Types.LONG(), Types.LONG(), Types.LONG(), Types.LONG()])
        found = tables.from_data_stream(keyed.process(Windows(), types), Schema.new_builder().build())
        tables.create_temporary_view("found", found)
        query = "SELECT f0, f1, CAST(f2 AS DECIMAL(38, 2)) / 100, f3, CAST(f4 AS DECIMAL(38, 2)) / 100 FROM found"
    began = time.monotonic()
    tables.execute_sql(f"INSERT INTO results {query}").wait()
    path.with_suffix(".done").write_text(json.dumps({"seconds": time.monotonic() - began}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
