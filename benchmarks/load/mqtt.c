// mqtt: the work that is done over MQTT 3.1.1 and 5: sessions, acknowledgements both ways, topologies.
#include <stdio.h>
#include <unistd.h>

#include "fail.h"
#include "load.h"
#include "modes.h"
#include "mqtt_wire.h"

enum { INPUT_BYTES = 1 << 20, ACK_BYTES = 4 };

static int version; // of this run
// Acknowledgements on their way, for each input buffer that was read: the consumer sends them before it reads on.
static void send_acks(struct connection *connection, const uint8_t *acks, size_t length)
{
    if (length)
        connection_send_all(connection, acks, length);
}

static void on_publish(struct consumer *consumer, const uint8_t *packet, size_t header, uint32_t remaining,
                       uint8_t *acks, size_t *ack_length, uint64_t now)
{
    const uint8_t *at = packet + header, *end = at + remaining;
    unsigned qos = packet[0] >> 1 & 3;

    at += 2 + read_short(at);
    if (qos) {
        uint8_t ack[ACK_BYTES] = {MQTT_PUBACK << 4, 2, at[0], at[1]};

        memcpy(acks + *ack_length, ack, sizeof ack);
        *ack_length += sizeof ack;
        at += 2;
    }
    if (version == 5) {
        if (*at > 0x7f)
            fail("more properties than anybody published");
        at += 1 + *at;
    }
    if (at > end)
        fail("a PUBLISH shorter than its head");
    consumer_on_message(consumer, at, (uint64_t)(end - at), packet[0] & 8, now);
}

static void on_input(struct connection *connection, uint64_t now)
{
    static uint8_t acks[INPUT_BYTES];
    const uint8_t *packet = connection->input, *end = packet + connection->input_length;
    size_t ack_length = 0, header;
    uint32_t remaining;

    while ((header = read_fixed_header(packet, (size_t)(end - packet), &remaining)) &&
           (size_t)(end - packet) >= header + remaining) {
        unsigned type = packet[0] >> 4;

        if (type == MQTT_PUBLISH && connection->consumer)
            on_publish(connection->consumer, packet, header, remaining, acks, &ack_length, now);
        else if (type == MQTT_PUBACK && connection->publisher && connection->publisher->confirms) {
            if (remaining > 2 && packet[header + 2] >= 0x80)
                fail("a PUBACK with reason 0x%02x", packet[header + 2]);
            publisher_on_packet_id(connection->publisher, read_short(packet + header), now);
        } else
            fail("an MQTT packet of type %u out of turn", type);
        packet += header + remaining;
    }
    connection_drop_input(connection, (size_t)(packet - connection->input));
    send_acks(connection, acks, ack_length);
}

static void await(struct connection *connection, unsigned type)
{
    uint32_t remaining;
    size_t header;

    while (!(header = read_fixed_header(connection->input, connection->input_length, &remaining)) ||
           connection->input_length < header + remaining)
        connection_receive_some(connection);
    if (connection->input[0] >> 4 != type)
        fail("MQTT packet type %u where %u is due", connection->input[0] >> 4, type);
    // CONNACK: flags, return code; SUBACK: packet id, (properties,) reason at the end
    if (type == MQTT_CONNACK ? connection->input[header + 1] : connection->input[header + remaining - 1] >= 0x80)
        fail("refused: MQTT packet type %u", type);
    connection_drop_input(connection, header + remaining);
}

static struct connection *open_session(const struct options *options, char role, uint64_t number)
{
    struct connection *connection = connection_open(options->port, INPUT_BYTES);
    struct wire wire = {0};
    char client_id[64];

    snprintf(client_id, sizeof client_id, "load-%d-%c%llu", getpid(), role, (unsigned long long)number);
    encode_connect(&wire, version, client_id);
    connection_send_all(connection, wire.bytes, wire.length);
    wire_free(&wire);
    await(connection, MQTT_CONNACK);
    connection->on_input = on_input;
    return connection;
}

void mode_mqtt(const struct options *options)
{
    struct load *load = load_create(options, options->pairs, options->pairs);

    version = (int)options->mqtt_version;
    for (uint64_t i = 0; i < options->pairs; i++) {
        struct wire wire = {0};
        char *topic = take_memory(64);
        struct consumer *consumer = load_consumer(load, i, open_session(options, 's', i), i);
        struct publisher *publisher;

        snprintf(topic, 64, "load/%d/%llu", getpid(), (unsigned long long)i);
        encode_subscribe(&wire, version, topic, (int)options->qos);
        connection_send_all(consumer->connection, wire.bytes, wire.length);
        wire_free(&wire);
        await(consumer->connection, MQTT_SUBACK);
        publisher = load_publisher(load, i, open_session(options, 'p', i));
        if (options->qos)
            publisher_expect_confirms(publisher);
        publisher_prepare(publisher, &(struct publication){.routing_keys = &topic,
                                                           .routing_key_count = 1,
                                                           .body_bytes = options->body_bytes,
                                                           .pattern = load->pattern,
                                                           .mqtt_version = version,
                                                           .qos = (int)options->qos});
        load_join(load, publisher, i, 1);
    }
    load_watch(load);
    load_run(load);
    printf("{\"mode\": \"mqtt\", ");
    report_window(load);
    report_latency(load);
    report_integrity(load);
    printf("}\n");
}
