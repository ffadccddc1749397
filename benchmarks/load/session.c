#include "session.h"

#include "amqp_wire.h"
#include "fail.h"

_Noreturn void fail_as_broker_says(const uint8_t *payload, uint32_t size)
{
    uint32_t method = read_long(payload);

    if (size >= 7 && (method == CONNECTION_CLOSE || method == CHANNEL_CLOSE))
        fail("the broker closed the %s: %u %.*s", method == CONNECTION_CLOSE ? "connection" : "channel",
             read_short(payload + 4), payload[6], (const char *)payload + 7);
    fail("the broker sent method %u.%u, which is not expected here", method >> 16, method & 0xffff);
}

// Waits for the method and gives its arguments, which stay valid until the next call. What comes behind it (deliveries
// after basic.consume-ok) stays in the input buffer.
static const uint8_t *await_method(struct connection *connection, uint32_t wanted)
{
    static uint8_t arguments[FRAME_MAX_WANTED];

    for (;;) {
        while (connection->input_length >= FRAME_OVERHEAD_BYTES) {
            uint8_t *frame = connection->input, *payload = frame + FRAME_HEAD_BYTES;
            uint32_t size = read_long(frame + 3);
            uint32_t method;

            if (memcmp(frame, "AMQP", 4) == 0)
                fail("the broker refuses AMQP 0-9-1");
            if (size + FRAME_OVERHEAD_BYTES > connection->input_capacity)
                fail("a frame of %u bytes", size);
            if (connection->input_length < size + FRAME_OVERHEAD_BYTES)
                break;
            method = frame[0] == FRAME_METHOD ? read_long(payload) : 0;
            if (method == CONNECTION_CLOSE || method == CHANNEL_CLOSE)
                fail_as_broker_says(payload, size);
            if (method == wanted)
                memcpy(arguments, payload + 4, size - 4);
            connection_drop_input(connection, size + FRAME_OVERHEAD_BYTES);
            if (method == wanted)
                return arguments;
        }
        connection_receive_some(connection);
    }
}

static void send_and_free(struct connection *connection, struct wire *wire)
{
    connection_send_all(connection, wire->bytes, wire->length);
    wire_free(wire);
}

static const uint8_t *call(struct connection *connection, struct wire *wire, size_t start, uint32_t answer)
{
    wire_frame_end(wire, start);
    send_and_free(connection, wire);
    return await_method(connection, answer);
}

struct connection *session_open(int port, const struct credentials *credentials, size_t input_capacity)
{
    struct connection *connection = connection_open(port, input_capacity);
    struct wire wire = {0};

    connection_send_all(connection, PROTOCOL_HEADER, PROTOCOL_HEADER_BYTES);
    await_method(connection, CONNECTION_START);
    encode_start_ok(&wire, credentials->user, credentials->password);
    send_and_free(connection, &wire);
    encode_tune_ok(&wire, await_method(connection, CONNECTION_TUNE), &connection->frame_max);
    encode_connection_open(&wire, credentials->vhost);
    send_and_free(connection, &wire);
    await_method(connection, CONNECTION_OPEN_OK);
    encode_channel_open(&wire);
    send_and_free(connection, &wire);
    await_method(connection, CHANNEL_OPEN_OK);
    return connection;
}

void session_close(struct connection *connection)
{
    struct wire wire = {0};

    encode_connection_close(&wire);
    send_and_free(connection, &wire);
    await_method(connection, CONNECTION_CLOSE_OK);
    connection_close(connection);
}

uint32_t session_queue_declare(struct connection *connection, const char *queue, struct queue_arguments arguments)
{
    struct wire wire = {0}, table = {0};
    size_t start = wire_method_begin(&wire, 1, QUEUE_DECLARE);
    const uint8_t *answer;

    if (arguments.queue_type) {
        wire_shortstr(&table, "x-queue-type");
        wire_octet(&table, 'S');
        wire_longstr(&table, arguments.queue_type, strlen(arguments.queue_type));
    }
    wire_short(&wire, 0);
    wire_shortstr(&wire, queue);
    wire_octet(&wire, (arguments.passive ? 1u : 0) | (arguments.durable ? 2u : 0));
    wire_longstr(&wire, table.bytes, table.length);
    wire_free(&table);
    answer = call(connection, &wire, start, QUEUE_DECLARE_OK);
    return read_long(answer + 1 + answer[0]);
}

uint32_t session_queue_delete(struct connection *connection, const char *queue)
{
    struct wire wire = {0};
    size_t start = wire_method_begin(&wire, 1, QUEUE_DELETE);

    wire_short(&wire, 0);
    wire_shortstr(&wire, queue);
    wire_octet(&wire, 0);
    return read_long(call(connection, &wire, start, QUEUE_DELETE_OK));
}

void session_queue_bind(struct connection *connection, const char *queue, const char *exchange, const char *binding_key)
{
    struct wire wire = {0};
    size_t start = wire_method_begin(&wire, 1, QUEUE_BIND);

    wire_short(&wire, 0);
    wire_shortstr(&wire, queue);
    wire_shortstr(&wire, exchange);
    wire_shortstr(&wire, binding_key);
    wire_octet(&wire, 0);
    wire_long(&wire, 0);
    call(connection, &wire, start, QUEUE_BIND_OK);
}

void session_exchange_declare(struct connection *connection, const char *exchange, const char *type)
{
    struct wire wire = {0};
    size_t start = wire_method_begin(&wire, 1, EXCHANGE_DECLARE);

    wire_short(&wire, 0);
    wire_shortstr(&wire, exchange);
    wire_shortstr(&wire, type);
    wire_octet(&wire, 0);
    wire_long(&wire, 0);
    call(connection, &wire, start, EXCHANGE_DECLARE_OK);
}

void session_exchange_delete(struct connection *connection, const char *exchange)
{
    struct wire wire = {0};
    size_t start = wire_method_begin(&wire, 1, EXCHANGE_DELETE);

    wire_short(&wire, 0);
    wire_shortstr(&wire, exchange);
    wire_octet(&wire, 0);
    call(connection, &wire, start, EXCHANGE_DELETE_OK);
}

void session_basic_qos(struct connection *connection, uint16_t prefetch_count)
{
    struct wire wire = {0};
    size_t start = wire_method_begin(&wire, 1, BASIC_QOS);

    wire_long(&wire, 0);
    wire_short(&wire, prefetch_count);
    wire_octet(&wire, 0);
    call(connection, &wire, start, BASIC_QOS_OK);
}

void session_basic_consume(struct connection *connection, const char *queue, bool no_ack)
{
    struct wire wire = {0};
    size_t start = wire_method_begin(&wire, 1, BASIC_CONSUME);

    wire_short(&wire, 0);
    wire_shortstr(&wire, queue);
    wire_shortstr(&wire, "c");
    wire_octet(&wire, no_ack ? 2 : 0);
    wire_long(&wire, 0);
    call(connection, &wire, start, BASIC_CONSUME_OK);
}

void session_confirm_select(struct connection *connection)
{
    struct wire wire = {0};
    size_t start = wire_method_begin(&wire, 1, CONFIRM_SELECT);

    wire_octet(&wire, 0);
    call(connection, &wire, start, CONFIRM_SELECT_OK);
}
