// connection: one socket. Owns its input buffer and what is still to be sent; knows no AMQP. Blocking while a session
// is being set up (session.h), never blocking once it is watched by an epoll set.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct publisher;
struct consumer;

struct connection {
    int descriptor, epoll; // epoll is -1 until connection_watch
    bool awaits_writable;
    uint32_t frame_max;
    uint8_t *input;
    size_t input_length, input_capacity;
    const uint8_t *pending; // bytes that the socket has not taken; they belong to the publisher's ring or the consumer
    size_t pending_length;
    struct publisher *publisher; // whose connection this is: one of the two, or neither
    struct consumer *consumer;
    void (*on_input)(struct connection *connection, uint64_t now); // NULL: AMQP
};

int loopback_connect(int port, int source, bool blocking); // source: 0, or n for the source address 127.0.1.n

struct connection *connection_open(int port, size_t input_capacity);
void connection_send_all(struct connection *connection, const void *bytes, size_t length); // blocks
void connection_receive_some(struct connection *connection);                               // blocks
void connection_drop_input(struct connection *connection, size_t length);

void connection_watch(struct connection *connection, int epoll);
bool connection_flush(struct connection *connection); // true when nothing is pending
// Reads what is there, without blocking. True when the buffer was filled, so that there may be more.
bool connection_receive(struct connection *connection);
void connection_close(struct connection *connection);
