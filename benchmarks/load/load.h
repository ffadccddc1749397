// load: one run. Owns the epoll set, the publishers and consumers, the phases (warm-up, measured window, drain) and the
// figures. Knows no topology: modes.c builds that.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "consumer.h"
#include "machine.h"
#include "options.h"
#include "publisher.h"

struct snapshot {
    uint64_t time_ns, published, delivered, confirmed;
    double broker_seconds, own_seconds;
    struct machine_cpu machine;
    struct resident resident;
};

struct load {
    const struct options *options;
    struct publisher *publishers;
    struct consumer *consumers;
    uint64_t publisher_count, consumer_count;
    const uint8_t *pattern;
    uint64_t drained_count; // stands for `published` where this process does not publish

    int epoll, timer;  // the timer is for the open loop, else -1
    uint64_t pause_ns; // after each turn
    bool pauses;
    uint64_t tick_ns, tick_published;
    struct measurement measurement;
    struct process_tree broker;
    struct resident peak;
    struct snapshot begin, end; // of the measured window
    uint64_t left_in_queues;
};

struct load *load_create(const struct options *options, uint64_t publisher_count, uint64_t consumer_count);
struct publisher *load_publisher(struct load *load, uint64_t index, struct connection *connection);
struct consumer *load_consumer(struct load *load, uint64_t index, struct connection *connection,
                               uint64_t stream_number);
// The consumer hears `count` publishers, numbered from `first` on.
void load_streams(struct load *load, struct consumer *consumer, uint64_t first, uint64_t count);
// What the publisher sends arrives in the stream.
void load_join(struct publisher *publisher, struct stream *stream);

void load_watch(struct load *load); // all connections: from here on nothing blocks
void load_turn(struct load *load, uint64_t until_ns);
struct snapshot load_snapshot(struct load *load);
uint64_t load_delivered(const struct load *load);

void load_run(struct load *load);       // the phases, as the options say
void load_run_drain(struct load *load); // until count messages have come, or none comes any more

void report_run(const struct load *load); // the whole JSON object, as most modes print it
// The members of a JSON object, each followed by a comma.
void report_window(const struct load *load);
void report_latency(const struct load *load);
// The last member, without a comma.
void report_integrity(const struct load *load);
