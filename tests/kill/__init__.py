"""Kill -9 in the middle of sending, again and again, and count what really arrived.

Two senders share one issue. One of them, or both, are killed at random moments that lie inside
the sending; then they start again, until all is done. What counts is the receiver's own record.
"""
