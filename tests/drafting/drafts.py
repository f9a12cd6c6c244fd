"""The shops and their drafts, each made once."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from tests.drafting.oracle import survey_of
from tests.drafting.shops import SHOPS, Shop

from purchasecast.drafting.assemble import draft_from_survey

if TYPE_CHECKING:
    from purchasecast.drafting import SchemaDraft


@cache
def shop_of(name: str) -> Shop:
    """Return a shop; nobody may change it."""
    return SHOPS[name]()


@cache
def drafted(name: str) -> SchemaDraft:
    """Return the draft of a shop."""
    shop = shop_of(name)
    return draft_from_survey(survey_of(shop.table, shop.csv), f"{name}.csv", passes=2)
