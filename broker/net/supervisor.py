"""What systemd is told (sd_notify(3)): that the broker is ready, that it still lives, that it is about to go.

Owns one datagram socket. Where no supervisor wants to hear (no `NOTIFY_SOCKET`) it does nothing, and what cannot be
sent is not sent: a supervisor's socket is never a reason to stop. The sign of life is a timer of the event loop, so
that a loop which stands still is silent, and is started anew (`WatchdogSec=`).
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Mapping
from contextlib import suppress


class Supervisor:
    """Of one process."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """`NOTIFY_SOCKET`: a path, or `@` and an abstract name; `WATCHDOG_USEC`: µs, for the process `WATCHDOG_PID`."""
        address = environment.get("NOTIFY_SOCKET", "")
        self.address = f"\0{address[1:]}" if address.startswith("@") else address
        is_for_us = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        watchdog_us = environment.get("WATCHDOG_USEC", "")
        self.alive_interval_s = int(watchdog_us) / 2e6 if is_for_us and watchdog_us.isdecimal() else 0.0
        """Twice as often as it is wanted, as sd_watchdog_enabled(3) says; 0.0: nobody wants it."""

    def tell(self, *words: str) -> None:
        """One datagram."""
        if not self.address:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as talking:
            talking.setblocking(False)
            talking.sendto("\n".join(words).encode(), self.address)

    def say_ready(self, status: str) -> None:
        """Everything listens; from now on a sign of life is given."""
        self.tell("READY=1", f"STATUS={status}")
        if self.address and self.alive_interval_s:
            self.say_alive(asyncio.get_running_loop())

    def say_alive(self, loop: asyncio.AbstractEventLoop) -> None:
        """Now, and again and again."""
        self.tell("WATCHDOG=1")
        loop.call_later(self.alive_interval_s, self.say_alive, loop)

    def say_stopping(self) -> None:
        """It is about to go."""
        self.tell("STOPPING=1", "STATUS=stopping")
