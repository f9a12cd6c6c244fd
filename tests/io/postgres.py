"""A PostgreSQL server of the tests' own, on a free port of this machine."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

__all__ = ["PASSWORD", "Postgres", "find_binaries"]

PASSWORD = "s3cret-pw"  # noqa: S105  of a server that only the tests reach


def find_binaries() -> Path | None:
    """Return the folder of the server's programs; None where PostgreSQL is not installed."""
    found = [*sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)]
    on_path = shutil.which("initdb")
    found += [Path(on_path).resolve()] if on_path else []
    return found[0].parent if found else None


class Postgres:
    """A running server. PostgreSQL refuses to run as root, so root starts it as the user `postgres`."""

    def __init__(self, binaries: Path) -> None:
        self._binaries = binaries
        self._folder = Path(tempfile.mkdtemp(prefix="purchasecast-pg-"))
        self._as = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
        (self._folder / "password").write_text(PASSWORD)
        if self._as:
            shutil.chown(self._folder, "postgres")
            shutil.chown(self._folder / "password", "postgres")
        data, password = self._folder / "data", self._folder / "password"
        self._call("initdb", "-D", data, "-U", "ann", "-A", "scram-sha-256", f"--pwfile={password}", "--no-sync")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self._folder} -c fsync=off"
        self._call("pg_ctl", "-D", data, "-w", "-l", self._folder / "log", "-o", options, "start")
        self.url = f"jdbc:postgresql://127.0.0.1:{self.port}/postgres"
        self.options = {"user": "ann", "password": PASSWORD}

    def sql(self, statement: str) -> str:
        """Run a statement; return its rows, a line each."""
        environment = {**os.environ, "PGPASSWORD": PASSWORD}
        place = ["-h", "127.0.0.1", "-p", str(self.port), "-U", "ann", "-d", "postgres"]
        done = subprocess.run(
            [
                shutil.which("psql") or self._binaries / "psql",
                "-qAtX",
                "-v",
                "ON_ERROR_STOP=1",
                *place,
                "-c",
                statement,
            ],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    def tables(self) -> list[str]:
        """Return the names of all tables."""
        return self.sql("select tablename from pg_tables where schemaname = 'public' order by 1").split()

    def stop(self) -> None:
        """Stop the server and remove its files."""
        self._call("pg_ctl", "-D", self._folder / "data", "-m", "immediate", "stop")
        shutil.rmtree(self._folder, ignore_errors=True)

    def _call(self, program: str, *arguments: object) -> None:
        # Not captured: the server keeps the streams of whoever starts it.
        subprocess.run(
            [*self._as, self._binaries / program, *map(str, arguments)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            check=True,
        )
