"""Cards that were abused are replaced: once a fraud is known, the customer pays with a card of a new number.

Everything before this step names a card by its owner and its place in the owner's wallet. Whether it was replaced
depends on what became known before, so the events of a slice are gone through once, in their order.
"""

from __future__ import annotations

import numba as nb
import numpy as np
import numpy.typing as npt

from counterfoil.events.generators.columns import OUTCOME
from counterfoil.events.generators.draws import below, mix
from counterfoil.events.generators.population import Rows

SERIES = 64
"""Card numbers a place in a wallet: more than anybody loses in a stream."""


def replace_cards(events: Rows, pending: Rows, series: npt.NDArray[np.uint8]) -> None:
    """Give the events of a slice the cards of their day, and their outcomes, now or later, the same.

    Parameters
    ----------
    events
        The slice, in time order; changed.
    pending
        What comes after it; outcomes of the slice's payments are changed.
    series
        (wallet places,): how often each card has been replaced; changed.
    """
    mine = np.flatnonzero(events["kind"] == OUTCOME)
    others = np.flatnonzero(pending["kind"] == OUTCOME)
    outcomes = np.concatenate([events["card"][mine], pending["card"][others]])
    if not len(outcomes):
        _number_cards(events, np.full(len(events), -1), outcomes, series)
        return
    numbers = np.concatenate([events["number"][mine], pending["number"][others]])
    order = np.argsort(numbers, kind="stable")
    about = np.full(len(events), -1)
    about[mine] = np.arange(len(mine))
    # An outcome has its payment's number.
    reported = np.flatnonzero((events["report"] > 0) & (events["kind"] != OUTCOME))
    about[reported] = order[np.searchsorted(numbers, events["number"][reported], sorter=order)]
    _number_cards(events, about, outcomes, series)
    pending["card"][others] = outcomes[len(mine) :]


@nb.njit(nogil=True, cache=True, _nrt=False)
def _number_cards(
    events: Rows, about: npt.NDArray[np.int64], outcomes: npt.NDArray[np.int64], series: npt.NDArray[np.uint8]
) -> None:
    for row in range(len(events)):
        event = events[row]
        if event.card < 0:
            continue
        if event.kind == OUTCOME:
            # Its payment came before it, and has left the number here.
            card = outcomes[about[row]]
            event.card = card
            place = card // SERIES
            # Nine of ten are replaced; some customers would rather keep theirs.
            replaced = below(mix(event.number), 10) > 0
            if event.fraud and replaced and series[place] == card - place * SERIES:
                series[place] = (series[place] + 1) % SERIES
        else:
            place = event.card
            event.card = place * SERIES + series[place]
            if about[row] >= 0:
                outcomes[about[row]] = event.card
