"""The journal's file: made whole or not at all, opened, looked at. What lies in it is drawn in `journal.pxd`.

header │ "HUBBUBJ1" │ bytes of each half u64 │      (the first 4 KiB; the rest of them is zero)
"""

from __future__ import annotations

import errno
import os
import struct
from pathlib import Path

from storage.errors import StoreCorruptError, StoreError, StoreVersionError

JOURNAL_NAME = "journal"
JOURNAL_BYTES = 64 << 20
"""How long it is, unless the operator says otherwise: twice what may wait to be taken over into LMDB."""
JOURNAL_BYTES_MIN = 128 << 10
"""Below this there is none: every batch is an LMDB transaction."""
SHARE_OF_FREE_SPACE = 8
"""It takes at most one byte of so many that are free when it is made."""

_HEADER = struct.Struct("<8sQ")
_HEADER_BYTES = 4096
_NAME, _VERSION = b"HUBBUBJ", b"1"


def open_journal(directory: Path) -> tuple[int, int] | None:
    """The (descriptor, bytes of each half) of the directory's journal; None where there is none.

    Raises StoreVersionError for one of a newer version, StoreCorruptError for what is cut short or something else.
    """
    path = directory / JOURNAL_NAME
    try:
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        return file, _half_bytes(file, path)
    except BaseException:
        os.close(file)
        raise


def _half_bytes(file: int, path: Path) -> int:
    header = os.pread(file, _HEADER.size, 0)
    if len(header) < _HEADER.size or not header.startswith(_NAME):
        raise StoreCorruptError(f"{path} is not a journal of this broker, or its first page is damaged")
    name, half_bytes = _HEADER.unpack(header)
    if name != _NAME + _VERSION:
        raise StoreVersionError(f"{path} was written by a newer version")
    if half_bytes % _HEADER_BYTES or os.fstat(file).st_size < _HEADER_BYTES + 2 * half_bytes:
        raise StoreCorruptError(f"{path} was cut short: accepted messages may be missing from it")
    return int(half_bytes)


def fitting_bytes(directory: Path, wanted_bytes: int) -> int:
    """How long a half may be on this disk: 0 where a journal is not wanted or would take too much of what is free."""
    found = os.statvfs(directory)
    allowed = min(wanted_bytes, found.f_bavail * found.f_frsize // SHARE_OF_FREE_SPACE)
    return allowed // 2 // _HEADER_BYTES * _HEADER_BYTES if allowed >= JOURNAL_BYTES_MIN else 0


def make_journal(directory: Path, half_bytes: int) -> int:
    """A new journal in place of any other: its descriptor. It and its name are on disk when this returns.

    Its blocks are reserved, so that a full disk does not stop it. Raises StoreError.
    """
    path, fresh = directory / JOURNAL_NAME, directory / (JOURNAL_NAME + ".new")
    size = _HEADER_BYTES + 2 * half_bytes
    try:
        file = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            try:
                os.posix_fallocate(file, 0, size)
            except OSError as error:
                if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
                    raise
                os.ftruncate(file, size)
            os.pwrite(file, _HEADER.pack(_NAME + _VERSION, half_bytes), 0)
            os.fsync(file)
            os.rename(fresh, path)
            sync_directory(directory)
        except BaseException:
            os.close(file)
            raise
    except OSError as error:
        raise StoreError(f"cannot make the journal {path}: {error.strerror}") from error
    return file


def remove_journal(directory: Path) -> None:
    """After the setting says that there is to be none. What it held must be in LMDB by now."""
    path = directory / JOURNAL_NAME
    if path.exists():
        path.unlink()
        sync_directory(directory)


def sync_directory(directory: Path) -> None:
    """A file's name is on disk only after its directory was synced."""
    file = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def written_bytes(file: int, half_bytes: int, half: int) -> int:
    """How much of the half's beginning has blocks with content: writing there again is quick. Only a hint."""
    start = _HEADER_BYTES + half * half_bytes
    try:
        return max(0, min(half_bytes, os.lseek(file, start, os.SEEK_HOLE) - start))
    except OSError:
        return 0
