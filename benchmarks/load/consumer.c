#include "consumer.h"

#include "amqp_wire.h"
#include "fail.h"
#include "publisher.h"
#include "session.h"

void consumer_ack(struct consumer *consumer)
{
    static const uint8_t frame[ACK_FRAME_BYTES] = {FRAME_METHOD,    0, 1, 0, 0, 0, 13, 0, 60, 0, 80, [19] = 1,
                                                   [20] = FRAME_END};
    struct connection *connection = consumer->connection;
    uint64_t tag = __builtin_bswap64(consumer->whole_tag);

    // While an ack waits for the socket, later ones need not be sent: the next one covers them.
    if (!consumer->unacked || !connection_flush(connection))
        return;
    memcpy(consumer->ack_frame, frame, sizeof frame);
    memcpy(consumer->ack_frame + 11, &tag, sizeof tag);
    connection->pending = consumer->ack_frame;
    connection->pending_length = sizeof frame;
    consumer->unacked = 0;
    connection_flush(connection);
}

static void on_message_end(struct consumer *consumer)
{
    struct stream *stream = consumer->streams;

    if (consumer->differing)
        stream->corrupt++;
    if (consumer->redelivered)
        stream->redelivered++;
    consumer->unacked += !consumer->no_ack;
    consumer->whole_tag = consumer->delivery_tag;
    consumer->awaits = AWAIT_METHOD;
}

static void on_method(struct consumer *consumer, const uint8_t *payload, uint32_t size)
{
    uint32_t method = read_long(payload);

    if (method == BASIC_DELIVER) {
        // class:16 method:16 consumer_tag:shortstr delivery_tag:64 redelivered:1 exchange routing_key
        const uint8_t *tag = payload + 5 + payload[4];

        consumer->delivery_tag = read_longlong(tag);
        consumer->redelivered = tag[8] & 1;
    } else if (method != BASIC_PUBLISH) { // the relay passes publishes on as they are
        fail_as_broker_says(payload, size);
    }
    consumer->awaits = AWAIT_HEADER;
}

static void on_body_length(struct consumer *consumer, uint64_t length)
{
    consumer->body_length = length;
    consumer->body_seen = 0;
    consumer->comparing = false;
    consumer->differing = consumer->body_length != consumer->body_bytes;
    consumer->awaits = AWAIT_BODY;
    if (consumer->body_length < BODY_HEAD_BYTES) { // it cannot say which message it is
        consumer->streams->corrupt++;
        consumer->differing = false;
    }
    if (consumer->body_length == 0)
        on_message_end(consumer);
}

// Where nobody's number is in the key, the first one counts it as misrouted.
static inline struct stream *stream_of(const struct consumer *consumer, uint64_t key)
{
    uint64_t place = (key - consumer->streams->identity) >> 48;

    return &consumer->streams[place < consumer->stream_count ? place : 0];
}

static inline void on_body_head(struct consumer *consumer, const uint8_t *payload, uint64_t now)
{
    struct measurement *measurement = consumer->measurement;
    uint64_t head[2];

    memcpy(head, payload, sizeof head);
    consumer->key = head[0];
    stream_accept(stream_of(consumer, head[0]), head[0]);
    if (measurement->on && (head[0] & measurement->sample_mask) == 0)
        histogram_add(&measurement->delivery, now > head[1] ? now - head[1] : 0);
    consumer->comparing = (head[0] & SEQUENCE_MASK) % COMPARE_EVERY == 0 && !consumer->differing;
    consumer->streams->compared += consumer->comparing;
}

static inline void on_body(struct consumer *consumer, const uint8_t *payload, uint32_t size, uint64_t now)
{
    uint64_t seen = consumer->body_seen, from = 0;

    if (seen + size > consumer->body_length)
        fail("a body longer than its header says");
    if (seen == 0 && consumer->body_length >= BODY_HEAD_BYTES) {
        if (size < BODY_HEAD_BYTES)
            fail("a first body frame of %u bytes", size);
        on_body_head(consumer, payload, now);
        from = BODY_HEAD_BYTES;
    }
    if (consumer->comparing &&
        memcmp(payload + from, pattern_of(consumer->pattern, consumer->key & SEQUENCE_MASK) + seen + from,
               size - from) != 0)
        consumer->differing = true;
    consumer->body_seen = seen + size;
    if (consumer->body_seen == consumer->body_length)
        on_message_end(consumer);
}

void consumer_on_message(struct consumer *consumer, const uint8_t *body, uint64_t length, bool redelivered,
                         uint64_t now)
{
    consumer->redelivered = redelivered;
    on_body_length(consumer, length);
    if (length)
        on_body(consumer, body, (uint32_t)length, now);
}

void consumer_on_input(struct connection *connection, uint64_t now)
{
    struct consumer *consumer = connection->consumer;
    const uint8_t *frame = connection->input, *end = frame + connection->input_length;

    while (end - frame >= FRAME_OVERHEAD_BYTES) {
        uint32_t size = read_long(frame + 3);
        const uint8_t *payload = frame + FRAME_HEAD_BYTES;

        if ((uint64_t)(end - frame) < (uint64_t)size + FRAME_OVERHEAD_BYTES) {
            if (size + FRAME_OVERHEAD_BYTES > connection->input_capacity)
                fail("a frame of %u bytes", size);
            break;
        }
        if (payload[size] != FRAME_END)
            fail("a frame without an end");
        if (frame[0] == FRAME_BODY && consumer->awaits == AWAIT_BODY)
            on_body(consumer, payload, size, now);
        else if (frame[0] == FRAME_HEADER && consumer->awaits == AWAIT_HEADER)
            on_body_length(consumer, read_longlong(payload + 4));
        else if (frame[0] == FRAME_METHOD && consumer->awaits == AWAIT_METHOD)
            on_method(consumer, payload, size);
        else if (frame[0] != FRAME_HEARTBEAT)
            fail("a frame of type %u out of turn", frame[0]);
        frame = payload + size + 1;
    }
    connection_drop_input(connection, (size_t)(frame - connection->input));
    if (!consumer->no_ack && consumer->unacked >= consumer->ack_every)
        consumer_ack(consumer);
}
