"""The services that can be started; those that others need come first."""

from __future__ import annotations

from counterfoil.stack.cassandra import Cassandra
from counterfoil.stack.connect import Connect
from counterfoil.stack.kafka import Kafka
from counterfoil.stack.opensearch import OpenSearch
from counterfoil.stack.postgres import Postgres
from counterfoil.stack.redis import Redis
from counterfoil.stack.registry import Registry
from counterfoil.stack.service import Service

SERVICES: dict[str, Service] = {
    service.name: service
    for service in (Kafka(), Redis(), Cassandra(), Postgres(), Registry(), OpenSearch(), Connect())
}
