"""Listening sockets: where connections come in.

Owns binding, and the words for a port that is taken. Refuses to know what is spoken on a port: it carries a name for
people and nothing more.
"""

from __future__ import annotations

import errno
import os
import socket
import ssl
from pathlib import Path


class ListenError(Exception):
    """An address cannot be listened on. The text is for the operator: it names the port and, if known, who holds it."""


class Listener:
    """One listening socket. `str()` of it is its address: `127.0.0.1:5672`, `[::1]:5672`."""

    def __init__(self, name: str, listening: socket.socket, tls: ssl.SSLContext | None = None) -> None:
        self.name = name
        self.listening = listening
        self.tls = tls
        self.address: str = listening.getsockname()[0]
        self.port: int = listening.getsockname()[1]

    def __str__(self) -> str:
        """The address, for people."""
        return join_address(self.address, self.port)

    def fileno(self) -> int:
        """The listening descriptor."""
        return self.listening.fileno()

    def close(self) -> None:
        """Listen no more."""
        self.listening.close()


def join_address(address: str, port: int) -> str:
    """`127.0.0.1:5672`, `[::1]:5672`; IPv4 that came through an IPv6 socket is IPv4."""
    address = address.removeprefix("::ffff:") if "." in address else address
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def listen(name: str, address: str, port: int, *, backlog: int, tls: ssl.SSLContext | None = None) -> Listener:
    """Bind and listen; port 0 takes one that is free. `::` takes IPv4, too, alone without IPv6. ListenError."""
    listening: socket.socket | None = None
    if address == "::" and not has_ipv6():
        address = "0.0.0.0"
    try:
        family, kind, protocol, _, target = socket.getaddrinfo(
            address, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_NUMERICSERV
        )[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if target[0] == "::" else 1)
        listening.bind(target)
        listening.listen(backlog)
        listening.setblocking(False)
    except OSError as error:
        if listening is not None:
            listening.close()
        raise ListenError(_explain(name, address, port, error)) from None
    return Listener(name, listening, tls)


def has_ipv6() -> bool:
    """Whether this machine has IPv6: containers often have none, whatever Python was compiled with."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def _explain(name: str, address: str, port: int, error: OSError) -> str:
    place = f"{name}: cannot listen on {join_address(address, port)}"
    if error.errno == errno.EADDRINUSE:
        holder = port_holder(port)
        return f"{place}: the port is taken" + (f" by {holder}" if holder else "")
    if error.errno == errno.EACCES:
        return f"{place}: ports below 1024 are for the superuser"
    return f"{place}: {error.strerror or error}"


def port_holder(port: int) -> str:
    """`process 123 (python3)` that listens on the TCP port, or empty where the system does not tell."""
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            columns = line.split()
            # Columns of proc(5): 1 is local address:port in hex, 3 the state (0A: LISTEN), 9 the socket's inode.
            if columns[3] == "0A" and int(columns[1].rpartition(":")[2], 16) == port:
                inodes.add(f"socket:[{columns[9]}]")
    if not inodes:
        return ""
    for process in filter(str.isdigit, os.listdir("/proc")):
        try:
            holds = any(os.readlink(entry.path) in inodes for entry in os.scandir(f"/proc/{process}/fd"))
            if holds:
                return f"process {process} ({Path(f'/proc/{process}/comm').read_text().strip()})"
        except OSError:
            continue  # it has ended, or belongs to somebody else
    return ""
