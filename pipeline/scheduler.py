"""What runs by itself: the table of jobs, which of them are due, and one tick of the clock."""
