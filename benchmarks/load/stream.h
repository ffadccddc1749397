// stream: the integrity check. A stream is the numbered messages of one publisher as one consumer meets them. Every
// body begins with
//
//   stream:16 sequence:48 (one 64-bit word, this machine's byte order)  timestamp:64 (ns, CLOCK_MONOTONIC)
//
// and goes on with a pattern that depends on the sequence number, so that a body put under another head is noticed.
// Invariant: sequence numbers below `next` have arrived, except those that stand in `gaps`; none from `next` on has.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { BODY_HEAD_BYTES = 16, PATTERN_PHASES = 16, COMPARE_EVERY = 256 };

#define SEQUENCE_MASK ((UINT64_C(1) << 48) - 1)

struct stream {
    uint64_t identity; // stream number << 48
    // Of the sequence numbers it has every stride-th from `first` on; `next` and the gaps count only these.
    uint64_t first, stride, next, due; // due: the sequence number of `next`
    const uint64_t *published; // how many exist: a number from there on is corrupt, not early
    uint64_t arrived, duplicated, reordered, corrupt, misrouted, redelivered;
    uint64_t missing;  // numbers in gaps: lost, or late
    uint64_t compared; // whole bodies compared
    uint64_t *gaps;    // one bit per sequence number, allocated at the first gap
    size_t gap_words;
};

// The body of message `sequence` after its head, from the offset BODY_HEAD_BYTES on: pattern_of(...)[offset].
const uint8_t *pattern_create(size_t body_bytes_max);
static inline const uint8_t *pattern_of(const uint8_t *pattern, uint64_t sequence)
{
    return pattern + 5 * (sequence % PATTERN_PHASES);
}

void stream_accept_out_of_turn(struct stream *stream, uint64_t key);

// Counts the arrival of the message whose body begins with `key`.
static inline void stream_accept(struct stream *stream, uint64_t key)
{
    if (__builtin_expect(key == (stream->identity | stream->due) && stream->due < *stream->published, 1)) {
        stream->next++;
        stream->due += stream->stride;
        stream->arrived++;
    } else {
        stream_accept_out_of_turn(stream, key);
    }
}

// Messages that were published and have not come.
uint64_t stream_lost(const struct stream *stream);
