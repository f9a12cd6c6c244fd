"""The model in use, and its replacement by a newer one while requests go on."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from purchasecast.bundle import REPORT, load_with
from purchasecast.scorer import read_scorer
from purchasecast.scorer.inputs import InputReader
from purchasecast.scorer.offers import read_offers
from purchasecast.serve.campaign import CampaignLines
from purchasecast.serve.request_rows import json_parser

if TYPE_CHECKING:
    from pathlib import Path

    from purchasecast.bundle import Bundle
    from purchasecast.scorer import Scorer
    from purchasecast.scorer.offers import OfferScorer
    from purchasecast.serve.response_models import ModelDescription

__all__ = ["ModelHolder", "Served"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Served:
    """One loaded model."""

    id: str  # made of the files that predictions depend on
    bundle: Bundle
    scorer: Scorer
    reader: InputReader  # checks JSON rows by exact types
    loaded_at: str  # UTC
    report: bytes | None
    evaluation: dict[str, Any] | None  # on held-out rows
    offers: OfferScorer | None  # who buys what; None for a model without offers
    campaign: CampaignLines | None  # of the page of campaigns; None without offers

    def describe(self) -> ModelDescription:
        """Return what clients may know of the model."""
        manifest, catalogue = self.bundle.manifest, self.scorer.catalogue
        data = manifest.get("data") or {}
        return {
            "id": self.id,
            "loaded_at": self.loaded_at,
            "purchasecast": manifest.get("purchasecast"),
            "format_version": manifest.get("format_version"),
            "schema": self.scorer.schema.to_dict(),
            "columns": list(self.scorer.columns),
            "model": (manifest.get("settings") or {}).get("model"),
            "trained_on": manifest.get("trained_on"),
            "data": {"rows": data.get("rows"), "hash": data.get("hash")},
            "metrics": manifest.get("metrics"),
            "evaluation": self.evaluation,
            "known": {"customers": catalogue.size("customer"), "products": catalogue.size("product")},
            "report": self.report is not None,
        }


class ModelHolder:
    """Holds the model in use. A request that took it keeps it to its end, also after a reload.

    Parameters
    ----------
    path : Path
        The bundle; a reload reads what is there at that time.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._served = self._load()

    @property
    def served(self) -> Served:
        """The model in use."""
        return self._served

    def reload(self) -> tuple[Served, bool]:
        """Read the bundle again and use it; return the model in use, and whether it is another one than before.

        Raises
        ------
        BundleError
            If the new model does not pass its checks; the old one stays in use.
        """
        with self._lock:  # two reloads at a time would hold three models in memory
            fresh = self._load()
            changed = fresh.id != self._served.id
            self._served = fresh
        logger.info("model %s is in use%s", fresh.id, "" if changed else ", as before")
        return fresh, changed

    def _load(self) -> Served:
        """Read the bundle; if it is replaced meanwhile, all of one model."""
        return load_with(self._path, _read)


def _read(bundle: Bundle) -> Served:
    scorer, offers = read_scorer(bundle.scorer_files), read_offers(bundle.scorer_files)
    return Served(
        id=bundle.identity,
        bundle=bundle,
        scorer=scorer,
        reader=InputReader(scorer.schema, json_parser),
        loaded_at=datetime.now(UTC).isoformat(timespec="seconds"),
        report=bundle.read(REPORT) if REPORT in bundle.manifest["files"] else None,
        evaluation=bundle.document("evaluation"),
        offers=offers,
        campaign=CampaignLines(scorer, offers) if offers is not None else None,
    )
