"""Files whose content was fixed at a moment, for those who read them later."""

from __future__ import annotations

import errno
import hashlib
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from purchasecast.errors import BundleCorruptError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["SealedFiles"]

_CARRIED_BYTES = 32 << 20  # Spark Connect refuses plans of more than 128 MB


@dataclass(frozen=True, slots=True)
class SealedFiles:
    """Files of a folder; a file that was changed or replaced since is refused.

    Parameters
    ----------
    folder : str
        The folder.
    checksums : mapping of str to str, optional
        SHA-256 of each file, by its path in the folder; without them nothing is checked.
    contents : mapping of str to bytes, default {}
        The files themselves, where they are carried along.
    """

    folder: str
    checksums: Mapping[str, str] | None = None
    contents: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def identity(self) -> str:
        """Hash of the checksums; of the folder's name where there are none."""
        said = sorted(self.checksums.items()) if self.checksums is not None else self.folder
        return hashlib.sha256(repr(said).encode()).hexdigest()

    def read(self, name: str) -> bytes:
        """Return the content of a file.

        Parameters
        ----------
        name : str
            Its path in the folder.

        Returns
        -------
        bytes
            The content.

        Raises
        ------
        BundleCorruptError
            If it was changed or replaced.
        OSError
            If it cannot be read.
        """
        if name in self.contents:
            return self.contents[name]
        file = Path(self.folder) / name
        if self.checksums is None:
            return file.read_bytes()
        if name not in self.checksums:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(file))
        try:
            content = file.read_bytes()
        except FileNotFoundError:
            content = None
        if content is None or hashlib.sha256(content).hexdigest() != self.checksums[name]:
            raise BundleCorruptError(
                f"{file}: expected the model that this run began with, found that it was replaced or changed since; "
                "run it again."
            )
        return content

    def carried(self, without: str) -> SealedFiles:
        """Return the files with their contents, to be sent elsewhere; without, if there are more than 32 MB of them.

        Parameters
        ----------
        without : str
            Folder in the folder whose files are not sent.

        Returns
        -------
        SealedFiles
            The same files.

        Raises
        ------
        BundleCorruptError
            If one was changed or replaced.
        """
        names = sorted(name for name in self.checksums or () if not name.startswith(f"{without}/"))
        files = [Path(self.folder) / name for name in names]
        if self.contents or sum(file.stat().st_size for file in files if file.is_file()) > _CARRIED_BYTES:
            return self
        return replace(self, contents={name: self.read(name) for name in names})
