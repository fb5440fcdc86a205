"""Sends what is due, each copy once; and what a person decides of copies that are in doubt."""

from pipeline.stages.deliver.holding import Allowed, allow_after_restore, went_out
from pipeline.stages.deliver.lateness import GONE
from pipeline.stages.deliver.recalling import CalledBack, call_back
from pipeline.stages.deliver.resolving import Doubt, Resolution, Resolved, list_doubts, resolve
from pipeline.stages.deliver.sending import Delivered, IssueDelivered, deliver

__all__ = [
    "GONE",
    "Allowed",
    "CalledBack",
    "Delivered",
    "Doubt",
    "IssueDelivered",
    "Resolution",
    "Resolved",
    "allow_after_restore",
    "call_back",
    "deliver",
    "list_doubts",
    "resolve",
    "went_out",
]
