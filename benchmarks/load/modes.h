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
void mode_mqtt(const struct options *options);      // mqtt.c: pairs x (publisher -> topic -> subscriber)
void mode_idle(const struct options *options);      // idle.c
