"""A model is replaced in one step: no kill and no reader finds neither the old one nor the new."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from purchasecast.bundle import Bundle, add_document, load_bundle, pinned, save_bundle
from purchasecast.errors import BundleCorruptError, BundleError
from purchasecast.files import exchange
from purchasecast.schema import load_schema

if TYPE_CHECKING:
    from pathlib import Path


def save(path: Path, text: str) -> Bundle:
    def write_parts(folder: Path) -> None:
        for name in ("scorer", "pipeline"):
            (folder / name).mkdir()
            (folder / name / "part").write_text(text)

    manifest = {"schema": load_schema("black_friday").to_dict(), "text": text}
    return save_bundle(path, write_parts=write_parts, documents={}, manifest=manifest)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("can_exchange", [True, False])
def test_readers_see_one_model_or_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, can_exchange: bool
) -> None:
    if not can_exchange:
        monkeypatch.setattr(exchange, "_exchange", lambda *_: False)
    save(tmp_path / "model", "0")
    failures: list[Exception] = []
    loads = 0
    done = threading.Event()

    def read() -> None:
        nonlocal loads
        while not done.is_set():
            try:
                bundle = load_bundle(tmp_path / "model")
                loads += 1
                part = bundle.read("pipeline/part").decode()
                assert part == bundle.manifest["text"]
            except BundleCorruptError as error:  # a file read after the replacement is refused, never mixed in
                if "replaced or changed since" not in str(error):
                    failures.append(error)
            except Exception as error:  # noqa: BLE001  any error of a reader is one too many
                failures.append(error)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for number in range(100):
        save(tmp_path / "model", str(number))
    done.set()
    for reader in readers:
        reader.join()
    assert failures == []
    assert loads >= 20
    assert names_in(tmp_path) == ["model"]


_KILLED = """
import os, sys
from pathlib import Path
from purchasecast.files import exchange
from tests.bundle.test_replacing import save
place, how = Path(sys.argv[1]), sys.argv[2]
rename, renames = Path.rename, []
def dying(self, target):
    rename(self, target)
    renames.append(target)
    if how == "between":
        os._exit(9)
Path.rename = dying
if how == "between":
    exchange._exchange = lambda *_: False
else:
    real = exchange._exchange
    exchange._exchange = lambda *pair: os._exit(9) if how == "before" else (real(*pair), os._exit(9))
save(place, "new")
"""


@pytest.mark.parametrize(("how", "text"), [("before", "old"), ("after", "new"), ("between", "old")])
def test_a_kill_leaves_a_whole_model_and_what_else_it_leaves_is_removed(tmp_path: Path, how: str, text: str) -> None:
    save(tmp_path / "model", "old")
    killed = subprocess.run([sys.executable, "-c", _KILLED, tmp_path / "model", how], capture_output=True, check=False)
    assert killed.returncode == 9, killed.stderr.decode()
    assert load_bundle(tmp_path / "model").manifest["text"] == text
    save(tmp_path / "model", "next")
    assert load_bundle(tmp_path / "model").manifest["text"] == "next"
    assert names_in(tmp_path) == ["model"]


def test_what_a_run_under_way_has_beside_the_model_is_not_removed(tmp_path: Path) -> None:
    with exchange.staging(tmp_path / "model") as mine:
        save(tmp_path / "model", "other")
        assert mine.is_dir()
        assert names_in(tmp_path) == sorted([mine.name, "model"])
    foreign = tmp_path / ".model.not_ours"
    foreign.mkdir()
    save(tmp_path / "model", "again")
    assert names_in(tmp_path) == [".model.not_ours", "model"]


def test_a_run_keeps_the_model_that_it_began_with(tmp_path: Path) -> None:
    first = save(tmp_path / "model", "first")
    with pinned(first) as fixed:
        second = save(tmp_path / "model", "second")
        assert (fixed.path / "pipeline" / "part").read_text() == "first"
        assert fixed.read("scorer/part") == b"first"
        assert fixed.identity == first.identity != second.identity
    assert names_in(tmp_path) == ["model"]
    with pytest.raises(BundleCorruptError, match="it was replaced since; load it again"), pinned(first):
        pass
    with pytest.raises(BundleCorruptError, match="replaced or changed since; run it again"):
        first.scorer_files.read("part")
    assert second.scorer_files.carried(without="offers").contents == {"part": b"second"}


def test_findings_of_one_model_are_not_put_into_another(tmp_path: Path) -> None:
    first = save(tmp_path / "model", "first")
    save(tmp_path / "model", "second")
    with pytest.raises(BundleError, match=r"replaced since; findings.json was not put into it"):
        add_document(first, "findings", {"of": "first"})
    assert load_bundle(tmp_path / "model").document("findings") is None


def test_two_that_add_to_a_model_keep_what_the_other_added(tmp_path: Path) -> None:
    bundle = save(tmp_path / "model", "first")
    add_document(bundle, "findings", {"a": 1})
    add_document(bundle, "search", {"b": 2})  # knows nothing of the findings
    loaded = load_bundle(tmp_path / "model")
    assert (loaded.document("findings"), loaded.document("search")) == ({"a": 1}, {"b": 2})
    assert loaded.identity == bundle.identity
