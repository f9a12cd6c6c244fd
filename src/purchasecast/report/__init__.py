"""Result objects become one self-contained HTML page; nothing is computed here.

`read_report` collects what a model directory holds; `render_report`, `render_profile`, `render_drift`,
`render_plan` and `render_measurement` make pages. A
part that is not there drops out with a sentence.
"""

from purchasecast.report.page import (
    render_drift,
    render_measurement,
    render_plan,
    render_profile,
    render_report,
    write_page,
)
from purchasecast.report.report_data import ReportData, read_report

__all__ = [
    "ReportData",
    "read_report",
    "render_drift",
    "render_measurement",
    "render_plan",
    "render_profile",
    "render_report",
    "write_page",
]
