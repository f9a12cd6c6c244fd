"""A model is copied whole or not at all: what stood in the place is lost only to a finished copy."""

import shutil
from pathlib import Path

import pytest

from purchasecast.bundle import MANIFEST, copy_bundle
from purchasecast.errors import BundleError


def _folder(path: Path, text: str) -> Path:
    path.mkdir()
    (path / MANIFEST).write_text(text, encoding="utf-8")
    return path


def test_a_copy_takes_the_place_of_an_older_model(tmp_path: Path) -> None:
    new, old = _folder(tmp_path / "new", "new"), _folder(tmp_path / "old", "old")
    copy_bundle(new, old)
    assert (old / MANIFEST).read_text(encoding="utf-8") == "new"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["new", "old"]


def test_a_copy_that_fails_leaves_the_older_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    new, old = _folder(tmp_path / "new", "new"), _folder(tmp_path / "old", "old")

    def full_disk(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copytree", full_disk)
    with pytest.raises(BundleError, match="No space left"):
        copy_bundle(new, old)
    assert (old / MANIFEST).read_text(encoding="utf-8") == "old"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["new", "old"]
