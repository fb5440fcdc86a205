"""How things stand at this moment, and what to do next."""

from pipeline.stages.status.looking import status
from pipeline.stages.status.standing import (
    NewsletterStatus,
    Next,
    PoolSize,
    SourceHealth,
    Status,
    Unfinished,
)

__all__ = ["NewsletterStatus", "Next", "PoolSize", "SourceHealth", "Status", "Unfinished", "status"]
