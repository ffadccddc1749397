"""Compaction: the parts of a segment become one value with the slots that still live. Functions of bytes, no GIL.

Slot numbers, positions and the segment's number stay as they were, so whoever remembers a place still finds it. The
records' order stays; a record whose slots are all settled is left out.
"""

from libc.stdint cimport uint8_t, uint32_t

# The live slots of all parts in one new value (malloc: the caller frees it). 0, ENOMEM, or -1: not a part value.
cdef int segment_compact(const char** values, const size_t* sizes, int count, const uint8_t* settled,
                         uint32_t settled_size, char** compacted, size_t* compacted_size) noexcept nogil
