"""Windows a card with quixstreams, at least once: its own sliding windows, or written by hand over its state.

python -m benchmarks.streams.quix {windows|state} SERVERS GROUP INPUT OUTPUT FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from quixstreams import Application
from quixstreams.dataframe.windows import Count, Latest, Mean, Sum

from benchmarks.streams.windows import DAY_MS, HOUR_MS, add


def own_windows(frame: Any, output: Any) -> None:
    """One sliding window an hour, one a day; of what each emits, the window that ends at the event."""
    for label, length in (("1h", HOUR_MS), ("24h", DAY_MS)):
        # Both ends belong to its windows; ours begin behind the time an hour ago.
        rolling = frame.sliding_window(length - 1).agg(
            n=Latest("n"), at=Latest("event_time"), count=Count(), sum=Sum("amount"), mean=Mean("amount")
        )
        found = rolling.current()
        found = found[found["end"] == found["at"]]
        found.apply(
            lambda value, label=label: {
                "n": value["n"],
                f"count_{label}": value["count"],
                f"sum_{label}": value["sum"],
                f"mean_{label}": value["mean"],
            }
        ).to_topic(output)


def by_hand(frame: Any, output: Any) -> None:
    """Keep the last day's payments of a card in its state."""

    def decide(event: dict[str, Any], state: Any) -> dict[str, Any]:
        held = state.get("held", [])
        result = add(held, event)
        state.set("held", held)
        return result

    frame.apply(decide, stateful=True).to_topic(output)


def main(form: str, servers: str, group: str, source: str, target: str, folder: str) -> None:
    """Run until killed."""
    application = Application(
        servers,
        consumer_group=group,
        auto_offset_reset="earliest",
        state_dir=Path(folder),
        loglevel="WARNING",
        producer_extra_config={"linger.ms": 20, "compression.type": "lz4"},
        consumer_poll_timeout=0.1,
    )
    events = application.topic(source, timestamp_extractor=lambda value, *_: value["event_time"])
    output = application.topic(target)
    (own_windows if form == "windows" else by_hand)(application.dataframe(events), output)
    application.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
