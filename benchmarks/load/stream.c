#include "stream.h"

#include "fail.h"

const uint8_t *pattern_create(size_t body_bytes_max)
{
    size_t length = body_bytes_max + 5 * PATTERN_PHASES;
    uint8_t *pattern = take_memory(length);

    for (size_t i = 0; i < length; i++)
        pattern[i] = (uint8_t)(i * 151 + (i >> 8) * 29 + 7);
    return pattern;
}

static void gap_open(struct stream *stream, uint64_t from, uint64_t until)
{
    size_t words = until / 64 + 1;

    if (words > stream->gap_words) {
        size_t grown = words * 2;

        stream->gaps = grow_memory(stream->gaps, grown * sizeof *stream->gaps);
        memset(stream->gaps + stream->gap_words, 0, (grown - stream->gap_words) * sizeof *stream->gaps);
        stream->gap_words = grown;
    }
    for (uint64_t i = from; i < until; i++)
        stream->gaps[i / 64] |= UINT64_C(1) << i % 64;
    stream->missing += until - from;
}

static bool gap_close(struct stream *stream, uint64_t sequence)
{
    uint64_t bit = UINT64_C(1) << sequence % 64;

    if (sequence / 64 >= stream->gap_words || !(stream->gaps[sequence / 64] & bit))
        return false;
    stream->gaps[sequence / 64] &= ~bit;
    stream->missing--;
    return true;
}

void stream_accept_out_of_turn(struct stream *stream, uint64_t key)
{
    uint64_t sequence = key & SEQUENCE_MASK, place = (sequence - stream->first) / stream->stride;

    if ((key & ~SEQUENCE_MASK) != stream->identity || sequence % stream->stride != stream->first) {
        stream->misrouted++;
    } else if (sequence >= *stream->published) {
        stream->corrupt++; // nobody published this number
    } else if (place >= stream->next) {
        gap_open(stream, stream->next, place);
        stream->next = place + 1;
        stream->due = sequence + stream->stride;
        stream->arrived++;
    } else if (gap_close(stream, place)) {
        stream->reordered++;
        stream->arrived++;
    } else {
        stream->duplicated++;
    }
}

uint64_t stream_lost(const struct stream *stream)
{
    uint64_t exist = (*stream->published + stream->stride - 1 - stream->first) / stream->stride;

    return stream->missing + (exist - stream->next);
}
