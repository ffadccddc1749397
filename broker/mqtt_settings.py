"""The settings of MQTT: names, types and defaults."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, field

from broker.sections import MqttAcl, Port, Section


class Mqtt(Section, frozen=True):
    """The MQTT listeners: 3.1, 3.1.1 and 5 on the same port."""

    address: str = "::"
    """`::` takes IPv4 as well; `0.0.0.0` is IPv4 alone."""
    port: Port | None = 1883
    """Null: no plain listener."""
    tls_port: Port | None = None
    """Null: no TLS listener. Needs `tls.certificate` and `tls.key`. By custom 8883."""
    proxy_protocol: bool = False
    """Proxies of `proxy_protocol.trusted` say with a PROXY header in front of each connection who the client is."""
    vhost: Annotated[str, Meta(min_length=1, max_length=255)] = "/"
    """Where clients are that do not name one (`vhost:user`)."""
    anonymous: Literal["never", "loopback", "always"] = "loopback"
    """Who may connect without a user name: nobody, peers on this machine, or everybody."""
    anonymous_user: str = "guest"
    """As whom they act."""
    keep_alive_max_s: Annotated[int, Meta(ge=0, le=65535)] = 0
    """The longest keep-alive; MQTT 5 clients that ask for more, or for none, are given this one. 0: any."""
    session_expiry_max_s: Annotated[int, Meta(ge=0)] | None = None
    """How long a session may outlive its connection at most; null: as long as the client wants."""
    session_messages_max: Annotated[int, Meta(ge=1)] | None = None
    """Messages that wait for one session; null: no limit."""
    session_bytes_max: Annotated[int, Meta(ge=1)] | None = None
    """Their payloads' bytes; null: no limit."""
    session_overflow: Literal["drop-head", "drop-tail", "reject", "dead-letter"] = "drop-head"
    """Above that: the oldest or the newest is dropped, the publisher is refused (MQTT 5: 0x97), or the oldest goes to
    `dead_letter_exchange`."""
    dead_letter_exchange: str | None = None
    """With `session_overflow: dead-letter`: the exchange, of the session's vhost, for what overflows or expires."""
    connections_per_second_max: Annotated[int, Meta(ge=0)] = 0
    """CONNECTs accepted per second; one more is told 0x9F (MQTT 5) or 3, and closed. 0: any number."""
    sys_interval_s: Annotated[int, Meta(ge=0)] = 10
    """How often changes below `$SYS` are published; 0: no such topics."""
    sparkplug: bool = True
    """Births are retained as certificates, and deaths get the time of their delivery (Sparkplug 3.0.0 §10)."""
    queue_qos0: bool = False
    """QoS 0 messages wait for a session whose client is away, if it has a queue, instead of being dropped."""
    share_strategy: Literal["round-robin", "sticky", "hash-topic", "hash-publisher"] = "round-robin"
    """Which member of a shared subscription gets a message."""
    acls: list[MqttAcl] = field(default_factory=list)
    """Rules about topics that come before those set while the broker runs; the first that fits decides."""
    acl_default: Literal["allow", "deny"] = "allow"
    """What holds where no rule fits."""
    client_id: Literal["any", "user", "user-prefix"] = "any"
    """`user`: it must be the user's name; `user-prefix`: or begin with it and one of `-`, `_`, `.`, `:`, `/`."""
