"""Runs window features on an engine: ``python -m tests.features.windows_on ENGINE FOLDER``, with the Python of its own.

Reads ``detector.yaml`` and ``in.ndjson`` of the folder, and writes ``ENGINE.json``: an id's values.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from counterfoil.detector_file import read_detector
from counterfoil.features.sql_windows import WindowSql, window_sql


def flink(sql: WindowSql, folder: Path) -> list[Any]:
    """Return the rows of the query on Flink."""
    from pyflink.table import EnvironmentSettings, TableEnvironment

    tables = TableEnvironment.create(EnvironmentSettings.in_streaming_mode())
    options = {"connector": "filesystem", "path": str(folder / "in.ndjson"), "format": "json"}
    options["json.timestamp-format.standard"] = "ISO-8601"
    written = ", ".join(f"'{name}' = '{value}'" for name, value in options.items())
    tables.execute_sql(sql.table.replace("'connector' = '…'", written))
    return list(tables.execute_sql(_selected(sql)).collect())


def spark(sql: WindowSql, folder: Path) -> list[Any]:
    """Return the rows of the query on Spark."""
    from pyspark.sql import SparkSession

    session: Any = SparkSession.builder.master("local[1]").config("spark.sql.shuffle.partitions", "1")
    session = session.config("spark.sql.session.timeZone", "UTC").getOrCreate()
    columns = sql.table.partition("(")[2].rpartition(")")[0]
    session.read.schema(columns).json(str(folder / "in.ndjson")).createOrReplaceTempView("payment")
    return list(session.sql(_selected(sql)).collect())


def _selected(sql: WindowSql) -> str:
    names = ", ".join(f"`{name}`" for name in sql.features)
    return f"SELECT `id`, {names} FROM ({sql.query})"


def main(engine: str, folder: Path) -> None:
    """Write what an engine makes of the events."""
    sql = window_sql(read_detector((folder / "detector.yaml").read_text()), engine)
    rows = {"flink": flink, "spark": spark}[engine](sql, folder)
    found = {row[0]: [None if each is None else float(each) for each in list(row)[1:]] for row in rows}
    (folder / f"{engine}.json").write_text(json.dumps({"features": sql.features, "rows": found}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
