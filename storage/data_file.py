"""Looks at a data file before LMDB maps it: a truncated file would be a bus error, and an empty one a fresh start.

Owns what must be known of LMDB 0.9's page format to tell whether every page that is in use lies inside the file. Reads
only the trees' inner and leaf pages, never a message.

    page  │ number u64 │ pad u16 │ flags u16 │ lower u16 │ upper u16 │ node offsets u16… │ … nodes │
    meta  │ page header │ magic u32 │ version u32 │ address, map size u64 │ free db │ main db │ last page, txn u64 │
    db    │ pad u32 │ flags u16 │ depth u16 │ branch, leaf, overflow pages u64 ×3 │ entries u64 │ root u64 │  (48 bytes)
    node  │ low u16 │ high u16 │ flags u16 │ key size u16 │ key │ value, or the number of its first page │
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

from storage.errors import StoreCorruptError

MAGIC = 0xBEEFC0DE
FORMAT_VERSION = 1
NO_PAGE = 2**64 - 1

_PAGE = struct.Struct("<QHHHH")
_META = struct.Struct("<II16x")
_DB = struct.Struct("<IHHQQQQQ")
_NODE = struct.Struct("<HHHH")
_BRANCH, _LEAF = 1, 2
_BIG_VALUE, _SUB_DATABASE = 1, 2


def check_data_file(path: Path) -> None:
    """StoreCorruptError, in words for the operator, unless `path` is a whole data file. A missing file is fine."""
    try:
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        size = os.fstat(file).st_size
        if size == 0:
            raise StoreCorruptError(f"{path} is empty: restore it from a backup, or remove it to start with nothing")
        page_size, roots, last_page = _newest_meta(file, path)
        wanted = (last_page + 1) * page_size
        if size >= wanted:
            return
        # Pages at the end may never have been written, if they were freed in the transaction that took them. So a
        # short file is damaged only if something needs what is missing.
        _check_trees(file, path, page_size, roots, size // page_size)
        os.ftruncate(file, wanted)
    finally:
        os.close(file)


def _newest_meta(file: int, path: Path) -> tuple[int, list[int], int]:
    """The (page size, roots of the two databases, last page) of the last committed transaction."""
    found: list[tuple[int, int, list[int], int]] = []
    page_size = 0
    for index in range(2):
        meta = os.pread(file, 152, index * page_size)
        if len(meta) < 152:
            raise StoreCorruptError(f"{path} is cut short within its first pages")
        magic, version = _META.unpack_from(meta, _PAGE.size)
        if magic != MAGIC or version != FORMAT_VERSION:
            raise StoreCorruptError(f"{path} is not a data file of this broker (or its first pages are damaged)")
        free, main = _DB.unpack_from(meta, 40), _DB.unpack_from(meta, 88)
        last_page, transaction = struct.unpack_from("<QQ", meta, 136)
        page_size = page_size or free[0]
        if page_size < 512 or page_size & (page_size - 1):
            raise StoreCorruptError(f"{path} says its pages have {page_size} bytes, which cannot be")
        found.append((transaction, page_size, [free[7], main[7]], last_page))
    _, page_size, roots, last_page = max(found)
    return page_size, roots, last_page


def _check_trees(file: int, path: Path, page_size: int, roots: list[int], pages: int) -> None:
    """Walks the trees and proves that all they refer to is below page `pages`."""
    waiting = [root for root in roots if root != NO_PAGE]
    seen: set[int] = set()
    while waiting:
        number = waiting.pop()
        if number >= pages:
            raise StoreCorruptError(
                f"{path} was cut short: it has {pages} pages of {page_size} bytes, but page {number} is in use"
            )
        page = os.pread(file, page_size, number * page_size)
        said, _, flags, lower, _ = _PAGE.unpack_from(page)
        if said != number or number in seen or not _PAGE.size <= lower <= page_size:
            raise StoreCorruptError(f"{path} is damaged: page {number} is not what it should be")
        seen.add(number)
        for offset in struct.unpack_from(f"<{(lower - _PAGE.size) // 2}H", page, _PAGE.size):
            waiting.extend(_pages_of_node(page, offset, flags, page_size, pages, path))


def _pages_of_node(page: bytes, offset: int, page_flags: int, page_size: int, pages: int, path: Path) -> list[int]:
    """The tree pages below one node; a value outside the leaf is proven to be inside the file."""
    if offset + _NODE.size > page_size:
        raise StoreCorruptError(f"{path} is damaged: a node lies outside its page")
    low, high, flags, key_size = _NODE.unpack_from(page, offset)
    if page_flags & _BRANCH:
        return [low | high << 16 | flags << 32]
    at = offset + _NODE.size + key_size
    if flags & _SUB_DATABASE and at + _DB.size <= page_size:
        root: int = _DB.unpack_from(page, at)[7]
        return [] if root == NO_PAGE else [root]
    if flags & _BIG_VALUE and at + 8 <= page_size:
        (first,) = struct.unpack_from("<Q", page, at)
        count = (_PAGE.size + (low | high << 16) + page_size - 1) // page_size
        if first + count > pages:
            raise StoreCorruptError(
                f"{path} was cut short: it has {pages} pages of {page_size} bytes, but pages {first} to "
                f"{first + count - 1} are in use"
            )
    return []
