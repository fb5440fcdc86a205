"""Rules about people: their addresses, and the files they arrive in."""
