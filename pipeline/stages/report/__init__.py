"""Reports: a constellation's month in numbers, and its page."""

from pipeline.stages.report.coverage import buyers_per_month, coverage
from pipeline.stages.report.month import Written, month_reports, write_report

__all__ = ["Written", "buyers_per_month", "coverage", "month_reports", "write_report"]
