"""`LmdbReader`: see `lmdb_reader.pxd`."""

from storage.lmdb_api cimport (
    MDB_FIRST,
    MDB_NEXT,
    MDB_NOTFOUND,
    MDB_SET_RANGE,
    MDB_val,
    fetch_ahead,
    lmdb,
    lmdb_error,
)
from storage.overlay cimport compare_keys
from storage.overlay_view cimport view_find, view_open, view_peek, view_seek, view_step
from storage.room cimport lock_reading, unlock_reading

from storage.errors import StoreCorruptError, StoreError, StoreFailedError


cdef class LmdbReader(SegmentStore):
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
        view_open(&self.view, &self.writer)
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
        cdef int result = view_find(&self.view, &self.writer, database, key, key_size, &found)
        if result >= 0:
            value[0] = <const char*>found.mv_data
            value_size[0] = found.mv_size
            return result
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

    cdef int step(self, int operation) except -1:
        """LMDB's pair at `next_key`, or the one after the last."""
        cdef int result = lmdb.cursor_get(self.cursor, &self.next_key, &self.next_found, operation)
        if result != 0 and result != MDB_NOTFOUND:
            raise StoreCorruptError(f"cannot read from {self.directory}: {lmdb_error(result)}")
        self.at_end = result != 0
        return 0

    cdef int next_value(self, int database, const char* start, size_t start_size, const char** key, size_t* key_size,
                        const char** value, size_t* value_size) except -1:
        cdef MDB_val name, found
        cdef int order
        cdef bint journaled
        if start != NULL:
            if lmdb.cursor_open(self.reader, self.writer.databases[database], &self.cursor) != 0:
                raise StoreCorruptError(f"cannot read from {self.directory}")
            self.next_key.mv_data = <void*>start
            self.next_key.mv_size = start_size
            self.step(MDB_SET_RANGE if start_size else MDB_FIRST)
            view_seek(&self.view, &self.writer, database, start, start_size)
        while True:
            journaled = view_peek(&self.view, &self.writer, &name, &found)
            if not journaled and self.at_end:
                return 0
            order = -1 if self.at_end else 1
            if journaled and not self.at_end:
                order = compare_keys(<const char*>name.mv_data, name.mv_size,
                                     <const char*>self.next_key.mv_data, self.next_key.mv_size)
            if order <= 0:
                view_step(&self.view, &self.writer)
            else:
                name = self.next_key
                found = self.next_found
            if order >= 0:
                self.step(MDB_NEXT)                     # a key's older value, or what is given now
            if found.mv_data != NULL:
                break
        key[0] = <const char*>name.mv_data
        key_size[0] = name.mv_size
        value[0] = <const char*>found.mv_data
        value_size[0] = found.mv_size
        return 1

    cdef void will_read(self, const char* value, size_t size) noexcept:
        fetch_ahead(value, size)
