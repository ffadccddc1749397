// mqtt_session: an MQTT client: connect, subscribe, the end (each waits for its answer), and what is done with what
// the broker sends. An error from the broker ends the program with the broker's reason.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "connection.h"
#include "options.h"
#include "publisher.h"

struct connection *mqtt_open(const struct options *options, const char *client_id, size_t input_capacity);
void mqtt_subscribe(struct connection *connection, const char *filter, unsigned qos);
void mqtt_close(struct connection *connection);
// Waits until the broker has read everything: it closes the connection when it meets the DISCONNECT.
void mqtt_close_when_read(struct connection *connection);
// Connects once more, counts the messages that still come, and removes the session.
uint64_t mqtt_end_session(const struct options *options, const char *client_id);

// What is done with input: it goes to the connection's publisher or consumer, and is acknowledged.
void mqtt_on_input(struct connection *connection, uint64_t now);
// A `publication.write`.
void write_mqtt_message(struct wire *wire, struct slot *slot, const struct publication *publication, uint64_t sequence);
