"""A pipeline that is not all there is refused when it is written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from purchasecast.bundle.pipeline import check_complete
from purchasecast.errors import BundleError

if TYPE_CHECKING:
    from pathlib import Path

TABLES = ("metadata", "stages/0_a/metadata", "stages/0_a/tables/0", "stages/1_b/metadata")


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    for table in TABLES:
        (tmp_path / table).mkdir(parents=True)
        for name in ("_SUCCESS", "part-00000-1.snappy.parquet"):
            (tmp_path / table / name).write_text("")
    return tmp_path


def test_a_whole_pipeline_passes(saved: Path) -> None:
    check_complete(saved, stages=2)


def test_a_table_that_executors_wrote_elsewhere_is_named(saved: Path) -> None:
    (saved / "stages/0_a/tables/0/part-00000-1.snappy.parquet").unlink()
    with pytest.raises(BundleError, match=r"found no data in stages/0_a/tables/0; choose a folder on a disk"):
        check_complete(saved, stages=2)


def test_a_stage_that_is_not_there_is_counted(saved: Path) -> None:
    with pytest.raises(BundleError, match="expected 3 stages that the executors wrote, found 2 of them"):
        check_complete(saved, stages=3)
