#include "mqtt_wire.h"

#include "fail.h"

size_t read_fixed_header(const uint8_t *bytes, size_t length, uint32_t *remaining)
{
    *remaining = 0;
    for (size_t i = 1; i < length; i++) {
        if (i > 4)
            fail("a remaining length of more than four bytes");
        *remaining |= (uint32_t)(bytes[i] & 0x7f) << 7 * (i - 1);
        if (bytes[i] < 0x80)
            return i + 1;
    }
    return 0;
}

static void fixed_header(struct wire *wire, unsigned first, size_t remaining)
{
    wire_octet(wire, first);
    for (; remaining > 0x7f; remaining >>= 7)
        wire_octet(wire, (unsigned)(remaining & 0x7f) | 0x80);
    wire_octet(wire, (unsigned)remaining);
}

static void string(struct wire *wire, const char *text)
{
    wire_short(wire, (unsigned)strlen(text));
    wire_bytes(wire, text, strlen(text));
}

void encode_connect(struct wire *wire, int version, const char *client_id)
{
    // MQTT 5: receive maximum 65535 is the default, no property is needed.
    fixed_header(wire, 0x10, 10 + (version == 5) + 2 + strlen(client_id));
    string(wire, "MQTT");
    wire_octet(wire, (unsigned)version);
    wire_octet(wire, 2); // clean
    wire_short(wire, 0); // no keep-alive
    if (version == 5)
        wire_octet(wire, 0);
    string(wire, client_id);
}

void encode_subscribe(struct wire *wire, int version, const char *filter, int qos)
{
    fixed_header(wire, 0x82, 2 + (size_t)(version == 5) + 2 + strlen(filter) + 1);
    wire_short(wire, 1);
    if (version == 5)
        wire_octet(wire, 0);
    string(wire, filter);
    wire_octet(wire, (unsigned)qos);
}

size_t encode_publish(struct wire *wire, int version, int qos, const char *topic, size_t payload_bytes)
{
    size_t packet_id = 0;

    fixed_header(wire, 0x30 | (unsigned)qos << 1,
                 2 + strlen(topic) + (qos ? 2 : 0) + (size_t)(version == 5) + payload_bytes);
    string(wire, topic);
    if (qos) {
        packet_id = wire->length;
        wire_short(wire, 0);
    }
    if (version == 5)
        wire_octet(wire, 0);
    return packet_id;
}
