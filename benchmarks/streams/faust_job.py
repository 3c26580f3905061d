"""Windows a card with faust, at least once: it has hopping windows alone, so written by hand over its table.

python -m benchmarks.streams.faust_job SERVERS GROUP INPUT OUTPUT FOLDER
"""

from __future__ import annotations

import sys
from typing import Any

import faust

from benchmarks.streams.windows import add


def job(servers: str, group: str, source: str, target: str, folder: str) -> faust.App:
    """Return an application that keeps the last day's payments of a card in a table with a changelog."""
    application = faust.App(
        group,
        broker=";".join(f"kafka://{each}" for each in servers.split(",")),
        store="memory://",
        datadir=folder,
        topic_partitions=2,
        topic_replication_factor=1,
        consumer_auto_offset_reset="earliest",
        producer_linger=0.02,
        producer_compression_type=None,
        stream_wait_empty=False,
        web_enabled=False,
    )
    events = application.topic(source, key_type=bytes, value_serializer="json")
    output = application.topic(target, value_serializer="json")
    held = application.Table("held", default=list, partitions=2)

    @application.agent(events)
    async def decide(stream: Any) -> None:
        async for key, event in stream.items():
            name = key.decode()
            mine = held[name]
            result = add(mine, event)
            held[name] = mine
            await output.send(key=key, value=result)

    return application


if __name__ == "__main__":
    application = job(*sys.argv[1:])
    sys.argv = [sys.argv[0], "worker", "-l", "warn", "--without-web"]
    application.main()
