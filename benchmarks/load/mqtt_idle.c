// mqtt_idle: connections with one subscription each, and connections that end as soon as they are accepted.
#include <stdio.h>
#include <unistd.h>

#include "fail.h"
#include "idle.h"
#include "modes.h"
#include "mqtt_wire.h"

static void greet(struct handshake *handshake, const struct options *options, struct wire *wire)
{
    char client_id[64];

    handshake->awaits = MQTT_CONNACK;
    snprintf(client_id, sizeof client_id, "load-%d-%llu", getpid(), (unsigned long long)handshake->number);
    encode_connect(wire, (int)options->mqtt_version, client_id, false, true);
}

static size_t measure(const uint8_t *bytes, size_t length)
{
    uint32_t remaining;
    size_t header = read_fixed_header(bytes, length, &remaining);

    return header ? header + remaining : 0;
}

static void check(const struct handshake *handshake, size_t unit)
{
    const uint8_t *packet = handshake->input;
    uint32_t remaining;
    size_t header = read_fixed_header(packet, unit, &remaining);
    unsigned type = packet[0] >> 4, reason = type == MQTT_CONNACK ? packet[header + 1] : packet[unit - 1];

    if (type != handshake->awaits)
        fail("an MQTT packet of type %u in the handshake", type);
    if (type == MQTT_CONNACK ? reason != 0 : reason >= MQTT_FAILURE)
        fail("the broker refuses: MQTT packet type %u, reason 0x%02x", type, reason);
}

static bool subscribe(struct handshake *handshake, const struct options *options, size_t unit, struct wire *wire)
{
    char filter[64];

    check(handshake, unit);
    if (handshake->awaits == MQTT_SUBACK)
        return true;
    snprintf(filter, sizeof filter, "device/%llu/command", (unsigned long long)handshake->number);
    encode_subscribe(wire, (int)options->mqtt_version, filter, (unsigned)options->qos);
    handshake->awaits = MQTT_SUBACK;
    return false;
}

static bool be_content(struct handshake *handshake, const struct options *options, size_t unit, struct wire *wire)
{
    (void)options;
    (void)wire;
    check(handshake, unit);
    return true;
}

void mode_mqtt_idle(const struct options *options)
{
    run_idle(&(struct dialect){greet, measure, subscribe, encode_disconnect}, options);
}

void mode_mqtt_storm(const struct options *options)
{
    run_storm(&(struct dialect){greet, measure, be_content, encode_disconnect}, options);
}
