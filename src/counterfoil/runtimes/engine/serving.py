"""Models within a job: pinned, and without a clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from counterfoil.models.fixed_serving import FixedServing
from counterfoil.observability import get_logger

if TYPE_CHECKING:
    from counterfoil.models.kernel import Doubles, Floats

_log = get_logger(__name__)


class PinnedServing(FixedServing):
    """The versions that a job was started with. One that raises an error gives no scores for that batch."""

    def score(self, entry: int, columns: Floats) -> Doubles | None:
        """Return the scores of (features, rows); None where the model failed."""
        try:
            return super().score(entry, columns)
        except Exception as error:
            _log.warning("model failed: rules decide without it", model=self._uses[entry].name, reason=str(error)[:300])
            return None
