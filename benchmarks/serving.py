"""Time scoring without Spark: a table, batches of 1 to 4,096 rows, one row at a time, and over HTTP; then Spark's own.

The server runs in a process of its own, held to one core; the clients are here. Rows are those of test.csv. Where
`mlflow-skinny` is installed, the same pipeline is asked through its `pyfunc`, too.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.csv as pa_csv
from _session import options, report

from purchasecast.scorer import load

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

    from purchasecast.scorer import Scorer

BATCHES = tuple(4**k for k in range(7))
HEAD = "POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n"


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--model", type=Path, required=True, help="a bundle of train.csv")
    parser.add_argument("--rate", type=int, default=200, help="requests a second of the latency run")
    parser.add_argument("--seconds", type=float, default=30.0, help="of each run over HTTP")
    parser.add_argument("--clients", type=int, default=200, help="clients of the throughput run")
    parser.add_argument("--spark-rows", type=int, default=20, help="rows scored one by one by Spark; 0 for none")
    given = parser.parse_args()
    os.sched_setaffinity(0, {0})
    started = time.perf_counter()
    scorer = load(given.model)
    loading = time.perf_counter() - started
    table = pa_csv.read_csv(given.data / "test.csv", pa_csv.ReadOptions(use_threads=False))
    rows = table.slice(0, 5_000).to_pylist()
    figures: dict[str, Any] = {"seconds_load": round(loading, 2), **whole_table(scorer, table, given.repeats)}
    one = times(lambda k: scorer.predict_one(rows[k % len(rows)]), 20_000)
    figures["one_row_ms"] = percentiles(one)
    figures["batches"] = {size: batch_figures(scorer, rows, size) for size in BATCHES}
    figures["memory_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    os.sched_setaffinity(0, set(range(os.cpu_count() or 1)))
    figures["http"] = asyncio.run(over_http(given, rows))
    figures["http"]["p99_times_in_process"] = round(
        figures["http"]["latency_ms"]["p99"] / figures["one_row_ms"]["p99"], 1
    )
    if given.spark_rows:
        figures |= spark_one_by_one(given.model, table, given.spark_rows)
        for name in ("spark", "mlflow"):
            if f"{name}_one_row_ms" in figures:
                ratio = figures[f"{name}_one_row_ms"]["p50"] / figures["one_row_ms"]["p50"]
                figures[f"{name}_times_slower"] = round(ratio)
    report(**figures)


def whole_table(scorer: Scorer, table: pa.Table, repeats: int) -> dict[str, Any]:
    seconds = min(times(lambda _: scorer.predict(table), repeats + 1)) / 1_000
    return {"rows": len(table), "table_rows_per_second": round(len(table) / seconds)}


def batch_figures(scorer: Scorer, rows: list[dict[str, Any]], size: int) -> dict[str, float]:
    count = max(20, 4_000 // size)
    found = times(lambda k: scorer.predict(rows[(k * size) % 4 : (k * size) % 4 + size]), count)
    return {**percentiles(found), "rows_per_second": round(size / (np.median(found) / 1_000))}


def times(call: Callable[[int], Any], count: int) -> list[float]:
    """Return the milliseconds of each call."""
    found = []
    for k in range(count):
        started = time.perf_counter()
        call(k)
        found.append(1_000 * (time.perf_counter() - started))
    return found


def percentiles(milliseconds: list[float]) -> dict[str, float]:
    p50, p90, p99 = np.percentile(milliseconds, [50, 90, 99])
    return {"p50": round(p50, 4), "p90": round(p90, 4), "p99": round(p99, 4)}


async def over_http(given: Any, rows: list[dict[str, Any]]) -> dict[str, Any]:
    command = [sys.executable, "-m", "purchasecast", "serve", str(given.model), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        os.sched_setaffinity(process.pid, {0})
        os.sched_setaffinity(0, set(range(1, os.cpu_count() or 1)) or {0})
        assert process.stdout is not None
        port = int(process.stdout.readline().strip().rstrip("/").rpartition(":")[2])
        requests = [request_of(row) for row in rows]
        await at_rate(port, requests, given.rate, 3.0)
        latency = await at_rate(port, requests, given.rate, given.seconds)
        before = resident_mb(process.pid)
        throughput = await many_clients(port, requests, given.clients, given.seconds)
        return {
            "rate": given.rate,
            "latency_ms": percentiles(latency),
            "clients": given.clients,
            **throughput,
            "memory_mb": [before, resident_mb(process.pid)],
        }
    finally:
        process.terminate()
        process.wait(timeout=60)


def request_of(row: dict[str, Any]) -> bytes:
    body = json.dumps({"rows": [row]}).encode()
    return HEAD.format(len(body)).encode() + body


def resident_mb(process: int) -> int:
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 2**20


async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> bool:
    """Send one request, and tell whether the answer is a 200."""
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        int(line.partition(b":")[2]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-le")
    )
    await reader.readexactly(length)
    return head.startswith(b"HTTP/1.1 200")


async def connected(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    for _ in range(200):
        try:
            return await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
    raise TimeoutError


async def at_rate(port: int, requests: list[bytes], rate: int, seconds: float) -> list[float]:
    """Ask at a steady rate over kept connections; each wait counts from when its request was due."""
    idle = asyncio.LifoQueue[tuple[asyncio.StreamReader, asyncio.StreamWriter]]()
    for _ in range(16):
        idle.put_nowait(await connected(port))
    waits: list[float] = []
    begun = time.perf_counter()

    async def one(k: int) -> None:
        due = begun + k / rate
        await asyncio.sleep(max(due - time.perf_counter(), 0))
        line = await idle.get()
        sent = time.perf_counter()
        assert await exchange(*line, requests[k % len(requests)])
        waits.append(1_000 * (time.perf_counter() - sent))
        idle.put_nowait(line)

    await asyncio.gather(*[one(k) for k in range(int(rate * seconds))])
    while not idle.empty():
        idle.get_nowait()[1].close()
    return waits


async def many_clients(port: int, requests: list[bytes], clients: int, seconds: float) -> dict[str, Any]:
    """Ask as fast as each client gets answers."""
    until = time.perf_counter() + seconds
    done = errors = 0
    waits: list[float] = []

    async def client(k: int) -> None:
        nonlocal done, errors
        line = await connected(port)
        while time.perf_counter() < until:
            sent = time.perf_counter()
            try:
                worked = await exchange(*line, requests[(done + k) % len(requests)])
            except (OSError, asyncio.IncompleteReadError):
                worked = False
                line = await connected(port)
            waits.append(1_000 * (time.perf_counter() - sent))
            done += worked
            errors += not worked
        line[1].close()

    await asyncio.gather(*[client(k) for k in range(clients)])
    return {
        "requests": done,
        "errors": errors,
        "requests_per_second": round(done / seconds),
        "crowded_latency_ms": percentiles(waits),
    }


def spark_one_by_one(model: Path, table: pa.Table, count: int) -> dict[str, Any]:
    """Score single rows by the `PipelineModel` in a session that is kept, and by MLflow's form of it."""
    from _session import session  # noqa: PLC0415  a Spark only where it is asked for

    from purchasecast.bundle import load_bundle  # noqa: PLC0415

    spark, bundle = session(), load_bundle(model)
    pipeline = bundle.pipeline()
    types = ", ".join(
        f"`{c.name}` {'double' if c.kind == 'numeric' else 'string'}"
        for c in bundle.schema.columns
        if c.name in table.column_names
    )
    rows = [tuple(None if v is None else str(v) for v in row.values()) for row in table.slice(0, count + 3).to_pylist()]

    def by_pipeline(k: int) -> None:
        pipeline.transform(spark.createDataFrame([rows[k]], types)).select("prediction").collect()

    figures = {"spark_one_row_ms": percentiles(times(by_pipeline, len(rows))[3:])}
    if find_spec("mlflow"):
        figures["mlflow_one_row_ms"] = mlflow_one_by_one(pipeline, rows, table.column_names)
    spark.stop()
    return figures


def mlflow_one_by_one(pipeline: Any, rows: list[tuple[Any, ...]], names: list[str]) -> dict[str, float]:
    import mlflow.pyfunc  # noqa: PLC0415  benchmark only
    import mlflow.spark  # noqa: PLC0415
    import pandas as pd  # noqa: PLC0415

    folder = Path(tempfile.mkdtemp()) / "model"
    mlflow.spark.save_model(pipeline, str(folder), pip_requirements=[])
    served = mlflow.pyfunc.load_model(str(folder))
    frames = [pd.DataFrame([row], columns=names) for row in rows]
    return percentiles(times(lambda k: served.predict(frames[k]), len(rows))[3:])


if __name__ == "__main__":
    main()
