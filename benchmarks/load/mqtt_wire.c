#include "mqtt_wire.h"

#include "fail.h"

enum { SESSION_EXPIRY_INTERVAL = 0x11, SESSION_EXPIRY_BYTES = 5, EXPIRY_SECONDS = 3600 };

uint32_t read_varint(const uint8_t **at, const uint8_t *end)
{
    uint32_t value = 0;

    for (int shift = 0; shift < 28; shift += 7) {
        if (*at >= end)
            fail("an MQTT packet shorter than it says");
        value |= (uint32_t)(**at & 0x7f) << shift;
        if (*(*at)++ < 0x80)
            return value;
    }
    fail("an MQTT length of more than four bytes");
}

size_t read_fixed_header(const uint8_t *bytes, size_t length, uint32_t *remaining)
{
    size_t header = 2;

    if (length < header)
        return 0;
    *remaining = bytes[1];
    if (bytes[1] > 0x7f) {
        const uint8_t *at = bytes + 1;

        while (header < length && header < 5 && bytes[header - 1] > 0x7f)
            header++;
        if (bytes[header - 1] > 0x7f && header < 5)
            return 0;
        *remaining = read_varint(&at, bytes + header);
    }
    return length - header < *remaining ? 0 : header;
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

void encode_connect(struct wire *wire, int version, const char *client_id, bool persistent, bool fresh)
{
    size_t properties = version < 5 ? 0 : 1u + (persistent ? SESSION_EXPIRY_BYTES : 0u);
    bool clean = version < 5 ? !persistent : fresh; // 3.1.1 has one flag for both

    fixed_header(wire, MQTT_CONNECT << 4, 10 + properties + 2 + strlen(client_id));
    string(wire, "MQTT");
    wire_octet(wire, (unsigned)version);
    wire_octet(wire, clean ? 2 : 0);
    wire_short(wire, 0); // no keep-alive
    if (version >= 5) {
        wire_octet(wire, (unsigned)properties - 1);
        if (persistent) {
            wire_octet(wire, SESSION_EXPIRY_INTERVAL);
            wire_long(wire, EXPIRY_SECONDS);
        }
    }
    string(wire, client_id);
}

void encode_subscribe(struct wire *wire, int version, const char *filter, unsigned qos)
{
    fixed_header(wire, MQTT_SUBSCRIBE << 4 | 2, 2u + (version >= 5) + 2 + strlen(filter) + 1);
    wire_short(wire, 1);
    if (version >= 5)
        wire_octet(wire, 0);
    string(wire, filter);
    wire_octet(wire, qos);
}

void encode_disconnect(struct wire *wire) { fixed_header(wire, MQTT_DISCONNECT << 4, 0); }

static size_t publish_remaining(int version, unsigned qos, const char *topic, size_t payload_bytes)
{
    return 2 + strlen(topic) + (qos ? 2u : 0u) + (version >= 5) + payload_bytes;
}

size_t publish_bytes(int version, unsigned qos, const char *topic, size_t payload_bytes)
{
    size_t remaining = publish_remaining(version, qos, topic, payload_bytes), bytes = remaining + 2;

    for (; remaining > 0x7f; remaining >>= 7)
        bytes++;
    return bytes;
}

size_t encode_publish(struct wire *wire, int version, unsigned qos, const char *topic, size_t payload_bytes)
{
    size_t packet_id = 0;

    fixed_header(wire, MQTT_PUBLISH << 4 | qos << 1, publish_remaining(version, qos, topic, payload_bytes));
    string(wire, topic);
    if (qos) {
        packet_id = wire->length;
        wire_short(wire, 0);
    }
    if (version >= 5)
        wire_octet(wire, 0); // no properties
    return packet_id;
}
