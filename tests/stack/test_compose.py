"""deploy/compose.yaml: the same services under the same names and ports, and nothing that Compose does not know."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from counterfoil.stack.services import SERVICES

FILE = Path(__file__).resolve().parents[2] / "deploy" / "compose.yaml"
COMPOSE: dict[str, Any] = yaml.safe_load(FILE.read_text("utf-8"))
KEYS = {"image", "command", "ports", "environment", "healthcheck", "depends_on"}


def test_the_same_services_are_there() -> None:
    assert set(COMPOSE) == {"name", "services"}
    assert set(COMPOSE["services"]) == set(SERVICES)


@pytest.mark.parametrize("name", SERVICES)
def test_each_is_served_where_the_stack_serves_it(name: str) -> None:
    content = COMPOSE["services"][name]
    assert set(content) <= KEYS
    [published] = content["ports"]
    host, port, _ = published.split(":")
    assert (host, int(port)) == ("127.0.0.1", SERVICES[name].ports[name])
    assert set(content.get("depends_on", {})) == set(SERVICES[name].needs)
    assert all(isinstance(value, str) for value in content.get("environment", {}).values())
    assert ":" in content["image"]


@pytest.mark.parametrize("name", SERVICES)
def test_each_says_when_it_serves(name: str) -> None:
    check = COMPOSE["services"][name]["healthcheck"]
    assert set(check) == {"test", "interval", "timeout", "retries"}
    assert check["test"][0] in {"CMD", "CMD-SHELL"}
    assert all(isinstance(word, str) for word in check["test"])
