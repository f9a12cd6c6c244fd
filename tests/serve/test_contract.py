"""The server against its own description: generated requests, valid and invalid, of every route."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.tiny_model import LiveServer

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
)  # not that all valid data is accepted: whether attributes may be left out depends on whether the customer is known


#: What it takes for a refusal of wrong data: its own list, and 413, which a body gets that is too large to be read.
CONFIG = """
[checks]
negative_data_rejection.expected-statuses = [400, 401, 403, 404, 405, 406, 409, 413, 415, 422, 428, 429, "5xx"]
"""


def run(server: LiveServer, folder: Path, examples: int) -> str:
    """Return what schemathesis says; it exits with 0 where no check failed."""
    command = shutil.which("schemathesis", path=str(Path(sys.executable).parent)) or "schemathesis"
    arguments = [f"{server.url}openapi.json", "--seed", "7", "--request-timeout", "20", "--max-examples", str(examples)]
    (folder / "schemathesis.toml").write_text(CONFIG)
    found = subprocess.run(
        [command, "run", *arguments, "--checks", ",".join(CHECKS), "--phases", "examples,coverage,fuzzing"],
        capture_output=True,
        text=True,
        timeout=850,
        check=False,
        cwd=folder,
    )
    assert found.returncode == 0, found.stdout[-20_000:]
    return found.stdout


@pytest.mark.slow
def test_two_thousand_requests_break_nothing(server: LiveServer, tmp_path: Path) -> None:
    said = run(server, tmp_path, 400)
    cases = re.search(r"([\d,]+) generated", said)
    assert cases is not None
    assert int(cases.group(1).replace(",", "")) >= 2_000
