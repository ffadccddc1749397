"""Typed signatures of the Python half of `incoming.pyx`."""

class Incoming:
    """A client's PUBLISH as a message."""
