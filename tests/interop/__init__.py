"""Clients of different protocols on one broker: what one says, the other understands."""
