"""Numbers in network byte order, at any address: what every codec of a wire protocol needs of C."""

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
    """
    uint16_t load16 "octets_load16"(const void* at) noexcept nogil
    uint32_t load32 "octets_load32"(const void* at) noexcept nogil
    uint64_t load64 "octets_load64"(const void* at) noexcept nogil
    void store16 "octets_store16"(void* at, uint16_t value) noexcept nogil
    void store32 "octets_store32"(void* at, uint32_t value) noexcept nogil
    void store64 "octets_store64"(void* at, uint64_t value) noexcept nogil
