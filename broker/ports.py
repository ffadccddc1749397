"""What is listened on, and by whom it is served: plain TCP by the poller, TLS and HTTP by the loop's transports.

Belongs to the composition root (`server`). Owns the listeners, and the proxies that may stand in front of them. Refuses
to know what is spoken on a port.
"""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

from broker.config import Settings
from broker.net.listener import Listener, listen
from broker.net.poller import Poller
from broker.net.proxied_sockets import ProxiedSockets
from broker.net.proxy_protocol import Proxies, behind_proxies
from broker.net.stream import StreamEdge
from broker.wire.connection import Connection

Factory = Callable[[Listener], Connection]


def raise_descriptor_limit(connections_max: int) -> None:
    """As many descriptors as the system gives us, up to what the connections need."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections_max + 1024
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class Ports:
    """Of one broker. What it binds is closed by `closing`."""

    def __init__(self, settings: Settings, poller: Poller, streams: StreamEdge, closing: AsyncExitStack) -> None:
        self.settings = settings
        self.poller = poller
        self.streams = streams
        self.listeners: list[Listener] = []
        self.proxied: list[ProxiedSockets] = []
        self.handshake_timeout_s = settings.limits.handshake_timeout_ms / 1000
        self.proxies = Proxies(
            settings.proxy_protocol.trusted,
            call_later=asyncio.get_running_loop().call_later,
            header_bytes_max=settings.limits.proxy_header_bytes_max,
            timeout_s=self.handshake_timeout_s,
        )
        self._closing = closing

    async def serve(
        self,
        name: str,
        section: Any,
        factory: Factory,
        tls: tuple[str, Any],
        plainly: Callable[[Factory], Factory] = lambda factory: factory,
    ) -> None:
        """A dialect's ports: `factory(listener)` makes connections. `tls`: that listener's name, and its context.

        `plainly`: what the plain port makes of the factory.
        """
        if section.port is not None:
            listener = self._bind(name, section.address, section.port)
            plain = plainly(factory)
            if section.proxy_protocol:
                plain = behind_proxies(self.proxies, plain)
            self.poller.listen(listener.fileno(), listener, plain)
        tls_name, context = tls
        if section.tls_port is not None and context is not None:
            listener = self._bind(tls_name, section.address, section.tls_port, context)
            if section.proxy_protocol:
                self._take_headers(
                    listener,
                    lambda accepted, peer: self.streams.take(
                        accepted, peer, listener, factory, self.handshake_timeout_s
                    ),
                )
            else:
                await self.streams.listen(listener, factory, self.handshake_timeout_s)

    async def serve_http(
        self, name: str, section: Any, serve: Callable[..., Awaitable[Any]], tls: tuple[str, Any]
    ) -> None:
        """`serve(listener, through)` begins, and gives what stops it. `through(take)`: behind proxies; else None.

        `tls`: the name of that listener, and its context.
        """
        if section.port is not None:
            await self._serve_http(self._bind(name, section.address, section.port), section, serve)
        tls_name, context = tls
        if section.tls_port is not None and context is not None:
            await self._serve_http(self._bind(tls_name, section.address, section.tls_port, context), section, serve)

    async def _serve_http(self, listener: Listener, section: Any, serve: Callable[..., Awaitable[Any]]) -> None:
        through = None
        if section.proxy_protocol:

            def through(take: Callable[..., Awaitable[Any]]) -> None:
                self._take_headers(listener, take)

        self._closing.push_async_callback(await serve(listener, through))

    def use_connections_max(self, connections_max: int) -> None:
        """Another limit from now on; who is connected stays."""
        raise_descriptor_limit(connections_max)
        self.poller.connections_max = self.streams.connections_max = connections_max
        for each in self.proxied:
            each.waiting_max = connections_max

    def stop_listening(self) -> None:
        """The dialects' ports accept nobody any more; who is connected stays."""
        self.poller.stop_listening()
        self.streams.stop_listening()
        for each in self.proxied:
            each.close()

    @property
    def refused_count(self) -> int:
        """Over `limits.connections_max`."""
        return self.poller.refused_count + self.streams.refused_count + sum(each.refused_count for each in self.proxied)

    def _take_headers(self, listener: Listener, take: Callable[..., Awaitable[Any]]) -> None:
        sockets = ProxiedSockets(
            listener.listening, self.proxies, take, waiting_max=self.settings.limits.connections_max
        )
        self.proxied.append(sockets)
        self._closing.callback(sockets.close)

    def _bind(self, name: str, address: str, port: int, tls: Any = None) -> Listener:
        listener = listen(name, address, port, backlog=self.settings.limits.listen_backlog, tls=tls)
        self._closing.callback(listener.close)
        self.listeners.append(listener)
        return listener
