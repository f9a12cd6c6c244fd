"""Some of `make faults`: each fault that needs no Spark, a few times."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.faults.__main__ import QUICK

if TYPE_CHECKING:
    from pathlib import Path

FEW = {"models replaced under readers": 20, "damaged models": 150, "full disk": 5, "hostile requests": 500}


@pytest.mark.filterwarnings("ignore")  # of the test client, which is given what no client sends
@pytest.mark.parametrize("name", list(QUICK))
def test_no_promise_is_broken(name: str, tmp_path: Path) -> None:
    failures = QUICK[name][1](FEW[name], tmp_path)
    if failures is None:
        pytest.skip("no disk can be mounted here")
    assert failures == []
