"""Fixtures of these tests, from `tests.profiled_shop`."""

from tests.profiled_shop import profiler, report_data, schemas, shop, shop_insights, shop_profile, shop_report, shops

__all__ = ["profiler", "report_data", "schemas", "shop", "shop_insights", "shop_profile", "shop_report", "shops"]
