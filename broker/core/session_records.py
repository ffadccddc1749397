"""What the store has of MQTT sessions: values by (vhost, client, part), for a dialect that may not know the store.

Owns the keys. Refuses to know what a session is. The names stand in the value as well: a long key is cut.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgpack

from storage import layout
from storage.layout import Database
from storage.scanning import every


class SessionRecords:
    """One per broker."""

    def __init__(self, store: Any) -> None:
        """`store`: storage.interface.Store, open."""
        self.store = store

    def put(self, vhost: str, client_id: str, part: str, value: dict[str, Any]) -> None:
        """Write one part of a session, with the open batch. Strings and bytes stay what they are."""
        record = msgpack.packb({"vhost": vhost, "client_id": client_id, "part": part, **value})
        self.store.put(Database.SESSIONS, layout.texts_key(vhost, client_id, part), record)

    def delete(self, vhost: str, client_id: str, part: str) -> None:
        """Forget one part of a session, with the open batch."""
        self.store.delete(Database.SESSIONS, layout.texts_key(vhost, client_id, part))

    def all(self) -> Iterator[dict[str, Any]]:
        """Everything that was committed, the parts of a session together."""
        for _key, value in every(self.store, Database.SESSIONS):
            yield msgpack.unpackb(value)
