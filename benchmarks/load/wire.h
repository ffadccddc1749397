// wire: bytes in network order, read and written. Knows no protocol.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint16_t read_short(const uint8_t *bytes) { return (uint16_t)(bytes[0] << 8 | bytes[1]); }

static inline uint32_t read_long(const uint8_t *bytes)
{
    uint32_t value;

    memcpy(&value, bytes, sizeof value);
    return __builtin_bswap32(value);
}

static inline uint64_t read_longlong(const uint8_t *bytes)
{
    uint64_t value;

    memcpy(&value, bytes, sizeof value);
    return __builtin_bswap64(value);
}

// Bytes that grow as they are written.
struct wire {
    uint8_t *bytes;
    size_t length, capacity;
};

void wire_octet(struct wire *wire, unsigned value);
void wire_short(struct wire *wire, unsigned value);
void wire_long(struct wire *wire, uint32_t value);
void wire_longlong(struct wire *wire, uint64_t value);
void wire_bytes(struct wire *wire, const void *bytes, size_t length);
void wire_free(struct wire *wire);
