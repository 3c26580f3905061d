"""The windows of one card as a user of either library would write them; plain values, so that both can store them."""

from __future__ import annotations

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS

Held = list[list[int]]
"""Time in milliseconds and cents of each payment of the last day, oldest first."""


def add(held: Held, event: dict[str, float]) -> dict[str, float]:
    """Take up a payment, drop what has left both windows, and return the values of both at it."""
    now = int(event["event_time"])
    held.append([now, round(event["amount"] * 100)])
    past = 0
    while held[past][0] <= now - DAY_MS:
        past += 1
    del held[:past]
    count = cents = 0
    for at, amount in reversed(held):
        if at <= now - HOUR_MS:
            break
        count += 1
        cents += amount
    day_cents = sum(amount for _, amount in held)
    return {
        "n": event["n"],
        "count_1h": count,
        "sum_1h": cents / 100,
        "mean_1h": cents / 100 / count,
        "count_24h": len(held),
        "sum_24h": day_cents / 100,
        "mean_24h": day_cents / 100 / len(held),
    }
