"""A folder of parts is written whole or not at all where tasks run on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from purchasecast.io.folders import _write_folder


class Writer:
    """Writes as Spark does: into the place itself, a part first and a mark last."""

    def __init__(self, text: str, *, fails: bool = False) -> None:
        self.text, self.fails = text, fails
        self.places: list[str] = []

    def save(self, place: str) -> None:
        self.places.append(place)
        folder = Path(place.removeprefix("file://"))
        folder.mkdir()
        (folder / "part-0").write_text(self.text)
        if self.fails:
            raise RuntimeError("killed")
        (folder / "_SUCCESS").touch()


def write(writer: Any, place: Path, *, here: bool = True) -> None:
    _write_folder(writer, str(place), here=here, overwrite=True)


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    place = tmp_path / "out folder"
    for text in ("first", "second"):
        write(Writer(text), place)
        assert (place / "part-0").read_text() == text
        assert [path.name for path in tmp_path.iterdir()] == ["out folder"]


def test_a_run_that_fails_leaves_the_old_folder_or_none(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="killed"):
        write(Writer("bad", fails=True), tmp_path / "new")
    write(Writer("good"), tmp_path / "old")
    with pytest.raises(RuntimeError, match="killed"):
        write(Writer("bad", fails=True), tmp_path / "old")
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    assert (tmp_path / "old" / "part-0").read_text() == "good"


def test_where_tasks_run_elsewhere_spark_writes_the_folder_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = Writer("x")
    write(writer, tmp_path / "out", here=False)
    assert writer.places == [str(tmp_path / "out")]
    monkeypatch.setenv("HADOOP_CONF_DIR", "/etc/hadoop")  # a plain path is one of HDFS then
    write(writer, tmp_path / "other")
    assert writer.places[1:] == [str(tmp_path / "other")]
