// publisher: sends numbered messages and accounts for their confirms. The messages stand ready as bytes in a ring of
// wire images (publish, header, body); per message only the body's head is written, and what is next to each other in
// the ring goes out with one send().
//
// Closed loop: at most `window` messages are outstanding, that is sent and not yet received by the slowest consumer, or
// sent and not yet confirmed. Open loop: one message each interval_ns, stamped with the moment at which it was due,
// however late it is sent: what waits in line counts as latency (no "coordinated omission").
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "connection.h"
#include "consumer.h"
#include "histogram.h"

struct measurement {
    bool on;
    uint64_t sample_mask; // latency of which messages: sequence & sample_mask == 0
    struct histogram delivery, confirm, lateness;
};

struct slot {
    size_t offset, body, end;     // in the ring's bytes
    size_t packet_id;             // MQTT with QoS 1 or 2: where that stands; else 0
    uint64_t body_mask;           // WebSocket: what the first eight bytes of the body are masked with
    uint16_t packet_id_mask;
};

struct publisher {
    struct connection *connection;
    struct measurement *measurement;
    const struct stream **receipts; // what has arrived opens the window
    size_t receipt_count;
    bool divided; // each message goes to one of them; else to all

    uint64_t identity; // stream number << 48
    uint64_t sent, limit;
    uint64_t window, batch_min;
    uint64_t interval_ns, due_ns; // open loop

    uint8_t *ring;
    struct slot *slots;
    size_t slot_count, position;

    bool confirms;
    uint64_t *stamps; // by delivery tag & stamp_mask: when it was sent; 0 when it is not outstanding
    uint64_t stamp_mask, lowest_unconfirmed;
    uint64_t confirmed, nacked, unexpected_confirms, blocked;
};

struct publication {
    // Writes the message as bytes, and where its parts are.
    void (*write)(struct wire *wire, struct slot *slot, const struct publication *publication, uint64_t sequence);
    uint32_t frame_max; // AMQP
    const char *exchange;
    char *const *routing_keys; // used in turn
    size_t routing_key_count;
    bool persistent;
    size_t body_bytes;
    int mqtt_version, qos;
    bool websocket;
    const uint8_t *pattern;
};

void write_amqp_message(struct wire *wire, struct slot *slot, const struct publication *publication, uint64_t sequence);
void publisher_prepare(struct publisher *publisher, const struct publication *publication);
void publisher_expect_confirms(struct publisher *publisher);
// MQTT: the packet id is the number of the message, modulo 2^15 (0 is written as 2^15).
enum { PACKET_IDS = 32768 };
bool publisher_awaits_packet_id(const struct publisher *publisher, unsigned packet_id);
void publisher_on_packet_id(struct publisher *publisher, unsigned packet_id, bool refused, uint64_t now);
void publisher_pump(struct publisher *publisher); // sends what may be sent now
void publisher_on_input(struct connection *connection, uint64_t now);
uint64_t publisher_unconfirmed(const struct publisher *publisher);
