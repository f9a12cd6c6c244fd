"""The model directory, and how it is read: whole, or refused.

::

    MODEL/
      manifest.json      format, versions, schema, settings, data fingerprint, sha256 of every other file and of itself
      pipeline/          the fitted `pyspark.ml.PipelineModel`
      propensity/        who buys what, a stage of its own, where the schema has a customer and a product
      scorer/            the same model for scoring without Spark
      evaluation.json    `Evaluation` of the holdout, where there was one
      search.json        every candidate of the grid search
      findings.json      what `insights` found last, where it was asked
      report.html        what `report` drew last, where it was asked

`purchasecast.bundle.writing` writes it; ``pipeline/`` and ``propensity/`` are for `purchasecast.bundle.pipeline`.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from purchasecast.errors import BundleCorruptError, BundleError, BundleVersionError
from purchasecast.files import SealedFiles, restore
from purchasecast.schema import Schema

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "FORMAT_VERSION",
    "MANIFEST",
    "REPORT",
    "SCORER",
    "SEAL",
    "Bundle",
    "checksums",
    "load_bundle",
    "load_with",
    "manifest_in",
    "read_bundle",
    "sealed",
]

FORMAT_VERSION = 3  # 1: stages were saved under the modules of the flat layout; 2: older propensities and unit prices
MANIFEST = "manifest.json"
SEAL = "seal"  # of the manifest: sha256 of all else it says
SCORER = "scorer"
REPORT = "report.html"
T = TypeVar("T")
_RETRY_SECONDS = 10.0  # for a directory that is replaced again and again while it is read


@dataclass(frozen=True, slots=True)
class Bundle:
    """A model directory that was read.

    Attributes
    ----------
    path : Path
        The directory.
    manifest : dict
        The content of ``manifest.json``.
    """

    path: Path
    manifest: dict[str, Any]

    @property
    def schema(self) -> Schema:
        """Description of the rows that the model takes."""
        return Schema.from_dict(self.manifest["schema"])

    def document(self, name: str) -> dict[str, Any] | None:
        """Return a JSON document of the bundle, such as ``evaluation``; None where it has none of that name."""
        file = f"{name}.json"
        if file not in self.manifest["files"]:
            return None
        document: dict[str, Any] = json.loads(self.read(file))
        return document

    def read(self, name: str) -> bytes:
        """Return a file of the bundle.

        Parameters
        ----------
        name : str
            Its path in the directory.

        Returns
        -------
        bytes
            The content.

        Raises
        ------
        BundleCorruptError
            If it was changed or replaced since the bundle was loaded.
        """
        return SealedFiles(str(self.path), self.manifest["files"]).read(name)

    @property
    def scorer_folder(self) -> Path:
        """Folder of the portable model, which `purchasecast.scorer` reads."""
        return self.path / SCORER

    @property
    def scorer_files(self) -> SealedFiles:
        """Files of the portable model, as they were when the bundle was loaded."""
        files = self.manifest["files"]
        sums = {name.removeprefix(f"{SCORER}/"): files[name] for name in files if name.startswith(f"{SCORER}/")}
        return SealedFiles(str(self.scorer_folder.resolve()), sums)

    @property
    def identity(self) -> str:
        """Hash of the files that predictions depend on; findings and a report that are added do not change it."""
        files = self.manifest["files"]
        names = [name for name in sorted(files) if name.startswith(f"{SCORER}/")]
        # A model without a portable form is scored by its pipeline.
        names = names or [name for name in sorted(files) if name.startswith("pipeline/")]
        return hashlib.sha256("\n".join(f"{name} {files[name]}" for name in names).encode()).hexdigest()[:12]


def load_bundle(path: str | Path) -> Bundle:
    """Read a model directory and check that it is whole.

    Parameters
    ----------
    path : str or Path
        The directory.

    Returns
    -------
    Bundle
        Its manifest and the way to its parts.

    Raises
    ------
    BundleError
        If there is no bundle.
    BundleVersionError
        If it was written in a format that this version does not read.
    BundleCorruptError
        If a file is missing, was changed or was added.
    """
    return load_with(path, lambda bundle: bundle)


def load_with(path: str | Path, read: Callable[[Bundle], T]) -> T:
    """Read a model directory as `load_bundle` does, and more of its files; all of one model, if it is replaced.

    Parameters
    ----------
    path : str or Path
        The directory.
    read : callable
        Reads what is wanted of the bundle.

    Returns
    -------
    object
        What `read` returned.

    Raises
    ------
    BundleError
        As `load_bundle`, or `read`, raises it.
    """
    folder = Path(path)
    give_up = time.monotonic() + _RETRY_SECONDS
    while True:
        before = _state(folder)
        try:
            return read(read_bundle(folder))
        except BundleError:
            # Only a directory that was replaced meanwhile is worth another look.
            if time.monotonic() > give_up or not (restore(folder.resolve()) or _state(folder) != before):
                raise


def _state(folder: Path) -> tuple[int, int]:
    """Return what differs between a directory and the one that takes its place."""
    try:
        status = folder.stat()
    except OSError:
        return (0, 0)
    return (status.st_ino, status.st_ctime_ns)


def read_bundle(folder: Path) -> Bundle:
    """Return a bundle as `load_bundle` does, after one attempt."""
    manifest = manifest_in(folder)
    version = manifest["format_version"]
    if version != FORMAT_VERSION:
        raise BundleVersionError(
            f"{folder}: expected bundle format {FORMAT_VERSION}, found {version}; "
            f"use the purchasecast that wrote it ({manifest.get('purchasecast', 'unknown')}) or train again."
        )
    if manifest.get(SEAL) != sealed(manifest)[SEAL]:
        raise BundleCorruptError(
            f"{folder / MANIFEST}: expected the manifest that was written, found that it was changed; "
            "copy the directory again or train again."
        )
    _verify(folder, manifest["files"])
    return Bundle(folder, manifest)


def manifest_in(folder: Path) -> dict[str, Any]:
    """Return the manifest of a directory; its seal is not checked."""
    file = folder / MANIFEST
    if not file.is_file():
        raise BundleError(
            f"{folder}: expected a model directory with {MANIFEST}, found "
            f"{'none in it' if folder.is_dir() else 'no such directory'}; name the directory of a trained model."
        )
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        manifest = None
    files = manifest.get("files") if isinstance(manifest, dict) else None
    if not isinstance(files, dict) or "format_version" not in manifest or not _are_texts(files):
        raise BundleCorruptError(f"{file}: expected a manifest, found something else; train the model again.")
    result: dict[str, Any] = manifest
    return result


def _are_texts(files: Mapping[Any, Any]) -> bool:
    return all(isinstance(text, str) for text in files.values())


def _verify(folder: Path, expected: Mapping[str, str]) -> None:
    found = checksums(folder)
    problems = [f"{name} is missing" for name in expected if name not in found]
    problems += [f"{name} was changed" for name in expected if name in found and found[name] != expected[name]]
    problems += [f"{name} was added" for name in found if name not in expected]
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise BundleCorruptError(
            f"{folder}: expected the files of the manifest, found that {', '.join(problems[:3])}{more}; "
            "copy the directory again or train again."
        )


def sealed(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return the manifest with the sha256 of what it says, in whatever order and layout that is written."""
    said = {key: value for key, value in manifest.items() if key != SEAL}
    plain = json.loads(json.dumps(said, allow_nan=False))
    digest = hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()
    return {**said, SEAL: digest}


def checksums(folder: Path) -> dict[str, str]:
    """Return the sha256 of every file but the manifest, by path within the folder."""
    sums = {}
    for root, _, names in os.walk(folder):
        for name in names:
            file = Path(root) / name
            inside = file.relative_to(folder).as_posix()
            if inside != MANIFEST:
                try:
                    with file.open("rb") as stream:
                        sums[inside] = hashlib.file_digest(stream, "sha256").hexdigest()
                except OSError:  # such as a link to nothing
                    sums[inside] = "unreadable"
    return dict(sorted(sums.items()))
