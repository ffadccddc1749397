"""`LmdbStore`: opening, reading, waiting, copying and closing. See `lmdb_store.pxd`."""

import os
import select
import time
import uuid
from pathlib import Path

from libc.errno cimport EDQUOT, EIO, ENOMEM, ENOSPC
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memset
from posix.unistd cimport close, usleep

from storage.batch cimport batch_t
from storage.journal cimport journal_close, journal_map
from storage.lmdb_api cimport (
    MDB_CP_COMPACT,
    MDB_CREATE,
    MDB_LAST,
    MDB_NORDAHEAD,
    MDB_NOTLS,
    MDB_RDONLY,
    MDB_cursor,
    MDB_dbi,
    MDB_envinfo,
    MDB_stat,
    MDB_txn,
    MDB_val,
    lmdb,
    lmdb_error,
)
from storage.overlay cimport generation_free, generation_new
from storage.recovery cimport JOURNAL_DAMAGED, recover
from storage.room cimport lock_reading, unlock_reading
from storage.segment cimport DATABASE_SEGMENTS
from storage.transaction cimport generation_bytes
from storage.writer cimport (
    CHECKPOINT_MS,
    DATABASES,
    LATENCY_BUCKETS,
    STATUS_FAILED,
    STATUS_OK,
    latency_bound_us,
    writer_checkpoint,
    writer_give,
    writer_start,
    writer_stop,
    writer_t,
    writer_take,
)

from storage.data_file import check_data_file
from storage.directory import FILE_NAME, DirectoryLock, mark_used, remove_empty_remains, reserve_reader_table
from storage.errors import StoreCorruptError, StoreError, StoreFailedError
from storage.journal_file import (
    JOURNAL_BYTES,
    JOURNAL_NAME,
    fitting_bytes,
    make_journal,
    open_journal,
    remove_journal,
    written_bytes,
)
from storage.layout import META_JOURNAL, META_NODE_ID, META_SEGMENT_CEILING, SCHEMA_VERSION, Database
from storage.migrate import migrate, refuse_newer, schema_version

MAP_BYTES = 1 << 36
"""64 GiB of address space to begin with: it costs nothing, and growing it is rare."""
MAP_BYTES_TRIED = (MAP_BYTES, 1 << 34, 1 << 32, 1 << 30)
DISK_FREE_MIN_BYTES = 50_000_000


cdef enum:
    CLOSING_MS = 10000


cdef class LmdbStore(LmdbReader):
    """A store in `directory`, which is created where it is missing.

    `durability`: "fsync" (default: nobody is told before the disk has it) or "interval" (a commit at most every
    `interval_ms`; a crash may lose that much of what was accepted). Below `disk_free_min_bytes` of free space the
    status is "full". `journal_bytes`: how long the journal is, twice what may wait to be taken over into LMDB; 0: none,
    every batch is an LMDB transaction. `checkpoint_ms`: how long it may wait.

    Raises StoreLockedError, StoreCorruptError, StoreVersionError, StoreError; ImportError without a usable lmdb.
    """

    def __cinit__(self, *_, **__):
        memset(&self.writer, 0, sizeof(self.writer))
        self.writer.journal.fd = -1
        self.closed = True

    def __init__(self, directory, *, durability="fsync", map_bytes=None, disk_free_min_bytes=DISK_FREE_MIN_BYTES,
                 uint64_t journal_bytes=JOURNAL_BYTES, int64_t checkpoint_ms=CHECKPOINT_MS, **settings):
        if durability not in ("fsync", "interval"):
            raise ValueError(f"durability is 'fsync' or 'interval', not {durability!r}")
        super().__init__(durability=durability, **settings)
        self.directory = Path(directory)
        self.directory_name = os.fsencode(self.directory)
        self.lock = DirectoryLock(self.directory)
        self.writer.disk_free_min_bytes = disk_free_min_bytes
        self.writer.directory = self.directory_name
        self.writer.checkpoint_us = checkpoint_ms * 1000
        try:
            remove_empty_remains(self.directory)
            check_data_file(self.directory / FILE_NAME)
            reserve_reader_table(self.directory)
            self.open_environment(map_bytes)
            self.open_databases()
            refuse_newer(self, str(self.directory))
            self.take_over_journal(journal_bytes)
            self.number_segments()
            self.start_writer()
            known = schema_version(self)
            migrate(self, str(self.directory))
            self.node_id = (self.get(Database.META, META_NODE_ID) or b"").decode()
            if not self.node_id:
                self.node_id = uuid.uuid4().hex
                self.put(Database.META, META_NODE_ID, self.node_id.encode())
                self.sync()
            if known != SCHEMA_VERSION:
                self.checkpoint()       # in LMDB itself: a version that knows no journal must not overlook this one
            mark_used(self.directory)
        except BaseException:
            self.abandon()
            raise

    def __dealloc__(self):
        shut(self)

    # ── opening ───────────────────────────────────────────────────────────────────────────────────────────────────

    cdef int open_environment(self, object map_bytes) except -1:
        cdef int result = ENOMEM
        cdef size_t size
        for size in (MAP_BYTES_TRIED if map_bytes is None else (map_bytes,)):
            result = lmdb.env_create(&self.env)
            if result != 0:
                break
            lmdb.env_set_maxdbs(self.env, DATABASES)
            lmdb.env_set_mapsize(self.env, size)
            result = lmdb.env_open(self.env, self.directory_name, MDB_NOTLS | MDB_NORDAHEAD, 0o600)
            if result == 0:
                break
            lmdb.env_close(self.env)
            self.env = NULL
            if result != ENOMEM:
                break
        if result > 0:
            raise StoreError(f"cannot open the store in {self.directory}: {lmdb_error(result)}")
        if result != 0:
            raise StoreCorruptError(f"{self.directory / FILE_NAME}: {lmdb_error(result)}")
        return 0

    cdef int open_databases(self) except -1:
        cdef MDB_txn* txn
        cdef MDB_dbi dbi
        cdef MDB_envinfo info
        cdef int dead
        cdef int result
        lmdb.reader_check(self.env, &dead)      # slots of processes that were killed would keep freed space
        result = lmdb.txn_begin(self.env, NULL, 0, &txn)
        if result == 0:
            for database in Database:
                name = database.name.lower().encode()
                result = lmdb.dbi_open(txn, name, MDB_CREATE, &dbi)
                if result != 0:
                    break
                self.writer.databases[<int>database] = dbi
            if result == 0:
                result = lmdb.txn_commit(txn)
            else:
                lmdb.txn_abort(txn)
        if result == 0:
            result = lmdb.txn_begin(self.env, NULL, MDB_RDONLY, &self.reader)
        if result == 0:
            lmdb.txn_reset(self.reader)
            result = lmdb.txn_begin(self.env, NULL, MDB_RDONLY, &self.writer.reader)
        if result == 0:
            lmdb.txn_reset(self.writer.reader)
            self.writer.active = generation_new(0)
            if self.writer.active == NULL:
                result = ENOMEM
        if result != 0:
            raise StoreError(f"cannot open the store in {self.directory}: {lmdb_error(result)}")
        lmdb.env_info(self.env, &info)
        self.writer.env = self.env
        self.writer.map_bytes = info.me_mapsize
        return 0

    cdef int take_over_journal(self, uint64_t journal_bytes) except -1:
        """What an earlier life journaled goes into LMDB; then there is an empty journal of the size that is wanted."""
        mark = self.get(Database.META, META_JOURNAL)
        found = open_journal(self.directory)
        if found is not None:
            self.writer.journal.fd, self.writer.journal.half_bytes = found
            if journal_map(&self.writer.journal) != 0:
                raise StoreError(f"cannot map the journal {self.directory / JOURNAL_NAME}")
        self.replay_journal(mark)
        self.use_journal(journal_bytes)
        return 0

    cdef int replay_journal(self, bytes mark) except -1:
        cdef uint64_t half_bytes = self.writer.journal.half_bytes, new_epoch
        cdef int result
        new_epoch = int.from_bytes(os.urandom(8), "big") | 1
        if mark is None:
            self.writer.journal.half_bytes = 0          # LMDB never had a journal: what lies there is not its
        else:
            self.writer.journal.epoch = int.from_bytes(mark[:8], "big")
            self.writer.journal.sequence = int.from_bytes(mark[8:], "big")
        result = recover(&self.writer, new_epoch, &self.replayed)
        self.writer.journal.half_bytes = half_bytes
        path = self.directory / JOURNAL_NAME
        if result == JOURNAL_DAMAGED:
            raise StoreCorruptError(f"{path} is damaged: a record that was accepted cannot be read, but later ones can")
        if result < 0:
            raise StoreCorruptError(f"{path} cannot be taken over: {lmdb_error(result)}")
        if result == ENOSPC or result == EDQUOT:
            wanted_bytes = generation_bytes(self.writer.active)
            raise StoreError(f"{path} cannot be taken over into {FILE_NAME}: {lmdb_error(result)}. Nothing is lost: "
                             f"free about {wanted_bytes // 1024 + 1024} KiB on that disk, and start again")
        if result > 0:
            raise StoreError(f"{path} cannot be taken over: {lmdb_error(result)}")
        return 0

    cdef int use_journal(self, uint64_t journal_bytes) except -1:
        cdef uint64_t found = self.writer.journal.half_bytes
        cdef uint64_t half_bytes = fitting_bytes(self.directory, journal_bytes)
        cdef int half
        if found and half_bytes <= found <= journal_bytes // 2:
            half_bytes = found                          # as wanted, or all that the disk had room for
        if half_bytes != found:
            journal_close(&self.writer.journal)
            remove_journal(self.directory)
            if half_bytes:
                self.writer.journal.fd = make_journal(self.directory, half_bytes)
                self.writer.journal.half_bytes = half_bytes
                if journal_map(&self.writer.journal) != 0:
                    raise StoreError(f"cannot map the journal {self.directory / JOURNAL_NAME}")
        for half in range(2):
            if half_bytes:
                self.writer.journal.prepared[half] = written_bytes(self.writer.journal.fd, half_bytes, half)
        return 0

    cdef int number_segments(self) except -1:
        """Where segment numbers go on: behind every number that was ever reserved."""
        cdef MDB_val key, value
        cdef MDB_cursor* cursor
        cdef uint64_t last = 0
        ceiling = int.from_bytes(self.get(Database.META, META_SEGMENT_CEILING) or b"", "big")
        self.begin_reading()
        try:
            if lmdb.cursor_open(self.reader, self.writer.databases[DATABASE_SEGMENTS], &cursor) == 0:
                if lmdb.cursor_get(cursor, &key, &value, MDB_LAST) == 0 and key.mv_size >= 8:
                    last = int.from_bytes((<char*>key.mv_data)[:8], "big")
                lmdb.cursor_close(cursor)
        finally:
            self.end_reading()
        self.next_segment = max(ceiling, last + 1)
        return 0

    cdef int start_writer(self) except -1:
        cdef int result
        self.notify_fd, self.writer.notify_write_fd = os.pipe()
        self.writer.wake_read_fd, self.writer.wake_write_fd = os.pipe()
        self.has_pipes = True
        for fd in (self.notify_fd, self.writer.notify_write_fd, self.writer.wake_read_fd, self.writer.wake_write_fd):
            os.set_blocking(fd, False)
        result = writer_start(&self.writer)
        if result != 0:
            raise StoreError(f"cannot start the writer's thread: {os.strerror(result)}")
        self.closed = False
        return 0

    # ── batches ───────────────────────────────────────────────────────────────────────────────────────────────────

    cdef int hand_over(self, batch_t* batch) except -1:
        writer_give(&self.writer, batch)
        return 0

    cdef batch_t* take_committed(self) except? NULL:
        cdef int status, error
        cdef uint64_t disk_free_bytes
        cdef batch_t* batch
        if self.closed:
            return NULL
        try:
            os.read(self.notify_fd, 64)
        except BlockingIOError:
            pass
        batch = writer_take(&self.writer, &status, &error, &disk_free_bytes)
        if status != STATUS_OK:
            self.set_status("failed" if status == STATUS_FAILED else "full",
                            self.describe_failure(status, error, disk_free_bytes))
        else:
            self.set_status("ok", "")
        return batch

    cdef str describe_failure(self, int status, int error, unsigned long long disk_free_bytes):
        if error == 0:
            return (f"the disk of {self.directory} has less than {self.writer.disk_free_min_bytes} bytes free: "
                    "publishers wait")
        if status == STATUS_FAILED:
            return f"a commit to {self.directory} failed, nothing more is accepted: {lmdb_error(error)}"
        return f"a commit to {self.directory} has to wait for room: {lmdb_error(error)}"

    def sync(self, timeout_s=10.0):
        deadline = time.monotonic() + timeout_s
        if self.closed:
            raise StoreFailedError(f"the store in {self.directory} is closed")
        while True:
            self.collect()
            self.sealed_at_ms = 0
            self.seal()
            if self.failed:
                raise StoreFailedError(self.status_text)
            if self.in_flight == NULL:
                return
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise StoreFailedError(f"nothing was committed to {self.directory} within {timeout_s} s: "
                                       f"{self.status_text or 'the disk is slow'}")
            select.select([self.notify_fd], [], [], left_s)

    # ── figures ───────────────────────────────────────────────────────────────────────────────────────────────────

    def statistics(self):
        cdef MDB_envinfo info
        cdef MDB_stat found
        cdef size_t used_pages = 0, page_size = 4096
        cdef int index
        if self.env == NULL:
            return self.counters()
        self.begin_reading()
        try:
            lmdb.env_info(self.env, &info)
            for index in range(DATABASES):
                lmdb.stat(self.reader, self.writer.databases[index], &found)
                used_pages += found.ms_branch_pages + found.ms_leaf_pages + found.ms_overflow_pages
                page_size = found.ms_psize
        finally:
            self.end_reading()
        return {
            **self.counters(),
            "commits": self.writer.commits,
            "commit_retries": self.writer.retries,
            "commit_seconds": self.writer.commit_us / 1e6,
            "commit_latency": histogram(self.writer.commit_latency),
            "direct_commits": self.writer.direct_commits,
            "journal_bytes": 2 * self.writer.journal.half_bytes,
            "journal_records": self.writer.journal.records,
            "journal_syncs": self.writer.journal.syncs,
            "journal_write_seconds": self.writer.journal.write_us / 1e6,
            "journal_sync_seconds": self.writer.journal.sync_us / 1e6,
            "journal_written_bytes": self.writer.journal.written_bytes,
            "journal_waits": self.writer.waits,
            "journal_elided_bytes": self.writer.elided_bytes,
            "journal_replayed": self.replayed,
            "checkpoints": self.writer.checkpoints,
            "checkpoint_seconds": self.writer.checkpoint_us_total / 1e6,
            "checkpoint_latency": histogram(self.writer.checkpoint_latency),
            "checkpoint_bytes": self.writer.checkpoint_bytes,
            "map_bytes": self.writer.map_bytes,
            "map_growths": self.writer.map_growths,
            "file_bytes": (info.me_last_pgno + 1) * page_size,
            "free_bytes": (info.me_last_pgno + 1 - min(used_pages, info.me_last_pgno + 1)) * page_size,
            "disk_free_bytes": self.writer.disk_free_bytes,
        }

    @property
    def disk_free_min_bytes(self):
        """Below this much free space the status is "full". It may change while the store is open."""
        return self.writer.disk_free_min_bytes

    @disk_free_min_bytes.setter
    def disk_free_min_bytes(self, uint64_t wanted):
        self.writer.disk_free_min_bytes = wanted    # one aligned word, which the writer reads before each batch

    # ── copies, the end ───────────────────────────────────────────────────────────────────────────────────────────

    def backup(self, directory):
        cdef bytes name = os.fsencode(directory)
        cdef const char* target = name
        cdef int result
        target_directory = Path(directory)
        target_directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if (target_directory / FILE_NAME).exists():
            raise StoreError(f"{target_directory} holds a data file already: a backup does not overwrite one")
        if self.env == NULL:
            raise StoreFailedError(f"the store in {self.directory} is closed")
        self.checkpoint()
        with nogil:
            # without the GIL from the first lock on: its holder, the loop's thread, may be waiting for the GIL
            lock_reading(&self.writer)
            self.writer.copies += 1             # the map must not move meanwhile
            unlock_reading(&self.writer)
            result = lmdb.env_copy2(self.env, target, MDB_CP_COMPACT)
            lock_reading(&self.writer)
            self.writer.copies -= 1
            unlock_reading(&self.writer)
        if result != 0:
            (target_directory / FILE_NAME).unlink(missing_ok=True)
            raise StoreError(f"backup to {target_directory} failed: {lmdb_error(result)}")
        for path in (target_directory / FILE_NAME, target_directory):
            fd = os.open(path, os.O_RDONLY)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)

    def checkpoint(self, timeout_s=60.0):
        """Waits until all that was committed is in LMDB. Any thread; raises StoreFailedError."""
        cdef int64_t timeout_ms = int(timeout_s * 1000)
        cdef int result
        with nogil:
            result = writer_checkpoint(&self.writer, timeout_ms)
        if result != 0:
            why = self.status_text or ("the store has failed" if result == EIO else "the disk is slow")
            raise StoreFailedError(f"the journal of {self.directory} could not be taken over: {why}")

    def close(self, timeout_s=10.0):
        if self.closed:
            return
        try:
            self.sync(timeout_s)
            with nogil:
                # what cannot be taken over now is in the journal: the next start does it
                writer_checkpoint(&self.writer, CLOSING_MS)
        finally:
            self.abandon()

    def abandon(self):
        shut(self)
        if self.lock is not None:
            self.lock.release()


cdef list histogram(uint64_t* buckets):
    """[(upper bound in seconds, how many)]"""
    cdef int index
    bounds = [latency_bound_us(index) / 1e6 for index in range(LATENCY_BUCKETS - 1)] + [float("inf")]
    return [(bounds[index], buckets[index]) for index in range(LATENCY_BUCKETS)]


cdef bint copies_run(writer_t* writer) noexcept nogil:
    cdef bint copying
    lock_reading(writer)
    copying = writer.copies > 0
    unlock_reading(writer)
    return copying


cdef void shut(LmdbStore store) noexcept:
    """Stops the writer and closes LMDB, leaving the open batch where it is: in memory. May be called again.

    A function and no method: it is called from `__dealloc__`, also of an object that was never finished.
    """
    store.closed = True
    with nogil:
        while store.writer.running and copies_run(&store.writer):
            usleep(10000)                       # a backup reads the map that is about to go
        writer_stop(&store.writer)
    journal_close(&store.writer.journal)
    generation_free(store.writer.active)
    generation_free(store.writer.frozen)
    store.writer.active = NULL
    store.writer.frozen = NULL
    if store.env != NULL:
        if store.writer.reader != NULL:
            lmdb.txn_abort(store.writer.reader)
            store.writer.reader = NULL
        if store.reader != NULL:
            lmdb.txn_abort(store.reader)
            store.reader = NULL
        lmdb.env_close(store.env)
        store.env = NULL
    if store.has_pipes:
        store.has_pipes = False
        close(store.notify_fd)
        close(store.writer.notify_write_fd)
        close(store.writer.wake_read_fd)
        close(store.writer.wake_write_fd)
        store.notify_fd = -1
