"""Months of running by itself, pretended: every beat, issue and copy is accounted for."""
