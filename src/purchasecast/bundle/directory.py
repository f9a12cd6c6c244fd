"""The model directory: written whole or not at all, checked when it is read.

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

This module reads and writes all but ``pipeline/`` and ``propensity/``: `purchasecast.bundle.pipeline` does so with
Spark.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import logging
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from purchasecast import __version__
from purchasecast.errors import BundleCorruptError, BundleError, BundleVersionError
from purchasecast.schema import Schema

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "FORMAT_VERSION",
    "MANIFEST",
    "REPORT",
    "SCORER",
    "Bundle",
    "add_document",
    "add_file",
    "check_place",
    "load_bundle",
    "save_bundle",
]

FORMAT_VERSION = 2  # 1: stages were saved under the modules of the flat layout, predictions as SQL
MANIFEST = "manifest.json"
_SEAL = "seal"  # of the manifest: sha256 of all else it says
SCORER = "scorer"
REPORT = "report.html"
_LIBRARIES = ("pyspark", "numpy", "pyarrow", "pandas", "scikit-learn", "xgboost-cpu")

logger = logging.getLogger(__name__)


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
        file = self.path / f"{name}.json"
        if not file.is_file():
            return None
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return found

    @property
    def scorer_folder(self) -> Path:
        """Folder of the portable model, which `purchasecast.scorer` reads."""
        return self.path / SCORER


def save_bundle(
    path: str | Path,
    *,
    write_parts: Callable[[Path], None],
    documents: Mapping[str, Mapping[str, Any]],
    manifest: Mapping[str, Any],
) -> Bundle:
    """Write a model directory, whole or not at all.

    Parameters
    ----------
    path : str or Path
        Where to. A bundle that is there is replaced at the very end; anything else there is left alone.
    write_parts : callable
        Writes what is not JSON (the pipeline) into the folder that it is given.
    documents : mapping of str to mapping
        JSON documents by name, without suffix.
    manifest : mapping
        What the manifest says beside format, versions and checksums.

    Returns
    -------
    Bundle
        What was written.

    Raises
    ------
    BundleError
        If `path` holds something that is no bundle, or cannot be written.
    """
    target = check_place(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".partial", dir=target.parent))
    except OSError as error:
        raise BundleError(f"{path}: expected a place to write to, found {error.strerror}; choose another.") from error
    try:
        write_parts(folder)
        for name, document in documents.items():
            _write_json(folder / f"{name}.json", document)
        full = {
            "format_version": FORMAT_VERSION,
            "purchasecast": __version__,
            "libraries": _library_versions(),
            **manifest,
            "files": _checksums(folder),
        }
        full = _sealed(full)
        _write_json(folder / MANIFEST, full)
        folder.chmod(0o755)
        _swap(folder, target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    logger.info("bundle written to %s", path)
    return Bundle(Path(path), full)


def add_document(bundle: Bundle, name: str, document: Mapping[str, Any]) -> Bundle:
    """Add a JSON document to a model directory, or replace the one of that name, as `add_file` does.

    Parameters
    ----------
    bundle : Bundle
        What `load_bundle` returned.
    name : str
        Name of the document, without suffix, such as ``findings``.
    document : mapping
        What it holds.

    Returns
    -------
    Bundle
        The directory with the document, under the same path.
    """
    return add_file(bundle, f"{name}.json", _json_text(document))


def add_file(bundle: Bundle, name: str, text: str) -> Bundle:
    """Add a file to a model directory, or replace the one of that name, whole or not at all.

    Parameters
    ----------
    bundle : Bundle
        What `load_bundle` returned.
    name : str
        Name of the file, such as ``report.html``.
    text : str
        What it holds.

    Returns
    -------
    Bundle
        The directory with the file, under the same path.

    Raises
    ------
    BundleError
        If the directory is gone, or cannot be written.

    Notes
    -----
    The other files are linked, not copied, into a sibling that then takes the directory's place.
    """
    target = bundle.path.resolve()
    # What is written anew must not be linked: writing to a link writes to the old directory's file too.
    anew = [name, MANIFEST]
    try:
        sibling = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".partial", dir=target.parent))
        try:
            folder = sibling / target.name
            shutil.copytree(
                target,
                folder,
                copy_function=_link_or_copy,
                ignore=lambda inside, _: anew if Path(inside) == target else [],
            )
            (folder / name).write_text(text, encoding="utf-8")
            with (folder / name).open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
            files = dict(sorted({**bundle.manifest["files"], name: digest}.items()))
            manifest = _sealed({**bundle.manifest, "files": files})
            _write_json(folder / MANIFEST, manifest)
            _swap(folder, target)
        finally:
            shutil.rmtree(sibling, ignore_errors=True)
    except OSError as error:
        raise BundleError(
            f"{bundle.path}: expected a model directory that can be written, found {error.strerror or error}; "
            "copy the model to a place of your own."
        ) from error
    return Bundle(bundle.path, manifest)


def _link_or_copy(source: str, destination: str) -> None:
    try:
        os.link(source, destination)
    except OSError:  # another file system, or one without links
        shutil.copy2(source, destination)


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
    folder = Path(path)
    file = folder / MANIFEST
    if not file.is_file():
        raise BundleError(
            f"{path}: expected a model directory with {MANIFEST}, found "
            f"{'none in it' if folder.is_dir() else 'no such directory'}; name the directory of a trained model."
        )
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
        version = manifest["format_version"]
        expected = manifest["files"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BundleCorruptError(
            f"{file}: expected a manifest, found text that is none ({type(error).__name__}); train the model again."
        ) from error
    if version != FORMAT_VERSION:
        raise BundleVersionError(
            f"{path}: expected bundle format {FORMAT_VERSION}, found {version}; "
            f"use the purchasecast that wrote it ({manifest.get('purchasecast', 'unknown')}) or train again."
        )
    if manifest.get(_SEAL) != _sealed(manifest)[_SEAL]:
        raise BundleCorruptError(
            f"{file}: expected the manifest that was written, found that it was changed; "
            "copy the directory again or train again."
        )
    _verify(folder, expected)
    return Bundle(folder, manifest)


def _sealed(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return the manifest with the sha256 of what it says, in whatever order and layout that is written."""
    said = {key: value for key, value in manifest.items() if key != _SEAL}
    plain = json.loads(json.dumps(said, allow_nan=False))
    digest = hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()
    return {**said, _SEAL: digest}


def copy_bundle(bundle: str | Path, path: str | Path) -> None:
    """Copy a model directory to another place; a model that was there is removed only once the copy is whole.

    Parameters
    ----------
    bundle : str or Path
        The model directory.
    path : str or Path
        Where to.

    Raises
    ------
    BundleError
        If `path` holds something that is no bundle, or cannot be written.
    """
    target = check_place(path)
    if target == Path(bundle).resolve():
        return
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        sibling = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent))
        try:
            _swap(Path(shutil.copytree(bundle, sibling / target.name)), target)
        finally:
            shutil.rmtree(sibling, ignore_errors=True)
    except OSError as error:
        raise BundleError(f"{path}: expected a place to write to, found {error}; choose another place.") from error


def check_place(path: str | Path) -> Path:
    """Return the whole path of a model directory that can be written there; a run asks before it computes anything.

    Parameters
    ----------
    path : str or Path
        Where to.

    Returns
    -------
    Path
        The whole path.

    Raises
    ------
    BundleError
        If `path` holds something that is no bundle, or cannot be written.
    """
    target = Path(path).resolve()
    above = next(folder for folder in target.parents if folder.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise BundleError(
            f"{path}: expected a place to write to, found that {above} is "
            f"{'read-only' if above.is_dir() else 'a file'}; choose another place."
        )
    if target.exists() and not (target / MANIFEST).is_file() and not _is_empty_folder(target):
        raise BundleError(
            f"{target}: expected a new directory or an older model, found something else; "
            "choose another place, or remove it."
        )
    return target


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())


def _swap(folder: Path, target: Path) -> None:
    """Put the finished folder in its place by renames, and only then remove what was there."""
    if not target.exists():
        folder.rename(target)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".old", dir=target.parent))
    target.rename(old / "bundle")
    folder.rename(target)
    shutil.rmtree(old, ignore_errors=True)


def _verify(folder: Path, expected: Mapping[str, str]) -> None:
    found = _checksums(folder)
    problems = [f"{name} is missing" for name in expected if name not in found]
    problems += [f"{name} was changed" for name in expected if name in found and found[name] != expected[name]]
    problems += [f"{name} was added" for name in found if name not in expected]
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise BundleCorruptError(
            f"{folder}: expected the files of the manifest, found that {', '.join(problems[:3])}{more}; "
            "copy the directory again or train again."
        )


def _checksums(folder: Path) -> dict[str, str]:
    """Return the sha256 of every file but the manifest, by path within the folder."""
    sums = {}
    for root, _, names in os.walk(folder):
        for name in names:
            file = Path(root) / name
            inside = file.relative_to(folder).as_posix()
            if inside != MANIFEST:
                with file.open("rb") as stream:
                    sums[inside] = hashlib.file_digest(stream, "sha256").hexdigest()
    return dict(sorted(sums.items()))


def _write_json(file: Path, document: Mapping[str, Any]) -> None:
    file.write_text(_json_text(document), encoding="utf-8")


def _json_text(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _library_versions() -> dict[str, str]:
    versions = {}
    for name in _LIBRARIES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions
