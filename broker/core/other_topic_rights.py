"""Topic rights of a user whom others know, and who say what that user may by topic.

Owns asking them beside the broker's own rules: both must agree. Refuses to know who is asked. They are asked about what
is published and what is subscribed to, not about each delivery.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from broker.core.topic_rights import ANSWERS_MAX, TopicPermission, TopicRights, TopicRule, Who

if TYPE_CHECKING:
    from broker.core.access import User


class OtherTopicRights(TopicRights):
    """Of one such user at one topic exchange. Whatever asks about a key may raise Undecided."""

    __slots__ = ("user",)

    def __init__(
        self,
        user: User,
        who: Who,
        permission: TopicPermission | None,
        rules: Iterable[TopicRule],
        *,
        default_allow: bool,
    ) -> None:
        super().__init__(who, permission, rules, default_allow=default_allow)
        self.user = user

    @property
    def is_open(self) -> bool:
        """Somebody is always asked."""
        return False

    def may_write(self, key: bytes) -> bool:
        """See TopicRights."""
        return super().may_write(key) and self.others_allow("write", key)

    def may_subscribe(self, key: bytes) -> bool:
        """See TopicRights."""
        return super().may_subscribe(key) and self.others_allow("read", key)

    def may_bind(self, key: bytes) -> bool:
        """See TopicRights."""
        return super().may_bind(key) and self.others_allow("read", key)

    def others_allow(self, verb: str, key: bytes) -> bool:
        """What they say. Raises Undecided."""
        question = (f"others {verb}", key)
        known = self.answers.get(question)
        if known is not None:
            return known
        who = self.who
        text = key.decode("utf-8", "surrogateescape")
        said = self.user.may_topic(who.vhost, verb, who.exchange, text, who.client_id)
        if not self.user.asks_others:  # whose answers hold for a while only
            if len(self.answers) >= ANSWERS_MAX:
                self.answers.clear()
            self.answers[question] = said
        return said
