"""What ``generate`` and ``produce`` share: messages go to a topic at a pace, watched, and the end is told honestly."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import typer

from counterfoil.cli.console import messages, print_error, prose
from counterfoil.errors import ConfigurationError, StorageError
from counterfoil.words import counted

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from rich.console import Console
    from rich.status import Status

    from counterfoil.connectors.kafka_producer import TopicProducer
    from counterfoil.connectors.pace import Kept, Pace

_SHOWN_EVERY_SECONDS = 0.5
_NEWS_EVERY_SECONDS = 10.0
"""How often a line is printed where there is no terminal to rewrite one in."""


class Progress:
    """Tells now and then how many events went out and how fast, on standard error.

    Parameters
    ----------
    total
        How many there will be; None where nobody knows.
    quiet
        Whether nothing is told.
    """

    def __init__(self, total: int | None, quiet: bool) -> None:
        self._console: Console | None = None if quiet else messages()
        self._total = total
        self._status: Status | None = None
        terminal = self._console is not None and self._console.is_terminal
        self._every = _SHOWN_EVERY_SECONDS if terminal else _NEWS_EVERY_SECONDS
        self._looked: float | None = None
        self._events = 0

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def show(self, events: int, note: str = "") -> None:
        """Tell it when it is time.

        Parameters
        ----------
        events
            How many have arrived.
        note
            What else there is to say.
        """
        now = time.monotonic()
        if self._looked is None:
            self._looked, self._events = now, events
        if self._console is None or now - self._looked < self._every:
            return
        rate = (events - self._events) / (now - self._looked)
        of = "" if self._total is None else f" of {self._total:,}"
        text = f"{events:,}{of} events, {rate:,.0f} a second{', ' if note else ''}{note}"
        self._looked, self._events = now, events
        if not self._console.is_terminal:
            self._console.print(text, soft_wrap=True, markup=False)
        elif self._status is None:
            self._status = self._console.status(text)
            self._status.start()
        else:
            self._status.update(text)

    def close(self) -> None:
        """Take the line away."""
        if self._status is not None:
            self._status.stop()
            self._status = None


@contextmanager
def open_topic(address: str, settings: Mapping[str, str], stopped: threading.Event) -> Iterator[TopicProducer]:
    """Open the topic of ``kafka://HOST:PORT/TOPIC`` for writing.

    Parameters
    ----------
    address
        Where it is.
    settings
        Settings of librdkafka.
    stopped
        Set from outside, it ends every wait.
    """
    from counterfoil.connectors.kafka_producer import TopicProducer
    from counterfoil.connectors.kafka_settings import KafkaAddress
    from counterfoil.observability import configure_logs

    parsed = KafkaAddress.parse(address, "--output")
    if len(parsed.topics) != 1:
        raise ConfigurationError(f"--output: found {counted(len(parsed.topics), 'topic')}; allowed: one")
    # While nothing is connected yet, the one error at the end says what all the attempts met.
    configure_logs("error")
    with TopicProducer(parsed.servers, parsed.topics[0], settings, stopped) as producer:
        producer.setup()
        configure_logs("warning")
        yield producer


def late_note(pace: Pace) -> str:
    """Return what is to be said of a rate while it is being held, or not."""
    from counterfoil.connectors.pace import TOLERANCE_SECONDS

    late = pace.late_seconds
    return f"{late:,.1f} s behind" if late > TOLERANCE_SECONDS else ""


@dataclass(frozen=True, slots=True)
class Told:
    """What was done, and how it is said.

    Parameters
    ----------
    kept
        What became of the pace.
    place
        Where the events went.
    stopped
        Whether somebody ended it.
    failures
        How many messages could not be delivered, by the reason.
    keyless
        How many have no key although keys were asked for.
    """

    kept: Kept
    place: str
    stopped: bool = False
    failures: Mapping[str, int] = field(default_factory=dict)
    keyless: int = 0

    def tell(self, quiet: bool, summary_json: Path | None) -> None:
        """Say what was done, what was not, and whether a rate was held; exit with 1 when anything was lost.

        Parameters
        ----------
        quiet
            Say only what went wrong.
        summary_json
            A file that gets it as JSON.
        """
        from rich.markup import escape

        if summary_json is not None:
            self._write(summary_json)
        console = messages()
        kept = self.kept
        if not quiet:
            how = "stopped: " if self.stopped else ""
            prose(
                console,
                f"{how}{counted(kept.events, 'event')} to {escape(self.place)} in {kept.seconds:,.1f} s "
                f"({kept.reached:,.0f} a second)",
            )
            note = rate_note(kept, self.stopped)
            if note:
                prose(console, note)
            if self.keyless:
                prose(
                    console,
                    f"[yellow]{counted(self.keyless, 'event')} without a key:[/] --key names no field of theirs, or"
                    " they cannot be read; they are spread over the partitions and keep no order",
                )
        failed = sum(self.failures.values())
        if failed:
            reasons = "; ".join(f"{count:,} × {reason}" for reason, count in self.failures.items())
            print_error(StorageError(f"{counted(failed, 'event')} could not be delivered: {reasons}"))
            raise typer.Exit(1)

    def _write(self, path: Path) -> None:
        import msgspec

        kept = self.kept
        content = {
            "events": kept.events,
            "seconds": kept.seconds,
            "events_per_second": kept.reached,
            "rate": kept.rate,
            "speed": kept.speed,
            "held": kept.held,
            "behind_seconds": kept.behind_seconds,
            "worst_seconds": kept.worst_seconds,
            "stopped": self.stopped,
            "failures": dict(self.failures),
            "without_key": self.keyless,
        }
        try:
            path.write_bytes(msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n")
        except OSError as error:
            reason = error.strerror or str(error)
            raise StorageError(f"{path}: cannot be written: {reason}; choose another file") from error


def rate_note(kept: Kept, stopped: bool = False) -> str:
    """Return what must be said of a rate that was not held, or not all the time; nothing where it was.

    Parameters
    ----------
    kept
        What became of it.
    stopped
        Whether somebody ended it: then the last events may have been given up.
    """
    from counterfoil.connectors.pace import TOLERANCE_SECONDS

    wanted = kept.rate is not None or kept.speed is not None
    if not wanted or ((kept.held or stopped) and not kept.behind_seconds):
        return ""
    behind = (
        f"behind by more than {TOLERANCE_SECONDS:g} s for {kept.behind_seconds:,.1f} s of {kept.seconds:,.1f} s, "
        f"{kept.worst_seconds:,.1f} s at worst"
    )
    name = "speed" if kept.rate is None else "rate"
    if kept.held:
        return f"[yellow]The {name} was held in all, but not all the time:[/] {behind}."
    asked = (
        f"{kept.speed:g} times as fast was asked for, the end came {kept.late_seconds:,.1f} s late"
        if kept.rate is None
        else f"{kept.rate:,.0f} a second were asked for, {kept.reached:,.0f} were reached"
    )
    return (
        f"[bold yellow]The {name} could not be held:[/] {asked}; {behind}. "
        "Whoever reads the output, or this machine, is slower."
    )
