"""Settings of the server: where to listen, who may ask, and how much one request may ask for."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from purchasecast.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["TOKEN_VARIABLE", "ServeSettings", "is_loopback", "read_token"]

TOKEN_VARIABLE = "PURCHASECAST_TOKEN"  # noqa: S105  the name of a variable
_MIN_TOKEN = 16  # characters
_FILE_TIME_FACTOR = 10  # how much longer a request with a file may take than others
_POSITIVE = ("max_rows", "max_body_bytes", "max_file_bytes", "max_file_rows", "max_requests", "max_heavy_requests")


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """Settings of a server.

    Parameters
    ----------
    host : str, default "127.0.0.1"
        Address to listen on. An address that other machines can reach needs a token.
    port : int, default 8000
        Port to listen on; 0 takes a free one.
    token : str, optional
        Bearer token that every request must carry; at least 16 characters. Without one, no request needs a token.
    max_rows : int, default 1000
        Largest number of rows in one ``POST /v1/predict``.
    max_body_bytes : int, default 1 MiB
        Largest body, except of files.
    max_file_bytes : int, default 64 MiB
        Largest file to score.
    max_file_rows : int, default 2,000,000
        Largest number of rows in a file.
    header_seconds : float, default 10.0
        Longest time for the headers of a request to arrive, in seconds.
    body_seconds : float, default 10.0
        Longest time for a body to arrive, in seconds; six times as long for a file.
    request_seconds : float, default 30.0
        Longest time for a whole request, in seconds; ten times as long for a file.
    stop_seconds : float, default 30.0
        Time for requests in progress when the server is asked to stop, in seconds; at least 4. What is not finished
        3 seconds before is answered with 503.
    max_requests : int, default 512
        Largest number of requests at a time; more are answered with 503.
    max_heavy_requests : int, default 4
        Largest number of files, recommendations and large explanations that are computed at a time.

    Raises
    ------
    SettingsError
        If a setting is outside its range, or the address needs a token and there is none.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    token: str | None = None
    max_rows: int = 1_000
    max_body_bytes: int = 1 << 20
    max_file_bytes: int = 64 << 20
    max_file_rows: int = 2_000_000
    header_seconds: float = 10.0
    body_seconds: float = 10.0
    request_seconds: float = 30.0
    stop_seconds: float = 30.0
    max_requests: int = 512
    max_heavy_requests: int = 4

    def __post_init__(self) -> None:
        for name in _POSITIVE:
            if getattr(self, name) < 1:
                raise SettingsError(f"{name}: expected at least 1, found {getattr(self, name)}; take a larger number.")
        if self.stop_seconds < 4:
            raise SettingsError(f"stop_seconds: expected at least 4, found {self.stop_seconds}; take a larger number.")
        if not 0 <= self.port <= 65_535:
            raise SettingsError(f"port: expected 0 to 65535, found {self.port}; take 0 for a free one.")
        if self.token is not None and len(self.token) < _MIN_TOKEN:
            raise SettingsError(
                f"token: expected at least {_MIN_TOKEN} characters, found {len(self.token)}; "
                "make one with `python -c 'import secrets; print(secrets.token_urlsafe())'`."
            )
        if self.token is not None and not (self.token.isascii() and self.token.isprintable()):
            raise SettingsError("token: expected printable ASCII characters, found others; make another token.")
        if self.token is None and not is_loopback(self.host):
            raise SettingsError(
                f"host: expected this machine's own address, because no token is set, found {self.host}; "
                f"set {TOKEN_VARIABLE} or give a token."
            )

    @property
    def file_seconds(self) -> float:
        """Longest time for a whole request with a file, in seconds."""
        return self.request_seconds * _FILE_TIME_FACTOR


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach an address.

    Examples
    --------
    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    if host.rstrip(".").lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def read_token(file: Path) -> str:
    """Read a token from a file, such as a mounted secret, without the white space around it.

    Raises
    ------
    SettingsError
        If the file cannot be read.
    """
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"token_file: expected a text file that can be read, found none ({type(error).__name__}); check {file}."
        ) from error
