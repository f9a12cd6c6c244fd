"""Write, extend and copy a model directory, whole or not at all."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import logging
import os
import shutil
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from purchasecast import __version__
from purchasecast.bundle.directory import (
    FORMAT_VERSION,
    MANIFEST,
    SEAL,
    Bundle,
    checksums,
    manifest_in,
    read_bundle,
    sealed,
)
from purchasecast.errors import BundleCorruptError, BundleError, PurchasecastError
from purchasecast.files import cause, locked, replace_folder, staging, sync_tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["add_document", "add_file", "check_place", "copy_bundle", "pinned", "save_bundle"]

_LIBRARIES = ("pyspark", "numpy", "pyarrow", "pandas", "scikit-learn", "xgboost-cpu")

logger = logging.getLogger(__name__)


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
        with staging(target) as aside:
            folder = aside / target.name
            folder.mkdir()
            write_parts(folder)
            for name, document in documents.items():
                _write_json(folder / f"{name}.json", document)
            full = {
                "format_version": FORMAT_VERSION,
                "purchasecast": __version__,
                "libraries": _library_versions(),
                **manifest,
                "files": checksums(folder),
            }
            full = sealed(full)
            _write_json(folder / MANIFEST, full)
            with locked(target.parent):
                _swap(folder, target)
    except PurchasecastError:
        raise
    except OSError as error:
        raise BundleError(f"{path}: expected a place to write to, found {cause(error)}; choose another.") from error
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
    try:
        with staging(target) as aside, locked(target.parent):
            present = manifest_in(target)
            if replace(bundle, manifest=present).identity != bundle.identity:
                raise BundleError(
                    f"{bundle.path}: expected the model that this run began with, found that it was replaced since; "
                    f"{name} was not put into it."
                )
            folder = aside / target.name
            # What is written anew must not be linked: writing to a link writes to the old directory's file too.
            _link_tree(target, folder, [name, MANIFEST])
            (folder / name).write_text(text, encoding="utf-8")
            digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
            manifest = sealed({**present, "files": dict(sorted({**present["files"], name: digest}.items()))})
            _write_json(folder / MANIFEST, manifest)
            _swap(folder, target)
    except OSError as error:
        raise BundleError(
            f"{bundle.path}: expected a model directory that can be written, found {cause(error)}; "
            "copy the model to a place of your own."
        ) from error
    return Bundle(bundle.path, manifest)


@contextmanager
def pinned(bundle: Bundle) -> Iterator[Bundle]:
    """Keep the files of a bundle as they are until the end of a run, also if another model takes its place.

    Parameters
    ----------
    bundle : Bundle
        What `load_bundle` returned.

    Yields
    ------
    Bundle
        The same model in a hidden directory beside its own, made of links; the bundle itself where that cannot be made.

    Raises
    ------
    BundleCorruptError
        If it was changed or replaced since it was loaded.
    """
    target = bundle.path.resolve()
    with ExitStack() as stack:
        folder = target
        try:
            aside = stack.enter_context(staging(target))
            aside.chmod(0o755)  # executors may run as another user
            folder = aside / target.name
            with locked(target.parent):
                _link_tree(target, folder, [])
        except OSError:  # a read-only place: whoever replaces the model ends the run, because a file is not found
            folder = target
        if manifest_in(folder).get(SEAL) != bundle.manifest.get(SEAL):
            raise BundleCorruptError(
                f"{bundle.path}: expected the model that was loaded, found that it was replaced since; load it again."
            )
        yield replace(bundle, path=folder)


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
        If `bundle` is damaged, or `path` holds something that is no bundle, or cannot be written.
    """
    target = check_place(path)
    if target == Path(bundle).resolve():
        return
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with staging(target) as aside:
            folder = Path(shutil.copytree(bundle, aside / target.name))
            read_bundle(folder)
            with locked(target.parent):
                _swap(folder, target)
    except OSError as error:
        raise BundleError(
            f"{path}: expected a place to write to, found {cause(error)}; choose another place."
        ) from error


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


def _link_tree(source: Path, destination: Path, left_out: list[str]) -> None:
    shutil.copytree(
        source,
        destination,
        copy_function=_link_or_copy,
        ignore=lambda inside, _: left_out if Path(inside) == source else [],
    )


def _link_or_copy(source: str, destination: str) -> None:
    try:
        os.link(source, destination)
    except OSError:  # another file system, or one without links
        shutil.copy2(source, destination)


def _swap(folder: Path, target: Path) -> None:
    """Put the finished folder in its place; it must not get there before its files are on the disk."""
    sync_tree(folder)
    replace_folder(folder, target)


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
