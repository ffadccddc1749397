"""Whether bytes are a string that MQTT allows (MQTT 5 §1.5.4): UTF-8 without surrogates and without U+0000."""

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t

cdef extern from *:
    """
    #include <stddef.h>
    #include <stdint.h>
    #include <string.h>
    static inline int utf8_is_valid(const unsigned char* at, size_t size) {
        const unsigned char* end = at + size;
        while (at < end) {
            unsigned char lead = *at;
            uint64_t eight;
            if (end - at >= 8) {  /* eight octets of ASCII at once: no high bit, no zero octet */
                memcpy(&eight, at, 8);
                if (!((eight | (eight - 0x0101010101010101ull)) & 0x8080808080808080ull)) { at += 8; continue; }
            }
            if (lead == 0) return 0;                                        /* [MQTT-1.5.4-2] */
            if (lead < 0x80) { at += 1; continue; }
            if (lead < 0xC2 || lead > 0xF4) return 0;                       /* overlong, or beyond U+10FFFF */
            if (lead < 0xE0) {
                if (end - at < 2 || (at[1] & 0xC0) != 0x80) return 0;
                at += 2;
            } else if (lead < 0xF0) {
                if (end - at < 3 || (at[1] & 0xC0) != 0x80 || (at[2] & 0xC0) != 0x80) return 0;
                if (lead == 0xE0 && at[1] < 0xA0) return 0;
                if (lead == 0xED && at[1] > 0x9F) return 0;                 /* [MQTT-1.5.4-1] surrogates */
                at += 3;
            } else {
                if (end - at < 4 || (at[1] & 0xC0) != 0x80 || (at[2] & 0xC0) != 0x80) return 0;
                if ((at[3] & 0xC0) != 0x80) return 0;
                if (lead == 0xF0 && at[1] < 0x90) return 0;
                if (lead == 0xF4 && at[1] > 0x8F) return 0;
                at += 4;
            }
        }
        return 1;
    }
    """
    bint utf8_is_valid(const uint8_t* at, size_t size) noexcept nogil
