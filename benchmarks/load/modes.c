#include "modes.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "amqp_wire.h"
#include "fail.h"
#include "load.h"

enum { CONSUMER_INPUT_BYTES = 1 << 20, PUBLISHER_INPUT_BYTES = 1 << 18, FANOUT_QUEUES = 10, TOPIC_BINDINGS = 1000 };

static struct connection *open_session(const struct options *options, size_t input_capacity)
{
    return session_open(options->port, &options->credentials, input_capacity);
}

static void close_consumers(struct load *load)
{
    for (uint64_t i = 0; i < load->consumer_count; i++)
        session_close(load->consumers[i].connection);
}

static void close_publishers(struct load *load)
{
    for (uint64_t i = 0; i < load->publisher_count; i++)
        session_close(load->publishers[i].connection);
}

static struct consumer *add_consumer(struct load *load, uint64_t index, const char *queue, uint64_t stream_number,
                                     bool no_ack)
{
    struct connection *connection = open_session(load->options, CONSUMER_INPUT_BYTES);
    struct consumer *consumer = load_consumer(load, index, connection, stream_number);

    consumer->no_ack = no_ack;
    if (!no_ack)
        session_basic_qos(connection, (uint16_t)load->options->prefetch_count);
    session_basic_consume(connection, queue, no_ack);
    return consumer;
}

static struct publisher *add_publisher(struct load *load, uint64_t index, const char *exchange,
                                       char *const *routing_keys, size_t routing_key_count, bool durable)
{
    struct publisher *publisher = load_publisher(load, index, open_session(load->options, PUBLISHER_INPUT_BYTES));

    if (durable) {
        session_confirm_select(publisher->connection);
        publisher_expect_confirms(publisher);
    }
    publisher_prepare(publisher, &(struct publication){.write = write_amqp_message,
                                                       .frame_max = publisher->connection->frame_max,
                                                       .exchange = exchange,
                                                       .routing_keys = routing_keys,
                                                       .routing_key_count = routing_key_count,
                                                       .persistent = durable,
                                                       .body_bytes = load->options->body_bytes,
                                                       .pattern = load->pattern});
    return publisher;
}

static void run_pairs(const struct options *options, bool durable)
{
    struct load *load = load_create(options, options->pairs, options->pairs);
    struct connection *control = open_session(options, PUBLISHER_INPUT_BYTES);
    char **queues = take_memory(options->pairs * sizeof *queues);
    struct queue_arguments arguments = {.durable = durable, .queue_type = durable ? options->queue_type : NULL};

    for (uint64_t i = 0; i < options->pairs; i++) {
        queues[i] = text("load.%d.%llu", getpid(), (unsigned long long)i);
        session_queue_declare(control, queues[i], arguments);
        add_consumer(load, i, queues[i], i, !durable);
        load_join(add_publisher(load, i, "", &queues[i], 1, durable), load->consumers[i].streams);
    }
    load_watch(load);
    load_run(load);
    close_consumers(load); // what they have not acknowledged goes back, and is found:
    for (uint64_t i = 0; i < options->pairs; i++)
        load->left_in_queues += session_queue_delete(control, queues[i]);
    close_publishers(load);
    session_close(control);
    report_run(load);
}

void mode_transient(const struct options *options) { run_pairs(options, false); }

void mode_durable(const struct options *options) { run_pairs(options, true); }

// One third of the binding keys is exact, one third ends in '#', one third has '*' in the middle. Each routing key
// matches one of them.
void mode_topic(const struct options *options)
{
    struct load *load = load_create(options, 1, 1);
    struct connection *control = open_session(options, PUBLISHER_INPUT_BYTES);
    char *exchange = text("load.%d", getpid()), *queue = text("load.%d.topic", getpid()), *routing_keys[TOPIC_BINDINGS];

    session_exchange_declare(control, exchange, "topic");
    session_queue_declare(control, queue, (struct queue_arguments){0});
    for (int i = 0; i < TOPIC_BINDINGS; i++) {
        static const char *const shapes[] = {"sensor%d.state.value", "sensor%d.#", "sensor%d.*.value"};
        char binding_key[64];

        routing_keys[i] = text("sensor%d.state.value", i);
        snprintf(binding_key, sizeof binding_key, shapes[i % 3], i);
        session_queue_bind(control, queue, exchange, binding_key);
    }
    add_consumer(load, 0, queue, 0, true);
    load_join(add_publisher(load, 0, exchange, routing_keys, TOPIC_BINDINGS, false), load->consumers[0].streams);
    load_watch(load);
    load_run(load);
    close_consumers(load);
    load->left_in_queues = session_queue_delete(control, queue);
    session_exchange_delete(control, exchange);
    close_publishers(load);
    session_close(control);
    report_run(load);
}

void mode_fanout(const struct options *options)
{
    static const char *const binding_keys[FANOUT_QUEUES] = {
        "#", "news.#", "news.*.today", "*.*.today", "#.today", "news.*.*", "*.#", "news.#.today", "*.*.*", "#.today.#"};
    struct load *load = load_create(options, 1, FANOUT_QUEUES);
    struct connection *control = open_session(options, PUBLISHER_INPUT_BYTES);
    char *exchange = text("load.%d", getpid()), *queues[FANOUT_QUEUES], *routing_keys[16];
    struct publisher *publisher;

    session_exchange_declare(control, exchange, "topic");
    for (int i = 0; i < FANOUT_QUEUES; i++) {
        queues[i] = text("load.%d.fanout.%d", getpid(), i);
        session_queue_declare(control, queues[i], (struct queue_arguments){0});
        session_queue_bind(control, queues[i], exchange, binding_keys[i]);
        add_consumer(load, (uint64_t)i, queues[i], 0, true);
    }
    for (int i = 0; i < 16; i++)
        routing_keys[i] = text("news.topic%d.today", i);
    publisher = add_publisher(load, 0, exchange, routing_keys, 16, false);
    for (int i = 0; i < FANOUT_QUEUES; i++)
        load_join(publisher, load->consumers[i].streams);
    load_watch(load);
    load_run(load);
    close_consumers(load);
    for (int i = 0; i < FANOUT_QUEUES; i++)
        load->left_in_queues += session_queue_delete(control, queues[i]);
    session_exchange_delete(control, exchange);
    close_publishers(load);
    session_close(control);
    report_run(load);
}

// The relay learns from a connection's first two bytes its role (P or C) and which pair it belongs to.
static struct connection *open_relay(const struct options *options, char role, uint64_t pair, size_t input_capacity)
{
    struct connection *connection = connection_open(options->port, input_capacity);
    uint8_t greeting[2] = {(uint8_t)role, (uint8_t)pair};

    connection->frame_max = FRAME_MAX_WANTED;
    connection_send_all(connection, greeting, sizeof greeting);
    return connection;
}

void mode_relay(const struct options *options)
{
    struct load *load = load_create(options, options->pairs, options->pairs);
    char *routing_key = text("load.%d.0", getpid());

    for (uint64_t i = 0; i < options->pairs; i++) {
        struct consumer *consumer = load_consumer(load, i, open_relay(options, 'C', i, CONSUMER_INPUT_BYTES), i);
        struct publisher *publisher = load_publisher(load, i, open_relay(options, 'P', i, PUBLISHER_INPUT_BYTES));

        consumer->no_ack = !options->manual_ack;
        if (options->confirms)
            publisher_expect_confirms(publisher);
        publisher_prepare(publisher, &(struct publication){.write = write_amqp_message,
                                                       .frame_max = publisher->connection->frame_max,
                                                       .exchange = "",
                                                           .routing_keys = &routing_key,
                                                           .routing_key_count = 1,
                                                           .body_bytes = options->body_bytes,
                                                           .pattern = load->pattern});
        load_join(publisher, consumer->streams);
    }
    load_watch(load);
    load_run(load);
    report_run(load);
}

void mode_fill(const struct options *options)
{
    struct load *load = load_create(options, 1, 0);
    struct connection *control = open_session(options, PUBLISHER_INPUT_BYTES);
    char *queue = text("%s", options->queue);
    struct resident settled;
    uint32_t held;

    session_queue_declare(control, queue, (struct queue_arguments){.durable = true, .queue_type = options->queue_type});
    add_publisher(load, 0, "", &queue, 1, true);
    load_watch(load);
    load_run(load);
    sleep_ns(2000000000);
    settled = process_tree_resident(&load->broker);
    held = session_queue_declare(control, queue, (struct queue_arguments){.durable = true, .passive = true});
    close_publishers(load);
    session_close(control);
    printf("{\"rss_anonymous_settled_bytes\": %llu, \"messages_in_queue\": %u, \"mode\": \"fill\", ",
           (unsigned long long)settled.anonymous_bytes, held);
    report_window(load);
    report_latency(load);
    report_integrity(load);
    printf("}\n");
}

void mode_drain(const struct options *options)
{
    struct load *load = load_create(options, 0, 1);
    struct connection *control = open_session(options, PUBLISHER_INPUT_BYTES);
    struct queue_arguments passive = {.durable = true, .passive = true};
    uint32_t held = session_queue_declare(control, options->queue, passive);

    load->begin = load_snapshot(load);
    add_consumer(load, 0, options->queue, 0, false);
    load->drained_count = options->count;
    load_watch(load);
    load_run_drain(load);
    close_consumers(load);
    load->left_in_queues = session_queue_delete(control, options->queue);
    session_close(control);
    printf("{\"messages_in_queue\": %u, \"mode\": \"drain\", ", held);
    report_window(load);
    report_integrity(load);
    printf("}\n");
}
