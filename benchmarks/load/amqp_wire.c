#include "amqp_wire.h"

#include "fail.h"

void wire_shortstr(struct wire *wire, const char *text)
{
    size_t length = strlen(text);

    if (length > 255)
        fail("a shortstr of %zu bytes", length);
    wire_octet(wire, (unsigned)length);
    wire_bytes(wire, text, length);
}

void wire_longstr(struct wire *wire, const void *bytes, size_t length)
{
    wire_long(wire, (uint32_t)length);
    wire_bytes(wire, bytes, length);
}

size_t wire_frame_begin(struct wire *wire, unsigned type, unsigned channel)
{
    size_t start = wire->length;

    wire_octet(wire, type);
    wire_short(wire, channel);
    wire_long(wire, 0);
    return start;
}

size_t wire_method_begin(struct wire *wire, unsigned channel, uint32_t method)
{
    size_t start = wire_frame_begin(wire, FRAME_METHOD, channel);

    wire_long(wire, method);
    return start;
}

void wire_frame_end(struct wire *wire, size_t start)
{
    uint32_t size = __builtin_bswap32((uint32_t)(wire->length - start - FRAME_HEAD_BYTES));

    memcpy(wire->bytes + start + 3, &size, sizeof size);
    wire_octet(wire, FRAME_END);
}

static void write_capability(struct wire *table, const char *name)
{
    wire_shortstr(table, name);
    wire_octet(table, 't');
    wire_octet(table, 1);
}

void encode_start_ok(struct wire *wire, const char *user, const char *password)
{
    struct wire capabilities = {0}, properties = {0}, response = {0};
    size_t start = wire_method_begin(wire, 0, CONNECTION_START_OK);

    write_capability(&capabilities, "publisher_confirms");
    write_capability(&capabilities, "basic.nack");
    write_capability(&capabilities, "consumer_cancel_notify");
    write_capability(&capabilities, "connection.blocked");
    wire_shortstr(&properties, "product");
    wire_octet(&properties, 'S');
    wire_longstr(&properties, "hubbub-load", 11);
    wire_shortstr(&properties, "capabilities");
    wire_octet(&properties, 'F');
    wire_longstr(&properties, capabilities.bytes, capabilities.length);

    wire_octet(&response, 0); // SASL PLAIN: no authorisation identity
    wire_bytes(&response, user, strlen(user));
    wire_octet(&response, 0);
    wire_bytes(&response, password, strlen(password));

    wire_longstr(wire, properties.bytes, properties.length);
    wire_shortstr(wire, "PLAIN");
    wire_longstr(wire, response.bytes, response.length);
    wire_shortstr(wire, "en_US");
    wire_frame_end(wire, start);
    wire_free(&capabilities);
    wire_free(&properties);
    wire_free(&response);
}

// Takes what the broker proposes, except for heartbeats: none, so that an idle connection is idle.
void encode_tune_ok(struct wire *wire, const uint8_t *tune_arguments, uint32_t *frame_max)
{
    uint32_t proposed = read_long(tune_arguments + 2);
    size_t start = wire_method_begin(wire, 0, CONNECTION_TUNE_OK);

    *frame_max = proposed == 0 || proposed > FRAME_MAX_WANTED ? FRAME_MAX_WANTED : proposed;
    wire_short(wire, read_short(tune_arguments));
    wire_long(wire, *frame_max);
    wire_short(wire, 0);
    wire_frame_end(wire, start);
}

void encode_connection_open(struct wire *wire, const char *vhost)
{
    size_t start = wire_method_begin(wire, 0, CONNECTION_OPEN);

    wire_shortstr(wire, vhost);
    wire_shortstr(wire, "");
    wire_octet(wire, 0);
    wire_frame_end(wire, start);
}

void encode_channel_open(struct wire *wire)
{
    size_t start = wire_method_begin(wire, 1, CHANNEL_OPEN);

    wire_shortstr(wire, "");
    wire_frame_end(wire, start);
}

void encode_connection_close(struct wire *wire)
{
    size_t start = wire_method_begin(wire, 0, CONNECTION_CLOSE);

    wire_short(wire, 200);
    wire_shortstr(wire, "done");
    wire_long(wire, 0);
    wire_frame_end(wire, start);
}
