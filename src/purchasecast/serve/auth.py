"""Who may ask: a bearer token, or, for the page, a cookie that proves its holder knew the token."""

from __future__ import annotations

import hashlib
import hmac
import time
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.datastructures import Headers

__all__ = ["COOKIE", "SESSION_SECONDS", "Guard"]

COOKIE = "purchasecast_session"
SESSION_SECONDS = 12 * 3_600


class Guard:
    """Tells whether a request may pass; every comparison takes the same time whatever is compared.

    Parameters
    ----------
    token : str or None
        The token; None lets everybody in.
    """

    def __init__(self, token: str | None) -> None:
        self._digest = None if token is None else hashlib.sha256(token.encode()).digest()

    @property
    def is_open(self) -> bool:
        """Whether no token is needed."""
        return self._digest is None

    def knows(self, token: str) -> bool:
        """Tell whether this is the token."""
        if self._digest is None:
            return True
        found = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        return hmac.compare_digest(found, self._digest)

    def admits(self, headers: Headers) -> bool:
        """Tell whether a request carries the token or a session."""
        if self._digest is None:
            return True
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self.knows(token.strip()):
            return True
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            return False
        return cookie is not None and self._is_session(cookie.value)

    def session(self) -> str:
        """Return a cookie's value that `admits` a request for twelve hours."""
        until = str(int(time.time()) + SESSION_SECONDS)
        return f"{until}.{self._signature(until)}"

    def _is_session(self, value: str) -> bool:
        until, _, signature = value.partition(".")
        if not until.isdecimal() or len(until) > 12 or not signature.isascii():
            return False
        return hmac.compare_digest(signature, self._signature(until)) and time.time() < int(until)

    def _signature(self, until: str) -> str:
        return hmac.new(self._digest or b"", f"session {until}".encode(), hashlib.sha256).hexdigest()
