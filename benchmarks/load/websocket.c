#include "websocket.h"

#include <stdbool.h>
#include <stdio.h>

#include "connection.h"
#include "fail.h"

enum { CONTINUATION = 0, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10, FIN = 0x80, MASKED = 0x80, RESPONSE_BYTES = 4096 };

// A broker has the same work with any mask, unless it is zero: this one serves for all frames.
static const uint8_t mask[4] = {0x5a, 0xc3, 0x17, 0x8e};

void websocket_upgrade(struct connection *connection, const char *path, const char *subprotocol)
{
    char request[512], *head = (char *)connection->input, *end;
    int length = snprintf(request, sizeof request,
                          "GET %s HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                          "Sec-WebSocket-Key: bG9hZCBnZW5lcmF0b3IhIQ==\r\nSec-WebSocket-Version: 13\r\n"
                          "Sec-WebSocket-Protocol: %s\r\n\r\n",
                          path, subprotocol);

    connection_send_all(connection, request, (size_t)length);
    while (!(end = memmem(head, connection->input_length, "\r\n\r\n", 4))) {
        if (connection->input_length > RESPONSE_BYTES)
            fail("no end of the HTTP response");
        connection_receive_some(connection);
    }
    if (strncmp(head, "HTTP/1.1 101", 12) != 0)
        fail("no WebSocket: %.*s", (int)strcspn(head, "\r"), head);
    connection_drop_input(connection, (size_t)(end + 4 - head));
    if (connection->input_length)
        fail("the broker spoke before it was asked");
    connection->websocket = true;
}

static size_t frame_begin(struct wire *wire, unsigned opcode, size_t length)
{
    wire_octet(wire, FIN | opcode);
    if (length < 126) {
        wire_octet(wire, MASKED | (unsigned)length);
    } else if (length < 65536) {
        wire_octet(wire, MASKED | 126);
        wire_short(wire, (unsigned)length);
    } else {
        wire_octet(wire, MASKED | 127);
        wire_longlong(wire, length);
    }
    wire_bytes(wire, mask, sizeof mask);
    return wire->length;
}

size_t websocket_frame_begin(struct wire *wire, size_t length) { return frame_begin(wire, BINARY, length); }

void websocket_frame_end(struct wire *wire, size_t payload)
{
    for (size_t i = payload; i < wire->length; i++)
        wire->bytes[i] ^= mask[(i - payload) % sizeof mask];
}

uint64_t websocket_mask_at(size_t offset)
{
    uint8_t bytes[8];
    uint64_t word;

    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = mask[(offset + i) % sizeof mask];
    memcpy(&word, bytes, sizeof word);
    return word;
}

void websocket_frame(struct wire *wire, const void *payload, size_t length)
{
    size_t start = websocket_frame_begin(wire, length);

    wire_bytes(wire, payload, length);
    websocket_frame_end(wire, start);
}

// Gives the bytes of the frame's head, or 0 where it is not whole.
static size_t read_head(const uint8_t *raw, size_t raw_length, uint64_t *payload_length)
{
    size_t head = 2;

    if (raw_length < head)
        return 0;
    if (raw[1] & MASKED)
        fail("a masked WebSocket frame from the broker");
    *payload_length = raw[1];
    if (raw[1] == 126)
        head = 4;
    else if (raw[1] == 127)
        head = 10;
    if (raw_length < head)
        return 0;
    if (head == 4)
        *payload_length = read_short(raw + 2);
    else if (head == 10)
        *payload_length = read_longlong(raw + 2);
    return head;
}

static void on_control(struct connection *connection, unsigned opcode, const uint8_t *payload, size_t length)
{
    size_t start;

    if (opcode == CLOSE)
        fail("the broker closed the WebSocket: %u", length >= 2 ? read_short(payload) : 0);
    if (opcode == PONG)
        return;
    if (opcode != PING)
        fail("a WebSocket frame of type %u", opcode);
    start = frame_begin(&connection->answers, PONG, length);
    wire_bytes(&connection->answers, payload, length);
    websocket_frame_end(&connection->answers, start);
}

void websocket_unframe(struct connection *connection, size_t length)
{
    const uint8_t *raw = connection->input + connection->input_length;
    size_t left = connection->raw_length + length, head;
    uint64_t payload_length;

    for (;;) {
        if (connection->frame_bytes_left) {
            size_t part = connection->frame_bytes_left < left ? (size_t)connection->frame_bytes_left : left;

            memmove(connection->input + connection->input_length, raw, part);
            connection->input_length += part;
            connection->frame_bytes_left -= part;
            raw += part;
            left -= part;
        }
        if (!left || !(head = read_head(raw, left, &payload_length)))
            break;
        if ((raw[0] & 15) == BINARY || (raw[0] & 15) == CONTINUATION) {
            connection->frame_bytes_left = payload_length;
        } else {
            if (left < head + payload_length)
                break;
            on_control(connection, raw[0] & 15, raw + head, payload_length);
            head += payload_length;
        }
        raw += head;
        left -= head;
    }
    memmove(connection->input + connection->input_length, raw, left);
    connection->raw_length = left;
}
