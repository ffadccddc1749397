#include "wire.h"

#include <stdlib.h>

#include "fail.h"

void wire_bytes(struct wire *wire, const void *bytes, size_t length)
{
    if (wire->length + length > wire->capacity) {
        size_t capacity = wire->capacity ? wire->capacity : 256;

        while (capacity < wire->length + length)
            capacity *= 2;
        wire->bytes = grow_memory(wire->bytes, capacity);
        wire->capacity = capacity;
    }
    if (length)
        memcpy(wire->bytes + wire->length, bytes, length);
    wire->length += length;
}

void wire_octet(struct wire *wire, unsigned value)
{
    uint8_t octet = (uint8_t)value;

    wire_bytes(wire, &octet, 1);
}

void wire_short(struct wire *wire, unsigned value)
{
    wire_octet(wire, value >> 8);
    wire_octet(wire, value);
}

void wire_long(struct wire *wire, uint32_t value)
{
    wire_short(wire, value >> 16);
    wire_short(wire, value);
}

void wire_longlong(struct wire *wire, uint64_t value)
{
    wire_long(wire, (uint32_t)(value >> 32));
    wire_long(wire, (uint32_t)value);
}

void wire_free(struct wire *wire)
{
    free(wire->bytes);
    *wire = (struct wire){0};
}
