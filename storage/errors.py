"""What the store can fail with. Each message is a sentence for the operator and names the path it is about."""

from __future__ import annotations


class StoreError(Exception):
    """Something about the store on disk went wrong; the text says what and where."""


class StoreLockedError(StoreError):
    """Another process has the data directory open."""


class StoreCorruptError(StoreError):
    """What is on disk is not what was written there: a truncated or damaged file."""


class StoreVersionError(StoreError):
    """The data directory was written by a newer version, or there is no migration from its version."""


class StoreFailedError(StoreError):
    """A commit failed for good (I/O error): nothing more is accepted; or it did not end in the time given."""
