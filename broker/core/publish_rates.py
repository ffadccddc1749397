"""How fast users and vhosts may publish: messages and bytes per second, as operators set them.

    a read ─▶ Meter.charge ─▶ Bucket of the user, of the vhost ─▶ in debt: the connection is not read until it is paid

Owns the sums and the waits. Refuses to know connections: a dialect says what has come, and how it rests. A publisher
over its rate hears no error: it is read more slowly, and its socket fills (law 3).

Invariants: a connection without a limit has no Meter, and pays one look at that per read; a second's worth may come at
once; all connections of a user share its bucket.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol

from broker.core.parameters import Parameters

MESSAGES, BYTES = "max-messages-per-second", "max-bytes-per-second"
BURST_MS = 1_000
LOOK_AGAIN_MS = 1_000
"""A long wait is looked at again so often: the limit may have been raised."""
BUCKETS_MAX = 10_000


class Key(NamedTuple):
    """Whose bucket, and of what."""

    kind: str
    """user or vhost."""
    name: str
    limit: str
    """MESSAGES or BYTES."""


class Metered(Protocol):
    """A connection that is logged in."""

    user: Any
    vhost: Any
    meter: Meter | None

    @property
    def published(self) -> int:
        """Messages that it has published."""

    @property
    def bytes_received(self) -> int:
        """Of everything."""


class Bucket:
    """What one user or vhost has used of its rate."""

    __slots__ = ("paid_ms", "per_s")

    def __init__(self, per_s: int) -> None:
        self.per_s = per_s
        self.paid_ms = 0.0

    def take(self, now_ms: int, amount: int) -> None:
        """Use so much. The debt is paid at `paid_ms`."""
        self.paid_ms = max(self.paid_ms, now_ms - BURST_MS) + amount * 1000 / max(1, self.per_s)


class Meter:
    """Of one connection."""

    __slots__ = ("buckets", "go_on", "is_resting", "published", "rates", "received", "rest", "stopped")

    def __init__(
        self,
        rates: PublishRates,
        buckets: list[tuple[Key, Bucket]],
        published: int,
        received: int,
        rest: Callable[[], object],
        go_on: Callable[[], object],
    ) -> None:
        """`published`, `received`: messages and bytes so far."""
        self.rates = rates
        self.buckets = buckets
        self.published = published
        self.received = received
        self.rest = rest
        self.go_on = go_on
        self.is_resting = self.stopped = False

    def charge(self, published: int, received: int) -> None:
        """So much has come by now: rest, where it was too fast."""
        now_ms = self.rates.clock.now_ms
        messages, octets = max(0, published - self.published), max(0, received - self.received)
        self.published, self.received = published, received
        for key, bucket in self.buckets:
            bucket.take(now_ms, messages if key.limit == MESSAGES else octets)
            if bucket.paid_ms > now_ms and not self.is_resting:
                self.rates.waits[key.kind, key.name] += 1
        if not self.is_resting and self.wait_ms() > 0:
            self.is_resting = True
            self.rates.resting += 1
            self.rest()
            self.look_again()

    def wait_ms(self) -> int:
        """Until the debts are paid."""
        return max(0, int(max(bucket.paid_ms for _, bucket in self.buckets) - self.rates.clock.now_ms))

    def look_again(self) -> None:
        """When it may be over."""
        clock = self.rates.clock
        clock.call_at(clock.now_ms + min(max(1, self.wait_ms()), LOOK_AGAIN_MS), self.on_time)

    def on_time(self) -> None:
        """Go on, if it is over."""
        if self.stopped or not self.is_resting:
            return
        if self.wait_ms() > 0:
            self.look_again()
            return
        self.end_rest()

    def end_rest(self) -> None:
        """Read on."""
        if self.is_resting:
            self.is_resting = False
            self.rates.resting -= 1
            self.go_on()

    def stop(self) -> None:
        """The limits have changed, or the connection is gone."""
        self.stopped = True
        self.end_rest()


class PublishRates:
    """Of the whole broker."""

    def __init__(self, parameters: Parameters, clock: Any) -> None:
        """`parameters`: the limits; `clock`: core.clock.Clock."""
        self.parameters = parameters
        self.clock = clock
        self.buckets: dict[Key, Bucket] = {}
        self.waits: Counter[tuple[str, str]] = Counter()
        """How often a connection had to rest, by kind and name of who has the limit."""
        self.resting = 0

    @property
    def are_set(self) -> bool:
        """Whether anybody has a limit: who connects does not pay for looking where nobody has."""
        return bool(self.parameters.user_limits or self.parameters.vhost_limits)

    def limits(self, user: str, vhost: str) -> Iterator[tuple[Key, int]]:
        """Those that are set."""
        for limit in (MESSAGES, BYTES):
            of_user = self.parameters.user_limit(user, limit)
            if of_user is not None:
                yield Key("user", user, limit), of_user
            of_vhost = self.parameters.vhost_limit(vhost, limit)
            if of_vhost is not None:
                yield Key("vhost", vhost, limit), of_vhost

    def bucket(self, key: Key, per_s: int) -> Bucket:
        """The one that all connections of the user or vhost share."""
        bucket = self.buckets.get(key)
        if bucket is None:
            if len(self.buckets) >= BUCKETS_MAX:
                self.buckets.clear()  # who has one keeps it; sharing begins anew
            bucket = self.buckets[key] = Bucket(per_s)
        if bucket.per_s != per_s:
            bucket.per_s, bucket.paid_ms = per_s, min(bucket.paid_ms, self.clock.now_ms)
        return bucket

    def renew(self, connection: Metered, rest: Callable[[], object], go_on: Callable[[], object]) -> None:
        """Give a connection its meter: when it comes, and when limits have changed; None where there is no limit."""
        if connection.meter is not None:
            connection.meter.stop()
        connection.meter = None
        if not self.are_set:
            return
        user, vhost = connection.user.name, connection.vhost.name
        buckets = [(key, self.bucket(key, per_s)) for key, per_s in self.limits(user, vhost)]
        if buckets:
            connection.meter = Meter(self, buckets, connection.published, connection.bytes_received, rest, go_on)

    def leave(self, connection: Metered) -> None:
        """It is gone."""
        if connection.meter is not None:
            connection.meter.stop()
            connection.meter = None
