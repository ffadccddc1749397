"""Shared subscriptions: several subscribers of one filter, of whom each message goes to one (MQTT 5.0 §4.8.2).

Owns which groups there are, who is in which, and the life of their queues. A group is a core queue, bound to
`amq.topic` with the filter; its members are the queue's consumers, which the dialect adds and removes as they come and
go. Refuses to know sessions: a member is any hashable that its dialect answers for.

    join ──▶ first member: queue and binding   join(durable) ──▶ … that outlive a restart, from now on
    leave ──▶ last member: queue, binding and what waits there are gone

Invariants: a group has a member; its queue is named `$share/GROUP/BINDING-KEY`, which nobody else can declare; a
durable group is adopted after a restart by the member that joins again, and dropped if none does (`drop_unclaimed`).
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

from broker.core.binding import QUEUE

if TYPE_CHECKING:
    from broker.core.queue import Queue
    from broker.core.vhost import VirtualHost

SHARE_PREFIX = "$share/"


class Share:
    """One group with one filter."""

    __slots__ = ("key", "members", "queue")

    def __init__(self, key: tuple[str, bytes], queue: Queue) -> None:
        self.key = key
        self.queue = queue
        self.members: set[Hashable] = set()


class Shares:
    """The groups of one vhost. A group is named by (group name, binding key)."""

    def __init__(self, vhost: VirtualHost) -> None:
        self.vhost = vhost
        self.groups: dict[tuple[str, bytes], Share] = {}

    def __len__(self) -> int:
        """How many groups there are."""
        return len(self.groups)

    def join(
        self,
        group: str,
        binding_key: bytes,
        member: Hashable,
        *,
        durable: bool,
        arguments: dict[str, Any],
        strategy: str,
    ) -> Queue:
        """Make `member` one of the group; the queue to consume from. Joining again changes `durable` at most.

        `durable`: what comes is to wait for this member while it is away. `arguments`: x-arguments of the queue, in
        force from now on. `strategy`: of `core.consumers`. Raises LimitExceeded where the vhost has too many queues.
        """
        key = (group, binding_key)
        share = self.groups.get(key)
        if share is None or share.queue.deleted:
            members = share.members if share is not None else set()
            share = self.groups[key] = Share(key, self.queue(key, arguments))
            share.members |= members
        share.members.add(member)
        queue = share.queue
        if queue.arguments != arguments:
            self.vhost.redeclare_queue(queue, arguments)
        if durable and not queue.durable:
            self.vhost.make_queue_durable(queue)
        queue.consumers.serve_by(strategy)
        return queue

    def queue(self, key: tuple[str, bytes], arguments: dict[str, Any]) -> Queue:
        """A group's queue, bound: what a restart left of it, or a new one."""
        group, binding_key = key
        name = f"{SHARE_PREFIX}{group}/{binding_key.decode()}"
        queue = self.vhost.queues.get(name)
        if queue is None:
            queue = self.vhost.create_queue(
                name, durable=False, exclusive=False, auto_delete=False, owner=None, arguments=arguments
            )
        queue.drops_transient_offline = queue.serves_sessions = True
        queue.change(queue.settings)
        self.vhost.bind(self.vhost.exchange("amq.topic"), queue, QUEUE, binding_key)
        return queue

    def leave(self, group: str, binding_key: bytes, member: Hashable) -> bool:
        """Take `member` out; False where it is not there. The last one takes the queue with it."""
        share = self.groups.get((group, binding_key))
        if share is None or member not in share.members:
            return False
        share.members.discard(member)
        if not share.members:
            del self.groups[share.key]
            self.vhost.remove_queue(share.queue)
        return True

    def drop_unclaimed(self) -> int:
        """All members that a restart brings back have joined: groups that none of them claims go. How many."""
        claimed = {share.queue for share in self.groups.values()}
        unclaimed = [
            queue for name, queue in self.vhost.queues.items() if name.startswith(SHARE_PREFIX) and queue not in claimed
        ]
        for queue in unclaimed:
            self.vhost.remove_queue(queue)
        return len(unclaimed)
