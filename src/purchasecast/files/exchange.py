"""Prepare a file or folder in a hidden folder beside its place, and put it there in one step.

The hidden folder ``.NAME.xxxxxxxx.partial`` is locked as long as its process lives. A folder without a lock was left
behind by a process that was killed; the next run for the same place removes it.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import shutil
import sys
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

if sys.platform != "win32":  # elsewhere nothing can be locked, and nothing is taken for a leftover
    from fcntl import LOCK_EX, LOCK_NB, flock

__all__ = ["locked", "replace_folder", "restore", "staging"]

_PARTIAL, _OLD = ".partial", ".old"
_NAME = "{name}[.][a-z0-9_]{{8}}[.](partial|old|tmp)"  # tmp: versions before 0.1.0
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # fcntl.h and linux/fs.h
# The file system, or the kernel, cannot exchange two names.
_NO_EXCHANGE = {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EPERM}


@contextmanager
def staging(target: Path) -> Iterator[Path]:
    """Create a hidden folder beside a target; remove it at the end, with what is left in it.

    Parameters
    ----------
    target : Path
        The absolute path of the file or folder that will be written. What killed runs left beside it is removed.

    Yields
    ------
    Path
        The folder, on the file system of the target.

    Raises
    ------
    OSError
        If it cannot be created.
    """
    restore(target)
    folder, lock = _new_folder(target, _PARTIAL)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        _release(lock)


def replace_folder(folder: Path, target: Path) -> None:
    """Put a finished folder in the place of another, or of none.

    Parameters
    ----------
    folder : Path
        The finished folder, on the file system of `target`. Afterwards the old one, if any, may be in its place; it is
        for the caller to remove, as the end of `staging` does.
    target : Path
        The place.

    Raises
    ------
    OSError
        If it cannot be replaced.

    Notes
    -----
    On Linux both names are exchanged in one step (``renameat2``), so that at every moment there is one of the two
    folders. Where that is not possible there are two renames. A process that is killed between them leaves the old
    folder in a hidden one, from which `restore` takes it.
    """
    while not target.exists():
        try:
            folder.rename(target)
        except OSError as error:
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:  # another process has put one there meanwhile
                raise
        else:
            _sync_folder(target.parent)
            return
    if not _exchange(folder, target):
        _rename_twice(folder, target)
    _sync_folder(target.parent)


def restore(target: Path) -> bool:
    """Remove what killed runs left beside a target, and put back a folder that was being replaced.

    Parameters
    ----------
    target : Path
        The absolute path of a file or folder.

    Returns
    -------
    bool
        Whether there was such a folder, or another process is replacing the folder at this moment.
    """
    pattern = re.compile(_NAME.format(name=re.escape(f".{target.name}")))
    restored = False
    with suppress(OSError):
        for folder in [path for path in target.parent.iterdir() if pattern.fullmatch(path.name)]:
            lock = _hold(folder)
            if lock is None:  # its process lives
                restored |= folder.suffix == _OLD
                continue
            if folder.suffix == _OLD and (folder / target.name).is_dir() and not target.exists():
                (folder / target.name).rename(target)
                restored = True
            shutil.rmtree(folder, ignore_errors=True)
            _release(lock)
    return restored


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Wait for other processes that change what is in a folder, and make them wait.

    Parameters
    ----------
    folder : Path
        The folder; where locks do not work, nobody waits.

    Yields
    ------
    None
        While nobody else changes it.
    """
    lock = _hold(folder, wait=True)
    try:
        yield
    finally:
        _release(lock)


def _new_folder(target: Path, suffix: str) -> tuple[Path, int | None]:
    """Create a hidden folder and lock it; again if another run took it for a leftover before it was locked."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=suffix, dir=target.parent))
        lock = _hold(folder, wait=True)
        if folder.exists():
            return folder, lock
        _release(lock)


def _hold(folder: Path, *, wait: bool = False) -> int | None:
    """Lock a folder until the process ends or `_release`; None if another process holds it, or locks do not work."""
    if sys.platform == "win32":
        return None
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return None
    try:
        flock(descriptor, LOCK_EX | (0 if wait else LOCK_NB))
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _release(lock: int | None) -> None:
    if lock is not None:
        os.close(lock)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two names in one step; False where that is not possible."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):
        return False
    if rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in _NO_EXCHANGE:
        return False
    raise OSError(number, os.strerror(number), str(other))


def _rename_twice(folder: Path, target: Path) -> None:
    old, lock = _new_folder(target, _OLD)
    try:
        target.rename(old / target.name)
        try:
            folder.rename(target)
        except OSError:
            (old / target.name).rename(target)
            raise
        shutil.rmtree(old, ignore_errors=True)
    finally:
        _release(lock)


def _sync_folder(folder: Path) -> None:
    """Make renames in a folder last, where the system can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
