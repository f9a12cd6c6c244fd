"""Start Spark, and the helpers that code on Spark shares."""

from purchasecast.spark.session import get_session, is_local, is_remote, parallel_slots, runs_here
from purchasecast.spark.settings import parse_conf

__all__ = ["get_session", "is_local", "is_remote", "parallel_slots", "parse_conf", "runs_here"]
