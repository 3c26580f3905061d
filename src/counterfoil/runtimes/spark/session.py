"""The Spark session of a run: the settings that counterfoil relies on, and the user's own on top."""

from __future__ import annotations

import importlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from counterfoil.errors import ConfigurationError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from counterfoil.config import RunConfig

RETRIES = 4
"""How often a task of a local session may fail: a worker that dies is started again."""

BATCH_EVENTS = 8_192
"""Most events of one piece: 60,000 events a second went through two cores with it, 37,000 with four times as many. The
JVM copies a piece half a dozen times, and arrays of megabytes are hard on its heap."""
_OWNED = (
    "spark.sql.shuffle.partitions",
    "spark.sql.streaming.stateStore.providerClass",
    "spark.sql.streaming.noDataMicroBatches.enabled",
)


def require_spark() -> None:
    """Refuse to go on without the library.

    Raises
    ------
    ConfigurationError
        If it is not installed.
    """
    try:
        importlib.import_module("pyspark")
        importlib.import_module("pyarrow")
    except ImportError as error:
        message = (
            f"spark: {error.name} is not installed; run: pip install 'counterfoil[spark]' (in a checkout: make"
            " .venv-spark, then .venv-spark/bin/counterfoil)"
        )
        raise ConfigurationError(message) from error


def partitions_of(config: RunConfig) -> int:
    """Return how many tasks a shuffle ends in."""
    if config.spark.partitions is not None:
        return config.spark.partitions
    if config.limits.shards == 1 or is_elsewhere(config.state.folder):
        # One part, so one task: others would start workers and state stores in every micro-batch, with nothing to do.
        # And a checkpoint elsewhere is not asked what it fixes, so nothing that may change has a say in it there:
        # parts of the state lie under keys that follow from this number.
        return config.limits.shards
    return max(config.limits.shards, config.limits.threads)


def is_elsewhere(place: str | None) -> bool:
    """Return whether a checkpoint is where only Spark reads and writes."""
    return place is not None and "://" in place and not place.startswith("file://")


def master_of(config: RunConfig) -> str | None:
    """Return Spark's master; None where the one who submits says it."""
    if config.spark.master is not None:
        return config.spark.master
    # Set by spark-submit, and by what starts a driver's Python on a cluster: in their hands the driver then is.
    submitted = os.environ.keys() & {"SPARK_ENV_LOADED", "PYSPARK_GATEWAY_PORT"}
    return None if submitted else f"local[{config.limits.threads},{RETRIES}]"


def settings(config: RunConfig, jars: Sequence[Path], submitted: bool = False) -> dict[str, str]:
    """Return the settings of a session.

    Parameters
    ----------
    config
        The run.
    jars
        Archives beyond Spark's own: those of its Kafka source.
    submitted
        Whether they are for ``spark-submit``: what suits this machine alone is left out then.

    Raises
    ------
    ConfigurationError
        If the user sets what counterfoil depends on.
    """
    for name in _OWNED:
        if name in config.spark.properties:
            instead = "spark.partitions" if name.endswith("partitions") else "nothing: counterfoil depends on it"
            raise ConfigurationError(f"spark.properties: {name} is set; use {instead}")
    found = {
        "spark.sql.shuffle.partitions": str(partitions_of(config)),
        "spark.sql.streaming.stateStore.providerClass": (
            "org.apache.spark.sql.execution.streaming.state.RocksDBStateStoreProvider"
        ),
        "spark.sql.streaming.stateStore.rocksdb.changelogCheckpointing.enabled": "true",
        "spark.sql.streaming.noDataMicroBatches.enabled": "false",
        "spark.sql.execution.arrow.maxRecordsPerBatch": str(min(config.limits.batch_events, BATCH_EVENTS)),
        "spark.python.worker.reuse": "true",
        "spark.driver.maxResultSize": "0",
        # Results are blobs of many decisions: no column is worth a plan's time.
        "spark.sql.codegen.wholeStage": "false",
        "spark.sql.session.timeZone": "UTC",
        "spark.executorEnv.NUMBA_NUM_THREADS": "1",
    }
    if jars:
        found["spark.jars"] = ",".join(str(path) for path in jars)
    master = config.spark.master if submitted else master_of(config)
    if master is not None and master.startswith("local"):
        found |= {
            "spark.ui.enabled": "false",
            "spark.driver.memory": "2g",
            # Large arrays that live for a moment: the collector for short pauses is a third slower with them.
            "spark.driver.extraJavaOptions": "-XX:+UseParallelGC",
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.log.level": "ERROR",
            "spark.ui.showConsoleProgress": "false",
        }
    return found | dict(config.spark.properties)


@contextmanager
def _told_to(log: Path | None) -> Iterator[None]:
    """Let what is started meanwhile write its standard error to a file."""
    if log is None:
        yield
        return
    sys.stderr.flush()
    own = os.dup(2)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.dup2(file, 2)
        yield
    finally:
        os.dup2(own, 2)
        os.close(own)
        os.close(file)


@contextmanager
def _own_interrupt() -> Iterator[None]:
    """Keep what is done on Ctrl-C: Spark would have its own, which breaks off in the middle of a call."""
    former = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, former)


def open_session(config: RunConfig, jars: Sequence[Path] = (), log: Path | None = None) -> SparkSession:
    """Return the session of a run; one that is there already is taken as it is.

    Parameters
    ----------
    config
        The run.
    jars
        Archives beyond Spark's own.
    log
        Where Spark's JVM and its workers write their standard error; None for this process's.
    """
    require_spark()
    from pyspark.sql import SparkSession  # noqa: PLC0415 - an extra

    # Else workers would be another Python, which has none of our packages.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("PYSPARK_DRIVER_PYTHON", sys.executable)
    builder: Any = SparkSession.builder.appName(f"counterfoil {config.detector}")
    master = master_of(config)
    if master is not None:
        builder = builder.master(master)
    # It logs at length, with tracebacks, what this program tells in a line.
    logging.getLogger("py4j").setLevel(logging.CRITICAL)
    with _told_to(log), _own_interrupt():
        session: SparkSession = builder.config(map=_plain(settings(config, jars))).getOrCreate()
    return session


def _plain(values: Mapping[str, str]) -> dict[str, str]:
    return {name: str(value) for name, value in values.items()}
