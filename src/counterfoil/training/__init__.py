"""Training tables and training: models learn from the very features that the running program serves.

``dataset.py`` is the place to start: it replays history through the detector and writes one row a decided event, with
the label as of when it was known. ``table.py`` reads such a table, ``split.py`` divides it by time, ``inputs.py``
chooses what a model sees, ``learners.py`` fits, ``calibration.py`` makes probabilities of scores, ``measures.py``
measures, ``leaks.py`` looks for what is too good to be true, ``report.py`` draws, and
``train.py`` does all of it in order.
"""

from __future__ import annotations

from counterfoil.training.dataset import Dataset, Labelling
from counterfoil.training.learners import Settings
from counterfoil.training.split import SplitPlan
from counterfoil.training.table import TrainingTable
from counterfoil.training.train import Trained, Training, train

__all__ = ["Dataset", "Labelling", "Settings", "SplitPlan", "Trained", "Training", "TrainingTable", "train"]
