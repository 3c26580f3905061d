"""Back-tests: what a detector would have done with history, measured against what is known of it today.

``replay.py`` is the place to start: it carries files through the very same decoders and program that decide live
events, as a runtime without journal or log. ``labels.py`` reads the truth beside the events, where the detector cannot
see it; ``measures.py`` counts; ``frames.py`` turns decisions and features into tables; ``report.py`` draws.
"""

from __future__ import annotations

from counterfoil.backtest.measures import Measures
from counterfoil.backtest.replay import Backtest, Period, Progress, Result

__all__ = ["Backtest", "Measures", "Period", "Progress", "Result"]
