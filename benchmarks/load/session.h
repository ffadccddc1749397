// session: the cold half of an AMQP client: handshake, topology and the end, each call waiting for its answer. Channel
// 1 is the only channel. An error from the broker ends the program with the broker's text.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "connection.h"

struct credentials {
    const char *user, *password, *vhost;
};

_Noreturn void fail_as_broker_says(const uint8_t *method_payload, uint32_t size);

struct connection *session_open(int port, const struct credentials *credentials, size_t input_capacity);
void session_close(struct connection *connection);

struct queue_arguments {
    bool durable, passive;
    const char *queue_type; // x-queue-type, or NULL
};

uint32_t session_queue_declare(struct connection *connection, const char *queue,
                               struct queue_arguments arguments);                // messages
uint32_t session_queue_delete(struct connection *connection, const char *queue); // messages
void session_queue_bind(struct connection *connection, const char *queue, const char *exchange,
                        const char *binding_key);
void session_exchange_declare(struct connection *connection, const char *exchange, const char *type);
void session_exchange_delete(struct connection *connection, const char *exchange);
void session_basic_qos(struct connection *connection, uint16_t prefetch_count);
void session_basic_consume(struct connection *connection, const char *queue, bool no_ack);
void session_confirm_select(struct connection *connection);
