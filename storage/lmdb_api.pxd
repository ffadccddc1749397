"""LMDB's C interface, reached through the copy that the `lmdb` package carries.

Owns the declarations and the one table of function pointers `lmdb`. Refuses to know what is stored. Why not the
package's Python interface, and what that risks: `docs/decisions/0010-lmdb-through-the-package-s-own-library.md`.

Invariant: nothing else in this process opens the same environment, through whichever library.
"""

from libc.stddef cimport size_t

ctypedef void MDB_env              # opaque, as the next two
ctypedef void MDB_txn
ctypedef void MDB_cursor
ctypedef unsigned int MDB_dbi

ctypedef struct MDB_val:
    size_t mv_size
    void* mv_data

ctypedef struct MDB_stat:
    unsigned int ms_psize
    unsigned int ms_depth
    size_t ms_branch_pages
    size_t ms_leaf_pages
    size_t ms_overflow_pages
    size_t ms_entries

ctypedef struct MDB_envinfo:
    void* me_mapaddr
    size_t me_mapsize
    size_t me_last_pgno
    size_t me_last_txnid
    unsigned int me_maxreaders
    unsigned int me_numreaders

cdef enum:
    MDB_RDONLY = 0x20000
    MDB_NOTLS = 0x200000
    MDB_NORDAHEAD = 0x800000
    MDB_CREATE = 0x40000
    MDB_RESERVE = 0x10000
    MDB_APPEND = 0x20000
    MDB_CP_COMPACT = 0x01
    # cursor operations
    MDB_FIRST = 0
    MDB_NEXT = 8
    MDB_LAST = 6
    MDB_SET_RANGE = 17
    # results; a positive one is an errno
    MDB_KEYEXIST = -30799
    MDB_NOTFOUND = -30798
    MDB_PAGE_NOTFOUND = -30797
    MDB_CORRUPTED = -30796
    MDB_PANIC = -30795
    MDB_VERSION_MISMATCH = -30794
    MDB_INVALID = -30793
    MDB_MAP_FULL = -30792
    MDB_MAP_RESIZED = -30785

ctypedef struct lmdb_t:
    char* (*version)(int* major, int* minor, int* patch) noexcept nogil
    char* (*strerror)(int result) noexcept nogil
    int (*env_create)(MDB_env** env) noexcept nogil
    int (*env_open)(MDB_env* env, const char* path, unsigned int flags, unsigned int mode) noexcept nogil
    void (*env_close)(MDB_env* env) noexcept nogil
    int (*env_copy2)(MDB_env* env, const char* path, unsigned int flags) noexcept nogil
    int (*env_info)(MDB_env* env, MDB_envinfo* info) noexcept nogil
    int (*env_stat)(MDB_env* env, MDB_stat* stat) noexcept nogil
    int (*env_get_fd)(MDB_env* env, int* fd) noexcept nogil
    int (*env_set_mapsize)(MDB_env* env, size_t size) noexcept nogil
    int (*env_set_maxdbs)(MDB_env* env, MDB_dbi dbs) noexcept nogil
    int (*reader_check)(MDB_env* env, int* dead) noexcept nogil
    int (*txn_begin)(MDB_env* env, MDB_txn* parent, unsigned int flags, MDB_txn** txn) noexcept nogil
    int (*txn_commit)(MDB_txn* txn) noexcept nogil
    void (*txn_abort)(MDB_txn* txn) noexcept nogil
    void (*txn_reset)(MDB_txn* txn) noexcept nogil
    int (*txn_renew)(MDB_txn* txn) noexcept nogil
    int (*dbi_open)(MDB_txn* txn, const char* name, unsigned int flags, MDB_dbi* dbi) noexcept nogil
    int (*stat)(MDB_txn* txn, MDB_dbi dbi, MDB_stat* stat) noexcept nogil
    int (*get)(MDB_txn* txn, MDB_dbi dbi, MDB_val* key, MDB_val* value) noexcept nogil
    int (*put)(MDB_txn* txn, MDB_dbi dbi, MDB_val* key, MDB_val* value, unsigned int flags) noexcept nogil
    int (*delete_)(MDB_txn* txn, MDB_dbi dbi, MDB_val* key, MDB_val* value) noexcept nogil
    int (*cursor_open)(MDB_txn* txn, MDB_dbi dbi, MDB_cursor** cursor) noexcept nogil
    void (*cursor_close)(MDB_cursor* cursor) noexcept nogil
    int (*cursor_get)(MDB_cursor* cursor, MDB_val* key, MDB_val* value, int operation) noexcept nogil

cdef lmdb_t lmdb                    # filled at import
# The map is opened for random access (start-up looks at one page per segment); whoever reads a whole value says so.
cdef void fetch_ahead(const void* value, size_t size) noexcept nogil
cdef str lmdb_error(int result)     # for people
