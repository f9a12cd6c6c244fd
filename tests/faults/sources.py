"""Faults of what is read and written by Spark: damaged files, and a database that fails while a table is written."""

from __future__ import annotations

import gzip
import io
import os
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
from starlette.testclient import TestClient
from tests.conftest import JDBC_JAR
from tests.faults.files import EXCEPTION_NAMES
from tests.io.postgres import Postgres, find_binaries
from tests.tiny_model import TinyShop

from purchasecast.errors import PurchasecastError
from purchasecast.scorer import load
from purchasecast.serve import create_app

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import DataFrame, SparkSession

__all__ = ["damaged_tables", "database_kills"]

ROWS = 200_000  # of a table that is written; the old one has fewer
OLD = "10|10"
_CLIENT = "from tests.faults.sources import write_alone; import sys; write_alone(sys.argv[1])"
_MAX_ANSWER = 60_000
_DAMAGES = ["flip", "flip", "cut", "noise", "empty", "twice", "zeros"]


@cache
def session() -> SparkSession:
    """Return the session of these faults."""
    from purchasecast.spark import get_session

    return get_session(conf={"spark.jars": str(JDBC_JAR)} if JDBC_JAR.is_file() else {}, few_rows=True)


def damaged_tables(count: int, folder: Path, seed: int = 1) -> list[str]:
    """Damage files of rows, and read each by Spark and by HTTP; return what was told otherwise than in one sentence."""
    from purchasecast.io import read_table
    from purchasecast.validation import validate

    shop, draw = TinyShop(seed=1), random.Random(seed)
    model = shop.save(folder / "model")
    schema = load(model).schema
    whole = _files(shop)
    failures = []
    with TestClient(create_app(model), base_url="http://localhost", raise_server_exceptions=False) as client:
        for number in range(count):
            name, damage = (
                draw.choice(list(whole)),
                draw.choice(["flip", "flip", "cut", "noise", "empty", "twice", "zeros"]),
            )
            content = _damaged(whole[name], damage, draw)
            file = folder / f"{number}-{name}"
            file.write_bytes(content)
            told = ""
            try:
                checked = validate(read_table(session(), file, schema, target="optional"), schema, target="optional")
                checked.accepted.count()
            except PurchasecastError as error:
                told = str(error)
            except Exception as error:  # noqa: BLE001  what users must not see
                failures.append(f"{number}: {damage} of {name}: {type(error).__name__}")
            if EXCEPTION_NAMES.search(told) or "\n" in told:
                failures.append(f"{number}: {damage} of {name}: {told}")
            file.unlink()
            if name.endswith(".gz"):
                continue  # HTTP takes none
            kind = "text/csv" if name.endswith(".csv") else "application/vnd.apache.parquet"
            answer = client.post("/v1/predict/file", content=content, headers={"content-type": kind})
            is_told = answer.status_code in {413, 422} and not EXCEPTION_NAMES.search(answer.text)
            if answer.status_code != 200 and not (is_told and len(answer.content) < _MAX_ANSWER):
                failures.append(f"{number}: {damage} of {name}: {answer.status_code} {answer.text[:200]}")
    return failures


def _files(shop: TinyShop) -> dict[str, bytes]:
    rows = [{**row, "Spend": 1.0} for row in shop.random_rows(400)]
    names = list(rows[0])
    lines = [
        ",".join(names),
        *(",".join("" if row[name] is None else str(row[name]) for name in names) for row in rows),
    ]
    text = "\n".join(lines).encode()
    files = {"rows.csv": text, "rows.csv.gz": gzip.compress(text)}
    for packing in ("none", "snappy", "gzip", "zstd"):
        sink = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(rows), sink, compression=packing)
        files[f"{packing}.parquet"] = sink.getvalue()
    return files


def _damaged(content: bytes, damage: str, draw: random.Random) -> bytes:
    at = draw.randrange(len(content))
    if damage == "flip":
        return content[:at] + bytes([content[at] ^ (1 << draw.randrange(8))]) + content[at + 1 :]
    length = draw.choice([1, 16, 300])
    return {
        "cut": content[:at],
        "noise": content[:at] + draw.randbytes(length) + content[at + length :],
        "zeros": content[:at] + bytes(length) + content[at + length :],
        "empty": b"",
        "twice": content + content,
    }[damage]


def database_kills(count: int, folder: Path, seed: int = 1) -> list[str] | None:
    """Replace a table and kill the backend, or now and then the client; return what is neither the old nor the new."""
    del folder  # the server has one of its own
    binaries = find_binaries()
    if binaries is None or not JDBC_JAR.is_file():
        return None
    draw, server = random.Random(seed), Postgres(binaries)
    try:
        os.environ["PURCHASECAST_JDBC_USER"], os.environ["PURCHASECAST_JDBC_PASSWORD"] = server.options.values()
        seconds = _write(server.url, 0.0, lambda: None)[1]
        seconds = _write(server.url, 0.0, lambda: None)[1]  # Spark was cold
        return [failure for number in range(count) for failure in _one_kill(server, number, draw, seconds)]
    finally:
        server.stop()


def _one_kill(server: Postgres, number: int, draw: random.Random, seconds: float) -> list[str]:
    has_old = number % 2 == 0
    server.sql("drop table if exists kept")
    if has_old:
        server.sql("create table kept as select id, 1 as value from generate_series(1, 10) as id")
    moment = draw.uniform(0.0, 1.0) * seconds
    if number % 5 == 4:
        told, by = _kill_client(server, moment), "client"
    else:
        told, by = _write(server.url, moment, lambda: _end_backends(server))[0], "backend"
    case = f"{number}: {by} killed after {moment:.2f} s"
    partial = [name for name in server.tables() if "_pc_partial_" in name]
    for name in partial:
        server.sql(f'drop table "{name}"')
    found = server.sql("select count(*), sum(value) from kept") if "kept" in server.tables() else "none"
    allowed = {OLD if has_old else "none", f"{ROWS}|{2 * ROWS}"}
    return [
        *([] if found in allowed else [f"{case}: the table holds {found}"]),
        *([f"{case}: left {name}" for name in partial] if by == "backend" else []),
        *([f"{case}: said {told}"] if EXCEPTION_NAMES.search(told) or "\n" in told or "customer-" in told else []),
    ]


def _write(url: str, moment: float, then: object) -> tuple[str, float]:
    """Write the new table, and do something after some seconds; return what was told, and how long it took."""
    from purchasecast.io import write_table

    later = threading.Timer(moment, then)  # type: ignore[arg-type]
    began = time.monotonic()
    later.start()
    try:
        write_table(_new(session()), url, table="kept", mode="overwrite")
    except PurchasecastError as error:
        return str(error), time.monotonic() - began
    finally:
        later.join()
    return "", time.monotonic() - began


def _new(spark: SparkSession) -> DataFrame:
    return spark.range(ROWS, numPartitions=4).selectExpr("id", "2 as value", "concat('customer-', id) as name")


def write_alone(url: str) -> None:
    """Write the new table in a process of its own, which says when it begins."""
    session().range(1).count()
    print("begins", flush=True)
    _write(url, 0.0, lambda: None)


def _kill_client(server: Postgres, moment: float) -> str:
    process = subprocess.Popen(
        [sys.executable, "-c", _CLIENT, server.url],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    process.stdout.readline()
    with suppress(subprocess.TimeoutExpired):
        process.wait(moment)
    with suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    give_up = time.monotonic() + 30
    active = "select count(*) from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()"
    while server.sql(active) not in {"0", ""} and time.monotonic() < give_up:
        time.sleep(0.1)
    return ""


def _end_backends(server: Postgres) -> None:
    server.sql(
        "select count(pg_terminate_backend(pid)) from pg_stat_activity"
        " where backend_type = 'client backend' and pid <> pg_backend_pid()"
    )
