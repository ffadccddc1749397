"""Copies and comparisons of a few bytes, inline: names and keys are short, and two overlapping words beat a call."""

from libc.stddef cimport size_t

cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>
    static inline void octets_copy(char *to, const char *from, size_t size) {
        uint64_t first, last;
        if (size > 16) { memcpy(to, from, size); return; }
        if (size >= 8) {
            memcpy(&first, from, 8); memcpy(&last, from + size - 8, 8);
            memcpy(to, &first, 8); memcpy(to + size - 8, &last, 8);
        } else if (size >= 4) {
            uint32_t head, tail;
            memcpy(&head, from, 4); memcpy(&tail, from + size - 4, 4);
            memcpy(to, &head, 4); memcpy(to + size - 4, &tail, 4);
        } else if (size) {
            to[0] = from[0]; to[size >> 1] = from[size >> 1]; to[size - 1] = from[size - 1];
        }
    }
    static inline int octets_same(const char *one, const char *other, size_t size) {
        uint64_t x, y;
        if (size >= 8) {
            const char *one_last = one + size - 8, *other_last = other + size - 8;
            for (; one < one_last; one += 8, other += 8) {
                memcpy(&x, one, 8); memcpy(&y, other, 8);
                if (x != y) return 0;
            }
            memcpy(&x, one_last, 8); memcpy(&y, other_last, 8);
            return x == y;
        }
        for (size_t i = 0; i < size; i++) if (one[i] != other[i]) return 0;
        return 1;
    }
    """
    void copy_bytes "octets_copy"(char* to, const char* source, size_t size) noexcept nogil
    bint same_bytes "octets_same"(const char* one, const char* other, size_t size) noexcept nogil
