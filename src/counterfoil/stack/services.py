"""The services that can be started, what is needed by others first."""

from __future__ import annotations

from counterfoil.stack.kafka import Kafka
from counterfoil.stack.service import Service

SERVICES: dict[str, Service] = {service.name: service for service in (Kafka(),)}
