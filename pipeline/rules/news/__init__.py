"""Rules about news."""
