"""Platt's calibration: scores that are probabilities, without changing their order."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
_STEPS = 100
_FRAUDS_MIN = 10


def platt(margins: Floats, labels: npt.NDArray[np.int8]) -> tuple[float, float]:
    """Return slope and intercept of the logistic function of the margins that fits the labels best.

    Parameters
    ----------
    margins, labels
        Of rows that took no part in learning. With fewer than ten frauds, or ten others, or margins that go the wrong
        way, it is left alone: (1, 0).

    References
    ----------
    Platt: Probabilistic Outputs for Support Vector Machines, 1999; Lin, Lin, Weng: A Note on Platt's Probabilistic
    Outputs, Machine Learning 68, 2007 (Newton's method with backtracking, and targets that never are 0 or 1).
    """
    frauds = int((labels == 1).sum())
    others = len(labels) - frauds
    if frauds < _FRAUDS_MIN or others < _FRAUDS_MIN:
        return 1.0, 0.0
    target = np.where(labels == 1, (frauds + 1) / (frauds + 2), 1 / (others + 2))
    # A common scale keeps Newton's matrix well conditioned whatever the margins' size.
    middle, size = float(margins.mean()), float(margins.std()) or 1.0
    x = (margins - middle) / size
    slope, intercept = 0.0, float(np.log((frauds + 1) / (others + 1)))
    loss = _loss(x, target, slope, intercept)
    for _ in range(_STEPS):
        p = logistic(slope * x + intercept)
        weight, error = p * (1 - p), p - target
        gradient = np.array([error @ x, error.sum()])
        if np.abs(gradient).max() < 1e-9 * len(x):
            break
        matrix = np.array([[weight @ (x * x), weight @ x], [weight @ x, weight.sum()]]) + 1e-10 * np.eye(2)
        step = np.linalg.solve(matrix, gradient)
        length, tried = 1.0, loss
        while length > 1e-10:
            tried = _loss(x, target, slope - length * step[0], intercept - length * step[1])
            if tried <= loss:
                break
            length /= 2
        else:
            break
        slope, intercept, loss = slope - length * step[0], intercept - length * step[1], tried
    if slope <= 0:
        return 1.0, 0.0
    return slope / size, intercept - slope * middle / size


def _loss(x: Floats, target: Floats, slope: float, intercept: float) -> float:
    margin = slope * x + intercept
    return float(np.sum(np.logaddexp(0, margin) - target * margin))


def logistic(x: Floats) -> Floats:
    """Return 1 / (1 + exp(-x)) without overflow."""
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + small), small / (1 + small))
