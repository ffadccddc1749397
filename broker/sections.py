"""What the sections of the settings are made of, and what several of them have."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated

from msgspec import Meta, Struct

Port = Annotated[int, Meta(ge=0, le=65535)]
"""A TCP port; 0: any that is free (the start-up summary tells which)."""
Milliseconds = Annotated[int, Meta(ge=1)]


class Section(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What every part of the settings has in common."""


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
                re.compile(getattr(self, verb))
            except re.error as error:
                yield f"{key}.{verb}", f"expected a regular expression: {error}"
