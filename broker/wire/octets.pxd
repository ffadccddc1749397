"""Numbers in network byte order, and copies and comparisons of a few bytes without a call.

What every codec of a wire protocol needs of C. Names and keys are short: two overlapping words beat `memcpy`.
"""

from libc.stddef cimport size_t
from libc.stdint cimport uint16_t, uint32_t, uint64_t

cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>
    static inline uint16_t octets_load16(const void *p) { uint16_t v; memcpy(&v, p, 2); return __builtin_bswap16(v); }
    static inline uint32_t octets_load32(const void *p) { uint32_t v; memcpy(&v, p, 4); return __builtin_bswap32(v); }
    static inline uint64_t octets_load64(const void *p) { uint64_t v; memcpy(&v, p, 8); return __builtin_bswap64(v); }
    static inline void octets_store16(void *p, uint16_t v) { v = __builtin_bswap16(v); memcpy(p, &v, 2); }
    static inline void octets_store32(void *p, uint32_t v) { v = __builtin_bswap32(v); memcpy(p, &v, 4); }
    static inline void octets_store64(void *p, uint64_t v) { v = __builtin_bswap64(v); memcpy(p, &v, 8); }
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
    static inline int octets_same(const char *a, const char *b, size_t size) {
        uint64_t x, y;
        if (size > 16 || size < 8) {
            if (size > 16) return memcmp(a, b, size) == 0;
            for (size_t i = 0; i < size; i++) if (a[i] != b[i]) return 0;
            return 1;
        }
        memcpy(&x, a, 8); memcpy(&y, b, 8);
        if (x != y) return 0;
        memcpy(&x, a + size - 8, 8); memcpy(&y, b + size - 8, 8);
        return x == y;
    }
    """
    uint16_t load16 "octets_load16"(const void* at) noexcept nogil
    uint32_t load32 "octets_load32"(const void* at) noexcept nogil
    uint64_t load64 "octets_load64"(const void* at) noexcept nogil
    void store16 "octets_store16"(void* at, uint16_t value) noexcept nogil
    void store32 "octets_store32"(void* at, uint32_t value) noexcept nogil
    void store64 "octets_store64"(void* at, uint64_t value) noexcept nogil
    void copy_bytes "octets_copy"(char* to, const char* source, size_t size) noexcept nogil
    bint same_bytes "octets_same"(const char* one, const char* other, size_t size) noexcept nogil
