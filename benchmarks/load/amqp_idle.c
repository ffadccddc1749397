// amqp_idle: connections with one open channel each.
#include "amqp_wire.h"
#include "fail.h"
#include "idle.h"
#include "modes.h"
#include "session.h"

static void greet(struct handshake *handshake, const struct options *options, struct wire *wire)
{
    (void)options;
    handshake->awaits = CONNECTION_START;
    wire_bytes(wire, PROTOCOL_HEADER, PROTOCOL_HEADER_BYTES);
}

static size_t measure(const uint8_t *bytes, size_t length)
{
    size_t frame;

    if (length < FRAME_OVERHEAD_BYTES)
        return 0;
    frame = (size_t)read_long(bytes + 3) + FRAME_OVERHEAD_BYTES;
    return length < frame ? 0 : frame;
}

static bool advance(struct handshake *handshake, const struct options *options, size_t unit, struct wire *wire)
{
    const uint8_t *payload = handshake->input + FRAME_HEAD_BYTES;
    uint32_t frame_max;

    if (read_long(payload) != handshake->awaits)
        fail_as_broker_says(payload, (uint32_t)unit - FRAME_OVERHEAD_BYTES);
    switch (handshake->awaits) {
    case CONNECTION_START:
        encode_start_ok(wire, options->credentials.user, options->credentials.password);
        handshake->awaits = CONNECTION_TUNE;
        break;
    case CONNECTION_TUNE:
        encode_tune_ok(wire, payload + 4, &frame_max);
        encode_connection_open(wire, options->credentials.vhost);
        handshake->awaits = CONNECTION_OPEN_OK;
        break;
    case CONNECTION_OPEN_OK:
        encode_channel_open(wire);
        handshake->awaits = CHANNEL_OPEN_OK;
        break;
    default: return true;
    }
    return false;
}

static void part(struct wire *wire) { encode_connection_close(wire); }

void mode_idle(const struct options *options)
{
    run_idle(&(struct dialect){greet, measure, advance, part}, options);
}
