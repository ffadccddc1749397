// options: what the command line says.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "session.h"

struct options {
    const char *mode;
    int port;
    struct credentials credentials;
    const char *broker_pids; // comma-separated
    const char *queue;       // fill and drain
    const char *queue_type;  // x-queue-type of durable queues, or NULL
    uint64_t body_bytes, window, count, pairs, prefetch_count, connections, concurrency;
    double warm_up_seconds, seconds, stall_seconds;
    double rate;               // messages per second: open loop; 0: closed loop
    uint64_t qos, mqtt_version, publishers, subscribers;
    bool persistent, websocket;
    int amqp_port;
    bool confirms, manual_ack; // relay: expect them all the same
};
