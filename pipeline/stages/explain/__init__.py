"""Why things are as they are: ordered reasons, from the store and nothing else."""

from __future__ import annotations

from pipeline.stages.explain.contact import explain_contact
from pipeline.stages.explain.issue import explain_issue
from pipeline.stages.explain.parts import Part
from pipeline.stages.explain.story import explain_story

__all__ = ["Part", "explain_contact", "explain_issue", "explain_story"]
