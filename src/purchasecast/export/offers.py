"""Export who buys what beside the portable model, for offers without Spark."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from purchasecast.scorer.offers import write_offers

if TYPE_CHECKING:
    from pathlib import Path

    from purchasecast.stages import PurchasePropensityModel

__all__ = ["export_offers"]

logger = logging.getLogger(__name__)

_MAX_CUSTOMERS = 1_000_000  # whose histories one machine serves: about 1 GB


def export_offers(model: PurchasePropensityModel, folder: Path) -> bool:
    """Write the offers into the folder of a portable model; without one, or with too many customers, do not.

    Parameters
    ----------
    model : PurchasePropensityModel
        Who buys what.
    folder : Path
        Folder of the portable model.

    Returns
    -------
    bool
        Whether there are offers to serve. Collects the products and the histories of all customers to the driver.
    """
    if not folder.is_dir():
        return False
    portable = model.to_portable()
    customers = portable["tables"]["customers"]
    count = customers.count()
    if count > _MAX_CUSTOMERS:
        logger.warning("offers are not served without Spark: %s customers are more than a million", f"{count:,}")
        return False
    products = portable["tables"]["products"].toArrow()
    write_offers(folder, portable["content"], products, customers.toArrow(), portable["vocabulary"])
    return True
