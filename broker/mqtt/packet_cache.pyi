"""Typed signatures of the Python half of `packet_cache.pyx`."""

class PacketCache:
    """Packets that go to many."""
