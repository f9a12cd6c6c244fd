"""Access: a bearer token or, for the page, a signed cookie that a browser gets for the token."""

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
    """Decides which requests may pass.

    Parameters
    ----------
    token : str or None
        The token; None lets every request pass.

    Notes
    -----
    Comparisons take the same time whatever they compare, so that nobody can guess a token letter by letter.
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
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        return hmac.compare_digest(digest, self._digest)

    def admits(self, headers: Headers) -> bool:
        """Tell whether a request carries the token or a valid session cookie."""
        if self._digest is None:
            return True
        # A token in the address would end up in logs and histories, so only headers count.
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self.knows(token.strip()):
            return True
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            return False
        return cookie is not None and self._is_session(cookie.value)

    def session(self) -> str:
        """Return the value of a cookie that is valid for twelve hours: its end, and the signature of that."""
        end = str(int(time.time()) + SESSION_SECONDS)
        return f"{end}.{self._signature(end)}"

    def _is_session(self, value: str) -> bool:
        end, _, signature = value.partition(".")
        if not end.isdecimal() or len(end) > 12 or not signature.isascii():
            return False
        return hmac.compare_digest(signature, self._signature(end)) and time.time() < int(end)

    def _signature(self, end: str) -> str:
        # The digest of the token is the key: a new token ends all sessions.
        return hmac.new(self._digest or b"", f"session {end}".encode(), hashlib.sha256).hexdigest()
