from __future__ import annotations

import threading

import pytest

from counterfoil.runtimes.local.channel import Channel, Closed


def test_items_come_in_order_and_the_end_is_told() -> None:
    channel: Channel[int] = Channel(2)

    def give() -> None:
        for item in range(100):
            channel.put(item)
        channel.finish()

    thread = threading.Thread(target=give)
    thread.start()
    found = []
    while True:
        try:
            found.append(channel.get())
        except Closed:
            break
        assert len(channel) <= 2
    thread.join()
    assert found == list(range(100))
    assert channel.take() is None


def test_an_abort_ends_both_sides() -> None:
    channel: Channel[int] = Channel(1)
    channel.put(1)
    ended = []

    def give() -> None:
        try:
            channel.put(2)
        except Closed:
            ended.append(True)

    thread = threading.Thread(target=give)
    thread.start()
    channel.abort()
    thread.join()
    assert ended == [True]
    with pytest.raises(Closed):
        channel.get()
    assert channel.take() is None


def test_take_does_not_wait() -> None:
    channel: Channel[int] = Channel(1)
    assert channel.take() is None
    channel.put(1)
    assert channel.take() == 1
