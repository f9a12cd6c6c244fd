"""Time scoring without Spark: a table, batches of 1 to 4,096 rows, one row at a time, and over HTTP; then Spark's own.

The server runs in a process of its own, held to one core; the client spins on another. Rows are those of test.csv. A
wait over HTTP counts from when the request was due to the last byte of its answer; a call in process is what the server
does with the row, its check included. Waits over HTTP are compared with calls in process at the same rate, in turn, a
few seconds each, so that both meet the same minutes of the machine: what sleeps between two rows finds its memory cold,
in process as in a server. The ratio of a turn is told for every turn, and the middle one of all: a shared machine may
take milliseconds to wake a process up. How long that is a plain socket tells, which answers with fixed bytes and which
no server can beat, and beside it a bare uvicorn. With `--awake` a process of the lowest priority keeps the server's
core from being halted between requests. Calls one right after another are there for comparison, too. Where
`mlflow-skinny` is installed, the same pipeline is asked through its `pyfunc`, too.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.csv as pa_csv
from _http_load import Load, as_fast_as_answered, at_rate
from _session import options, report

from purchasecast.scorer import load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pyarrow as pa

    from purchasecast.scorer import Scorer

BATCHES = tuple(4**k for k in range(7))
HTTP_ROWS = {1: 1.0, 16: 1.0, 256: 0.25}  # rows a request, and their share of the rate
ROUNDS = 10  # of turns between calls in process and over HTTP
HEAD = "POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n"
BARE = """
import socket, uvicorn
body = b"{}"
async def app(scope, receive, send):
    while scope["type"] == "http" and (await receive()).get("more_body"):
        pass
    if scope["type"] == "http":
        headers = [(b"content-length", b"%d" % len(body)), (b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})
listener = socket.create_server(("127.0.0.1", 0))
print(f"http://127.0.0.1:{listener.getsockname()[1]}/", flush=True)
uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off")).run(sockets=[listener])
"""
SOCKET = """
import select, socket
answer = b"HTTP/1.1 200 OK\\r\\ncontent-length: 2\\r\\n\\r\\n{}"
listener, poll, lines = socket.create_server(("127.0.0.1", 0)), select.epoll(), {}
poll.register(listener.fileno(), select.EPOLLIN)
print(f"http://127.0.0.1:{listener.getsockname()[1]}/", flush=True)
while True:
    for number, _ in poll.poll():
        if number == listener.fileno():
            line, _ = listener.accept()
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            lines[line.fileno()] = line
            poll.register(line.fileno(), select.EPOLLIN)
        elif lines[number].recv(65_536):
            lines[number].sendall(answer)
        else:
            poll.unregister(number)
            lines.pop(number).close()
"""


def main() -> None:
    parser = options(__doc__, model=True)
    parser.add_argument("--rate", type=int, default=200, help="requests a second of the latency run")
    parser.add_argument("--seconds", type=float, default=30.0, help="of each run over HTTP")
    parser.add_argument("--clients", type=int, default=200, help="clients of the throughput run; 0 for none")
    parser.add_argument("--awake", action="store_true", help="keep the server's core from being halted")
    parser.add_argument("--spark-rows", type=int, default=20, help="rows scored one by one by Spark; 0 for none")
    given = parser.parse_args()
    os.sched_setaffinity(0, {0})
    started = time.perf_counter()
    scorer = load(given.model)
    loading = time.perf_counter() - started
    table = pa_csv.read_csv(given.data / "test.csv", pa_csv.ReadOptions(use_threads=False))
    rows = table.slice(0, 5_000).to_pylist()
    figures: dict[str, Any] = {"seconds_load": round(loading, 2), **whole_table(scorer, table, given.repeats)}
    figures["one_row_ms"] = percentiles(times(lambda k: scorer.predict_one(rows[k % len(rows)]), 20_000))
    figures["batches"] = {size: batch_figures(scorer, rows, size) for size in BATCHES}
    figures["memory_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    in_process = {1: figures["one_row_ms"]} | {n: batch_figures(scorer, rows, n) for n in HTTP_ROWS if n > 1}
    with awake() if given.awake else nullcontext():
        figures["http"] = over_http(given, scorer, rows, in_process)
    os.sched_setaffinity(0, set(range(os.cpu_count() or 1)))
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


def at_rate_in_process(scorer: Scorer, parts: list[list[dict[str, Any]]], rate: float, seconds: float) -> list[float]:
    """Return the milliseconds of calls at a rate, on the server's core, the process asleep in between."""
    os.sched_setaffinity(0, {0})
    waits, begun = [], time.perf_counter()
    for sent in range(int(rate * seconds)):
        time.sleep(max(begun + sent / rate - time.perf_counter(), 0.0))
        started, part = time.perf_counter(), parts[sent % len(parts)]
        scorer.predict_one(part[0]) if len(part) == 1 else scorer.predict(part)
        waits.append(1_000 * (time.perf_counter() - started))
    return waits


def over_http(
    given: Any, scorer: Scorer, rows: list[dict[str, Any]], in_process: dict[int, dict[str, float]]
) -> dict[str, Any]:
    figures: dict[str, Any] = {"rate": given.rate, "rounds": ROUNDS, "awake": given.awake}
    serve = ["-m", "purchasecast", "serve", str(given.model), "--port", "0"]
    parts = {n: [rows[k : k + n] for k in range(0, len(rows) - n, n)] for n in HTTP_ROWS}
    requests = {n: [request_of(part) for part in parts[n]] for n in HTTP_ROWS}
    of_run: dict[str, list[list[float]]] = {}
    late: list[float] = []
    with server(["-c", SOCKET]) as (plain, _), server(["-c", BARE]) as (bare, _), server(serve) as (port, process):
        targets = {"socket": (plain, 1), "uvicorn": (bare, 1)} | {f"rows_{n}": (port, n) for n in HTTP_ROWS}
        for _ in range(ROUNDS):
            for name, (place, n) in targets.items():
                rate, seconds = given.rate * HTTP_ROWS[n], given.seconds / ROUNDS
                if place == port:
                    calls = at_rate_in_process(scorer, parts[n], rate, seconds)
                    of_run.setdefault(f"in_process_{n}", []).append(calls)
                load = one_turn(place, requests[n], rate, seconds)
                of_run.setdefault(name, []).append(load.waits)
                late += load.late
        p99 = {name: [percentiles(turn)["p99"] for turn in turns] for name, turns in of_run.items()}
        for name, turns in of_run.items():
            whole = [wait for turn in turns for wait in turn]
            figures[name] = {"requests": len(whole), **percentiles(whole), "p99_of_turns": p99[name]}
        for n in HTTP_ROWS:
            ratios = np.array(p99[f"rows_{n}"]) / p99[f"in_process_{n}"]
            figures[f"rows_{n}"] |= {
                "p99_times_in_process": round(float(np.median(ratios)), 1),
                "p99_times_in_process_of_turns": [round(float(ratio), 1) for ratio in ratios],
                "p99_times_in_process_without_pause": round(
                    float(np.median(p99[f"rows_{n}"])) / in_process[n]["p99"], 1
                ),
            }
        figures["client_late_ms"] = percentiles(late)
        if given.clients:
            before = resident_mb(process)
            load = as_fast_as_answered(port, requests[1], given.clients, given.seconds)
            figures["crowd"] = {
                "clients": given.clients,
                "requests": len(load.waits),
                "errors": load.errors,
                "requests_per_second": round(len(load.waits) / given.seconds),
                "latency_ms": percentiles(load.waits),
                "memory_mb": [before, resident_mb(process)],
            }
    return figures


def one_turn(port: int, requests: list[bytes], rate: float, seconds: float) -> Load:
    """Send requests at a rate, after a second to warm up, from another core than the server's."""
    os.sched_setaffinity(0, set(range(1, os.cpu_count() or 1)) or {0})
    at_rate(port, requests, rate, 1.0)
    load = at_rate(port, requests, rate, seconds)
    assert not load.errors
    return load


@contextmanager
def awake() -> Iterator[None]:
    """Spin on the server's core whenever nothing else wants it: a halted one may take milliseconds to wake up."""
    lowest = "os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))"
    spin = f"import os; os.sched_setaffinity(0, {{0}}); {lowest}\nwhile True: pass"
    process = subprocess.Popen([sys.executable, "-c", spin])
    try:
        yield
    finally:
        process.kill()
        process.wait()


@contextmanager
def server(arguments: list[str]) -> Iterator[tuple[int, int]]:
    """Run a server on the first core that prints its address; give its port and its process."""
    command = ["taskset", "-c", "0", sys.executable, *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline().strip().rstrip("/").rpartition(":")[2]), process.pid
    finally:
        process.terminate()
        process.wait(timeout=60)


def request_of(rows: list[dict[str, Any]]) -> bytes:
    body = json.dumps({"rows": rows}).encode()
    return HEAD.format(len(body)).encode() + body


def resident_mb(process: int) -> int:
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 2**20


def spark_one_by_one(model: Path, table: pa.Table, count: int) -> dict[str, Any]:
    """Score single rows by the `PipelineModel` in a session that is kept, and by MLflow's form of it."""
    from _session import session  # noqa: PLC0415  a Spark only where it is asked for

    from purchasecast.bundle import load_bundle  # noqa: PLC0415
    from purchasecast.bundle.pipeline import load_pipeline  # noqa: PLC0415

    spark, bundle = session(), load_bundle(model)
    pipeline = load_pipeline(bundle)
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
