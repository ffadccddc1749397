"""`LmdbStore`: opening, reading, waiting, copying and closing. See `lmdb_store.pxd`."""

import os
import select
import time
import uuid
from pathlib import Path

from libc.errno cimport ENOMEM
from libc.stdint cimport uint64_t
from libc.string cimport memset
from posix.unistd cimport close, usleep

from storage.batch cimport batch_t
from storage.lmdb_api cimport (
    MDB_CP_COMPACT,
    MDB_CREATE,
    MDB_FIRST,
    MDB_LAST,
    MDB_NEXT,
    MDB_NORDAHEAD,
    MDB_NOTFOUND,
    MDB_NOTLS,
    MDB_RDONLY,
    MDB_SET_RANGE,
    MDB_dbi,
    MDB_envinfo,
    MDB_stat,
    MDB_val,
    fetch_ahead,
    lmdb,
    lmdb_error,
)
from storage.segment cimport DATABASE_SEGMENTS
from storage.writer cimport (
    DATABASES,
    LATENCY_BUCKETS,
    STATUS_FAILED,
    STATUS_OK,
    latency_bound_us,
    lock_reading,
    unlock_reading,
    writer_give,
    writer_start,
    writer_stop,
    writer_take,
)

from storage.data_file import check_data_file
from storage.directory import FILE_NAME, DirectoryLock, mark_used, remove_empty_remains
from storage.errors import StoreCorruptError, StoreError, StoreFailedError
from storage.layout import META_NODE_ID, META_SEGMENT_CEILING, Database
from storage.migrate import migrate

MAP_BYTES = 1 << 36
"""64 GiB of address space to begin with: it costs nothing, and growing it is rare."""
MAP_BYTES_TRIED = (MAP_BYTES, 1 << 34, 1 << 32, 1 << 30)
DISK_FREE_MIN_BYTES = 50_000_000


cdef class LmdbStore(SegmentStore):
    """A store in `directory`, which is created where it is missing.

    `durability`: "fsync" (default: nobody is told before the disk has it) or "interval" (a commit at most every
    `interval_ms`; a crash may lose that much of what was accepted). Below `disk_free_min_bytes` of free space the
    status is "full". Raises StoreLockedError, StoreCorruptError, StoreVersionError, StoreError; ImportError without a
    usable lmdb.
    """

    def __cinit__(self, *_, **__):
        memset(&self.writer, 0, sizeof(self.writer))
        self.closed = True

    def __init__(self, directory, *, durability="fsync", map_bytes=None, disk_free_min_bytes=DISK_FREE_MIN_BYTES,
                 **settings):
        if durability not in ("fsync", "interval"):
            raise ValueError(f"durability is 'fsync' or 'interval', not {durability!r}")
        super().__init__(durability=durability, **settings)
        self.directory = Path(directory)
        self.directory_name = os.fsencode(self.directory)
        self.lock = DirectoryLock(self.directory)
        self.writer.disk_free_min_bytes = disk_free_min_bytes
        self.writer.directory = self.directory_name
        try:
            remove_empty_remains(self.directory)
            check_data_file(self.directory / FILE_NAME)
            self.open_environment(map_bytes)
            self.open_databases()
            self.number_segments()
            self.start_writer()
            migrate(self, str(self.directory))
            self.node_id = (self.get(Database.META, META_NODE_ID) or b"").decode()
            if not self.node_id:
                self.node_id = uuid.uuid4().hex
                self.put(Database.META, META_NODE_ID, self.node_id.encode())
                self.sync()
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
        if result != 0:
            raise StoreError(f"cannot open the store in {self.directory}: {lmdb_error(result)}")
        lmdb.txn_reset(self.reader)
        lmdb.env_info(self.env, &info)
        self.writer.env = self.env
        self.writer.map_bytes = info.me_mapsize
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
            self.interval_due_ms = 0
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

    # ── reading ───────────────────────────────────────────────────────────────────────────────────────────────────

    cdef int begin_reading(self) except -1:
        cdef int result
        if self.env == NULL:
            raise StoreFailedError(f"the store in {self.directory} is closed")
        lock_reading(&self.writer)
        if self.writer.map_lost:
            unlock_reading(&self.writer)
            raise StoreFailedError(f"the map of {self.directory} could not be moved")
        result = lmdb.txn_renew(self.reader)
        if result != 0:
            unlock_reading(&self.writer)
            raise StoreError(f"cannot read from {self.directory}: {lmdb_error(result)}")
        return 0

    cdef void end_reading(self) noexcept:
        if self.cursor != NULL:
            lmdb.cursor_close(self.cursor)
            self.cursor = NULL
        lmdb.txn_reset(self.reader)
        unlock_reading(&self.writer)

    cdef int read_value(self, int database, const char* key, size_t key_size, const char** value,
                        size_t* value_size) except -1:
        cdef MDB_val name, found
        cdef int result
        name.mv_data = <void*>key
        name.mv_size = key_size
        result = lmdb.get(self.reader, self.writer.databases[database], &name, &found)
        if result == MDB_NOTFOUND:
            return 0
        if result != 0:
            raise StoreCorruptError(f"cannot read from {self.directory}: {lmdb_error(result)}")
        value[0] = <const char*>found.mv_data
        value_size[0] = found.mv_size
        return 1

    cdef int next_value(self, int database, const char* start, size_t start_size, const char** key, size_t* key_size,
                        const char** value, size_t* value_size) except -1:
        cdef MDB_val name, found
        cdef int operation = MDB_NEXT, result = 0
        if start != NULL:
            name.mv_data = <void*>start
            name.mv_size = start_size
            operation = MDB_SET_RANGE if start_size else MDB_FIRST
            result = lmdb.cursor_open(self.reader, self.writer.databases[database], &self.cursor)
        if result == 0:
            result = lmdb.cursor_get(self.cursor, &name, &found, operation)
        if result == MDB_NOTFOUND:
            return 0
        if result != 0:
            raise StoreCorruptError(f"cannot read from {self.directory}: {lmdb_error(result)}")
        key[0] = <const char*>name.mv_data
        key_size[0] = name.mv_size
        value[0] = <const char*>found.mv_data
        value_size[0] = found.mv_size
        return 1

    cdef void will_read(self, const char* value, size_t size) noexcept:
        fetch_ahead(value, size)

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
            "commit_latency": [(latency_bound_us(index) / 1e6, self.writer.commit_latency[index])
                               for index in range(LATENCY_BUCKETS - 1)]
            + [(float("inf"), self.writer.commit_latency[LATENCY_BUCKETS - 1])],
            "map_bytes": self.writer.map_bytes,
            "map_growths": self.writer.map_growths,
            "file_bytes": (info.me_last_pgno + 1) * page_size,
            "free_bytes": (info.me_last_pgno + 1 - min(used_pages, info.me_last_pgno + 1)) * page_size,
            "disk_free_bytes": self.writer.disk_free_bytes,
        }

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

    def close(self, timeout_s=10.0):
        if self.closed:
            return
        try:
            self.sync(timeout_s)
        finally:
            self.abandon()

    def abandon(self):
        shut(self)
        if self.lock is not None:
            self.lock.release()


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
    if store.env != NULL:
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
