#include "mqtt_session.h"

#include <poll.h>
#include <sys/socket.h>

#include "fail.h"
#include "mqtt_wire.h"
#include "websocket.h"

enum { RECEIVE_MAXIMUM = 0x21, LEFT_OVER_MILLISECONDS = 250 };

// ---- the cold half

static void send_and_free(struct connection *connection, struct wire *wire)
{
    if (connection->websocket) {
        struct wire frame = {0};

        websocket_frame(&frame, wire->bytes, wire->length);
        wire_free(wire);
        *wire = frame;
    }
    connection_send_all(connection, wire->bytes, wire->length);
    wire_free(wire);
}

// The bytes of a property's value, by its identifier.                                                 MQTT 5 §2.2.2.2
static size_t property_bytes(unsigned identifier, const uint8_t *value)
{
    switch (identifier) {
    case 0x24: case 0x25: case 0x28: case 0x29: case 0x2a: return 1;
    case 0x13: case 0x21: case 0x22: return 2;
    case 0x11: case 0x27: return 4;
    case 0x26: return 4u + read_short(value) + read_short(value + 2 + read_short(value));
    case 0x12: case 0x15: case 0x16: case 0x1a: case 0x1c: case 0x1f: return 2u + read_short(value);
    default: fail("property 0x%02x in a CONNACK", identifier);
    }
}

static uint64_t read_receive_maximum(const uint8_t *at, const uint8_t *end)
{
    uint64_t maximum = MQTT_RECEIVE_MAXIMUM_DEFAULT;

    read_varint(&at, end);
    while (at < end) {
        if (*at == RECEIVE_MAXIMUM)
            maximum = read_short(at + 1);
        at += 1 + property_bytes(*at, at + 1);
    }
    return maximum;
}

static void await(struct connection *connection, enum mqtt_type type)
{
    const uint8_t *packet = connection->input;
    uint32_t remaining;
    size_t header;
    unsigned reason;

    while (!(header = read_fixed_header(packet, connection->input_length, &remaining)))
        connection_receive_some(connection);
    if (packet[0] >> 4 != (int)type || remaining < 2)
        fail("an MQTT packet of type %u where %u was due", packet[0] >> 4, type);
    // CONNACK: flags, reason, properties. SUBACK: packet id, properties, reasons.
    reason = type == MQTT_CONNACK ? packet[header + 1] : packet[header + remaining - 1];
    if (type == MQTT_CONNACK ? reason != 0 : reason >= MQTT_FAILURE)
        fail("the broker refuses: MQTT packet type %u, reason 0x%02x", type, reason);
    if (type == MQTT_CONNACK && connection->mqtt_version >= 5)
        connection->receive_maximum = read_receive_maximum(packet + header + 2, packet + header + remaining);
    connection_drop_input(connection, header + remaining);
}

static struct connection *open_session(const struct options *options, const char *client_id, size_t input_capacity,
                                       bool fresh)
{
    struct connection *connection = connection_open(options->port, input_capacity);
    struct wire wire = {0};

    connection->on_input = mqtt_on_input;
    connection->mqtt_version = (int)options->mqtt_version;
    connection->receive_maximum = MQTT_RECEIVE_MAXIMUM_DEFAULT;
    if (options->websocket)
        websocket_upgrade(connection, "/ws", "mqtt");
    encode_connect(&wire, connection->mqtt_version, client_id, options->persistent && !fresh, fresh);
    send_and_free(connection, &wire);
    await(connection, MQTT_CONNACK);
    return connection;
}

struct connection *mqtt_open(const struct options *options, const char *client_id, size_t input_capacity)
{
    if (options->persistent)
        mqtt_close(open_session(options, client_id, input_capacity, true));
    return open_session(options, client_id, input_capacity, !options->persistent);
}

void mqtt_subscribe(struct connection *connection, const char *filter, unsigned qos)
{
    struct wire wire = {0};

    encode_subscribe(&wire, connection->mqtt_version, filter, qos);
    send_and_free(connection, &wire);
    await(connection, MQTT_SUBACK);
}

static void disconnect(struct connection *connection)
{
    struct wire wire = {0};

    encode_disconnect(&wire);
    send_and_free(connection, &wire);
}

void mqtt_close(struct connection *connection)
{
    disconnect(connection);
    connection_close(connection);
}

void mqtt_close_when_read(struct connection *connection)
{
    disconnect(connection);
    while (recv(connection->descriptor, connection->input, connection->input_capacity, 0) > 0)
        ;
    connection_close(connection);
}

uint64_t mqtt_end_session(const struct options *options, const char *client_id)
{
    struct connection *connection = open_session(options, client_id, 1 << 16, false);
    struct pollfd readable = {.fd = connection->descriptor, .events = POLLIN};
    uint64_t messages = 0;
    uint32_t remaining;
    size_t header;

    do {
        while ((header = read_fixed_header(connection->input, connection->input_length, &remaining))) {
            messages += connection->input[0] >> 4 == MQTT_PUBLISH;
            connection_drop_input(connection, header + remaining);
        }
    } while (poll(&readable, 1, LEFT_OVER_MILLISECONDS) > 0 && (connection_receive_some(connection), true));
    mqtt_close(connection);
    mqtt_close(open_session(options, client_id, 1 << 16, true));
    return messages;
}

// ---- the hot half

static void answer(struct connection *connection, enum mqtt_type type, const uint8_t *packet_id)
{
    uint8_t bytes[MQTT_ACK_BYTES];

    encode_acknowledgement(bytes, type, packet_id);
    connection_answer(connection, bytes, sizeof bytes);
}

static void on_publish(struct connection *connection, const uint8_t *packet, const uint8_t *body, const uint8_t *end,
                       uint64_t now)
{
    struct consumer *consumer = connection->consumer;
    unsigned qos = packet[0] >> 1 & 3;
    uint32_t properties;

    if (end - body < 2 || end - body < 2 + read_short(body) + (qos ? 2 : 0))
        fail("a PUBLISH shorter than its topic");
    if (qos != consumer->qos)
        fail("a message with QoS %u instead of %u", qos, consumer->qos);
    body += 2 + read_short(body);
    if (qos) {
        answer(connection, qos == 1 ? MQTT_PUBACK : MQTT_PUBREC, body);
        body += 2;
    }
    if (connection->mqtt_version >= 5) {
        properties = read_varint(&body, end);
        if ((uint64_t)(end - body) < properties)
            fail("a PUBLISH shorter than its properties");
        body += properties;
    }
    consumer_on_message(consumer, body, (uint64_t)(end - body), packet[0] & 8, now);
}

static void on_acknowledgement(struct connection *connection, enum mqtt_type type, const uint8_t *variable,
                               uint32_t remaining, uint64_t now)
{
    struct publisher *publisher = connection->publisher;
    unsigned packet_id = remaining >= 2 ? read_short(variable) : 0;
    bool refused = remaining > 2 && variable[2] >= MQTT_FAILURE;

    if (type == MQTT_PUBREC && !refused && publisher_awaits_packet_id(publisher, packet_id))
        answer(connection, MQTT_PUBREL, variable);
    else
        publisher_on_packet_id(publisher, packet_id, refused, now);
}

void mqtt_on_input(struct connection *connection, uint64_t now)
{
    const uint8_t *packet = connection->input, *end = packet + connection->input_length;
    uint32_t remaining;
    size_t header;

    while ((header = read_fixed_header(packet, (size_t)(end - packet), &remaining))) {
        const uint8_t *variable = packet + header;
        enum mqtt_type type = packet[0] >> 4;

        if (type == MQTT_PUBLISH && connection->consumer)
            on_publish(connection, packet, variable, variable + remaining, now);
        else if (type == MQTT_PUBREL && connection->consumer && remaining >= 2)
            answer(connection, MQTT_PUBCOMP, variable);
        else if ((type == MQTT_PUBACK || type == MQTT_PUBREC || type == MQTT_PUBCOMP) && connection->publisher)
            on_acknowledgement(connection, type, variable, remaining, now);
        else if (type == MQTT_DISCONNECT)
            fail("the broker disconnects: reason 0x%02x", remaining ? variable[0] : 0);
        else
            fail("an MQTT packet of type %u out of turn", type);
        packet = variable + remaining;
    }
    if (connection->input_length == connection->input_capacity && packet == connection->input)
        fail("an MQTT packet larger than %zu bytes", connection->input_capacity);
    connection_drop_input(connection, (size_t)(packet - connection->input));
    connection_flush(connection);
}

void write_mqtt_message(struct wire *wire, struct slot *slot, const struct publication *publication, uint64_t sequence)
{
    const char *topic = publication->routing_keys[sequence % publication->routing_key_count];
    unsigned qos = (unsigned)publication->qos;
    size_t start;

    slot->offset = start = wire->length;
    if (publication->websocket)
        start = websocket_frame_begin(wire, publish_bytes(publication->mqtt_version, qos, topic, publication->body_bytes));
    slot->packet_id = encode_publish(wire, publication->mqtt_version, qos, topic, publication->body_bytes);
    slot->body = wire->length;
    wire_bytes(wire, pattern_of(publication->pattern, sequence), publication->body_bytes);
    slot->end = wire->length;
    if (publication->websocket) {
        websocket_frame_end(wire, start);
        slot->body_mask = websocket_mask_at(slot->body - start);
        slot->packet_id_mask = slot->packet_id ? (uint16_t)websocket_mask_at(slot->packet_id - start) : 0;
    }
}
