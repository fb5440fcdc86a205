"""The demo: a small outside world, and the commands a person would give."""
