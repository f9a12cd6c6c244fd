"""The model that is being served, and its replacement by a newer one without dropping a request."""

from __future__ import annotations

import hashlib
import logging
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from purchasecast.bundle import load_bundle
from purchasecast.scorer import read_scorer

if TYPE_CHECKING:
    from pathlib import Path

    from purchasecast.bundle import Bundle
    from purchasecast.scorer import Scorer

__all__ = ["ModelHolder", "Served"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Served:
    """One loaded model.

    Attributes
    ----------
    id : str
        Twelve hexadecimal digits of the manifest's checksum.
    bundle : Bundle
        Its manifest.
    scorer : Scorer
        The portable model.
    loaded_at : str
        When it was loaded, UTC.
    report : bytes or None
        The report for people, where the bundle has one.
    evaluation : dict or None
        Figures of the holdout.
    """

    id: str
    bundle: Bundle
    scorer: Scorer
    loaded_at: str
    report: bytes | None
    evaluation: dict[str, Any] | None

    def describe(self) -> dict[str, Any]:
        """Return what a client may know of the model."""
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
    """Holds the model in use; whoever took it keeps it until done.

    Parameters
    ----------
    path : Path
        The bundle; a reload reads what is there then.
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
        """Read the bundle again and put it to use, if it is whole and passes its own test.

        Returns
        -------
        tuple of Served and bool
            The model in use now, and whether it is another one than before.

        Raises
        ------
        BundleError
            If the new one does not verify; the old one stays in use.
        """
        with self._lock:
            fresh = self._load()
            changed = fresh.id != self._served.id
            self._served = fresh
        logger.info("model %s is in use%s", fresh.id, "" if changed else ", as before")
        return fresh, changed

    def _load(self) -> Served:
        bundle = load_bundle(self._path)
        digest = hashlib.sha256((self._path / "manifest.json").read_bytes()).hexdigest()
        report = self._path / "report.html"
        return Served(
            id=digest[:12],
            bundle=bundle,
            scorer=read_scorer(bundle.scorer_folder),
            loaded_at=datetime.now(UTC).isoformat(timespec="seconds"),
            report=report.read_bytes() if report.is_file() else None,
            evaluation=bundle.document("evaluation"),
        )
