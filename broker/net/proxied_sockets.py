"""Listening sockets whose clients come through proxies, and are served by the loop's transports: TLS, HTTP.

Owns accepting, and taking the PROXY header off a socket before anybody else reads of it: it stands in front of the TLS
handshake, which the loop begins as soon as it has the socket. Refuses to know who serves what is behind the header.

Invariants: of a socket no octet behind its header is taken; who says nothing is cut after `Proxies.timeout_s`; not more
than `waiting_max` sockets are looked at at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
from collections.abc import Awaitable, Callable
from typing import Any

from broker.net.listener import join_address
from broker.net.proxy_protocol import HeaderError, Proxies, is_header

ACCEPTS_PER_TURN_MAX = 64
ACCEPT_PAUSE_S = 0.2
LOOK_AGAIN_S = 0.01
"""How long to wait where what has come may be the beginning of a header, and is not ours to take if it is not."""
OUT_OF_DESCRIPTORS = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

Serve = Callable[[socket.socket, str], Awaitable[Any]]

log = logging.getLogger("hubbub.net")


class ProxiedSockets:
    """One listening socket. `serve(socket, peer)` is given each socket behind its header, with who is there."""

    def __init__(self, listening: socket.socket, proxies: Proxies, serve: Serve, *, waiting_max: int) -> None:
        """Accepts from now on, until `close`."""
        self.listening = listening
        self.proxies = proxies
        self.serve = serve
        self.waiting_max = waiting_max
        self.refused_count = 0
        self.loop = asyncio.get_running_loop()
        self.waiting: set[asyncio.Task[None]] = set()
        self.pause: asyncio.TimerHandle | None = None
        self.is_closed = False
        self.loop.add_reader(listening.fileno(), self._accept)

    def close(self) -> None:
        """Accept nobody any more; the listening socket is the caller's to close. Who is served stays."""
        if self.is_closed:
            return
        self.is_closed = True
        if self.pause is not None:
            self.pause.cancel()
        self.loop.remove_reader(self.listening.fileno())
        for task in self.waiting:
            task.cancel()

    def _accept(self) -> None:
        for _ in range(ACCEPTS_PER_TURN_MAX):
            try:
                accepted, address = self.listening.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in OUT_OF_DESCRIPTORS:
                    log.error("accepting stops for %s s: %s", ACCEPT_PAUSE_S, error.strerror)
                    self.loop.remove_reader(self.listening.fileno())
                    self.pause = self.loop.call_later(ACCEPT_PAUSE_S, self._accept_again)
                    return
                continue  # it was gone before it was accepted
            if len(self.waiting) >= self.waiting_max:
                self.refused_count += 1
                accepted.close()
                continue
            accepted.setblocking(False)
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            task = self.loop.create_task(self._receive(accepted, join_address(*address[:2])))
            self.waiting.add(task)
            task.add_done_callback(self.waiting.discard)

    def _accept_again(self) -> None:
        self.pause = None
        self.loop.add_reader(self.listening.fileno(), self._accept)

    async def _receive(self, accepted: socket.socket, peer: str) -> None:
        """Take the header, then serve."""
        try:
            async with asyncio.timeout(self.proxies.timeout_s):
                client = await self._client_of(accepted, peer)
        except TimeoutError:
            self.proxies.refuse(peer, HeaderError("no PROXY header in time", "late"))
        except HeaderError as error:
            self.proxies.refuse(peer, error)
        except OSError:
            pass  # it is gone
        except asyncio.CancelledError:
            accepted.close()
            raise
        else:
            with contextlib.suppress(OSError):  # a TLS handshake that fails ends the socket, and nothing else
                await self.serve(accepted, client)
            return
        accepted.close()

    async def _client_of(self, accepted: socket.socket, peer: str) -> str:
        """Who is there. Takes the header off the socket, and nothing else. HeaderError, OSError."""
        is_trusted = self.proxies.trusts(peer)
        taken = b""
        while True:
            await self._readable(accepted)
            seen = accepted.recv(self.proxies.header_bytes_max, socket.MSG_PEEK)
            if not seen:
                raise ConnectionResetError
            header = self.proxies.client_of(taken + seen, is_trusted=is_trusted)
            if header is not None:
                size = header.size - len(taken)
                if size > 0:
                    accepted.recv(size)
                return header.client or peer
            if is_header(taken + seen):
                # All of it is the header's, which is not whole: taken, so that the next look waits for more.
                taken += accepted.recv(len(seen))
            else:
                await asyncio.sleep(LOOK_AGAIN_S)

    async def _readable(self, accepted: socket.socket) -> None:
        ready: asyncio.Future[None] = self.loop.create_future()

        def tell() -> None:
            if not ready.done():
                ready.set_result(None)

        self.loop.add_reader(accepted.fileno(), tell)
        try:
            await ready
        finally:
            self.loop.remove_reader(accepted.fileno())
