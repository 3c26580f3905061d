"""Real servers on this machine, without Docker: to try things out and to test against.

Kafka, Redis, Cassandra, PostgreSQL, OpenSearch, a schema registry and Kafka Connect, from package registries, on
loopback and with little memory. One file a service says how it is started and when it serves; ``recipes/`` holds
their settings, and for those made of Java the list of their archives with checksums. ``artifacts.py`` fetches these,
``processes.py`` starts and stops, and ``stack.py`` puts it together. None of it is for production.
"""

from __future__ import annotations

from counterfoil.stack.stack import Stack, Started, Status

__all__ = ["Stack", "Started", "Status"]
