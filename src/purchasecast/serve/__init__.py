"""HTTP API and web page; no Spark."""

from purchasecast.serve.app import create_app
from purchasecast.serve.server import run_server

__all__ = ["create_app", "run_server"]
