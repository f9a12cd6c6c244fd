"""Draw a control group at random among planned customers, alike in expected profit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["draw_control"]

_MAX_STRATA = 20


def draw_control(profit: Floats, spend: Floats, size: int, limit: float, seed: int) -> tuple[NDArray[np.bool_], int]:
    """Draw customers whom nobody contacts.

    Parameters
    ----------
    profit, spend : array of float
        Expected profit of each customer, and what contacting her uses of the budget. The draw depends on the order of
        the customers, which is that of their names.
    size : int
        Customers to draw.
    limit : float
        Budget for the customers who are not drawn; more are drawn until it is kept.
    seed : int
        Seed of the draw.

    Returns
    -------
    (array of bool, int)
        Who is drawn, and the number of strata.
    """
    count = len(profit)
    random = np.random.default_rng(seed)
    order = np.argsort(-profit, kind="stable")
    strata = max(min(_MAX_STRATA, size, count), 1)
    drawn = np.zeros(count, bool)
    waiting = []
    # Every stratum gives its share, and those that give the rest are drawn, too.
    places = random.permutation(strata)
    for place, members in zip(places, np.array_split(order, strata), strict=True):
        quota = size // strata + int(place < size % strata)
        mixed = random.permutation(members)
        drawn[mixed[:quota]] = True
        waiting.append(mixed[quota:])
    # The strata take turns, so that the groups stay alike where the budget asks for more.
    longest = max(map(len, waiting), default=0)
    turns = [mixed[turn] for turn in range(longest) for mixed in waiting if turn < len(mixed)]
    excess = float(spend[~drawn].sum()) - limit
    for customer in turns:
        if excess <= 1e-9 * max(limit, 1):
            break
        drawn[customer] = True
        excess -= float(spend[customer])
    return drawn, strata
