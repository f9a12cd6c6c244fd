"""Files and folders are written whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from purchasecast.files import cause, put_entries, staging, write_whole


def test_a_file_is_replaced_and_keeps_its_permissions(tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    write_whole(file, "first")
    assert file.stat().st_mode & 0o777 == 0o666 & ~_umask()
    file.chmod(0o640)
    write_whole(file, "second ä")
    assert file.read_text(encoding="utf-8") == "second ä"
    assert file.stat().st_mode & 0o777 == 0o640
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "page.html"
    file.write_text("a good report")
    write = Path.write_bytes

    def third(self: Path, data: bytes) -> int:
        write(self, data[: len(data) // 3])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", third)
    with pytest.raises(OSError, match="No space") as failure:
        write_whole(file, "a new report")
    assert cause(failure.value) == "a full disk"
    assert file.read_text() == "a good report"
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


def test_links_and_devices_stay_what_they_are(tmp_path: Path) -> None:
    (tmp_path / "real.html").write_text("old")
    (tmp_path / "link.html").symlink_to("real.html")
    write_whole(tmp_path / "link.html", "new")
    assert (tmp_path / "link.html").is_symlink()
    assert (tmp_path / "real.html").read_text() == "new"
    write_whole("/dev/null", "anything")
    assert not Path("/dev/null").is_file()


def test_a_new_folder_gets_its_name_in_one_step_and_an_older_one_its_files(tmp_path: Path) -> None:
    out = tmp_path / "out"
    for text in ("first", "second"):
        with staging(out / "last.json" if out.is_dir() else out) as aside:
            folder = aside / "out"
            (folder / "table.parquet").mkdir(parents=True)
            (folder / "table.parquet" / f"part-{text}").write_text(text)
            (folder / "last.json").write_text(text)
            put_entries(folder, out, last="last.json")
        (out / "notes.txt").write_text("mine")
        assert (out / "last.json").read_text() == text
        assert [path.name for path in (out / "table.parquet").iterdir()] == [f"part-{text}"]
    assert sorted(path.name for path in out.iterdir()) == ["last.json", "notes.txt", "table.parquet"]


def test_a_folder_that_was_not_finished_has_no_last_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "last.json").write_text("of the old lists")
    (out / "list.csv").write_text("old")
    with staging(out / "last.json") as aside:
        (aside / "new").mkdir()
        for name in ("last.json", "list.csv"):
            (aside / "new" / name).write_text("new")

        def stopped(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(Path, "replace", stopped)
        with pytest.raises(KeyboardInterrupt):
            put_entries(aside / "new", out, last="last.json")
    assert sorted(path.name for path in out.iterdir()) == ["list.csv"]
