// modes: the topologies, one function for each kind of work. Each prints one JSON object.
#pragma once

#include "options.h"

void mode_transient(const struct options *options); // pairs x (publisher -> transient queue -> consumer), no_ack
void mode_durable(const struct options *options);   // pairs x (confirmed, persistent -> durable queue -> manual ack)
void mode_topic(const struct options *options);     // 1000 bindings on a topic exchange, each message matches one
void mode_fanout(const struct options *options);    // 10 queues bound by wildcards that all match
void mode_relay(const struct options *options);     // no broker: the relay, or something that takes its place
void mode_fill(const struct options *options);      // a durable queue, nobody consumes
void mode_drain(const struct options *options);     // the same queue, later

// mqtt_modes.c
void mode_mqtt(const struct options *options);         // pairs x (publisher -> topic -> subscriber)
void mode_mqtt_fanout(const struct options *options);  // 1 publisher -> one topic -> many subscribers
void mode_mqtt_fanin(const struct options *options);   // many publishers, each with its topic -> 1 subscriber of all
void mode_mqtt_filters(const struct options *options); // many subscribers with distinct filters, each message matches one
void mode_mqtt_amqp(const struct options *options);    // MQTT publisher -> durable AMQP queue -> manual ack
void mode_mqtt_relay(const struct options *options);   // as mode_relay, with MQTT's bytes

// mqtt_idle.c
void mode_mqtt_idle(const struct options *options);  // as mode_idle: connections with one subscription each
void mode_mqtt_storm(const struct options *options); // connect, CONNACK, DISCONNECT, and again
void mode_idle(const struct options *options);      // idle.c
