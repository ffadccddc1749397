"""What only the store on disk must do: the directory, the data file, the map, a full and a broken disk, copies."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from storage import migrate
from storage.data_file import check_data_file
from storage.errors import (
    StoreCorruptError,
    StoreError,
    StoreFailedError,
    StoreLockedError,
    StoreVersionError,
)
from storage.layout import META_SCHEMA, Database
from storage.lmdb_store import LmdbStore
from storage.memory_store import MemoryStore
from storage.view import StoredMessage, StoreView
from tests.support.polling import eventually
from tests.support.skipping import skip_unless_ci
from tests.unit.storage.conftest import entries, wait_on

QUEUE = 7


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def store(data: Path) -> Iterator[LmdbStore]:
    opened = LmdbStore(data, disk_free_min_bytes=0)
    opened.restore(set())
    yield opened
    opened.abandon()


@pytest.fixture
def tmpfs(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 MiB."""
    where = tmp_path / "tmpfs"
    where.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(where)], capture_output=True, text=True, check=False
    )
    if mounted.returncode != 0:
        skip_unless_ci(f"cannot mount a tmpfs: {mounted.stderr.strip()}")
    yield where
    subprocess.run(["umount", "-l", str(where)], check=True)


def filled(directory: Path, count: int = 100, size: int = 10_000) -> None:
    """A data directory with `count` messages, closed."""
    store = LmdbStore(directory, disk_free_min_bytes=0)
    store.restore(set())
    view = StoreView(store)
    for index in range(count):
        view.append(StoredMessage(b"%08d" % index * (size // 8)), QUEUE, index)
        if index % 20 == 19:
            store.sync()
    store.close()


def make_unwritable(path: Path) -> None:
    """Every write to `path` by this process fails from here on."""
    for fd in os.listdir("/proc/self/fd"):
        if os.path.islink(f"/proc/self/fd/{fd}") and os.readlink(f"/proc/self/fd/{fd}") == str(path):
            read_only = os.open(path, os.O_RDONLY)
            os.dup2(read_only, int(fd))
            os.close(read_only)


def collected(store: LmdbStore) -> LmdbStore:
    """The store, after one look at what the writer did."""
    store.collect()
    return store


def positions(directory: Path) -> list[int]:
    """The positions that a restart finds."""
    store = LmdbStore(directory, disk_free_min_bytes=0)
    view = StoreView(store)
    found = [line[1] for _, segment, *_ in store.restore({QUEUE}) for line in view.load(segment, QUEUE)]
    store.abandon()
    return found


# ── the directory ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_second_broker_is_refused_and_told_who_has_the_directory(store: LmdbStore, data: Path) -> None:
    with pytest.raises(StoreLockedError, match=rf"{data}.*process {os.getpid()}"):
        LmdbStore(data)
    store.close()
    LmdbStore(data).close()


def test_a_second_process_is_refused(store: LmdbStore, data: Path) -> None:
    script = f"from storage.lmdb_store import LmdbStore; LmdbStore({str(data)!r})"
    child = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)
    assert child.returncode == 1
    assert f"StoreLockedError: the data directory {data} is in use by another broker (process" in child.stderr


def test_a_directory_that_cannot_be_made_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=str(tmp_path / "file" / "data")):
        LmdbStore(tmp_path / "file" / "data")


def test_the_node_keeps_its_id(data: Path) -> None:
    first = LmdbStore(data)
    first.close()
    second = LmdbStore(data)
    assert len(first.node_id) == 32
    assert second.node_id == first.node_id
    second.close()


def test_a_closed_store_says_so(store: LmdbStore) -> None:
    store.close()
    store.close()
    assert not store.seal()
    store.collect()
    for use in (store.sync, lambda: store.get(Database.META, b"k"), lambda: store.backup("/nowhere/at/all")):
        with pytest.raises((StoreFailedError, OSError)):
            use()


def test_no_descriptor_is_left_behind(data: Path) -> None:
    LmdbStore(data).close()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        LmdbStore(data).close()
        LmdbStore(data).abandon()
    assert len(os.listdir("/proc/self/fd")) == before


# ── versions ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_a_newer_version_wrote_is_refused_and_left_alone(data: Path) -> None:
    store = LmdbStore(data)
    store.put(Database.META, META_SCHEMA, b"4")
    store.close()
    with pytest.raises(StoreVersionError, match=r"schema version 4; this broker knows 3: .* newer"):
        LmdbStore(data)


def test_migrations_run_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore()
    ran: list[int] = []
    migrate.migrate(store, "here", newest=1)
    assert migrate.schema_version(store) == 1
    steps = {1: lambda store: ran.append(1), 2: lambda store: ran.append(2)}
    migrate.migrate(store, "here", migrations=steps, newest=3)
    assert ran == [1, 2]
    assert migrate.schema_version(store) == 3
    with pytest.raises(StoreVersionError, match="no migration from version 3"):
        migrate.migrate(store, "here", migrations=steps, newest=4)
    store.close()


# ── the data file ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("keep", [100, 4096, 5000, 8192, 20_000, 0.5, 0.9])
def test_a_truncated_file_is_refused_in_words(data: Path, keep: float) -> None:
    filled(data)
    file = data / "data.mdb"
    os.truncate(file, int(keep * file.stat().st_size) if keep < 1 else int(keep))
    with pytest.raises(StoreCorruptError, match=r"data\.mdb (was|is) cut short"):
        LmdbStore(data)


def test_an_emptied_file_is_not_a_fresh_start(data: Path) -> None:
    filled(data)
    os.truncate(data / "data.mdb", 0)
    with pytest.raises(StoreCorruptError, match="is empty"):
        LmdbStore(data)


def test_a_first_start_that_was_killed_at_once_can_be_repeated(data: Path) -> None:
    data.mkdir()
    (data / "data.mdb").touch()
    LmdbStore(data).close()


def test_something_else_in_place_of_the_file_is_refused(data: Path) -> None:
    data.mkdir()
    (data / "data.mdb").write_bytes(b"not a data file " * 4096)
    with pytest.raises(StoreCorruptError, match="is not a data file"):
        LmdbStore(data)


def test_a_missing_tail_that_nothing_needs_is_not_damage(data: Path) -> None:
    store = LmdbStore(data, disk_free_min_bytes=0, journal_bytes=0)
    store.restore(set())
    view = StoreView(store)
    places = [view.append(StoredMessage(b"x" * 100_000), QUEUE) for _ in range(20)]
    store.sync()
    kept = view.append(StoredMessage(b"kept" * 30_000), QUEUE, 9)  # takes pages behind them…
    store.sync()
    for place in places:
        view.settle(*place)
    for _ in range(3):
        store.put(Database.SESSIONS, b"k", b"v")
        store.sync()
    view.append(StoredMessage(b"copy" * 30_000), QUEUE, 10)  # … and this one fits in front
    view.settle(*kept)
    for _ in range(3):
        store.sync()
        store.put(Database.SESSIONS, b"k", b"v")
    store.close()
    file = data / "data.mdb"
    content = file.read_bytes()
    whole_size = size = len(content)
    while True:
        os.truncate(file, size - 4096)
        try:
            check_data_file(file)
        except StoreCorruptError:
            break
        assert file.stat().st_size == whole_size  # what nobody needs was put back, as zeros
        size -= 4096
    assert size < whole_size
    file.write_bytes(content[:size])
    assert positions(data) == [10]


def test_a_damaged_segment_is_refused_and_not_half_read(data: Path) -> None:
    filled(data, count=20)
    file = data / "data.mdb"
    content = bytearray(file.read_bytes())
    at = content.index(b"HSEG")
    content[at + 64 + 8] ^= 0xFF  # in the queue table
    file.write_bytes(content)
    store = LmdbStore(data)
    with pytest.raises(StoreCorruptError, match="segment 1 is damaged"):
        store.restore({QUEUE})
    store.abandon()


def test_a_damaged_slot_table_is_found_when_it_is_read(data: Path) -> None:
    filled(data, count=20)
    file = data / "data.mdb"
    content = bytearray(file.read_bytes())
    content[content.index(b"HSEG") + 64 + 40 + 5] ^= 0xFF
    file.write_bytes(content)
    store = LmdbStore(data)
    [(_, segment, *_)] = store.restore({QUEUE})
    with pytest.raises(StoreCorruptError, match="is damaged"):
        StoreView(store).load(segment, QUEUE)
    store.abandon()


# ── the map, a full disk, a broken disk ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("journal_bytes", [0, 1 << 20])
def test_the_map_grows_by_itself_and_nothing_is_lost(data: Path, journal_bytes: int) -> None:
    store = LmdbStore(data, map_bytes=256 * 1024, disk_free_min_bytes=0, journal_bytes=journal_bytes)
    store.restore(set())
    view = StoreView(store)
    places = []
    for index in range(40):
        places.append(view.append(StoredMessage(b"%03d" % index * 20_000), QUEUE, index))
        store.sync()
        assert view.load(places[0][0], QUEUE)[0][5].body == b"000" * 20_000
    store.checkpoint()
    statistics = store.statistics()
    assert statistics["map_growths"] >= 3
    assert statistics["status"] == "ok"
    store.close()
    assert positions(data) == list(range(40))


def test_a_full_disk_keeps_what_was_accepted_and_goes_on_when_there_is_room(tmpfs: Path) -> None:
    statuses: list[str] = []
    store = LmdbStore(
        tmpfs / "data",
        disk_free_min_bytes=0,
        journal_bytes=0,
        on_status=lambda status, text: statuses.append(f"{status}: {text}"),
    )
    store.restore(set())
    view = StoreView(store)
    kept = view.append(StoredMessage(b"kept"), QUEUE, 1)
    store.sync()
    ballast = tmpfs / "ballast"
    ballast.write_bytes(b"x" * (shutil.disk_usage(tmpfs).free - 200_000))
    view.append(StoredMessage(b"y" * 900_000), QUEUE, 2)
    told = wait_on(store)
    assert store.seal()
    eventually(lambda: collected(store).status == "full", what="status full")
    assert told == []
    assert "wait" in store.status_text
    view.settle(*kept)  # consumers go on: it gathers in the open batch
    with pytest.raises(StoreFailedError, match="nothing was committed"):
        store.sync(timeout_s=0.3)
    ballast.unlink()
    eventually(lambda: collected(store) and bool(told), what="the commit, once there is room")
    assert told[0] > 0
    store.sync()
    assert store.status == "ok"
    assert [status.split(":")[0] for status in statuses] == ["full", "ok"]
    store.close()
    assert positions(tmpfs / "data") == [2]


def test_on_a_full_disk_compaction_waits_but_settling_goes_on(tmpfs: Path) -> None:
    store = LmdbStore(tmpfs / "data", disk_free_min_bytes=0, journal_bytes=0, tidy_ms=0)
    store.restore(set())
    view = StoreView(store)
    places = [view.append(StoredMessage(b"%03d" % index * 1000), QUEUE, index) for index in range(1000)]
    for _ in range(5):  # and some free pages for small commits
        store.put(Database.SESSIONS, b"k", b"x" * 20_000)
        store.sync()
    (tmpfs / "ballast").write_bytes(b"x" * (shutil.disk_usage(tmpfs).free - 300_000))
    for place in places[200:]:
        view.settle(*place)
    store.seal()
    for _ in range(4):  # the commit that wanted to compact goes through without it
        store.put(Database.SESSIONS, b"k", b"")
        store.sync()
    figures = store.statistics()
    assert figures["commit_retries"] >= 1
    assert figures["segments_compacted"] == 0
    assert eventually(lambda: collected(store).status == "ok")  # the disk is looked at after the waiters were told
    assert set(entries(store, Database.SETTLED)) != set()
    (tmpfs / "ballast").unlink()

    def compacted() -> int:
        store.put(Database.SESSIONS, b"k", b"")
        store.sync()
        return int(store.statistics()["segments_compacted"])

    assert eventually(compacted) == 1
    assert [line[1] for line in view.load(places[0][0], QUEUE)] == list(range(200))
    store.close()
    assert positions(tmpfs / "data") == list(range(200))


def test_low_space_says_full_before_a_commit_fails(tmpfs: Path) -> None:
    statuses: list[str] = []
    store = LmdbStore(
        tmpfs / "data", disk_free_min_bytes=4_000_000, on_status=lambda status, text: statuses.append(status)
    )
    store.restore(set())
    view = StoreView(store)
    ballast = tmpfs / "ballast"
    ballast.write_bytes(b"x" * (shutil.disk_usage(tmpfs).free - 2_000_000))
    place = view.append(StoredMessage(b"x" * 1000), QUEUE)
    told = wait_on(store)
    store.sync()
    assert told
    assert told[0] > 0  # what was accepted is committed all the same
    eventually(lambda: collected(store).status == "full")
    assert "less than 4000000 bytes free" in store.status_text
    view.settle(*place)
    store.sync()
    assert entries(store, Database.SEGMENTS) == {}
    ballast.unlink()
    eventually(lambda: collected(store).status == "ok", what="ok again without a commit")
    assert statuses == ["full", "ok"]
    store.close()


@pytest.mark.parametrize(("journal_bytes", "name"), [(0, "data.mdb"), (1 << 20, "journal")])
def test_a_failed_commit_ends_acceptance_for_good(data: Path, journal_bytes: int, name: str) -> None:
    statuses: list[str] = []
    store = LmdbStore(
        data,
        disk_free_min_bytes=0,
        journal_bytes=journal_bytes,
        on_status=lambda status, text: statuses.append(status),
    )
    store.restore(set())
    view = StoreView(store)
    view.append(StoredMessage(b"safe"), QUEUE, 1)
    store.sync()
    make_unwritable(data / name)
    message = StoredMessage(b"unsafe" * 1000)
    view.append(message, QUEUE, 2)
    in_flight = wait_on(store)
    assert store.seal()
    view.append(message, QUEUE, 3)
    waiting = wait_on(store)
    eventually(lambda: collected(store).status == "failed", what="status failed")
    assert statuses == ["failed"]
    assert "nothing more is accepted" in store.status_text
    assert len(in_flight) == len(waiting) == 1
    assert in_flight[0] < 0
    assert waiting[0] < 0
    assert message.references == 1
    view.append(message, QUEUE, 4)
    late = wait_on(store)
    assert not store.seal()
    assert late[0] < 0
    assert message.references == 1
    with pytest.raises(StoreFailedError, match="nothing more is accepted"):
        store.close()
    assert positions(data) == [1]


# ── copies and reports ────────────────────────────────────────────────────────────────────────────────────────────


def test_a_backup_while_running_is_a_usable_data_directory(store: LmdbStore, data: Path, tmp_path: Path) -> None:
    view = StoreView(store)
    for index in range(200):
        view.append(StoredMessage(b"x" * 10_000), QUEUE, index)
    store.sync()
    errors: list[BaseException] = []

    def copy() -> None:
        try:
            store.backup(tmp_path / "copy")
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=copy)
    thread.start()
    for index in range(200, 220):
        view.append(StoredMessage(b"x" * 10_000), QUEUE, index)
        store.sync()
    thread.join()
    assert errors == []
    with pytest.raises(StoreError, match="does not overwrite"):
        store.backup(tmp_path / "copy")
    found = positions(tmp_path / "copy")
    assert found == list(range(len(found)))
    assert 200 <= len(found) <= 220


def test_the_statistics_count(store: LmdbStore) -> None:
    view = StoreView(store)
    for index in range(10):
        place = view.append(StoredMessage(b"x" * 1000), QUEUE)
        if index < 3:
            view.settle(*place)
    before = store.statistics()
    store.sync()
    after = store.statistics()
    assert after["commits"] == before["commits"] + 1
    assert (after["slots_appended"], after["slots_elided"], after["slots_written"]) == (10, 3, 7)
    assert sum(count for _, count in after["commit_latency"]) == after["commits"]
    assert after["file_bytes"] >= after["live_bytes"] > 7000
    assert 0 <= after["free_bytes"] <= after["file_bytes"]
    assert after["disk_free_bytes"] > 0
    assert after["commit_seconds"] > 0
