"""The files in `deploy/`: each held to its format by a linter of it, and to what the server promises by reading it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

DEPLOY = Path(__file__).parents[2] / "deploy"
TOOLS = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))


def lint(tool: str, *arguments: str | Path, missing: str = "uv sync brings it") -> None:
    found = shutil.which(tool, path=TOOLS)
    if found is None:
        pytest.skip(f"no {tool} on this machine; {missing}")
    ran = subprocess.run([found, *arguments], capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert not ran.stderr, ran.stderr


def test_the_dockerfile_is_accepted_by_hadolint() -> None:
    lint("hadolint", "--failure-threshold", "style", DEPLOY / "Dockerfile")


def test_the_compose_file_is_accepted_by_its_schema() -> None:
    lint("check-jsonschema", "--builtin-schema", "vendor.compose-spec", DEPLOY / "compose.yaml")


def test_the_deployment_is_accepted_by_kubernetes_schemas() -> None:
    lint("kubernetes-validate", "--strict", "--quiet", DEPLOY / "kubernetes.yaml")


def test_the_unit_is_accepted_by_systemd(tmp_path: Path) -> None:
    text = (DEPLOY / "purchasecast.service").read_text()
    assert "/opt/purchasecast/bin/purchasecast serve" in text
    unit = tmp_path / "purchasecast.service"
    # systemd also wants the program to be there.
    unit.write_text(text.replace("/opt/purchasecast/bin/purchasecast", sys.executable))
    lint("systemd-analyze", "verify", unit, missing="it comes with systemd")


def read_yaml(name: str) -> list[dict[str, Any]]:
    yaml = pytest.importorskip("yaml")
    return list(yaml.safe_load_all((DEPLOY / name).read_text()))


def test_nothing_runs_as_root_or_writes_where_it_should_not() -> None:
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    last = dockerfile[dockerfile.rindex("FROM ") :]
    assert re.match(r"FROM python:3\.\d+-slim\n", last)
    assert re.search(r"^USER 10001:10001$", last, re.MULTILINE)
    (compose,) = read_yaml("compose.yaml")
    service = compose["services"]["purchasecast"]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["ports"] == ["127.0.0.1:8000:8000"]
    deployment = read_yaml("kubernetes.yaml")[0]["spec"]["template"]["spec"]
    assert deployment["securityContext"]["runAsNonRoot"] is True
    own = deployment["containers"][0]["securityContext"]
    assert own == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    unit = (DEPLOY / "purchasecast.service").read_text()
    assert {"DynamicUser=yes", "ProtectSystem=strict", "NoNewPrivileges=yes"} <= set(unit.splitlines())


def test_the_commands_are_ones_that_the_server_takes() -> None:
    help_text = subprocess.run(
        [sys.executable, "-m", "purchasecast", "serve", "--help"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    (entry,) = re.findall(r"^ENTRYPOINT (\[.*\])$", dockerfile, re.MULTILINE)
    (given,) = re.findall(r"^CMD (\[.*\])$", dockerfile, re.MULTILINE)
    container = read_yaml("kubernetes.yaml")[0]["spec"]["template"]["spec"]["containers"][0]
    (started,) = re.findall(r"^ExecStart=(.*)$", (DEPLOY / "purchasecast.service").read_text(), re.MULTILINE)
    commands = [*json.loads(entry), *json.loads(given), *container["args"], *started.split()]
    options = {word for word in commands if word.startswith("--")}
    assert options == {"--host", "--port", "--token-file"}
    assert all(option in help_text for option in options)
    assert json.loads(entry)[:2] == ["purchasecast", "serve"]
