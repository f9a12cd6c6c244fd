"""The model in use, and its replacement by a newer one while requests go on."""

from __future__ import annotations

import hashlib
import logging
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from purchasecast.bundle import MANIFEST, REPORT, SCORER, load_bundle
from purchasecast.errors import BundleCorruptError, BundleError
from purchasecast.scorer import read_scorer
from purchasecast.scorer.inputs import InputReader
from purchasecast.scorer.offers import read_offers
from purchasecast.serve.request_rows import json_parser

if TYPE_CHECKING:
    from pathlib import Path

    from purchasecast.bundle import Bundle
    from purchasecast.scorer import Scorer
    from purchasecast.scorer.offers import OfferScorer
    from purchasecast.serve.response_models import ModelDescription

__all__ = ["ModelHolder", "Served"]

logger = logging.getLogger(__name__)

_ATTEMPTS = 3  # to read a bundle that is replaced meanwhile


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
        """Read the bundle; again if it was replaced meanwhile, so that no model is half old and half new."""
        for _ in range(_ATTEMPTS):
            before, failure = self._digest(), None
            try:
                served = self._read()
            except (BundleError, OSError) as error:
                failure = error
            is_same = before == self._digest()
            if is_same and failure is None:
                return served
            if is_same and before:
                break
        if isinstance(failure, BundleError):
            raise failure
        raise BundleCorruptError(
            "bundle: expected files that stay as they are during reading, found changes; try again."
        ) from failure

    def _digest(self) -> str:
        """Return a hash of the manifest, which changes with every file; empty if there is none."""
        try:
            return hashlib.sha256((self._path / MANIFEST).read_bytes()).hexdigest()
        except OSError:
            return ""

    def _read(self) -> Served:
        bundle = load_bundle(self._path)
        report = self._path / REPORT
        scorer = read_scorer(bundle.scorer_folder)
        return Served(
            id=_identity(bundle),
            bundle=bundle,
            scorer=scorer,
            reader=InputReader(scorer.schema, json_parser),
            loaded_at=datetime.now(UTC).isoformat(timespec="seconds"),
            report=report.read_bytes() if report.is_file() else None,
            evaluation=bundle.document("evaluation"),
            offers=read_offers(bundle.scorer_folder),
        )


def _identity(bundle: Bundle) -> str:
    """Return the id of a model: a report that is added to the bundle does not change it."""
    files = bundle.manifest["files"]
    predicting = [f"{name} {files[name]}" for name in sorted(files) if name.startswith(f"{SCORER}/")]
    return hashlib.sha256("\n".join(predicting).encode()).hexdigest()[:12]
