// websocket: RFC 6455 as a client needs it: the upgrade, masked frames out, frames off what comes in.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "wire.h"

struct connection;

void websocket_upgrade(struct connection *connection, const char *path, const char *subprotocol); // blocks

// One binary frame around the payload; all that a client sends is masked.                            RFC 6455 §5.3
void websocket_frame(struct wire *wire, const void *payload, size_t length);
// The same in two steps. begin gives where the payload begins; end masks what was written since.
size_t websocket_frame_begin(struct wire *wire, size_t length);
void websocket_frame_end(struct wire *wire, size_t payload);
// The mask as it lies over the payload's byte `offset` and the seven that follow.
uint64_t websocket_mask_at(size_t offset);

// `length` bytes have come behind the input and what is raw: payload joins the input.
void websocket_unframe(struct connection *connection, size_t length);
