"""The model that is being served, and its replacement by a newer one without dropping a request."""

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
from purchasecast.serve.request_rows import json_parser

if TYPE_CHECKING:
    from pathlib import Path

    from purchasecast.bundle import Bundle
    from purchasecast.scorer import Scorer

__all__ = ["ModelHolder", "Served"]

logger = logging.getLogger(__name__)

_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Served:
    """One loaded model.

    Attributes
    ----------
    id : str
        Twelve hexadecimal digits, the same for all bundles that predict by the same files.
    bundle : Bundle
        Its manifest.
    scorer : Scorer
        The portable model.
    reader : InputReader
        What holds JSON rows to exact types.
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
    reader: InputReader
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
        """Read the bundle; again where another one took its place meanwhile, so that no part is of two models."""
        for _ in range(_ATTEMPTS):
            before, failure = self._digest(), None
            try:
                served = self._read()
            except (BundleError, OSError) as error:
                failure = error
            stayed = before == self._digest()
            if stayed and failure is None:
                return served
            if stayed and before:
                break
        if isinstance(failure, BundleError):
            raise failure
        raise BundleCorruptError(
            "the bundle: expected files that stay as they are while they are read, found others; try again."
        ) from failure

    def _digest(self) -> str:
        try:
            return hashlib.sha256((self._path / MANIFEST).read_bytes()).hexdigest()
        except OSError:
            return ""  # reading the bundle will say what is wrong

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
        )


def _identity(bundle: Bundle) -> str:
    """Return what a model is called: a bundle that was given a report or findings still is the same model."""
    files = bundle.manifest["files"]
    predicting = [f"{name} {files[name]}" for name in sorted(files) if name.startswith(f"{SCORER}/")]
    return hashlib.sha256("\n".join(predicting).encode()).hexdigest()[:12]
