"""Finds LMDB's functions in the `lmdb` package's extension module, once, at import.

The package bundles the 0.9 engine under the prefix `mdb09_` (its 3.x), or is linked to a system library (`mdb_`).
A function that is not there is an ImportError that names it.
"""

from lmdb import cpython as lmdb_package

cdef extern from "<sys/mman.h>" nogil:
    enum:
        MADV_WILLNEED
    int madvise(void* start, size_t size, int advice)

cdef extern from "dlfcn.h" nogil:
    enum:
        RTLD_NOW
    void* dlopen(const char* path, int mode)
    void* dlsym(void* handle, const char* name)
    char* dlerror()

cdef enum:
    FETCH_BYTES_MIN = 16384             # less is a page or two: not worth a system call

PREFIXES = ("mdb09_", "mdb_")


cdef void* resolve(void* library, str prefix, str name) except NULL:
    cdef bytes symbol = (prefix + name).encode()
    cdef void* found = dlsym(library, symbol)
    if found == NULL:
        raise ImportError(f"{lmdb_package.__file__} has no {prefix + name}: the store needs the lmdb package 3.x from "
                          "PyPI, whose extension module exports LMDB's C functions")
    return found


cdef int load() except -1:
    cdef bytes path = lmdb_package.__file__.encode()
    cdef bytes probe
    cdef void* library = dlopen(path, RTLD_NOW)
    if library == NULL:
        raise ImportError(f"cannot open {lmdb_package.__file__}: {dlerror().decode()}")
    prefix = PREFIXES[0]
    for prefix in PREFIXES:
        probe = (prefix + "env_create").encode()
        if dlsym(library, probe) != NULL:
            break
    lmdb.version = <char* (*)(int*, int*, int*) noexcept nogil>resolve(library, prefix, "version")
    lmdb.strerror = <char* (*)(int) noexcept nogil>resolve(library, prefix, "strerror")
    lmdb.env_create = <int (*)(MDB_env**) noexcept nogil>resolve(library, prefix, "env_create")
    lmdb.env_open = <int (*)(MDB_env*, const char*, unsigned int, unsigned int) noexcept nogil>resolve(
        library, prefix, "env_open")
    lmdb.env_close = <void (*)(MDB_env*) noexcept nogil>resolve(library, prefix, "env_close")
    lmdb.env_copy2 = <int (*)(MDB_env*, const char*, unsigned int) noexcept nogil>resolve(
        library, prefix, "env_copy2")
    lmdb.env_info = <int (*)(MDB_env*, MDB_envinfo*) noexcept nogil>resolve(library, prefix, "env_info")
    lmdb.env_stat = <int (*)(MDB_env*, MDB_stat*) noexcept nogil>resolve(library, prefix, "env_stat")
    lmdb.env_get_fd = <int (*)(MDB_env*, int*) noexcept nogil>resolve(library, prefix, "env_get_fd")
    lmdb.env_set_mapsize = <int (*)(MDB_env*, size_t) noexcept nogil>resolve(library, prefix, "env_set_mapsize")
    lmdb.env_set_maxdbs = <int (*)(MDB_env*, MDB_dbi) noexcept nogil>resolve(library, prefix, "env_set_maxdbs")
    lmdb.reader_check = <int (*)(MDB_env*, int*) noexcept nogil>resolve(library, prefix, "reader_check")
    load_transactions(library, prefix)
    return 0


cdef int load_transactions(void* library, str prefix) except -1:
    cdef int major = 0, minor = 0, patch = 0
    lmdb.txn_begin = <int (*)(MDB_env*, MDB_txn*, unsigned int, MDB_txn**) noexcept nogil>resolve(
        library, prefix, "txn_begin")
    lmdb.txn_commit = <int (*)(MDB_txn*) noexcept nogil>resolve(library, prefix, "txn_commit")
    lmdb.txn_abort = <void (*)(MDB_txn*) noexcept nogil>resolve(library, prefix, "txn_abort")
    lmdb.txn_reset = <void (*)(MDB_txn*) noexcept nogil>resolve(library, prefix, "txn_reset")
    lmdb.txn_renew = <int (*)(MDB_txn*) noexcept nogil>resolve(library, prefix, "txn_renew")
    lmdb.dbi_open = <int (*)(MDB_txn*, const char*, unsigned int, MDB_dbi*) noexcept nogil>resolve(
        library, prefix, "dbi_open")
    lmdb.stat = <int (*)(MDB_txn*, MDB_dbi, MDB_stat*) noexcept nogil>resolve(library, prefix, "stat")
    lmdb.get = <int (*)(MDB_txn*, MDB_dbi, MDB_val*, MDB_val*) noexcept nogil>resolve(library, prefix, "get")
    lmdb.put = <int (*)(MDB_txn*, MDB_dbi, MDB_val*, MDB_val*, unsigned int) noexcept nogil>resolve(
        library, prefix, "put")
    lmdb.delete_ = <int (*)(MDB_txn*, MDB_dbi, MDB_val*, MDB_val*) noexcept nogil>resolve(library, prefix, "del")
    lmdb.cursor_open = <int (*)(MDB_txn*, MDB_dbi, MDB_cursor**) noexcept nogil>resolve(
        library, prefix, "cursor_open")
    lmdb.cursor_close = <void (*)(MDB_cursor*) noexcept nogil>resolve(library, prefix, "cursor_close")
    lmdb.cursor_get = <int (*)(MDB_cursor*, MDB_val*, MDB_val*, int) noexcept nogil>resolve(
        library, prefix, "cursor_get")
    lmdb.version(&major, &minor, &patch)
    if (major, minor) != (0, 9):
        # the declarations above, and the file format that `data_file` reads, are those of 0.9
        raise ImportError(f"{lmdb_package.__file__} carries LMDB {major}.{minor}.{patch}; the store needs 0.9")
    return 0


cdef void fetch_ahead(const void* value, size_t size) noexcept nogil:
    cdef size_t start = <size_t>value & ~<size_t>4095
    if size > FETCH_BYTES_MIN:
        madvise(<void*>start, <size_t>value + size - start, MADV_WILLNEED)


cdef str lmdb_error(int result):
    return lmdb.strerror(result).decode("utf-8", "replace")


def library_version():
    """"0.9.x": of the LMDB library that is in use."""
    cdef int major = 0, minor = 0, patch = 0
    lmdb.version(&major, &minor, &patch)
    return f"{major}.{minor}.{patch}"


load()
