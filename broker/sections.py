"""What the sections of the settings are made of, and what several of them have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

import pcre2
from msgspec import Meta, Struct, field

Port = Annotated[int, Meta(ge=0, le=65535)]
"""A TCP port; 0: any that is free (the start-up summary tells which)."""
Milliseconds = Annotated[int, Meta(ge=1)]


class Section(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What every part of the settings has in common."""


class LoginFailures(Section, frozen=True):
    """How logins that fail are slowed down, over every protocol."""

    per_pair: Annotated[int, Meta(ge=1)] = 5
    """Failures of one user from one address; at this many the next has to wait, twice as long each time."""
    per_address: Annotated[int, Meta(ge=1)] = 50
    """… of one address, whatever user it names; likewise."""
    per_user: Annotated[int, Meta(ge=1)] = 100
    """… of one user, wherever from; then each has to wait for `wait_first_ms`."""
    wait_first_ms: Milliseconds = 1_000
    wait_max_ms: Milliseconds = 60_000
    forget_s: Annotated[int, Meta(ge=1)] = 3_600
    """After so long without another failure counting begins anew."""
    remembered_max: Annotated[int, Meta(ge=3)] = 10_000
    """Counts that are kept; then the oldest is forgotten."""
    shared: list[str] = field(default_factory=list)
    """Addresses and networks behind which are many (a NAT): `per_address` does not hold there."""


class MqttAcl(Section, frozen=True):
    """A rule about topics, in MQTT's words."""

    permission: Literal["allow", "deny"]
    topic: Annotated[str, Meta(min_length=1)]
    """A topic filter; %c is the client identifier, %u the user."""
    action: Literal["publish", "subscribe", "all"] = "all"
    user: str | None = None
    """Null: everybody."""
    vhost: str | None = None
    """Null: every vhost."""

    def contradictions(self, key: str) -> Iterator[tuple[str, str]]:
        """What is wrong with the rule that stands at `key`: where, and why."""
        levels = self.topic.split("/")
        if any(len(level) > 1 and ("#" in level or "+" in level) for level in levels) or "#" in levels[:-1]:
            yield f"{key}.topic", "expected + and # as whole levels of a topic filter, and # as the last"


class Permission(Section, frozen=True):
    """What a user may do in one vhost: regular expressions over names, as RabbitMQ has them."""

    vhost: str = "/"
    configure: str = ".*"
    write: str = ".*"
    read: str = ".*"

    def contradictions(self, key: str) -> Iterator[tuple[str, str]]:
        """What is wrong with the permission that stands at `key`: where, and why."""
        for verb in ("configure", "write", "read"):
            try:
                pcre2.compile(getattr(self, verb), jit=False)
            except pcre2.PatternError as error:
                yield f"{key}.{verb}", f"expected a regular expression: {error}"
