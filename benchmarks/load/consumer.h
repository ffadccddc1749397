// consumer: parses deliveries where they lie in the input buffer, gives them to the stream's integrity check, and
// acknowledges them: many with one basic.ack (multiple).
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "connection.h"
#include "stream.h"

struct measurement;

enum { ACK_FRAME_BYTES = 21 };

struct consumer {
    struct connection *connection;
    struct measurement *measurement;
    struct stream *streams; // of consecutive numbers, one for each publisher it hears
    uint64_t stream_count;
    const uint8_t *pattern;
    uint64_t body_bytes; // that every message must have

    bool no_ack;
    unsigned qos; // MQTT: which every message must have
    uint64_t ack_every; // deliveries per basic.ack
    uint64_t delivery_tag; // of the delivery that was begun last
    uint64_t whole_tag;    // … that was completed last: what may be acknowledged
    uint64_t unacked;
    uint8_t ack_frame[ACK_FRAME_BYTES]; // the one that is being sent

    // The delivery that is being read. What must come next: the method; the header; body until body_seen ==
    // body_length.
    enum { AWAIT_METHOD, AWAIT_HEADER, AWAIT_BODY } awaits;
    uint64_t body_length, body_seen;
    uint64_t key;   // its stream and sequence number
    bool comparing; // the whole body
    bool differing; // it was not what was sent
    bool redelivered;
};

void consumer_on_input(struct connection *connection, uint64_t now);
// A message that is there as a whole (MQTT).
void consumer_on_message(struct consumer *consumer, const uint8_t *body, uint64_t length, bool redelivered,
                         uint64_t now);
void consumer_ack(struct consumer *consumer); // everything up to the last delivery, if the socket has room
