"""The processes that read uploaded files for the server, within limits of memory and time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, cast

import pyarrow as pa

from purchasecast.serve.file_reader import GO_ON, OUT_OF_MEMORY, STOP, read_frame, write_frame
from purchasecast.serve.problems import ProblemError
from purchasecast.serve.settings import TOKEN_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["FileReaders", "OpenedFile"]

_PIECE_BYTES = 1 << 20
_END_SECONDS = 10.0  # for a process whose streams have ended
_ENVIRONMENT = {  # memory that is set aside for threads would count as used
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "MALLOC_ARENA_MAX": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}


@dataclass(frozen=True, slots=True)
class OpenedFile:
    """A file whose columns are known, and whose rows are read when they are asked for."""

    names: list[str]
    delimiter: str  # of CSV
    batches: Iterator[pa.Table]


class FileReaders:
    """Starts processes that read files, one file at a time, when they are needed, and uses them again.

    Parameters
    ----------
    memory_bytes : int, default 512 MiB
        What a process may take beyond what it has at its start. Holds on Linux.
    seconds : int, default 60
        How long one may compute for a file. Holds on Linux and macOS.
    wait_seconds : float, default 300.0
        How long a file may take until its last row is read, in seconds; rows are read as fast as they are scored.
    """

    def __init__(self, memory_bytes: int = 512 << 20, seconds: int = 60, wait_seconds: float = 300.0) -> None:
        self.memory_bytes, self.seconds, self.wait_seconds = memory_bytes, seconds, wait_seconds
        self._idle: list[_Reader] = []
        self._all: set[_Reader] = set()
        self._lock = threading.Lock()

    @contextmanager
    def open(self, source: IO[bytes], kind: str, max_rows: int) -> Iterator[OpenedFile]:
        """Have a file read.

        Raises
        ------
        ProblemError
            If the file is malformed (422), or takes too much memory or time (413).
        """
        reader = self._take()
        late = threading.Timer(self.wait_seconds, reader.kill)
        late.daemon = True
        late.start()
        try:
            yield reader.open(source, kind, max_rows)
        except (EOFError, BrokenPipeError):
            raise self._failure(reader) from None
        finally:
            late.cancel()
            self._give_back(reader)

    def close(self) -> None:
        """End all processes, also those that have a file."""
        with self._lock:
            while self._idle:
                self._drop(self._idle.pop())
            for reader in self._all:
                reader.kill()  # whoever reads from it closes it

    def _take(self) -> _Reader:
        with self._lock:
            while self._idle:
                reader = self._idle.pop()
                if reader.is_alive():
                    return reader
                self._drop(reader)
            reader = _Reader(self.memory_bytes, self.seconds)
            self._all.add(reader)
        return reader

    def _give_back(self, reader: _Reader) -> None:
        is_free = reader.is_free()
        with self._lock:
            if is_free and reader.is_alive():
                self._idle.append(reader)
            else:
                self._drop(reader)

    def _drop(self, reader: _Reader) -> None:
        self._all.discard(reader)
        reader.close()

    def _failure(self, reader: _Reader) -> Exception:
        """Return why a process has ended before its file did."""
        code = reader.wait()
        if code < 0 or code == OUT_OF_MEMORY:  # by a signal: out of time, or stopped by the system
            limit = f"{self.memory_bytes >> 20:,} MiB of memory and {self.seconds} seconds suffice for"
            return ProblemError(413, f"File: expected one that {limit}, found another; send several smaller files.")
        return RuntimeError(f"a process that reads files ended with {code}")


class _Reader:
    """One process, and how far it is."""

    def __init__(self, memory_bytes: int, seconds: int) -> None:
        hidden = {TOKEN_VARIABLE}  # it has no use for the secret
        self._process = subprocess.Popen(  # noqa: S603  this program
            [sys.executable, "-m", "purchasecast.serve.file_reader", str(memory_bytes), str(seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**{name: value for name, value in os.environ.items() if name not in hidden}, **_ENVIRONMENT},
        )
        self._sink = cast("IO[bytes]", self._process.stdin)
        self._source = cast("IO[bytes]", self._process.stdout)
        self._is_asking = self._is_busy = False  # whether it waits to be told to go on; whether it has a file

    def open(self, file: IO[bytes], kind: str, max_rows: int) -> OpenedFile:
        """Send a file, and return what its columns are."""
        self._is_busy = True
        job = {"kind": kind, "max_rows": max_rows, "bytes": file.seek(0, os.SEEK_END)}
        write_frame(self._sink, json.dumps(job).encode())
        file.seek(0)
        while piece := file.read(_PIECE_BYTES):
            self._sink.write(piece)
        self._sink.flush()
        told = self._told()
        self._is_asking = True
        return OpenedFile(told["names"], told["delimiter"], self._batches())

    def _batches(self) -> Iterator[pa.Table]:
        self._is_asking = False
        write_frame(self._sink, GO_ON)
        while frame := read_frame(self._source):
            yield pa.ipc.open_stream(frame).read_all()
        self._told()
        self._is_busy = False

    def _told(self) -> dict[str, Any]:
        """Return what the process says next; raise the problem that it names."""
        told: dict[str, Any] = json.loads(read_frame(self._source))
        if "status" in told:
            self._is_busy = False
            raise ProblemError(told["status"], told["detail"])
        return told

    def is_free(self) -> bool:
        """Tell whether the process can get another file; one whose rows nobody asked for leaves it."""
        if self._is_asking:
            self._is_asking = False
            with suppress(OSError):
                write_frame(self._sink, STOP)
                self._is_busy = False
        return not self._is_busy

    def is_alive(self) -> bool:
        """Tell whether the process runs."""
        return self._process.poll() is None

    def wait(self) -> int:
        """Return the exit code of a process whose streams have ended."""
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(_END_SECONDS)
        return 0

    def kill(self) -> None:
        """End the process, perhaps while another thread reads from it."""
        self._process.kill()

    def close(self) -> None:
        """End the process, and wait until it has."""
        self._process.kill()
        self._process.wait()
        for stream in (self._sink, self._source):
            with suppress(OSError):
                stream.close()
