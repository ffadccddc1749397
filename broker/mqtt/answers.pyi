"""Typed signatures of the Python half of `answers.pyx`."""

class Answers:
    """What a client is owed for its QoS 1 and 2 packets."""

    @property
    def count(self) -> int: ...
    @property
    def unfinished(self) -> int: ...
    @property
    def published(self) -> int: ...
