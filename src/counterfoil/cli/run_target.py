"""What runs a detector, as options say it."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path


class Engine(StrEnum):
    """What runs a detector."""

    LOCAL = "local"
    SPARK = "spark"
    FLINK = "flink"


def is_settings(path: Path) -> bool:
    """Return whether a file holds the settings of a run: those name a detector, and a definition is one."""
    import yaml

    try:
        content = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return False
    return isinstance(content, dict) and "detector" in content and "events" not in content
