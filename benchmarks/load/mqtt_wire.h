// mqtt_wire: MQTT 3.1.1 and 5 as bytes, for a client. Knows no socket and no state.
//
//   packet:  type:4 flags:4 remaining_length:varint variable_header payload                             MQTT §2
#pragma once

#include <stdbool.h>

#include "wire.h"

enum mqtt_type {
    MQTT_CONNECT = 1,
    MQTT_CONNACK,
    MQTT_PUBLISH,
    MQTT_PUBACK,
    MQTT_PUBREC,
    MQTT_PUBREL,
    MQTT_PUBCOMP,
    MQTT_SUBSCRIBE,
    MQTT_SUBACK,
    MQTT_DISCONNECT = 14,
};

enum { MQTT_FAILURE = 0x80, MQTT_RECEIVE_MAXIMUM_DEFAULT = 65535 };

// Gives the bytes of the fixed header and what remains of the packet, or 0 where it is not yet there as a whole.
size_t read_fixed_header(const uint8_t *bytes, size_t length, uint32_t *remaining);
// A number of one to four bytes at *at, which is moved behind it.
uint32_t read_varint(const uint8_t **at, const uint8_t *end);

// persistent: the session outlives the connection. fresh: what there was of it is dropped.
void encode_connect(struct wire *wire, int version, const char *client_id, bool persistent, bool fresh);
void encode_subscribe(struct wire *wire, int version, const char *filter, unsigned qos);
void encode_disconnect(struct wire *wire);
// All but the payload. Gives where the packet id stands in the wire, or 0 (QoS 0).
size_t encode_publish(struct wire *wire, int version, unsigned qos, const char *topic, size_t payload_bytes);
size_t publish_bytes(int version, unsigned qos, const char *topic, size_t payload_bytes); // of all of it

enum { MQTT_ACK_BYTES = 4 };
// PUBACK, PUBREC, PUBREL or PUBCOMP, for the packet id that stands there.
static inline void encode_acknowledgement(uint8_t *bytes, enum mqtt_type type, const uint8_t *packet_id)
{
    bytes[0] = (uint8_t)(type << 4 | (type == MQTT_PUBREL ? 2 : 0)); // [MQTT-3.6.1-1]
    bytes[1] = 2;
    memcpy(bytes + 2, packet_id, 2);
}
