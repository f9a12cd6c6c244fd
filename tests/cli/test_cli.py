"""The command line without Spark: help, usage, exit codes, and errors in one sentence."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from purchasecast.cli import cli
from purchasecast.cli.options import Run
from purchasecast.config import TrainSettings
from purchasecast.errors import SettingsError

COMMANDS = (
    *("demo", "evaluate", "generate", "insights", "measure", "monitor", "plan", "predict", "profile", "report"),
    *("schema", "serve", "train", "validate"),
)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "purchasecast", *arguments], capture_output=True, text=True, timeout=120, check=False
    )


def test_help_names_every_command() -> None:
    shown = CliRunner().invoke(cli, ["--help"])
    assert shown.exit_code == 0
    assert all(command in shown.output for command in COMMANDS)


def test_help_lists_commands_in_the_order_of_use_and_in_whole_sentences() -> None:
    shown = CliRunner().invoke(cli, ["--help"]).output
    listed = [shown.index(f"\n  {command} ") for command in ("demo", "schema", "train", "predict", "monitor")]
    assert listed == sorted(listed)
    assert "..." not in shown.split("Commands:")[1]  # click cuts off what is too long


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_and_the_common_options(command: str) -> None:
    shown = CliRunner().invoke(cli, [command, "--help"])
    assert shown.exit_code == 0
    assert all(
        option in shown.output for option in ("--json", "--master", "--remote", "--conf", "--quiet", "--verbose")
    )


def test_help_does_not_load_spark() -> None:
    code = "import sys, purchasecast.cli; sys.exit('pyspark' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=120).returncode == 0


SWALLOWED = """
import os, signal, sys
from purchasecast import cli, spark

def start(**options):
    try:
        os.kill(os.getpid(), signal.SIGINT)
    except:
        {then}

spark.get_session = start
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background process ignores it
sys.argv = ["purchasecast", "generate", "--rows", "1", "--out", "shop.csv"]
cli.main()
"""


@pytest.mark.parametrize("then", ["pass", "raise ImportError"])
def test_an_interrupt_that_a_library_swallows_stops_the_run(tmp_path: Path, then: str) -> None:
    code = SWALLOWED.format(then=then)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "\npurchasecast: stopped\n")  # below a ^C
    assert list(tmp_path.iterdir()) == []


AT_WORK = """
import sys
from purchasecast import cli, datasets, spark

class Session:
    def interruptAll(self):
        print("cancelled")

def work(*given, **options):
    raise KeyboardInterrupt

spark.get_session = lambda **options: Session()
datasets.generate_shop = work
sys.argv = ["purchasecast", "generate", "--rows", "1", "--out", "shop.csv", "--remote", "sc://here"]
cli.main()
"""


def test_an_interrupted_run_cancels_what_spark_does() -> None:
    done = subprocess.run([sys.executable, "-c", AT_WORK], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (130, "cancelled\n")
    assert done.stderr.endswith("s\n\npurchasecast: stopped\n")  # after the lines of the steps


AT_WORK_WITH_JAVA = """
import logging, os, signal, subprocess, sys, time
from purchasecast import cli, datasets, spark

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(99)"
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {STUBBORN!r}])"

def start(**options):
    java = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE)
    java.stdout.readline()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # as Spark sets its own
    return object()

def work(*given, **options):
    try:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(60)
    except BaseException:
        logging.exception("KeyboardInterrupt while sending command.")  # py4j, to the root logger
        print("noise", file=sys.stderr)
        raise

spark.get_session = start
datasets.generate_shop = work
cli.interrupts._PATIENCE_SECONDS = 0.3
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.argv = ["purchasecast", "generate", "--rows", "1", "--out", "shop.csv"]
cli.main()
"""


def _stat(file: Path) -> list[str]:
    """Return state, parent, process group and more of a process."""
    try:
        return file.read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return []


def test_an_interrupt_ends_what_was_started_and_is_one_sentence(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", AT_WORK_WITH_JAVA],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        start_new_session=True,
    )
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (130, "")
    assert err.endswith("s\n\npurchasecast: stopped\n")  # after the line of the step that was stopped
    assert err.count("\n") == 3
    alive = [stat for stat in map(_stat, Path("/proc").glob("[0-9]*/stat")) if stat[2:3] == [str(process.pid)]]
    assert [stat for stat in alive if stat[0] != "Z"] == []  # nobody of its group is left
    assert list(tmp_path.iterdir()) == []


INTERRUPTED_IN_A_CALLBACK = """
import signal, sys, time, weakref
from purchasecast import cli

signal.signal(signal.SIGINT, signal.default_int_handler)  # what runs in the background of a shell ignores Ctrl-C

class Thing:
    pass

def let_go(reference):
    raise KeyboardInterrupt

def work(**options):
    thing = Thing()
    reference = weakref.ref(thing, let_go)
    del thing
    time.sleep(60)

cli.cli.main = work
cli.main()
"""


def test_an_interrupt_in_a_callback_that_can_raise_nothing_stops_the_run() -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_IN_A_CALLBACK], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "purchasecast: stopped\n")


def test_wrong_usage_exits_with_2() -> None:
    assert run("train").returncode == 2
    assert run("train", "data.csv", "--out", "m", "--folds", "1").returncode == 2
    assert run("fly").returncode == 2


def test_a_missing_model_is_one_sentence_and_exits_with_1() -> None:
    found = run("evaluate", "no-such-model", "data.csv")
    assert found.returncode == 1
    assert found.stdout == ""
    assert found.stderr.startswith("purchasecast: no-such-model: expected a model directory")
    assert "Traceback" not in found.stderr
    assert found.stderr.count("\n") == 1


def test_a_wrong_grid_and_a_wrong_schema_are_refused_before_spark_starts() -> None:
    found = run("train", "data.csv", "--out", "m", "--grid", "regParam=cheap")
    assert found.returncode == 2
    assert "regParam" in found.stderr
    found = run("validate", "data.csv", "--schema", "blackfriday")
    assert found.returncode == 1
    assert "black_friday" in found.stderr


def test_errors_of_the_library_name_arguments_and_those_of_the_command_line_options() -> None:
    with pytest.raises(SettingsError, match=r"^max_reject_rate: expected a share"):
        TrainSettings(max_reject_rate=2)
    told = run("insights", "no-such-model", "data.csv", "--out", "found", "--false-discovery-rate", "2").stderr
    assert told.startswith("purchasecast: --false-discovery-rate: expected a share")
    told = run("insights", "no-such-model", "data.csv", "--out", "found", "--by", "Region").stderr
    assert told.startswith("purchasecast: --by: expected two columns")


def test_train_without_a_schema_offers_a_draft_before_spark_starts(tmp_path: Path) -> None:
    (tmp_path / "my orders.csv").write_text("Kunde;Artikel;Umsatz\n1;2;3,5\n", encoding="utf-8")
    code = """
import sys, time
from purchasecast import cli
sys.argv = ["purchasecast", "train", "my orders.csv", "--out", "model"]
try:
    cli.main()
finally:
    assert "pyspark" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "purchasecast: my orders.csv: expected --schema, because its columns (Kunde, Artikel, Umsatz) are not those "
        "of black_friday, found none; draft one with `purchasecast schema 'my orders.csv' > 'my orders.toml'`, look "
        "at it, and add --schema 'my orders.toml'.\n"
    )
    assert list(tmp_path.iterdir()) == [tmp_path / "my orders.csv"]


def test_a_table_with_most_of_the_usual_columns_is_taken_for_the_usual_one(tmp_path: Path) -> None:
    from purchasecast.cli.options import described_by

    path = tmp_path / "shop.csv"
    path.write_text("User_ID,Product_ID,Gender,Age,Occupation,City_Category,Purchases\n", encoding="utf-8")
    source = {"table": None, "source_format": None, "option": ()}
    assert described_by(None, str(path), source).name == "black_friday"


@pytest.mark.parametrize(("rows", "few"), [(10, True), (2_000_000, False)])
def test_small_tables_start_a_spark_that_compiles_less(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int, few: bool
) -> None:
    asked: list[bool] = []
    monkeypatch.setattr("purchasecast.spark.get_session", lambda **options: asked.append(options["few_rows"]))
    data = tmp_path / "data.csv"
    data.write_text("a,b\n" + "1,2\n" * rows)
    given = {"as_json": False, "quiet": True, "verbose": False, "master": None, "remote": None, "conf": ()}
    Run(given).spark_and_steps(data)["session"]()
    assert asked == [few]
