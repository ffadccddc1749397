// idle: many connections at once, in any dialect.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "options.h"
#include "wire.h"

enum { HANDSHAKE_INPUT_BYTES = 16384 };

struct handshake {
    int descriptor;
    uint64_t number; // of the connection
    bool connected;
    uint32_t awaits; // what must come next, in the dialect's numbers
    size_t length;
    uint8_t input[HANDSHAKE_INPUT_BYTES];
};

struct dialect {
    void (*greet)(struct handshake *handshake, const struct options *options, struct wire *wire);
    size_t (*measure)(const uint8_t *bytes, size_t length); // of the frame or packet there, 0: it is not yet whole
    // Answers the one at the start of the input. True when the connection is as it is to be.
    bool (*advance)(struct handshake *handshake, const struct options *options, size_t unit, struct wire *wire);
    void (*part)(struct wire *wire);
};

void run_idle(const struct dialect *dialect, const struct options *options);  // and what they cost the broker
void run_storm(const struct dialect *dialect, const struct options *options); // opened and closed, and again
