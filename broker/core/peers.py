"""How a connection's peer is named, and what its name says: `192.0.2.1:50000`, `[2001:db8::1]:50000`, `unix:…`.

Whoever takes connections writes IPv4 as IPv4, also where it came through an IPv6 socket (`broker.net`).
"""

from __future__ import annotations


def host_of(peer: str) -> str:
    """The peer without its port."""
    return peer.rpartition(":")[0]


def is_loopback(peer: str) -> bool:
    """True for a peer on this machine."""
    return peer.startswith(("127.", "[::1]", "[::ffff:127.", "unix:"))
