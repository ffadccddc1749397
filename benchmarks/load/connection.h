// connection: one socket. Owns its input buffer and what is still to be sent; knows no protocol but WebSocket's
// frames, which it takes off. Blocking while a session
// is being set up (session.h), never blocking once it is watched by an epoll set.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire.h"

struct publisher;
struct consumer;

struct connection {
    int descriptor, epoll; // epoll is -1 until connection_watch
    bool awaits_writable;
    uint32_t frame_max;       // AMQP
    int mqtt_version;         // MQTT: 4 or 5
    uint64_t receive_maximum; // MQTT: messages of QoS 1 and 2 that the broker takes at once
    uint8_t *input;
    size_t input_length, input_capacity;
    const uint8_t *pending; // bytes that the socket has not taken; they belong to the publisher's ring or the consumer
    size_t pending_length;
    struct wire answers, leaving; // what was said in answer to input: waiting its turn, and pending
    bool websocket;
    size_t raw_length;         // WebSocket: what stands behind the input and is a part of a frame's head
    uint64_t frame_bytes_left; // … payload of the frame that is being read
    struct publisher *publisher; // whose connection this is: one of the two, or neither
    struct consumer *consumer;
    void (*on_input)(struct connection *connection, uint64_t now);
};

int loopback_connect(int port, int source, bool blocking); // source: 0, or n for the source address 127.0.1.n

struct connection *connection_open(int port, size_t input_capacity);
void connection_send_all(struct connection *connection, const void *bytes, size_t length); // blocks
void connection_receive_some(struct connection *connection);                               // blocks
// Goes out before anything that is made pending later.
void connection_answer(struct connection *connection, const void *bytes, size_t length);
void connection_drop_input(struct connection *connection, size_t length);

void connection_watch(struct connection *connection, int epoll);
bool connection_flush(struct connection *connection); // true when nothing is pending
// Reads what is there, without blocking. True when the buffer was filled, so that there may be more.
bool connection_receive(struct connection *connection);
void connection_close(struct connection *connection);
