"""The journal in front of LMDB: one sync per commit, what a crash leaves of it, and what it keeps from LMDB."""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.errors import StoreCorruptError, StoreFailedError, StoreVersionError
from storage.inspect import report
from storage.journal_file import JOURNAL_NAME, written_bytes
from storage.layout import SCHEMA_VERSION, Database
from storage.lmdb_store import LmdbStore
from storage.view import StoredMessage, StoreView
from tests.support.polling import eventually
from tests.support.skipping import skip_unless_ci
from tests.unit.storage.conftest import entries, wait_on
from tests.unit.storage.test_lmdb_store import QUEUE, collected, make_unwritable, positions, tmpfs

__all__ = ["tmpfs"]

HEADER = struct.Struct("<IIQQQQ")
PAGE = 4096
NEVER = 1_000_000_000


def opened(directory: Path, *, journal_bytes: int = 256 << 10, checkpoint_ms: int = NEVER) -> LmdbStore:
    """A small journal that is taken over only when it must be."""
    store = LmdbStore(directory, disk_free_min_bytes=0, journal_bytes=journal_bytes, checkpoint_ms=checkpoint_ms)
    store.restore({QUEUE})
    return store


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def store(data: Path) -> Iterator[LmdbStore]:
    made = opened(data)
    yield made
    made.abandon()


def journaled(store: LmdbStore, *numbers: int) -> None:
    """Each number in a batch of its own, on disk."""
    for number in numbers:
        StoreView(store).append(StoredMessage(b"%d" % number), QUEUE, number)
        store.sync()


def records(directory: Path) -> list[tuple[int, int, int]]:
    """The (offset, sequence, size with header) of the records of the half that was written last."""
    content = (directory / JOURNAL_NAME).read_bytes()
    (half_bytes,) = struct.unpack_from("<Q", content, 8)
    halves: list[list[tuple[int, int, int]]] = [[], []]
    for half, found in enumerate(halves):
        at = PAGE + half * half_bytes
        while at < PAGE + (half + 1) * half_bytes:
            magic, _, _, sequence, size, _ = HEADER.unpack_from(content, at)
            if magic != 0x4C4E4A48 or (found and sequence != found[-1][1] + 1):
                break
            found.append((at, sequence, size + HEADER.size))
            at += -(-(size + HEADER.size) // PAGE) * PAGE
    return max(halves, key=lambda found: found[-1][1] if found else 0)


def crashed(directory: Path, copy: Path) -> Path:
    """What the disk has now, as another directory."""
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir()
    for name in ("data.mdb", JOURNAL_NAME, "created"):
        if (directory / name).exists():
            shutil.copy(directory / name, copy / name)
    return copy


def taken_over(directory: Path) -> int:
    """How many batches of the journal would be taken over."""
    return int(report(directory)["journaled_batches"])


# ── commits ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_commit_is_one_sync(tmp_path: Path) -> None:
    """Counted by the kernel: neither LMDB's two syncs nor a second one of the journal."""
    if shutil.which("strace") is None:
        skip_unless_ci("needs strace")
    script = f"""
import os
from pathlib import Path
from storage.view import StoredMessage, StoreView
from tests.unit.storage.test_journal import opened, journaled
store = opened(Path({str(tmp_path / "data")!r}))
os.write(2, b"begin")
journaled(store, *range(20))
os.write(2, b"end")
store.abandon()
"""
    trace = tmp_path / "trace"
    syncs = "fdatasync,fsync,msync,sync_file_range,syncfs,sync,pwritev,pwrite64,write"
    subprocess.run(
        ["strace", "-f", "-o", str(trace), "-e", f"trace={syncs}", sys.executable, "-c", script],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    during = trace.read_text().split('"begin"')[1].split('"end"')[0]
    calls = Counter(re.findall(r"(\d+) +(\w+)\(", during))
    writer = max(calls, key=lambda call: calls[call] if call[1] == "pwrite64" else 0)[0]  # others may write zeros ahead
    assert {call: count for (thread, call), count in calls.items() if thread == writer and call != "write"} == {
        "pwrite64": 20,
        "fdatasync": 20,
    }


def test_a_batch_is_one_record_and_one_sync_by_its_own_count(store: LmdbStore) -> None:
    before = store.statistics()
    journaled(store, 1, 2, 3)
    after = store.statistics()
    for name in ("commits", "journal_records", "journal_syncs"):
        assert after[name] - before[name] == 3, name
    assert after["checkpoints"] == before["checkpoints"]
    assert after["journal_bytes"] == 256 << 10


def test_what_is_journaled_is_there_for_whoever_reads(store: LmdbStore) -> None:
    for number in (3, 1, 2):
        store.put(Database.SESSIONS, b"k%d" % number, b"v%d" % number)
        store.sync()
    store.checkpoint()  # LMDB has k1, k2, k3; the journal changes each in another way
    store.put(Database.SESSIONS, b"k2", b"changed")
    store.delete(Database.SESSIONS, b"k3")
    store.put(Database.SESSIONS, b"k15", b"between")
    store.put(Database.SESSIONS, b"k9", b"last")
    store.sync()
    assert store.scan(Database.SESSIONS, b"", None, 9) == [
        (b"k1", b"v1"), (b"k15", b"between"), (b"k2", b"changed"), (b"k9", b"last")
    ]  # fmt: skip
    assert store.scan(Database.SESSIONS, b"k15", b"k9", 1) == [(b"k15", b"between")]
    assert store.get(Database.SESSIONS, b"k3") is None
    assert store.get(Database.SESSIONS, b"k2") == b"changed"
    before = entries(store, Database.SESSIONS)
    store.checkpoint()
    assert entries(store, Database.SESSIONS) == before


def test_what_is_settled_before_the_checkpoint_never_reaches_lmdb(data: Path) -> None:
    store = opened(data, journal_bytes=1 << 20)
    view = StoreView(store)
    before = store.statistics()
    for _ in range(20):
        places = [view.append(StoredMessage(b"x" * 1000), QUEUE) for _ in range(10)]
        store.sync()
        for place in places:
            view.settle(*place)
    store.sync()
    store.checkpoint()
    after = store.statistics()
    assert after["checkpoints"] == before["checkpoints"] + 1
    eventually(lambda: store.statistics()["journal_elided_bytes"] > 200_000, what="the count of what was elided")
    assert after["checkpoint_bytes"] - before["checkpoint_bytes"] < 10_000
    store.abandon()


def test_the_journal_is_taken_over_a_while_after_a_batch_without_another_one(data: Path) -> None:
    store = opened(data, checkpoint_ms=20)
    journaled(store, 1)
    eventually(lambda: report(data)["slots_live"] == 1, what="the checkpoint")
    assert report(data)["journaled_batches"] == 0
    store.close()


def test_a_half_whose_records_outran_its_zeros_is_taken_over_early_and_gets_more_of_them(data: Path) -> None:
    store = opened(data, journal_bytes=8 << 20, checkpoint_ms=20_000)
    file = os.open(data / JOURNAL_NAME, os.O_RDONLY)
    try:
        for half in range(2):
            assert written_bytes(file, 4 << 20, half) < 1 << 20
            journaled(store, half)
            eventually(lambda: store.statistics()["checkpoints"] == half + 1, what="the checkpoint")  # noqa: B023
            eventually(lambda: written_bytes(file, 4 << 20, half) >= 1 << 20, what="the zeros")  # noqa: B023
    finally:
        os.close(file)
        store.close()


def test_laps_of_the_journal_lose_nothing(data: Path, tmp_path: Path) -> None:
    store = opened(data)
    for first in range(0, 400, 20):
        journaled(store, *range(first, first + 20))
        if first % 100 == 0:
            assert positions(crashed(data, tmp_path / "copy")) == list(range(first + 20))
    figures = store.statistics()
    assert figures["journal_written_bytes"] + figures["journal_records"] * 2000 > 2 * figures["journal_bytes"]
    assert figures["checkpoints"] >= 4
    store.abandon()
    assert positions(data) == list(range(400))


def test_a_batch_that_no_half_can_take_goes_to_lmdb_in_its_turn(data: Path) -> None:
    store = opened(data)
    journaled(store, 1)
    StoreView(store).append(StoredMessage(b"L" * 3_000_000), QUEUE, 2)
    store.sync()
    journaled(store, 3)
    assert store.statistics()["direct_commits"] == 1
    assert report(data)["slots"] == 2
    store.abandon()
    assert positions(data) == [1, 2, 3]


# ── after a crash ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_record_that_is_torn_anywhere_is_the_end(store: LmdbStore, data: Path, tmp_path: Path) -> None:
    """Power fails while the last record is written: at every byte of it, with zeros or with an older lap behind."""
    journaled(store, 1, 2, 3)
    copy = crashed(data, tmp_path / "copy")
    offset, _, size = records(copy)[-1]
    content = (copy / JOURNAL_NAME).read_bytes()
    record = content[offset : offset + size]
    older = content[records(copy)[-2][0] :][:size]
    whole = taken_over(copy)
    opened_at = {0, 1, 4, 39, 40, 41, size // 2, size - 9}
    for cut in range(size):
        for behind in (bytes(size - cut), older[cut:]):
            torn = record[:cut] + behind
            if torn == record:  # the cut took nothing but zeros
                continue
            with open(copy / JOURNAL_NAME, "r+b") as file:
                file.seek(offset)
                file.write(torn)
            assert taken_over(copy) == whole - 1, cut
            if cut in opened_at:
                assert positions(crashed(copy, tmp_path / "opened")) == [1, 2], cut
    assert positions(crashed(data, tmp_path / "copy")) == [1, 2, 3]


def chained(data: bytes, seed: int = 0) -> int:
    """The checksum in one chain of words: storage.segment's."""
    mask = (1 << 64) - 1
    total = seed ^ 0x9E3779B97F4A7C15
    for (word,) in struct.iter_unpack("<Q", data):
        total = ((total ^ word) * 0xFF51AFD7ED558CCD) & mask
        total ^= total >> 32
    return total


def test_records_whose_checksum_is_one_chain_are_taken_over(store: LmdbStore, data: Path, tmp_path: Path) -> None:
    """As they were written before the checksum had lanes."""
    journaled(store, 1, 2, 3)
    copy = crashed(data, tmp_path / "copy")
    content = bytearray((copy / JOURNAL_NAME).read_bytes())
    for offset, _, size in records(copy):
        magic, lanes, *rest, _ = HEADER.unpack_from(content, offset)
        assert lanes == 4
        header = HEADER.pack(magic, 0, *rest, 0)
        batch = content[offset + HEADER.size : offset + HEADER.size + -(-(size - HEADER.size) // 8) * 8]
        HEADER.pack_into(content, offset, magic, 0, *rest, chained(bytes(batch), chained(header)))
    (copy / JOURNAL_NAME).write_bytes(content)

    assert positions(copy) == [1, 2, 3]


def test_a_record_whose_checksum_is_of_a_kind_that_nobody_knows_is_not_whole(
    store: LmdbStore, data: Path, tmp_path: Path
) -> None:
    journaled(store, 1, 2)
    copy = crashed(data, tmp_path / "copy")
    whole = taken_over(copy)
    with open(copy / JOURNAL_NAME, "r+b") as file:
        file.seek(records(copy)[-1][0] + 4)
        file.write(b"\x08")

    assert taken_over(copy) == whole - 1


def test_records_of_an_earlier_life_are_not_taken_over_again(data: Path) -> None:
    for life in range(3):
        store = opened(data)
        assert store.replayed == (2 if life else 0)
        view = StoreView(store)
        for number in range(2):
            store.put(Database.SESSIONS, b"life", b"%d %d" % (life, number))
            store.sync()
        store.delete(Database.SESSIONS, b"gone") if life else store.put(Database.SESSIONS, b"gone", b"")
        store.put(Database.SESSIONS, b"never sealed", b"")
        view.store.abandon()
    store = opened(data)
    assert entries(store, Database.SESSIONS) == {b"life": b"2 1"}
    store.close()


def test_a_clean_stop_leaves_nothing_to_take_over(data: Path) -> None:
    store = opened(data)
    journaled(store, 1, 2)
    store.close()
    (data / JOURNAL_NAME).unlink()
    store = opened(data)
    assert store.replayed == 0
    store.close()
    assert positions(data) == [1, 2]


def test_a_damaged_record_in_the_middle_is_refused_not_forgotten(store: LmdbStore, data: Path) -> None:
    """What follows it proves that it was accepted."""
    journaled(store, 1, 2, 3)
    store.abandon()
    offset, _, size = records(data)[-2]
    with open(data / JOURNAL_NAME, "r+b") as file:
        file.seek(offset + size - 10)
        file.write(b"\xff")
    with pytest.raises(StoreCorruptError, match="accepted cannot be read"):
        LmdbStore(data)


def test_a_journal_that_is_cut_short_is_refused(store: LmdbStore, data: Path) -> None:
    store.abandon()
    os.truncate(data / JOURNAL_NAME, 100_000)
    with pytest.raises(StoreCorruptError, match="cut short"):
        LmdbStore(data)


def test_a_journal_of_a_newer_version_is_refused(store: LmdbStore, data: Path) -> None:
    store.abandon()
    with open(data / JOURNAL_NAME, "r+b") as file:
        file.write(b"HUBBUBJ2")
    with pytest.raises(StoreVersionError, match="newer"):
        LmdbStore(data)


@pytest.mark.parametrize("size", [0, 128 << 10, 1 << 20])
def test_its_size_can_be_changed_after_a_crash(store: LmdbStore, data: Path, size: int) -> None:
    journaled(store, 1, 2)
    store.abandon()
    store = opened(data, journal_bytes=size)
    assert (data / JOURNAL_NAME).exists() == (size > 0)
    assert store.statistics()["journal_bytes"] == size
    journaled(store, 3)
    store.abandon()
    assert positions(data) == [1, 2, 3]


def test_a_directory_of_the_version_before_opens(data: Path) -> None:
    """Version 1 had no journal and no mark."""
    store = opened(data, journal_bytes=0)
    journaled(store, 1)
    store.put(Database.META, b"schema", b"1")
    store.delete(Database.META, b"journal")
    store.close()
    store = opened(data)
    assert report(data)["schema_version"] == SCHEMA_VERSION  # in LMDB itself: version 1 must not overlook the journal
    journaled(store, 2)
    store.abandon()
    assert positions(data) == [1, 2]


def test_the_report_tells_what_only_the_journal_has(store: LmdbStore, data: Path) -> None:
    store.checkpoint()
    journaled(store, 1, 2)
    found = report(crashed(data, data.parent / "copy"))
    assert found["journaled_batches"] == 2
    assert found["journaled_bytes"] > 200


def test_a_backup_has_what_is_only_in_the_journal(store: LmdbStore, tmp_path: Path) -> None:
    journaled(store, 1, 2)
    store.backup(tmp_path / "copy")
    assert not (tmp_path / "copy" / JOURNAL_NAME).exists()
    assert positions(tmp_path / "copy") == [1, 2]


# ── full and broken disks ─────────────────────────────────────────────────────────────────────────────────────────


def test_on_a_full_disk_the_journal_goes_on_until_it_is_full_and_nothing_is_lost(tmpfs: Path) -> None:
    statuses: list[str] = []
    store = opened(tmpfs / "data", checkpoint_ms=20)
    store.on_status = lambda status, text: statuses.append(status)
    view = StoreView(store)
    journaled(store, 0)
    store.checkpoint()
    ballast = tmpfs / "ballast"
    ballast.write_bytes(b"x" * (shutil.disk_usage(tmpfs).free - 8192))
    accepted = 0
    while True:
        view.append(StoredMessage(b"y" * 60_000), QUEUE, accepted + 1)
        told = wait_on(store)
        try:
            store.sync(timeout_s=0.5)
        except StoreFailedError:
            break
        accepted += 1
        assert told
        assert accepted < 20
    assert accepted >= 2  # its blocks are its own
    assert told == []
    eventually(lambda: collected(store).status == "full", what="status full")
    ballast.unlink()
    eventually(lambda: collected(store) and bool(told), what="the commit, once there is room")
    assert told[0] > 0
    store.sync()
    eventually(lambda: collected(store).status == "ok", what="status ok")
    assert statuses == ["full", "ok"]
    store.close()
    assert positions(tmpfs / "data") == list(range(accepted + 2))


def test_a_journal_takes_no_more_than_its_share_of_a_small_disk(tmpfs: Path) -> None:
    store = opened(tmpfs / "data", journal_bytes=1 << 30)
    assert 1 << 20 < store.statistics()["journal_bytes"] <= 2 << 20
    store.close()


def test_when_lmdb_cannot_be_written_what_was_accepted_is_in_the_journal(data: Path) -> None:
    store = opened(data)
    make_unwritable(data / "data.mdb")
    journaled(store, 1, 2)
    with pytest.raises(StoreFailedError):
        store.checkpoint()
    assert collected(store).status == "failed"
    told = wait_on(store)
    assert not store.seal()
    assert told[0] < 0
    store.abandon()
    assert positions(data) == [1, 2]
