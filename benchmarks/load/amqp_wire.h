// amqp_wire: AMQP 0-9-1 as bytes, for a client. Owns the encoding of the methods that the generator sends. Knows no socket and no state.
//
//   frame:  type:8 channel:16 size:32 payload:size end:8 (0xCE)                                   AMQP 0-9-1 §4.2.3
//   method payload:  class:16 method:16 arguments
//   header payload:  class:16 weight:16 body_size:64 property_flags:16 properties
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "wire.h"

enum {
    FRAME_METHOD = 1,
    FRAME_HEADER = 2,
    FRAME_BODY = 3,
    FRAME_HEARTBEAT = 8,
    FRAME_END = 0xCE,
    FRAME_HEAD_BYTES = 7,
    FRAME_OVERHEAD_BYTES = 8, // head and end
    FRAME_MAX_WANTED = 131072,
};

#define METHOD(class_id, method_id) ((uint32_t)(class_id) << 16 | (uint32_t)(method_id))
#define CONNECTION_START METHOD(10, 10)
#define CONNECTION_START_OK METHOD(10, 11)
#define CONNECTION_TUNE METHOD(10, 30)
#define CONNECTION_TUNE_OK METHOD(10, 31)
#define CONNECTION_OPEN METHOD(10, 40)
#define CONNECTION_OPEN_OK METHOD(10, 41)
#define CONNECTION_CLOSE METHOD(10, 50)
#define CONNECTION_CLOSE_OK METHOD(10, 51)
#define CONNECTION_BLOCKED METHOD(10, 60)
#define CONNECTION_UNBLOCKED METHOD(10, 61)
#define CHANNEL_OPEN METHOD(20, 10)
#define CHANNEL_OPEN_OK METHOD(20, 11)
#define CHANNEL_CLOSE METHOD(20, 40)
#define EXCHANGE_DECLARE METHOD(40, 10)
#define EXCHANGE_DECLARE_OK METHOD(40, 11)
#define EXCHANGE_DELETE METHOD(40, 20)
#define EXCHANGE_DELETE_OK METHOD(40, 21)
#define QUEUE_DECLARE METHOD(50, 10)
#define QUEUE_DECLARE_OK METHOD(50, 11)
#define QUEUE_BIND METHOD(50, 20)
#define QUEUE_BIND_OK METHOD(50, 21)
#define QUEUE_DELETE METHOD(50, 40)
#define QUEUE_DELETE_OK METHOD(50, 41)
#define BASIC_QOS METHOD(60, 10)
#define BASIC_QOS_OK METHOD(60, 11)
#define BASIC_CONSUME METHOD(60, 20)
#define BASIC_CONSUME_OK METHOD(60, 21)
#define BASIC_PUBLISH METHOD(60, 40)
#define BASIC_DELIVER METHOD(60, 60)
#define BASIC_ACK METHOD(60, 80)
#define BASIC_NACK METHOD(60, 120)
#define CONFIRM_SELECT METHOD(85, 10)
#define CONFIRM_SELECT_OK METHOD(85, 11)

void wire_shortstr(struct wire *wire, const char *text);
void wire_longstr(struct wire *wire, const void *bytes, size_t length);

// A frame is begun, filled with the calls above, and ended, which fills in its size. begin returns where it starts.
size_t wire_frame_begin(struct wire *wire, unsigned type, unsigned channel);
size_t wire_method_begin(struct wire *wire, unsigned channel, uint32_t method);
void wire_frame_end(struct wire *wire, size_t start);

// The client's half of the handshake, each as a complete frame.
#define PROTOCOL_HEADER "AMQP\0\0\x09\x01"
enum { PROTOCOL_HEADER_BYTES = 8 };

void encode_start_ok(struct wire *wire, const char *user, const char *password);
void encode_tune_ok(struct wire *wire, const uint8_t *tune_arguments, uint32_t *frame_max);
void encode_connection_open(struct wire *wire, const char *vhost);
void encode_channel_open(struct wire *wire);
void encode_connection_close(struct wire *wire);
