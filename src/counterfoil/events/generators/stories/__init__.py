"""Stories: what fraudsters do, and what honest people do that looks like it. One a file.

A story is told again and again. ``occasions.py`` says when; ``telling.py`` gives a story its people, places and
amounts and takes its events. Every telling is a draw of its number alone, and all tellings of a stretch of time are
told at once, as arrays: (tellings, steps).
"""

from __future__ import annotations

from counterfoil.events.generators.columns import STORIES
from counterfoil.events.generators.stories.account_takeover import ACCOUNT_TAKEOVER
from counterfoil.events.generators.stories.business_trip import BUSINESS_TRIP
from counterfoil.events.generators.stories.card_testing import CARD_TESTING
from counterfoil.events.generators.stories.family_holiday import FAMILY_HOLIDAY
from counterfoil.events.generators.stories.impossible_travel import IMPOSSIBLE_TRAVEL
from counterfoil.events.generators.stories.merchant_compromise import MERCHANT_COMPROMISE
from counterfoil.events.generators.stories.mule_chain import MULE_CHAIN
from counterfoil.events.generators.stories.new_phone import NEW_PHONE
from counterfoil.events.generators.stories.payday_rent import PAYDAY_RENT
from counterfoil.events.generators.stories.popular_merchant_dispute import POPULAR_MERCHANT_DISPUTE
from counterfoil.events.generators.stories.stolen_card_burst import STOLEN_CARD_BURST
from counterfoil.events.generators.stories.structuring import STRUCTURING
from counterfoil.events.generators.stories.subscription_trial import SUBSCRIPTION_TRIAL
from counterfoil.events.generators.stories.telling import Occasion, Story, Telling
from counterfoil.events.generators.stories.treasury_sweep import TREASURY_SWEEP

BOOK: tuple[Story, ...] = (
    STOLEN_CARD_BURST,
    ACCOUNT_TAKEOVER,
    IMPOSSIBLE_TRAVEL,
    MERCHANT_COMPROMISE,
    CARD_TESTING,
    STRUCTURING,
    MULE_CHAIN,
    FAMILY_HOLIDAY,
    NEW_PHONE,
    BUSINESS_TRIP,
    POPULAR_MERCHANT_DISPUTE,
    SUBSCRIPTION_TRIAL,
    PAYDAY_RENT,
    TREASURY_SWEEP,
)
"""Every story, in the order of ``STORIES``."""

assert tuple(story.name for story in BOOK) == STORIES, "labels are places in STORIES"

__all__ = ["BOOK", "Occasion", "Story", "Telling"]
