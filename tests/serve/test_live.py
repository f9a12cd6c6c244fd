"""A server in a process of its own: signals, slow and cut-off clients, many at once, its own description."""

from __future__ import annotations

import csv
import http.client
import json
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
from tests.tiny_model import LiveServer, TinyShop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def hasty(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """Return a server that waits a second for anybody."""
    log = tmp_path_factory.mktemp("log") / "hasty.log"
    live = LiveServer(model, log, header_seconds=1.0, body_seconds=1.0, max_body_bytes=2_000, max_file_bytes=50_000)
    yield live
    assert live.stop() == 0


def ask(port: int, row: dict[str, Any]) -> dict[str, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    body = json.dumps({"rows": [row]})
    connection.request("POST", "/v1/predict", body, {"content-type": "application/json"})
    answer = connection.getresponse()
    document: dict[str, Any] = json.loads(answer.read())
    connection.close()
    assert answer.status == 200, document
    return document


def talk(port: int, *pieces: bytes, pause: float = 0.0, finish: bool = False) -> bytes:
    """Send pieces with pauses, and return all that comes back until the server closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as line:
        for piece in pieces:
            try:
                line.sendall(piece)
            except OSError:
                break
            time.sleep(pause)
        if finish:
            line.shutdown(socket.SHUT_WR)
        received = b""
        while True:
            try:
                more = line.recv(65_536)
            except ConnectionError:
                break
            if not more:
                break
            received += more
        return received


HEAD = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


def test_slow_clients_get_408_and_the_server_goes_on(hasty: LiveServer, shop: TinyShop) -> None:
    slow_head = talk(hasty.port, *[b"GET / HTTP/1.1\r\n"], *[b"X-A: b\r\n"] * 4, pause=0.4)
    assert slow_head.startswith(b"HTTP/1.1 408")
    slow_body = talk(hasty.port, HEAD + b"Content-Length: 100\r\n\r\n", *[b"{"] * 5, pause=0.4)
    assert slow_body.startswith(b"HTTP/1.1 408")
    assert b"problem+json" in slow_body
    assert ask(hasty.port, shop.random_rows(1)[0])


def test_oversized_bodies_get_413_without_being_read(hasty: LiveServer, shop: TinyShop) -> None:
    announced = talk(hasty.port, HEAD + b"Content-Length: 9999999999\r\nConnection: close\r\n\r\n")
    assert announced.startswith(b"HTTP/1.1 413")
    chunk = b"400\r\n" + b"x" * 1_024 + b"\r\n"
    chunked = talk(hasty.port, HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *[chunk] * 4)
    assert chunked.startswith(b"HTTP/1.1 413")
    assert ask(hasty.port, shop.random_rows(1)[0])


def test_truncated_and_malformed_requests_do_no_harm(hasty: LiveServer, shop: TinyShop) -> None:
    upload = (
        b"POST /v1/predict/file HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/csv\r\nContent-Length: 900\r\n\r\n"
    )
    talk(hasty.port, upload + b"Customer,Product\n1,", finish=True)
    assert talk(hasty.port, b"\x00\x01nonsense\r\n\r\n").startswith(b"HTTP/1.1 400")
    assert talk(hasty.port, b"GET / HTTP/1.1\r\n" + b"X: " + b"y" * 200_000).startswith(b"HTTP/1.1 4")
    assert ask(hasty.port, shop.random_rows(1)[0])
    log = hasty.log.read_text()
    assert "Traceback" not in log
    statuses = {json.loads(line).get("status") for line in log.splitlines()}
    assert 499 in statuses  # whoever hung up
    assert not {status for status in statuses if status == 500}


def test_uploads_that_do_not_arrive_hold_up_nobody(server: LiveServer, shop: TinyShop) -> None:
    head = b"POST /v1/predict/file HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/csv\r\nContent-Length: 900\r\n\r\n"
    with ExitStack() as lines:
        for _ in range(40):  # heavy requests are four at a time
            line = lines.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=20))
            line.sendall(head + b"Customer,")
        for path in ("v1/recommend/1003", "healthz"):
            with urllib.request.urlopen(f"{server.url}{path}", timeout=20) as answer:
                assert answer.status == 200
        assert ask(server.port, shop.random_rows(1)[0])


def test_a_hundred_at_once_all_get_their_own_answer(server: LiveServer, shop: TinyShop) -> None:
    rows = shop.random_rows(400)
    with ThreadPoolExecutor(max_workers=100) as pool:
        answers = list(pool.map(lambda row: ask(server.port, row), rows))
    found = [answer["predictions"][0]["prediction"] for answer in answers]
    assert found == pytest.approx([shop.predict(row) for row in rows], rel=1e-12)


def test_a_signal_takes_up_the_new_model_without_dropping_a_request(tmp_path: Path) -> None:
    first, second = TinyShop(), TinyShop(seed=6)
    model = first.save(tmp_path / "model")
    live = LiveServer(model, tmp_path / "log")
    row = first.random_rows(1)[0]
    answers: list[float] = []
    failures: list[BaseException] = []
    over = threading.Event()

    def keep_asking() -> None:
        while not over.is_set():
            try:
                answers.append(ask(live.port, row)["predictions"][0]["prediction"])
            except BaseException as error:  # noqa: BLE001  told below
                failures.append(error)

    threads = [threading.Thread(target=keep_asking) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    second.save(model)
    live.process.send_signal(signal.SIGHUP)
    until = time.monotonic() + 30
    while time.monotonic() < until and pytest.approx(second.predict(row)) not in answers[-20:]:
        time.sleep(0.05)
    shutil.rmtree(model / "scorer")
    live.process.send_signal(signal.SIGHUP)
    time.sleep(0.5)
    over.set()
    for thread in threads:
        thread.join()
    assert not failures
    assert answers[0] == pytest.approx(first.predict(row))
    assert ask(live.port, row)["predictions"][0]["prediction"] == pytest.approx(second.predict(row))
    assert live.stop() == 0
    assert "stays in use" in live.log.read_text()
    assert str(tmp_path) not in live.log.read_text()


def test_a_request_under_way_is_finished_before_the_server_stops(tmp_path: Path, model: Path, shop: TinyShop) -> None:
    live = LiveServer(model, tmp_path / "log")
    body = json.dumps({"rows": shop.random_rows(1)}).encode()
    with socket.create_connection(("127.0.0.1", live.port), timeout=20) as line:
        line.sendall(HEAD + f"Content-Length: {len(body)}\r\n\r\n".encode() + body[:10])
        time.sleep(0.3)
        live.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        line.sendall(body[10:])
        assert line.recv(65_536).startswith(b"HTTP/1.1 200")
    assert live.process.wait(timeout=60) == 0
    live.stop()


def test_an_upload_that_cannot_be_finished_is_told_before_the_server_stops(tmp_path: Path, model: Path) -> None:
    live = LiveServer(model, tmp_path / "log", stop_seconds=4)
    headers = (b"Host: localhost", b"Content-Type: text/csv", b"Content-Length: 1000000")
    head = b"\r\n".join((b"POST /v1/predict/file HTTP/1.1", *headers, b"\r\n"))
    with socket.create_connection(("127.0.0.1", live.port), timeout=20) as line:
        line.sendall(head + b"Customer")
        time.sleep(0.3)
        live.process.send_signal(signal.SIGTERM)
        answer = line.recv(65_536).decode()
    assert answer.startswith("HTTP/1.1 503")
    assert "retry-after: 5" in answer.lower()
    assert live.process.wait(timeout=60) == 0
    live.stop()


def upload(port: int, content: bytes, seconds: float) -> bytes:
    """Send a file in pieces that take so many seconds; return the whole answer."""
    pieces = [content[start : start + 2_000] for start in range(0, len(content), 2_000)]
    headers = (
        f"Host: localhost\r\nContent-Type: text/csv\r\nContent-Length: {len(content)}\r\nConnection: close\r\n\r\n"
    )
    head = f"POST /v1/predict/file HTTP/1.1\r\n{headers}".encode()
    return talk(port, head, *pieces, pause=seconds / len(pieces))


def test_long_uploads_outlive_a_reload_and_end_properly_when_the_server_stops(tmp_path: Path, shop: TinyShop) -> None:
    live = LiveServer(shop.save(tmp_path / "model"), tmp_path / "log", stop_seconds=6)
    row = {**shop.random_rows(1)[0], "Quantity": 7}
    names = list(row)
    line = ",".join("" if row[name] is None else str(row[name]) for name in names)
    content = "\n".join([",".join(names), *[line] * 300]).encode()
    times = [0.5, 0.8, 1.5, 2.0, 3.0, 30.0]
    with ThreadPoolExecutor(len(times)) as pool:
        answers = [pool.submit(upload, live.port, content, seconds) for seconds in times]
        time.sleep(1.2)
        TinyShop(seed=6).save(tmp_path / "model")
        live.process.send_signal(signal.SIGHUP)
        time.sleep(0.5)
        live.process.send_signal(signal.SIGTERM)
        received = [answer.result().decode() for answer in answers]
    assert live.process.wait(timeout=60) == 0
    live.stop()
    assert [text.split(" ", 2)[1] for text in received] == ["200"] * 5 + ["503"]
    assert "retry-after: 5" in received[-1].lower()
    start = line.partition(",")[0]
    for text in received[:-1]:
        head, _, body = text.partition("\r\n\r\n")
        assert "x-rows: 300\r\n" in f"{head.lower()}\r\n"
        found = [fields[len(names)] for fields in csv.reader(body.splitlines()) if fields[:1] == [start]]
        assert len(found) == 300
        # All began before the other model came.
        assert [float(value) for value in found] == pytest.approx([shop.predict(row)] * 300, rel=1e-12)


def test_a_taken_port_and_a_public_address_are_refused_in_one_sentence(server: LiveServer, model: Path) -> None:
    for arguments, told in ((["--port", str(server.port)], "free address"), (["--host", "0.0.0.0"], "no token")):
        command = [sys.executable, "-m", "purchasecast", "serve", str(model), *arguments]
        found = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert found.returncode == 2
        assert told in found.stderr
        assert found.stderr.count("\n") == 1


def test_the_server_starts_without_spark_on_the_machine(tmp_path: Path, model: Path) -> None:
    code = """
import sys
MISSING = {"pyspark", "py4j", "sklearn", "xgboost", "pandas", "rich", "altair"}
class Finder:  # importing them fails, as where they are not installed
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in MISSING:
            raise ModuleNotFoundError(name=name)
sys.meta_path.insert(0, Finder())
from starlette.testclient import TestClient
from purchasecast.serve.app import create_app
with TestClient(create_app(sys.argv[1]), base_url="http://localhost") as client:
    assert client.get("/v1/recommend/1003").status_code == 200
"""
    found = subprocess.run(
        [sys.executable, "-c", code, str(model)], capture_output=True, text=True, timeout=120, check=False
    )
    assert found.returncode == 0, found.stderr


def test_the_command_names_the_extra_where_its_libraries_are_missing(model: Path) -> None:
    code = """
import sys
sys.modules["fastapi"] = None
from purchasecast.cli import main
sys.argv = ["purchasecast", "serve", sys.argv[1]]
main()
"""
    found = subprocess.run(
        [sys.executable, "-c", code, str(model)], capture_output=True, text=True, timeout=120, check=False
    )
    assert found.returncode == 2
    assert "pip install 'purchasecast[serve]'" in found.stderr
    assert found.stderr.count("\n") == 1
