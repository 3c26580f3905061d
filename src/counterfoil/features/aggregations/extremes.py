"""What ``min`` and ``max`` share: extremes over a window from blocks, over the whole past from a running extreme."""

from __future__ import annotations

from typing import TYPE_CHECKING

from counterfoil.features import layout
from counterfoil.features.aggregations.base import Aggregation, Operation, Request
from counterfoil.rules.types import Base

if TYPE_CHECKING:
    from counterfoil.features.planner import StagePlanner


class Extreme(Aggregation):
    """Base of ``Min`` and ``Max``. Its kernels are ``blocks.extreme`` and the running extremes of ``rings``."""

    largest: bool

    def plan(self, request: Request, planner: StagePlanner) -> None:
        """Over a window: the values themselves and blocks of them. Over the whole past: a running extreme."""
        feature = request.feature
        is_float = request.types[0].base is Base.FLOAT
        flags = int(self.largest) + 2 * int(is_float)
        if request.window is None:
            track = planner.track(feature)
            high, _ = track.edges(feature, None)
            code = layout.RUNNING_MAX if self.largest else layout.RUNNING_MIN
            word = track.measure(code, feature.arguments[0], feature.where, words=2, is_float=is_float)
            track.add(feature, Operation(layout.RUNNING_EXTREME, request.output, high, -1, word))
            return
        track = planner.track(feature, only_where=True)
        high, low = track.edges(feature, request.window)
        code = layout.RAW_MAX if self.largest else layout.RAW_MIN
        word, block = track.extreme(code, feature.arguments[0], is_float=is_float)
        track.add(feature, Operation(layout.EXTREME, request.output, high, low, word, tally=flags, block=block))
