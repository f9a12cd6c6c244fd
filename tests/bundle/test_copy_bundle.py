"""A model is copied whole or not at all: what stood in the place is lost only to a finished copy."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from purchasecast.bundle import copy_bundle, load_bundle, save_bundle
from purchasecast.errors import BundleCorruptError, BundleError
from purchasecast.schema import load_schema

if TYPE_CHECKING:
    from pathlib import Path


def save(path: Path, text: str) -> Path:
    manifest = {"schema": load_schema("black_friday").to_dict()}
    save_bundle(path, write_parts=lambda _: None, documents={"search": {"text": text}}, manifest=manifest)
    return path


def text_of(path: Path) -> str:
    document = load_bundle(path).document("search")
    assert document is not None
    return str(document["text"])


def test_a_copy_takes_the_place_of_an_older_model(tmp_path: Path) -> None:
    new, old = save(tmp_path / "new", "new"), save(tmp_path / "old", "old")
    copy_bundle(new, old)
    assert text_of(old) == "new"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["new", "old"]


def test_a_copy_that_fails_leaves_the_older_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    new, old = save(tmp_path / "new", "new"), save(tmp_path / "old", "old")

    def full_disk(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copytree", full_disk)
    with pytest.raises(BundleError, match="found a full disk"):
        copy_bundle(new, old)
    assert text_of(old) == "old"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["new", "old"]


def test_a_damaged_model_does_not_replace_a_whole_one(tmp_path: Path) -> None:
    new, old = save(tmp_path / "new", "new"), save(tmp_path / "old", "old")
    (new / "search.json").write_text("{}")
    with pytest.raises(BundleCorruptError, match=r"search.json was changed"):
        copy_bundle(new, old)
    assert text_of(old) == "old"
