"""The demo: a generated bank, the real runtime and a screen to watch them on.

``session.py`` carries the events and keeps score, ``screen.py`` shows it. Nothing in here decides anything: generator,
journal, detector and alerts are those that any run uses.
"""

from __future__ import annotations

from counterfoil.demo.session import DemoSettings, Score, Session, Shown

__all__ = ["DemoSettings", "Score", "Session", "Shown"]
