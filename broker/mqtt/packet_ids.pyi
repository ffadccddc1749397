"""Typed signatures of the Python half of `packet_ids.pyx`."""

class PacketIds:
    """A set of packet identifiers."""

    @property
    def count(self) -> int: ...
    def all(self) -> list[int]: ...
