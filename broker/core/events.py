"""What happens to the broker's objects, told once to whoever listens: the event exchange, the audit log.

Owns the events' names and fields, which are RabbitMQ's (`queue.created`, `user.authentication.failure`; those that
RabbitMQ lacks follow its manner), and in whose name something is done. Refuses to know who listens, and what for.

    queue, exchange, binding     created, deleted          connection, channel, consumer     created, deleted or closed
    vhost                        created, deleted          user                              created, deleted
    user.password                changed                   user.tags                         set
    user.authentication          success, failure          permission                        created, deleted
    policy, parameter            set, cleared              vhost.limits, user.limits         set, cleared
    alarm                        set, cleared              mqtt.session                      created, deleted
    api                          changed, refused: a request over HTTP that is to change something

Invariants: messages are no events, so nothing here is on their way; while nobody listens `tell` is one look at an empty
list; a listener that fails is logged, and disturbs neither the others nor what has happened. No field is a secret.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, NamedTuple

log = logging.getLogger("hubbub.events")

INTERNAL_USER = "rmq-internal"
"""RabbitMQ's name for the broker itself, where nobody asked for what is done."""
ACTING_USER: ContextVar[str] = ContextVar("acting_user", default=INTERNAL_USER)
"""In whose name something is done now. Set by whoever begins to do what a user asked for (`Events.act_as`)."""


class Event(NamedTuple):
    """One of them."""

    name: str
    """`queue.created`"""
    at_ms: int
    """Milliseconds since 1970."""
    user: str
    """In whose name it was done; INTERNAL_USER: the broker's own."""
    fields: dict[str, Any]
    """By RabbitMQ's names: strings, numbers, booleans, lists, mappings. The listener may keep it, not change it."""


Listener = Callable[[Event], None]
LoginWatcher = Callable[[str, str, str, bool], None]
"""Is told the protocol ("AMQP 0-9-1"), the peer's address, the user, and whether it was let in. It does not fail."""


class Events:
    """The broker's one source of them."""

    __slots__ = ("clock", "listeners", "login_watcher")

    def __init__(self, clock: Any) -> None:
        """`clock`: core.clock.Clock, or whatever has its `now_ms`."""
        self.clock = clock
        self.listeners: tuple[Listener, ...] = ()
        self.login_watcher: LoginWatcher | None = None

    def listen(self, listener: Listener) -> Callable[[], None]:
        """From now on the listener hears everything, at once and in order; what comes back ends that."""
        self.listeners = (*self.listeners, listener)

        def stop() -> None:
            self.listeners = tuple(each for each in self.listeners if each is not listener)

        return stop

    def attempted(self, protocol: str, address: str, user: str, is_let_in: bool) -> None:
        """Somebody has tried to log in. Counting that takes no event, and nobody has to listen to all of them."""
        if self.login_watcher is not None:
            self.login_watcher(protocol, address, user, is_let_in)

    @property
    def wanted(self) -> bool:
        """Somebody listens: whoever has to work for an event's fields asks before."""
        return bool(self.listeners)

    def tell(self, event: str, /, **fields: Any) -> None:
        """It has happened."""
        if not self.listeners:
            return
        told = Event(event, self.clock.now_ms, ACTING_USER.get(), fields)
        for listener in self.listeners:
            try:
                listener(told)
            except Exception:
                log.exception("a listener failed at %s", event)

    def act_as(self, user: str, call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Call, in the user's name; what comes back."""
        before = ACTING_USER.set(user)
        try:
            return call(*arguments, **options)
        finally:
            ACTING_USER.reset(before)


def connection_fields(connection: Any) -> dict[str, Any]:
    """What RabbitMQ says of a connection in its events: of a wire.connection.Connection of any dialect, logged in."""
    peer_host, peer_port = split_address(connection.peer)
    host, port = split_address(connection.listener)
    return {
        "name": connection_name(connection),
        "protocol": getattr(connection, "protocol", ""),
        "peer_host": peer_host,
        "peer_port": peer_port,
        "host": host,
        "port": port,
        "ssl": connection.tls is not None,
        "user": name_of(getattr(connection, "user", None)),
        "vhost": name_of(getattr(connection, "vhost", None)),
        "auth_mechanism": getattr(connection, "auth_mechanism", "") or "",
        "connected_at": getattr(connection, "connected_ms", 0),
    }


def tell_login(events: Events, connection: Any, user: str, mechanism: str, refusal: str = "") -> None:
    """A peer has named a user, and was let in, or not: `refusal` says why."""
    events.attempted(getattr(connection, "protocol", ""), connection.peer.rpartition(":")[0], user, not refusal)
    if not events.wanted:
        return
    fields = {**connection_fields(connection), "connection_name": connection_name(connection)}
    for word in ("vhost", "user", "connected_at"):
        del fields[word]
    fields |= {"name": user, "auth_mechanism": mechanism, "connection_type": "network"}
    if refusal:
        events.tell("user.authentication.failure", **fields, error=refusal)
    else:
        events.tell("user.authentication.success", **fields)


def connection_name(connection: Any) -> str:
    """`127.0.0.1:50000 -> 127.0.0.1:5672`: RabbitMQ's name."""
    return f"{connection.peer} -> {connection.listener}"


def name_of(thing: Any) -> str:
    """Its name; empty where there is none."""
    return thing.name if thing is not None else ""


def split_address(text: str) -> tuple[str, int]:
    """Host and port of `127.0.0.1:5000` or `[::1]:5000`."""
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port) if port.isdigit() else 0
