"""Looks at the overlay. See `overlay_view.pxd`."""

from storage.overlay cimport compare_keys, generation_find, generation_seek, node_key
from storage.threads cimport pthread_mutex_lock, pthread_mutex_unlock


cdef void view_open(view_t* view, writer_t* writer) noexcept nogil:
    pthread_mutex_lock(&writer.overlay)
    view.active = writer.active
    view.frozen = writer.frozen
    pthread_mutex_unlock(&writer.overlay)


cdef int view_find(view_t* view, writer_t* writer, int database, const char* key, size_t key_size,
                   MDB_val* value) noexcept nogil:
    cdef node_t* node
    pthread_mutex_lock(&writer.overlay)
    node = generation_find(view.active, database, key, key_size)
    if node == NULL and view.frozen != NULL:
        node = generation_find(view.frozen, database, key, key_size)
    if node != NULL:
        value.mv_data = <void*>node.value
        value.mv_size = node.value_size
    pthread_mutex_unlock(&writer.overlay)
    if node == NULL:
        return -1
    return value.mv_data != NULL


cdef void view_seek(view_t* view, writer_t* writer, int database, const char* key, size_t key_size) noexcept nogil:
    view.database = database
    pthread_mutex_lock(&writer.overlay)
    view.active_next = generation_seek(view.active, database, key, key_size)
    view.frozen_next = generation_seek(view.frozen, database, key, key_size) if view.frozen != NULL else NULL
    pthread_mutex_unlock(&writer.overlay)


cdef int order_of_next(view_t* view) noexcept nogil:
    """Below 0: the active's comes first; 0: both have the key; above 0: the frozen's. 2: there is none."""
    cdef bint active = view.active_next != NULL and view.active_next.database == view.database
    cdef bint frozen = view.frozen_next != NULL and view.frozen_next.database == view.database
    cdef int order
    if active and frozen:
        order = compare_keys(node_key(view.active_next), view.active_next.key_size,
                             node_key(view.frozen_next), view.frozen_next.key_size)
        return -1 if order < 0 else (1 if order > 0 else 0)
    if active:
        return -1
    return 1 if frozen else 2


cdef int view_peek(view_t* view, writer_t* writer, MDB_val* key, MDB_val* value) noexcept nogil:
    cdef node_t* node
    cdef int order
    pthread_mutex_lock(&writer.overlay)
    order = order_of_next(view)
    if order < 2:
        node = view.active_next if order <= 0 else view.frozen_next
        key.mv_data = <void*>node_key(node)
        key.mv_size = node.key_size
        value.mv_data = <void*>node.value
        value.mv_size = node.value_size
    pthread_mutex_unlock(&writer.overlay)
    return order < 2


cdef void view_step(view_t* view, writer_t* writer) noexcept nogil:
    cdef int order
    pthread_mutex_lock(&writer.overlay)
    order = order_of_next(view)
    if order <= 0:
        view.active_next = view.active_next.next[0]
    if order == 0 or order == 1:
        view.frozen_next = view.frozen_next.next[0]
    pthread_mutex_unlock(&writer.overlay)
