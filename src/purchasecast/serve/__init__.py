"""HTTP API and web page; no Spark."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from purchasecast.serve.app import create_app
    from purchasecast.serve.server import run_server

__all__ = ["create_app", "run_server"]

_HOMES = {"create_app": "app", "run_server": "server"}


def __getattr__(name: str) -> Any:
    # The processes that read uploaded files pass through here, and need no web framework.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
