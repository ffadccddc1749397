// mqtt_wire: MQTT 3.1.1 and 5 as bytes, for a client. Knows no socket and no state.
#pragma once

#include "amqp_wire.h"

enum { MQTT_PACKET_IDS = 32768, MQTT_CONNACK = 2, MQTT_PUBLISH = 3, MQTT_PUBACK = 4, MQTT_SUBACK = 9 };

static inline void write_packet_id(uint8_t *place, uint64_t number)
{
    uint64_t packet_id = number ? number : MQTT_PACKET_IDS;

    place[0] = (uint8_t)(packet_id >> 8);
    place[1] = (uint8_t)packet_id;
}

// A packet's remaining length. Gives the bytes of the fixed header, or 0 where it is not yet whole.
size_t read_fixed_header(const uint8_t *bytes, size_t length, uint32_t *remaining);
void encode_connect(struct wire *wire, int version, const char *client_id);
void encode_subscribe(struct wire *wire, int version, const char *filter, int qos);
// All but the payload. Gives where the packet id stands in the wire, or 0 (QoS 0).
size_t encode_publish(struct wire *wire, int version, int qos, const char *topic, size_t payload_bytes);
