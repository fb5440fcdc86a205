"""Reports: a constellation's month in numbers, and its page."""

from pipeline.stages.report.coverage import buyers_per_month, coverage

__all__ = ["buyers_per_month", "coverage"]
