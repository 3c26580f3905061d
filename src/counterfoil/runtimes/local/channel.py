"""A bounded queue between two threads that ends for both when one of them fails or is done."""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Closed(Exception):  # noqa: N818 - how a channel ends, not an error
    """The other side has gone."""


class Channel(Generic[Item]):
    """Carries items in order, at most ``size`` at a time.

    Parameters
    ----------
    size
        How many may wait; ``put`` waits while there are as many.
    """

    def __init__(self, size: int) -> None:
        self._items: deque[Item] = deque()
        self._size = size
        self._condition = threading.Condition()
        self._finished = False
        self._aborted = False

    def put(self, item: Item) -> None:
        """Add an item.

        Raises
        ------
        Closed
            If the taking side has given up.
        """
        with self._condition:
            while len(self._items) >= self._size and not self._aborted:
                self._condition.wait()
            if self._aborted:
                raise Closed
            self._items.append(item)
            self._condition.notify_all()

    def get(self) -> Item:
        """Take the oldest item; wait for one.

        Raises
        ------
        Closed
            If there is none and none will come.
        """
        with self._condition:
            while not self._items and not self._finished and not self._aborted:
                self._condition.wait()
            if self._aborted or not self._items:
                raise Closed
            item = self._items.popleft()
            self._condition.notify_all()
            return item

    def take(self) -> Item | None:
        """Take the oldest item if there is one now."""
        with self._condition:
            if self._aborted or not self._items:
                return None
            item = self._items.popleft()
            self._condition.notify_all()
            return item

    def __len__(self) -> int:
        return len(self._items)

    def finish(self) -> None:
        """Say that no more items come; those that wait are still taken."""
        with self._condition:
            self._finished = True
            self._condition.notify_all()

    def abort(self) -> None:
        """End both sides at once; what waits is dropped."""
        with self._condition:
            self._aborted = True
            self._items.clear()
            self._condition.notify_all()
