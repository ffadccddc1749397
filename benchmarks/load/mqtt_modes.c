// mqtt_modes: the topologies over MQTT.
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "fail.h"
#include "load.h"
#include "modes.h"
#include "mqtt_session.h"
#include "mqtt_wire.h"
#include "session.h"

enum { INPUT_BYTES = 1 << 20, SMALL_INPUT_BYTES = 1 << 16, MANY = 16 };

static char *name_client(char role, uint64_t index)
{
    return text("load-%d-%c%llu", getpid(), role, (unsigned long long)index);
}

static char *name_topic(uint64_t index) { return text("load/%d/%llu", getpid(), (unsigned long long)index); }

static struct consumer *add_subscriber(struct load *load, uint64_t index, const char *filter, uint64_t stream_number)
{
    const struct options *options = load->options;
    size_t input_bytes = load->consumer_count > MANY ? SMALL_INPUT_BYTES : INPUT_BYTES;
    struct connection *connection;
    struct consumer *consumer;
    char *client_id = name_client('s', index);

    connection = mqtt_open(options, client_id, input_bytes + 2 * options->body_bytes);
    mqtt_subscribe(connection, filter, (unsigned)options->qos);
    consumer = load_consumer(load, index, connection, stream_number);
    consumer->qos = (unsigned)options->qos;
    free(client_id);
    return consumer;
}

static void prepare_publisher(struct load *load, struct publisher *publisher, char *const *topics, size_t topic_count)
{
    const struct options *options = load->options;

    if (options->qos && publisher->window > publisher->connection->receive_maximum)
        publisher->window = publisher->connection->receive_maximum;
    if (options->qos)
        publisher_expect_confirms(publisher);
    publisher_prepare(publisher, &(struct publication){.write = write_mqtt_message,
                                                       .routing_keys = topics,
                                                       .routing_key_count = topic_count,
                                                       .body_bytes = options->body_bytes,
                                                       .pattern = load->pattern,
                                                       .mqtt_version = (int)options->mqtt_version,
                                                       .qos = (int)options->qos,
                                                       .websocket = options->websocket});
}

// Publishers are no sessions to be kept: only what arrives in a subscriber's is.
static struct publisher *add_publisher(struct load *load, uint64_t index, char *const *topics, size_t topic_count)
{
    struct options passing = *load->options;
    struct publisher *publisher;
    char *client_id = name_client('p', index);

    passing.persistent = false;
    publisher = load_publisher(load, index, mqtt_open(&passing, client_id, INPUT_BYTES));
    prepare_publisher(load, publisher, topics, topic_count);
    free(client_id);
    return publisher;
}

static void run(struct load *load)
{
    load_watch(load);
    load_run(load);
}

static void close_publishers(struct load *load)
{
    for (uint64_t i = 0; i < load->publisher_count; i++)
        mqtt_close(load->publishers[i].connection);
}

static void finish(struct load *load)
{
    for (uint64_t i = 0; i < load->consumer_count; i++) {
        if (load->options->persistent) {
            mqtt_close_when_read(load->consumers[i].connection);
            load->left_in_queues += mqtt_end_session(load->options, name_client('s', i));
        } else {
            mqtt_close(load->consumers[i].connection);
        }
    }
    close_publishers(load);
    report_run(load);
}

void mode_mqtt(const struct options *options)
{
    struct load *load = load_create(options, options->pairs, options->pairs);

    for (uint64_t i = 0; i < options->pairs; i++) {
        char *topic = name_topic(i);
        struct consumer *consumer = add_subscriber(load, i, topic, i);

        load_join(add_publisher(load, i, &topic, 1), consumer->streams);
    }
    run(load);
    finish(load);
}

void mode_mqtt_fanout(const struct options *options)
{
    struct load *load = load_create(options, 1, options->subscribers);
    char *topic = name_topic(0);
    struct publisher *publisher;

    for (uint64_t i = 0; i < options->subscribers; i++)
        add_subscriber(load, i, topic, 0);
    publisher = add_publisher(load, 0, &topic, 1);
    for (uint64_t i = 0; i < options->subscribers; i++)
        load_join(publisher, load->consumers[i].streams);
    run(load);
    finish(load);
}

void mode_mqtt_fanin(const struct options *options)
{
    struct load *load = load_create(options, options->publishers, 1);
    struct consumer *consumer = add_subscriber(load, 0, text("load/%d/+", getpid()), 0);

    load_streams(load, consumer, 0, options->publishers);
    for (uint64_t i = 0; i < options->publishers; i++) {
        char *topic = name_topic(i);

        load_join(add_publisher(load, i, &topic, 1), &consumer->streams[i]);
    }
    run(load);
    finish(load);
}

// One third of the filters is exact, one third ends in '#', one third has '+' in the middle.
void mode_mqtt_filters(const struct options *options)
{
    static const char *const shapes[] = {"sensor%d-%d/state/value", "sensor%d-%d/#", "sensor%d-%d/+/value"};
    uint64_t count = options->subscribers;
    struct load *load = load_create(options, 1, count);
    char **topics = take_memory(count * sizeof *topics);
    struct publisher *publisher;

    for (uint64_t i = 0; i < count; i++) {
        struct consumer *consumer;
        char filter[64];

        topics[i] = text("sensor%d-%d/state/value", getpid(), (int)i);
        snprintf(filter, sizeof filter, shapes[i % 3], getpid(), (int)i);
        consumer = add_subscriber(load, i, filter, 0);
        consumer->streams->stride = count;
        consumer->streams->first = consumer->streams->due = i;
    }
    publisher = add_publisher(load, 0, topics, count);
    publisher->divided = true;
    for (uint64_t i = 0; i < count; i++)
        load_join(publisher, load->consumers[i].streams);
    run(load);
    finish(load);
}

void mode_mqtt_amqp(const struct options *options)
{
    struct load *load = load_create(options, 1, 1);
    struct connection *control = session_open(options->amqp_port, &options->credentials, SMALL_INPUT_BYTES);
    struct connection *connection = session_open(options->amqp_port, &options->credentials, INPUT_BYTES);
    char *topic = name_topic(0), *queue = text("load.%d.mqtt", getpid()), *binding_key = text("load.%d.0", getpid());
    struct consumer *consumer = load_consumer(load, 0, connection, 0);

    session_queue_declare(control, queue, (struct queue_arguments){.durable = true, .queue_type = options->queue_type});
    session_queue_bind(control, queue, "amq.topic", binding_key);
    consumer->no_ack = false;
    session_basic_qos(connection, (uint16_t)options->prefetch_count);
    session_basic_consume(connection, queue, false);
    load_join(add_publisher(load, 0, &topic, 1), consumer->streams);
    run(load);
    session_close(connection);
    load->left_in_queues = session_queue_delete(control, queue);
    session_close(control);
    close_publishers(load);
    report_run(load);
}

static struct connection *open_relay(const struct options *options, char role, uint64_t pair)
{
    struct connection *connection = connection_open(options->port, INPUT_BYTES);
    uint8_t greeting[2] = {(uint8_t)role, (uint8_t)pair};

    connection->on_input = mqtt_on_input;
    connection->mqtt_version = (int)options->mqtt_version;
    connection->receive_maximum = MQTT_RECEIVE_MAXIMUM_DEFAULT;
    connection_send_all(connection, greeting, sizeof greeting);
    return connection;
}

void mode_mqtt_relay(const struct options *options)
{
    struct load *load = load_create(options, options->pairs, options->pairs);

    for (uint64_t i = 0; i < options->pairs; i++) {
        struct consumer *consumer = load_consumer(load, i, open_relay(options, 'C', i), i);
        struct publisher *publisher = load_publisher(load, i, open_relay(options, 'P', i));
        char *topic = name_topic(i);

        consumer->qos = (unsigned)options->qos;
        prepare_publisher(load, publisher, &topic, 1);
        load_join(publisher, consumer->streams);
    }
    run(load);
    report_run(load);
}
