"""What all tests share: the CI flag, and data that may be absent on a laptop but never in CI."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NoReturn

import pytest
import structlog
from hypothesis import HealthCheck, settings

CI = os.environ.get("CI", "").lower() in {"1", "true", "yes"}
"""In CI whatever a test needs must be there: what is skipped elsewhere fails."""

# What a terminal or the settings of a user say changes what commands print and where they look; tests state it.
_TERMINAL = ("CLICOLOR_FORCE", "COLUMNS", "FORCE_COLOR", "GITHUB_ACTIONS", "LINES", "NO_COLOR", "PY_COLORS")
_SETTINGS = ("COUNTERFOIL_FAIL_AT", "COUNTERFOIL_FIXED_CLOCK", "COUNTERFOIL_MODELS")
for _name in (*_TERMINAL, "TTY_COMPATIBLE", "TTY_INTERACTIVE", *_SETTINGS):
    os.environ.pop(_name, None)

# No deadline: the first example of a test may have to wait for numba. In CI the examples are the same in every run, so
# that a change lands or not for what it does; elsewhere each run tries new ones.
settings.register_profile("laptop", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("laptop"), derandomize=True, print_blob=True)
settings.load_profile("ci" if CI else "laptop")


def absent(what: str) -> NoReturn:
    """Skip the running test by the name of what it misses; in CI fail it."""
    if CI:
        pytest.fail(f"{what} is required when CI=true", pytrace=False)
    pytest.skip(f"{what} is absent")


def shared_data_folder() -> Path:
    """Return where the shared data should be: ``../shared/data`` beside the checkout, or COUNTERFOIL_SHARED_DATA."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    return Path(os.environ.get("COUNTERFOIL_SHARED_DATA", default))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Give the folder of the shared data sets."""
    folder = shared_data_folder()
    if not folder.is_dir():
        absent(f"shared data ({folder})")
    return folder


@pytest.fixture(autouse=True)
def logs_as_at_the_start() -> None:
    """Forget what level an earlier test's command has set for the whole process."""
    structlog.reset_defaults()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip (in CI: fail) a test marked ``needs_data("folder")`` where that data set is absent."""
    for marker in item.iter_markers("needs_data"):
        for name in marker.args:
            folder = shared_data_folder() / name
            if not folder.is_dir():
                absent(f"shared data {name} ({folder})")
