"""The model directory is whole, or it is refused."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

from purchasecast.bundle import add_document, check_place, load_bundle, save_bundle
from purchasecast.bundle.directory import FORMAT_VERSION
from purchasecast.errors import BundleCorruptError, BundleError, BundleVersionError
from purchasecast.schema import load_schema

if TYPE_CHECKING:
    from pathlib import Path

    from purchasecast.bundle import Bundle


def save(path: Path, text: str = "stages") -> Bundle:
    def write_parts(folder: Path) -> None:
        (folder / "pipeline").mkdir()
        (folder / "pipeline" / "part").write_text(text)

    manifest = {"schema": load_schema("black_friday").to_dict()}
    return save_bundle(path, write_parts=write_parts, documents={"search": {"chosen": 3}}, manifest=manifest)


def relink(file: Path, target: Path) -> None:
    file.unlink()
    file.symlink_to(target)


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_a_manifest_whose_seal_was_removed_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "m")
    manifest = tmp_path / "m" / "manifest.json"
    said = json.loads(manifest.read_text())
    assert said.pop("seal")
    manifest.write_text(json.dumps(said))
    with pytest.raises(BundleCorruptError, match="it was changed"):
        load_bundle(tmp_path / "m")


@pytest.mark.parametrize("version", range(1, FORMAT_VERSION))
def test_a_model_of_an_older_format_is_refused_in_one_sentence(tmp_path: Path, version: int) -> None:
    save(tmp_path / "m")
    manifest = tmp_path / "m" / "manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "format_version": version}))
    told = f"expected bundle format {FORMAT_VERSION}, found {version}; use the purchasecast that wrote"
    with pytest.raises(BundleVersionError, match=told):
        load_bundle(tmp_path / "m")


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    save(tmp_path / "model")
    bundle = load_bundle(tmp_path / "model")
    assert bundle.schema == load_schema("black_friday")
    assert bundle.document("search") == {"chosen": 3}
    assert bundle.document("evaluation") is None
    assert bundle.manifest["format_version"] == FORMAT_VERSION
    assert sorted(bundle.manifest["files"]) == ["pipeline/part", "search.json"]
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda folder: (folder / "pipeline" / "part").write_text("other"), "pipeline/part was changed"),
        (lambda folder: (folder / "search.json").unlink(), "search.json is missing"),
        (lambda folder: (folder / "pipeline" / "more").write_text(""), "pipeline/more was added"),
        (lambda folder: (folder / "manifest.json").write_text("{"), "manifest"),
        (lambda folder: (folder / "manifest.json").write_text("[]"), "manifest"),
        (lambda folder: (folder / "manifest.json").write_text('{"format_version": 3, "files": null}'), "manifest"),
        (lambda folder: (folder / "manifest.json").write_text('{"format_version": 3, "files": {"a": 1}}'), "manifest"),
        (lambda folder: (folder / "manifest.json").write_text("[" * 100_000), "manifest"),
        (lambda folder: (folder / "manifest.json").write_bytes(b"\xff\xfe{"), "manifest"),
        (lambda folder: relink(folder / "search.json", folder / "nothing"), "search.json was changed"),
        (lambda folder: (folder / "more").symlink_to(folder / "nothing"), "more was added"),
        (lambda folder: edit(folder / "manifest.json", "Purchase", "Spend"), "the manifest that was written"),
    ],
)
def test_damage_is_found_and_named(tmp_path: Path, damage: object, told: str) -> None:
    save(tmp_path / "model")
    damage(tmp_path / "model")  # type: ignore[operator]
    with pytest.raises(BundleCorruptError, match=told):
        load_bundle(tmp_path / "model")


def test_another_format_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "model")
    manifest = tmp_path / "model" / "manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "format_version": 99}))
    with pytest.raises(BundleVersionError, match="found 99"):
        load_bundle(tmp_path / "model")


def test_what_is_no_bundle_is_refused_and_left_alone(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no such directory"):
        load_bundle(tmp_path / "nothing")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "diary.txt").write_text("dear diary")
    with pytest.raises(BundleError, match="none in it"):
        load_bundle(tmp_path / "notes")
    with pytest.raises(BundleError, match="choose another place"):
        save(tmp_path / "notes")
    assert (tmp_path / "notes" / "diary.txt").read_text() == "dear diary"


def test_a_bundle_is_replaced_whole(tmp_path: Path) -> None:
    save(tmp_path / "model", "first")
    save(tmp_path / "model", "second")
    assert (tmp_path / "model" / "pipeline" / "part").read_text() == "second"
    load_bundle(tmp_path / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_run_that_fails_leaves_the_old_bundle(tmp_path: Path) -> None:
    save(tmp_path / "model", "first")

    def fail(folder: Path) -> None:
        (folder / "half").write_text("")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        save_bundle(tmp_path / "model", write_parts=fail, documents={}, manifest={})
    load_bundle(tmp_path / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_document_is_added_later_and_replaced(tmp_path: Path) -> None:
    bundle = save(tmp_path / "model")
    (tmp_path / "model" / "pipeline" / "findings.json").write_text("{}")  # the same name elsewhere is another file
    bundle = replace_checksums(bundle)
    for findings in ({"findings": [1]}, {"findings": [2]}):
        bundle = add_document(bundle, "findings", findings)
        loaded = load_bundle(tmp_path / "model")
        assert loaded.document("findings") == findings
        assert loaded.manifest == bundle.manifest
    assert bundle.document("search") == {"chosen": 3}
    assert sorted(bundle.manifest["files"]) == [
        "findings.json",
        "pipeline/findings.json",
        "pipeline/part",
        "search.json",
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def replace_checksums(bundle: Bundle) -> Bundle:
    def write_parts(folder: Path) -> None:
        shutil.copytree(bundle.path / "pipeline", folder / "pipeline")

    return save_bundle(
        bundle.path, write_parts=write_parts, documents={"search": {"chosen": 3}}, manifest=dict(bundle.manifest)
    )


def test_a_document_is_added_whole_or_not_at_all(tmp_path: Path) -> None:
    bundle = save(tmp_path / "model")
    with pytest.raises(ValueError, match="JSON"):
        add_document(bundle, "findings", {"value": float("nan")})
    assert load_bundle(tmp_path / "model").document("findings") is None
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    shutil.rmtree(tmp_path / "model")
    with pytest.raises(BundleError, match="no such directory"):
        add_document(bundle, "findings", {})
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_no_model_can_have_is_refused_before_anything_is_computed(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BundleError, match="is a file; choose another place"):
        check_place(tmp_path / "file" / "model")
    with pytest.raises(BundleError, match="something else; choose another place"):
        check_place(tmp_path / "file")
    assert check_place(tmp_path / "new" / "model") == tmp_path / "new" / "model"
    assert not (tmp_path / "new").exists()
