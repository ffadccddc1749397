"""The way from older data directories to this version's layout.

Owns the table of migrations and the refusal of what is newer. A migration reads with `get` and `scan`, writes with
`put` and `delete`, and leaves the version number to `migrate`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from storage.errors import StoreVersionError
from storage.layout import META_SCHEMA, SCHEMA_VERSION, Database


class MigratingStore(Protocol):
    """What a migration may do: the cold verbs of `storage.interface.Store`."""

    def get(self, database: int, key: bytes) -> bytes | None:
        """Give the committed value."""

    def put(self, database: int, key: bytes, value: bytes) -> None:
        """Set it with the open batch."""

    def delete(self, database: int, key: bytes) -> None:
        """Remove it with the open batch."""

    def scan(self, database: int, start: bytes, end: bytes | None, limit: int) -> list[tuple[bytes, bytes]]:
        """Give committed pairs in key order."""
        ...

    def sync(self, timeout_s: float = ...) -> None:
        """Commit, and wait for it."""


def _begin_a_journal(store: MigratingStore) -> None:
    """Version 2 has a journal beside the data file: nothing changes but that version 1 must not overlook it."""


def _begin_to_count_deliveries(store: MigratingStore) -> None:
    """Version 3 has the database `deliveries`: version 2 must not settle messages and leave their counts behind."""


MIGRATIONS: Mapping[int, Callable[[MigratingStore], None]] = {1: _begin_a_journal, 2: _begin_to_count_deliveries}
"""Per version, what makes the next version of it. Version 1 is the first."""


def schema_version(store: MigratingStore) -> int:
    """The version of what `store` holds; a fresh store has none yet: 0."""
    return int(store.get(Database.META, META_SCHEMA) or b"0")


def refuse_newer(store: MigratingStore, where: str, newest: int = SCHEMA_VERSION) -> None:
    """StoreVersionError naming `where` for a schema that this broker does not know."""
    version = schema_version(store)
    if version > newest:
        raise StoreVersionError(
            f"{where} has schema version {version}; this broker knows {newest}: it was written by a newer version"
        )


def migrate(
    store: MigratingStore,
    where: str,
    migrations: Mapping[int, Callable[[MigratingStore], None]] = MIGRATIONS,
    newest: int = SCHEMA_VERSION,
) -> None:
    """Bring the store up to `newest`. If that cannot be done: StoreVersionError naming `where`, and nothing changed."""
    refuse_newer(store, where, newest)
    version = schema_version(store)
    missing = [step for step in range(version, newest) if step > 0 and step not in migrations]
    if missing:
        raise StoreVersionError(f"{where} has schema version {version}: no migration from version {missing[0]}")
    for step in range(version, newest):
        if step > 0:
            migrations[step](store)
        store.put(Database.META, META_SCHEMA, str(step + 1).encode())
        store.sync()
