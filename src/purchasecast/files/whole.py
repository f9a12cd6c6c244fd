"""Write a file whole or not at all, and name what prevents it."""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import suppress
from pathlib import Path

from purchasecast.files.exchange import replace_folder, staging

__all__ = ["cause", "put_entries", "put_file", "sync_tree", "write_whole"]


def write_whole(path: str | Path, content: str | bytes) -> None:
    """Write a file so that at its place there is the old content or the new, at every moment.

    Parameters
    ----------
    path : str or Path
        The file. A link stays one; devices and pipes are written to directly.
    content : str or bytes
        Content; text is written in UTF-8.

    Raises
    ------
    OSError
        If it cannot be written; an older file is as it was then.
    """
    target = Path(path).resolve()
    data = content.encode() if isinstance(content, str) else content
    if target.exists() and not target.is_file():  # such as /dev/stdout; a folder gets its usual error
        target.write_bytes(data)
        return
    with staging(target) as folder:
        new = folder / target.name
        new.write_bytes(data)
        put_file(new, target)


def put_file(file: Path, target: Path) -> None:
    """Put a finished file in the place of another, or of none.

    Parameters
    ----------
    file : Path
        The finished file, on the file system of `target`.
    target : Path
        The place; its permissions are kept.
    """
    with suppress(OSError):
        shutil.copymode(target, file)
    _sync(file)
    file.replace(target)
    with suppress(OSError):
        _sync(target.parent)


def put_entries(folder: Path, target: Path, *, last: str) -> None:
    """Put what is in a finished folder into another one; each file and folder takes the place of its namesake whole.

    Parameters
    ----------
    folder : Path
        The finished folder, on the file system of `target`.
    target : Path
        The other folder. If there is none, `folder` gets its name.
    last : str
        File that is removed first and put there last: where it is, all others are there.
    """
    sync_tree(folder)
    if not target.exists():
        replace_folder(folder, target)
        return
    (target / last).unlink(missing_ok=True)
    for entry in sorted(folder.iterdir(), key=lambda entry: (entry.name == last, entry.name)):
        if entry.is_dir():
            replace_folder(entry, target / entry.name)
        else:
            put_file(entry, target / entry.name)


def sync_tree(folder: Path) -> None:
    """Wait until all files of a folder are on the disk, so that a rename that follows cannot outlive them.

    Parameters
    ----------
    folder : Path
        The folder.
    """
    for root, _, names in os.walk(folder):
        for name in names:
            _sync(Path(root) / name)
        with suppress(OSError):  # Windows opens no folders
            _sync(Path(root))


def cause(error: OSError) -> str:
    """Return what prevented a file from being written, for an error message.

    Parameters
    ----------
    error : OSError
        What was raised.

    Returns
    -------
    str
        A few words.

    Examples
    --------
    >>> cause(OSError(28, "No space left on device"))
    'a full disk'
    >>> cause(PermissionError(13, "Permission denied"))
    'Permission denied'
    """
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return "a full disk"
    return error.strerror or str(error)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
