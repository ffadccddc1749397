"""A data directory: who has it open, and what lies in it.

Owns the lock file, and that LMDB's own has its blocks. Knows nothing of what the data file means.

Invariant: the lock is the kernel's (flock): it goes with the process, however that ends. The text in it is for people.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import mmap
import os
from pathlib import Path

from storage.errors import StoreError, StoreLockedError

LOCK_NAME = "hubbub.lock"
FILE_NAME = "data.mdb"
READERS_NAME = "lock.mdb"
READERS_BYTES = 8192
"""LMDB's own size of it, for 126 readers."""


class DirectoryLock:
    """Holds a data directory for this process, creating it where it is missing.

    Raises StoreLockedError naming the directory and, if known, the process that has it; StoreError if the directory
    cannot be used at all.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = os.open(directory / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(f"cannot use the data directory {directory}: {error.strerror}") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(self._file, 32, 0).decode("ascii", "replace").strip()
            os.close(self._file)
            who = f" (process {holder})" if holder else ""
            raise StoreLockedError(f"the data directory {directory} is in use by another broker{who}") from error
        with contextlib.suppress(OSError):  # a full disk: the number is for people, the lock holds without it
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let others have the directory. May be called again."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def remove_empty_remains(directory: Path) -> None:
    """Removes what a very first start leaves behind that was killed, or had no room: a data file never committed to.

    Only a directory that says it was never in use (`mark_used`) is touched, and only a file that lacks one of the two
    pages without which there is no transaction.
    """
    file = directory / FILE_NAME
    if not (directory / "created").exists() and file.exists() and file.stat().st_size < 2 * mmap.PAGESIZE:
        file.unlink()


def reserve_reader_table(directory: Path) -> None:
    """Gives LMDB's table of readers its blocks: it is mapped, and a page that a full disk cannot give is a bus error.

    Raises StoreError.
    """
    try:
        file = os.open(directory / READERS_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(file, 0, READERS_BYTES)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
                raise
        finally:
            os.close(file)
    except OSError as error:
        raise StoreError(f"cannot use the data directory {directory}: {error.strerror}") from error


def mark_used(directory: Path) -> None:
    """Notes that a first transaction is on disk: from now on an empty data file is damage."""
    (directory / "created").touch(mode=0o600)
