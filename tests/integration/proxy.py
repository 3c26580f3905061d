"""A TCP proxy before a broker that knows where requests and answers begin: it can hold them back and change names.

It puts its own port in the place of the broker's in what the broker says of itself, so that clients stay with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

METADATA = 3
END_TXN = 26
_TELLS_ADDRESS = {METADATA, 10}
"""Answers that name a broker's address: metadata, and where a coordinator is."""


class Proxy:
    """Stands between clients and one broker.

    Parameters
    ----------
    address
        The broker's.
    """

    def __init__(self, address: str) -> None:
        host, port = address.rsplit(":", 1)
        self._broker = (host, int(port))
        self._loop = asyncio.new_event_loop()
        self._held: set[int] = set()
        self._hidden: bytes = b""
        self._free = asyncio.Event()
        self._free.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.held = 0
        """How many answers were held back."""
        self.hidden = 0
        """How many times a name was hidden."""
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), daemon=True)
        self._thread.start()
        assert ready.wait(10)
        self.address = f"127.0.0.1:{self.port}"

    @contextmanager
    def holding(self, *keys: int) -> Iterator[None]:
        """Hold back the answers to some requests, and let them through at the end."""
        self._held = set(keys)
        self._loop.call_soon_threadsafe(self._free.clear)
        try:
            yield
        finally:
            self._held = set()
            self._loop.call_soon_threadsafe(self._free.set)

    @contextmanager
    def hiding(self, topic: str) -> Iterator[None]:
        """Let a topic be unknown: whoever asks for its metadata is told that there is none of the name."""
        self._hidden = topic.encode()
        try:
            yield
        finally:
            self._hidden = b""

    def close(self) -> None:
        """End all connections."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _run(self, ready: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._connected, "127.0.0.1", 0))
        self.port = int(server.sockets[0].getsockname()[1])
        ready.set()
        self._loop.run_forever()
        server.close()
        for task in list(self._tasks):
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*self._tasks, return_exceptions=True))
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        writers = [writer]
        try:
            theirs, ours = await asyncio.open_connection(*self._broker)
            writers.append(ours)
            asked: dict[int, tuple[int, bytes]] = {}
            ways = [asyncio.create_task(each) for each in (
                self._requests(reader, ours, asked), self._answers(theirs, writer, asked),
            )]  # fmt: skip
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
        except OSError:
            pass
        finally:
            for each in writers:
                each.close()
                with contextlib.suppress(OSError, asyncio.CancelledError):
                    await each.wait_closed()
            self._tasks.discard(task)

    async def _requests(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: dict[int, tuple[int, bytes]]
    ) -> None:
        """Carry requests to the broker, and note which answer belongs to what."""
        while True:
            frame = await _frame(reader)
            key, _, correlation = struct.unpack_from(">hhi", frame)
            hidden = self._hidden
            if key == METADATA and hidden and hidden in frame:
                # A name of the same length that nobody has; the answer gets the right one back.
                frame = frame.replace(hidden, _other(hidden))
                self.hidden += 1
            asked[correlation] = (key, hidden)
            writer.write(struct.pack(">i", len(frame)) + frame)
            await writer.drain()

    async def _answers(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: dict[int, tuple[int, bytes]]
    ) -> None:
        """Carry answers to the client."""
        host = self._broker[0].encode()
        while True:
            frame = await _frame(reader)
            (correlation,) = struct.unpack_from(">i", frame)
            key, hidden = asked.pop(correlation, (-1, b""))
            if key in _TELLS_ADDRESS:
                frame = frame.replace(host + struct.pack(">i", self._broker[1]), host + struct.pack(">i", self.port))
                if hidden:
                    frame = frame.replace(_other(hidden), hidden)
            if key in self._held:
                self.held += 1
                await self._free.wait()
            writer.write(struct.pack(">i", len(frame)) + frame)
            await writer.drain()


def _other(name: bytes) -> bytes:
    return b"z" * len(name)


async def _frame(reader: asyncio.StreamReader) -> bytes:
    try:
        (length,) = struct.unpack(">i", await reader.readexactly(4))
        return await reader.readexactly(length)
    except asyncio.IncompleteReadError:
        raise OSError("the connection has ended") from None
