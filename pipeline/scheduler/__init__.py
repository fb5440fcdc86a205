"""What runs by itself: the table of jobs, which of them are due, and one tick of the clock."""

from pipeline.scheduler.starting import refuse_unsafe
from pipeline.scheduler.ticking import Coming, Ran, Standing, Ticked, coming, standing, tick
from pipeline.scheduler.waking import Rounds, pace

__all__ = [
    "Coming",
    "Ran",
    "Rounds",
    "Standing",
    "Ticked",
    "coming",
    "pace",
    "refuse_unsafe",
    "standing",
    "tick",
]
