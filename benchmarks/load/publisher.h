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
    size_t offset, packet_id, body, end; // in the ring's bytes
};

struct publisher {
    struct connection *connection;
    struct measurement *measurement;
    const struct consumer *consumers; // those whose receipt opens the window
    size_t consumer_count;

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
    const char *exchange;
    char *const *routing_keys; // used in turn
    size_t routing_key_count;
    bool persistent;
    size_t body_bytes;
    int mqtt_version, qos; // version 0: AMQP
    const uint8_t *pattern;
};

void publisher_prepare(struct publisher *publisher, const struct publication *publication);
void publisher_expect_confirms(struct publisher *publisher);
// MQTT: the packet id is the number of the message, modulo 2^15 (0 is written as 2^15).
void publisher_on_packet_id(struct publisher *publisher, unsigned packet_id, uint64_t now);
void publisher_pump(struct publisher *publisher); // sends what may be sent now
void publisher_on_input(struct publisher *publisher, uint64_t now);
uint64_t publisher_unconfirmed(const struct publisher *publisher);
