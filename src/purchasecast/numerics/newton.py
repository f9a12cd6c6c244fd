"""Newton's method for smooth losses of a few dozen coefficients; runs on the executors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["minimize", "ridge_penalty"]

_ROUNDS, _HALVINGS, _TOLERANCE = 60, 30, 1e-9


def minimize(start: Floats, loss: Callable[[Floats], float], step: Callable[[Floats], Floats]) -> Floats:
    """Return where a loss is smallest.

    Parameters
    ----------
    start : ndarray
        Coefficients to begin with.
    loss : callable
        Takes coefficients, and returns the loss.
    step : callable
        Takes coefficients, and returns what Newton's method takes off them.

    Returns
    -------
    ndarray
        Coefficients from which no step makes the loss smaller by more than a billionth.
    """
    found, value = start, loss(start)
    for _ in range(_ROUNDS):
        move = step(found)
        # A full step may lead away from the minimum where probabilities are small: halve it until it does not.
        for _ in range(_HALVINGS):
            reached = loss(found - move)
            if reached <= value:
                break
            move = move / 2
        else:
            break
        gain, found, value = value - reached, found - move, reached
        if gain < _TOLERANCE * abs(value):
            break
    return found


def ridge_penalty(features: Floats, weight: Floats, ridge: float) -> Floats:
    """Return the penalty of each coefficient in units of the variance of its feature; none of the first, a constant."""
    total = weight.sum()
    variance = (weight @ features**2) / total - ((weight @ features) / total) ** 2
    penalty: Floats = ridge * np.maximum(variance, 1e-12)
    penalty[0] = 0.0
    return penalty
