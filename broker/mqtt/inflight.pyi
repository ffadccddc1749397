"""Typed signatures of the Python half of `inflight.pyx`."""

class Inflight:
    """What a session has sent and not yet heard the end of."""

    @property
    def count(self) -> int: ...
